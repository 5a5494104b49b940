"""A model's logits, probabilities and metrics on a split."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lcnet.compute import usual_device
from lcnet.config import Data
from lcnet.data.changes import tell_changes
from lcnet.data.dataset import ImageLabels, Split
from lcnet.data.loading import eval_loader
from lcnet.data.readers.split_names import load_split_called
from lcnet.data.recognising import data_at
from lcnet.data.rules_file import read_rules
from lcnet.data.transforms import Normalize, Preprocessing
from lcnet.errors import ConfigError, DataError, quoted
from lcnet.evaluating.frozen_features import kept_features, kept_or_opened
from lcnet.evaluating.protocols import PROTOCOLS, Protocol
from lcnet.evaluating.trained_on import trained_on
from lcnet.files import AnyPath
from lcnet.metrics import Floats, Targets, Verification, verify
from lcnet.metrics.bootstrap import RESAMPLES, Interval, intervals
from lcnet.metrics.calibration import Calibration, to_probabilities
from lcnet.metrics.label_rules import IndexedRules, LabelRules
from lcnet.model.classifier import Classifier
from lcnet.model_folder import ModelInfo, for_data, load_model, model_fingerprint, read_info
from lcnet.progress import tell, track
from lcnet.run_folder import RunFolder

FEW = 100
"""Pictures below which a measurement says that its numbers are rough."""
BATCH_SIZE = 8
"""Pictures per batch for a model folder; a run has its own number."""


@dataclass(frozen=True)
class Scored:
    """A model's logits for a split; `score` makes it."""

    run: Path
    """The run or model folder."""
    info: ModelInfo
    data: Data
    """The data set, with the changes that the protocol asks for."""
    samples: Split
    logits: NDArray[np.float32]
    """N x L, in float32 arithmetic."""
    targets: Targets
    """N x L: 1, 0 and -1 (unknown)."""
    unread: tuple[Path, ...] = ()
    """Pictures that could not be read; their targets are all unknown."""
    out_of_fold: bool = False
    """Whether they are the training pictures, each scored by a model that has not seen it."""


@dataclass(frozen=True)
class Measured:
    """A model's predictions for a split and their metrics; `measure` makes it."""

    info: ModelInfo
    data: Data
    """The data set, with the changes that the protocol asks for."""
    samples: Split
    protocol: str
    """One of `PROTOCOLS`, or empty."""
    calibration: Calibration | None
    """The calibration that was applied; None for plain sigmoid probabilities."""
    probabilities: Floats
    """N x L, 0 to 1."""
    targets: Targets
    """N x L: 1, 0 and -1 (unknown)."""
    verification: Verification
    fingerprint: str = ""
    """Fingerprint of the model."""
    rules: IndexedRules | None = None
    """The label rules that the decisions keep."""
    logits: Floats | None = None
    """N x L, before any calibration."""
    unread: tuple[Path, ...] = ()
    """Pictures that could not be read; their targets are all unknown."""

    def intervals(self, resamples: int = RESAMPLES) -> dict[str, Interval]:
        """The intervals of mAP, CF1 and OF1, see `bootstrap.intervals`."""
        return intervals(
            self.probabilities,
            self.targets,
            threshold=np.array(self.verification.threshold),
            formula=self.verification.ap_formula,
            resamples=resamples,
            rules=self.rules,
        )


def mean_ap_text(verification: Verification) -> str:
    """The mAP, or why there is none."""
    if np.isnan(verification.mAP):
        return "mAP: none, since no label has both present and absent pictures"
    return f"mAP {verification.mAP:.2f}"


def how_measured(measured: Measured) -> Iterator[str]:
    """The protocol, what differs from it, and the calibration; a line each."""
    verification, data, protocol = measured.verification, measured.data, measured.protocol
    threshold = threshold_text(verification)
    kinds = {"coco": f"{data.images} pictures, ", "voc": f"difficult {data.difficult}, "}
    of_data = kinds.get(data.format, "")
    if not protocol:
        yield f"{of_data}{plainly(verification)}"
    else:
        formula = verification.ap_formula
        yield f"protocol {protocol}: {of_data}{formula} AP, threshold {threshold}"
        chosen = PROTOCOLS[protocol]
        pairs = (
            ("split", measured.samples.name, chosen.splits.get(data.format, measured.samples.name)),
            ("threshold", threshold, f"{chosen.threshold:g}"),
        )
        changed = [f"{what} {ours}, not {theirs}" for what, ours, theirs in pairs if ours != theirs]
        if changed:
            yield f"differs from {protocol}: {'; '.join(changed)}"
        if data.format in chosen.training:
            yield f"{protocol} trains on {chosen.training[data.format]}"
    if calibration := measured.info.calibration:
        ignored = "" if measured.calibration else ", not applied, since published work has none"
        yield f"calibrated: {calibration.source}{ignored}"
    if measured.info.views:
        yield f"needed views: {measured.info.views}"
    if measured.info.test_time:
        yield f"test-time augmentation: mean with {', '.join(measured.info.test_time)}"
    if measured.info.by_hand and not protocol:
        yield f"threshold set by hand: {', '.join(measured.info.by_hand)}"
    yield from few_pictures(measured.verification)
    if rules := measured.info.rules:
        kept = "decisions, and so their rates, keep them; mAP and top 3 do not know them"
        ignored = "not applied, since published work has none"
        yield f"label rules ({rules}): {kept if measured.rules else ignored}"


def few_pictures(verification: Verification) -> Iterator[str]:
    """That the numbers are rough, if they are of few pictures."""
    if (count := verification.images) < FEW:
        rough = f"only {count} picture{'s' * (count != 1)}, so these numbers are rough"
        own = not isinstance(verification.threshold, float)
        yield f"{rough}: intervals can be lopsided" + ", and own thresholds worse than 0.5" * own


def plainly(verification: Verification) -> str:
    """How it was measured where no published protocol says it, in plain words."""
    threshold = verification.threshold
    own = "each label at its own threshold"
    at = f"threshold {threshold:g}" if isinstance(threshold, float) else own
    return f"AP as in scikit-learn, {at}"


def threshold_text(verification: Verification) -> str:
    """The threshold in words: a number, or that each label has its own."""
    threshold = verification.threshold
    return f"{threshold:g}" if isinstance(threshold, float) else "the labels' own"


def measure(
    run: Path,
    *,
    split: str = "",
    root: str = "",
    threshold: float | None = None,
    data: Data | AnyPath | None = None,
    protocol: str = "",
    batch_size: int | None = None,
    use_cache: bool = False,
    ways: tuple[str, ...] | None = None,
    all_views: bool = False,
    quiet: bool = False,
) -> Measured:
    """The predictions and metrics of a split; arguments and errors are those of `evaluate`.

    Warns of changes in the split since the run first saw it, unless `quiet`; a split that the run
    has not seen is added to its fingerprints. `use_cache` uses the features that the run keeps
    (`train.cache_features`), as training did. `ways` replace the model's test-time augmentation,
    and with `all_views` it looks at views that are not needed too. No metrics are written.
    """
    scored = score(
        run,
        split=split,
        root=root,
        data=data,
        protocol=protocol,
        batch_size=batch_size,
        use_cache=use_cache,
        ways=ways,
        all_views=all_views,
        quiet=quiet,
    )
    return judge(scored, threshold=threshold, protocol=protocol)


def score(
    run: Path,
    *,
    split: str = "",
    root: str = "",
    data: Data | AnyPath | None = None,
    protocol: str = "",
    batch_size: int | None = None,
    use_cache: bool = False,
    ways: tuple[str, ...] | None = None,
    all_views: bool = False,
    quiet: bool = False,
) -> Scored:
    """The logits of a split, for `judge`; arguments and errors are those of `measure`."""
    rules = _protocol(protocol)
    info = read_info(run)
    if ways is not None:
        info = info.seen_by(ways)
    if all_views:
        info = replace(info, views=None)
    is_own = data is None
    data, batch_size = data_set(run, data, root, batch_size, quiet=quiet)
    if not is_own:
        refuse_other_rules(info, data)
    data, info = _as_measured(data, rules), for_data(info, data)
    name = split or (rules.splits.get(data.format) if rules else "") or data.test
    if not name and not data.train:
        name = data.val  # a data set that was given without splits
    if not name:
        raise ConfigError(
            "--split: expected a split, got none, as data.test is empty. Set --split val."
        )
    whose = "this run" if is_own else "this data set"
    samples = load_split_called(data, name, info.labels, whose=whose)
    if is_own and not quiet:
        tell_changes(RunFolder(run).fingerprints_file, data, samples)
    has_learned = RunFolder(run).has_folds and samples.name in (data.train, data.val)
    if is_own and not quiet and has_learned:
        tell(
            f"warning: all models of {run} but one were trained on each picture of "
            f"{samples.name}, so expect less of new ones"
        )
    is_held_out = is_own and samples.name in (data.val, data.test)
    if not quiet and not is_held_out and (seen := trained_on(run, samples, data.root)):
        tell(
            f"warning: {run} was trained on {seen:,} of the {len(samples):,} pictures of "
            f"{samples.name}, so expect less of new ones"
        )
    unread: list[Path] = []
    logits, targets = score_split(
        run,
        samples,
        info,
        data,
        batch_size,
        quiet=quiet,
        use_cache=use_cache,
        unread=unread,
    )
    return Scored(run, info, data, samples, logits, targets, tuple(unread))


def judge(scored: Scored, *, threshold: float | None = None, protocol: str = "") -> Measured:
    """The metrics of a model's logits, with the calibration and thresholds of its info."""
    rules, info, targets = _protocol(protocol), scored.info, scored.targets
    if threshold is None and rules:
        threshold = rules.threshold
    # Published work uses the plain sigmoid.
    calibration = None if rules else info.calibration
    label_rules = info.rules.on(info.labels) if info.rules and not rules else None
    probabilities = to_probabilities(scored.logits, calibration)
    verification = verify(
        probabilities,
        targets,
        scored.samples.labels,
        threshold=_own_threshold(info) if threshold is None else threshold,
        formula=rules.ap_formula if rules else "step",
        rules=label_rules,
    )
    return Measured(
        info=info,
        data=scored.data,
        samples=scored.samples,
        protocol=protocol,
        calibration=calibration,
        probabilities=probabilities,
        targets=targets,
        verification=verification,
        fingerprint=model_fingerprint(scored.run),
        rules=label_rules,
        logits=scored.logits,
        unread=scored.unread,
    )


def _protocol(name: str) -> Protocol | None:
    if name and name not in PROTOCOLS:
        raise ConfigError(f"--protocol: expected one of {', '.join(PROTOCOLS)}, got {name!r}.")
    return PROTOCOLS.get(name)


def data_set(
    run: Path,
    data: Data | AnyPath | None,
    root: str,
    batch_size: int | None = None,
    *,
    quiet: bool = False,
) -> tuple[Data, int]:
    """The data set to measure on and the batch size: the given ones, else those of the run.

    A data set that is given by its folder or label file is recognised; if it has no splits, all of
    it is `val`, and `train` and `test` are empty. `root` is the folder where the data set is
    now; empty if it has not moved. Raises ConfigError if neither a data set nor a run is given.
    """
    if data is not None and not isinstance(data, Data):
        data = data_at(data, quiet=quiet, divide=False)
        if not data.val and not data.test:
            data = replace(data, train="", val=data.train)
    is_own, default_batch_size = data is None, BATCH_SIZE
    if (folder := RunFolder(run)).is_run:
        config = folder.config()
        data, default_batch_size = data or config.data, config.train.batch
    data = data or folder.data()
    if data is None:
        raise ConfigError(
            f"{run}: expected a run folder, or --data flags, got a folder that names no data set. "
            "Name the data set behind it: lcnet evaluate MODEL PATH."
        )
    if is_own and not root and data.format != "digits" and not Path(data.root).is_dir():
        raise DataError(
            f"{data.root}: expected the folder of the data set of {run}, got none there. If it has "
            "moved, or you are in another folder than in training: --root FOLDER."
        )
    return replace(data, root=root or data.root), batch_size or default_batch_size


def refuse_other_rules(info: ModelInfo, data: Data) -> None:
    """Raise ConfigError if a data set names other label rules than those of the model."""
    if data.rules and read_rules(Path(data.rules), info.labels) != (info.rules or LabelRules()):
        raise ConfigError(
            f"--data.rules {data.rules}: expected the label rules of the model "
            f"({info.rules or 'none'}), or no file. Leave it out; to give the model other rules: "
            f"lcnet calibrate MODEL --rules {quoted(data.rules)}"
        )


def _as_measured(data: Data, protocol: Protocol | None) -> Data:
    """The data set with the protocol's pictures and treatment of difficult objects.

    Only COCO and VOC change; on other data sets a protocol has no say in this.
    """
    if protocol and data.format == "coco":
        return replace(data, images=protocol.images)
    if protocol and data.format == "voc":
        # Everybody counts all of VOC; `annotated` would drop pictures with only difficult objects.
        return replace(data, images="all", difficult=protocol.difficult)
    return data


def _own_threshold(info: ModelInfo) -> float | NDArray[np.float64]:
    """The model's thresholds (L), or one number if all labels have the same."""
    first = info.thresholds[0]
    return first if set(info.thresholds) == {first} else np.array(info.thresholds)


def score_split(
    run: Path,
    samples: Split,
    info: ModelInfo,
    data: Data,
    batch_size: int,
    *,
    quiet: bool,
    use_cache: bool = False,
    unread: list[Path] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """The logits and targets of all pictures of a split, N x L each.

    `use_cache` reads a frozen backbone's features from the run's cache, if the run has one. The
    pictures that could not be read are added to `unread`; their targets are all unknown.
    """
    model, info = load_model(run), for_data(info, data)
    model.see(info.test_time)
    if info.views is None:
        model.needed = None
    kept = None
    if use_cache and not info.test_time:
        kept = kept_features(run, model, info, samples)
    cached = kept is not None
    pictures = kept_or_opened(kept, samples, data, info, quiet=quiet)
    loader = eval_loader(pictures, batch_size=batch_size, workers=0 if cached else data.workers)
    what = f"Evaluating {samples.name}, batches"
    batches = track(loader, what, len(loader), quiet=quiet)
    scores = score_batches(model, batches, None if cached else info.preprocessing)
    if info.views and not quiet:
        tell(f"{samples.name}: {model.taken.mean:.2f} of {info.views.all} views a picture")
    broken = pictures.broken() if isinstance(pictures, ImageLabels) else []
    if unread is not None:
        unread += broken
    if broken and not quiet:
        shown = f"{broken[0]}{', ...' * (len(broken) > 1)}"
        tell(f"warning: {len(broken)} pictures cannot be read and are not counted: {shown}")
    return scores


def score_batches(
    model: Classifier,
    batches: Iterable[tuple[Tensor, Tensor]],
    preprocessing: Preprocessing | None,
) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """The logits and targets (N x L each) of batches of images (uint8 B 3 H W).

    Without `preprocessing` the batches are cached feature maps. The model is moved to the
    accelerator if there is one.
    """
    device = usual_device()
    model.to(device)
    normalize = Normalize(preprocessing).to(device) if preprocessing else None
    all_logits, all_targets = [], []
    with torch.inference_mode():
        for images, targets in batches:
            if normalize is None:
                logits = model.scored(model.as_needed(images.to(device).float()))
            else:
                logits = model(normalize(images))
            all_logits.append(logits.float().cpu())
            all_targets.append(targets.to(torch.int8))
    return torch.cat(all_logits).numpy(), torch.cat(all_targets).numpy()


def predict_batches(
    model: Classifier, batches: Iterable[tuple[Tensor, Tensor]], preprocessing: Preprocessing
) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """The uncalibrated probabilities and the targets (N x L each) of batches of images."""
    logits, targets = score_batches(model, batches, preprocessing)
    return to_probabilities(logits), targets
