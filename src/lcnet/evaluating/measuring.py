"""What a model is worth on a split: its logits there, and the metrics of them."""

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
from lcnet.data.loading import Pictures, eval_loader
from lcnet.data.pictures import eval_pictures
from lcnet.data.readers import load_split_for
from lcnet.data.transforms import Normalize, Preprocessing
from lcnet.errors import ConfigError
from lcnet.evaluating.frozen_features import frozen_features
from lcnet.evaluating.protocols import PROTOCOLS, Protocol
from lcnet.metrics import Floats, Targets, Verification, verify
from lcnet.metrics.bootstrap import RESAMPLES, Interval, intervals
from lcnet.metrics.calibration import Calibration, to_probabilities
from lcnet.model.classifier import Classifier
from lcnet.model_folder import ModelInfo, load_model, model_fingerprint, read_info
from lcnet.progress import tell, track
from lcnet.run_folder import RunFolder

BATCH_SIZE = 8
"""Images at a time for a model folder, which has no run to say how many."""


@dataclass(frozen=True)
class Measured:
    """A split, what a model says of it, and what that is worth; `measure` makes it."""

    info: ModelInfo
    data: Data
    """The data set as it was measured."""
    samples: Split
    protocol: str
    """One of `PROTOCOLS`, or empty."""
    calibration: Calibration | None
    """The one that was applied."""
    probabilities: Floats
    """N x L, 0 to 1."""
    targets: Targets
    """N x L: 1, 0 and -1 (unknown)."""
    verification: Verification
    fingerprint: str = ""
    """Of the model that was measured."""

    def intervals(self, resamples: int = RESAMPLES) -> dict[str, Interval]:
        """Those of mAP, CF1 and OF1, see `bootstrap.intervals`."""
        return intervals(
            self.probabilities,
            self.targets,
            threshold=np.array(self.verification.threshold),
            formula=self.verification.ap_formula,
            resamples=resamples,
        )


def how_measured(measured: Measured) -> Iterator[str]:
    """Protocol, calibration, and what was chosen against the protocol, a line each."""
    verification, data, protocol = measured.verification, measured.data, measured.protocol
    threshold = threshold_text(verification)
    of_data = {"coco": f"{data.images} pictures, ", "voc": f"difficult {data.difficult}, "}
    yield (
        f"{f'protocol {protocol}' if protocol else 'no protocol'}: {of_data.get(data.format, '')}"
        f"{verification.ap_formula} AP, threshold {threshold}"
    )
    if protocol:
        chosen = PROTOCOLS[protocol]
        pairs = (
            ("split", measured.samples.name, chosen.splits.get(data.format, measured.samples.name)),
            ("threshold", threshold, f"{chosen.threshold:g}"),
        )
        unlike = [f"{what} {ours}, not {theirs}" for what, ours, theirs in pairs if ours != theirs]
        if unlike:
            yield f"unlike {protocol}: {'; '.join(unlike)}"
        if data.format in chosen.training:
            yield f"{protocol} trains on {chosen.training[data.format]}"
    if calibration := measured.info.calibration:
        ignored = "" if measured.calibration else ", left out, since published work has none"
        yield f"calibrated: {calibration.source}{ignored}"


def threshold_text(verification: Verification) -> str:
    """The threshold in words."""
    threshold = verification.threshold
    return f"{threshold:g}" if isinstance(threshold, float) else "the labels' own"


def measure(
    run: Path,
    *,
    split: str = "",
    root: str = "",
    threshold: float | None = None,
    data: Data | None = None,
    protocol: str = "",
    batch_size: int | None = None,
    use_cache: bool = False,
    quiet: bool = False,
) -> Measured:
    """What `evaluate` measures, with the predictions behind it; nothing is written.

    What of the split has changed since the run saw it is told unless `quiet`; at first sight the
    run folder remembers the split.
    `use_cache` takes features that the run keeps (`train.cache_features`), as training did.
    """
    chosen = _protocol(protocol)
    info = read_info(run)
    is_own = data is None
    data, batch_size = data_set(run, data, root, batch_size)
    data = _as_measured(data, chosen)
    name = split or (chosen.splits.get(data.format) if chosen else "") or data.test
    if not name:
        raise ConfigError("--split: expected a split, and data.test is empty. Set --split.")
    samples = load_split_for(data, name, info.labels)
    if is_own and not quiet:
        tell_changes(RunFolder(run).fingerprints_file, data, samples)
    if threshold is None and chosen:
        threshold = chosen.threshold
    logits, targets = score_split(
        run,
        samples,
        info,
        data,
        batch_size,
        quiet=quiet,
        use_cache=use_cache,
    )
    # Published work takes the plain sigmoid.
    calibration = None if chosen else info.calibration
    found = to_probabilities(logits, calibration)
    verification = verify(
        found,
        targets,
        samples.labels,
        threshold=_own_threshold(info) if threshold is None else threshold,
        formula=chosen.ap_formula if chosen else "step",
    )
    return Measured(
        info=info,
        data=data,
        samples=samples,
        protocol=protocol,
        calibration=calibration,
        probabilities=found,
        targets=targets,
        verification=verification,
        fingerprint=model_fingerprint(run),
    )


def _protocol(name: str) -> Protocol | None:
    if name and name not in PROTOCOLS:
        raise ConfigError(f"--protocol: expected one of {', '.join(PROTOCOLS)}, got {name!r}.")
    return PROTOCOLS.get(name)


def data_set(
    run: Path, data: Data | None, root: str, batch_size: int | None = None
) -> tuple[Data, int]:
    """The data set to measure on and the batch size, the run's where nothing else is said.

    `root` is where the data set is now, or empty.
    """
    usual, usual_batch_size = data, BATCH_SIZE
    if (folder := RunFolder(run)).is_run:
        config = folder.config()
        usual, usual_batch_size = data or config.data, config.train.batch
    if usual is None:
        raise ConfigError(
            f"{run}: expected a run folder, or --data flags: a model folder does not say "
            "what to measure on. Add --data.format and --data.root."
        )
    return replace(usual, root=root or usual.root), batch_size or usual_batch_size


def _as_measured(data: Data, protocol: Protocol | None) -> Data:
    """The data set under a protocol, which speaks of COCO and VOC only.

    Of VOC all pictures count: `annotated` would leave out those with difficult objects alone.
    """
    if protocol and data.format == "coco":
        return replace(data, images=protocol.images)
    if protocol and data.format == "voc":
        return replace(data, images="all", difficult=protocol.difficult)
    return data


def _own_threshold(info: ModelInfo) -> float | NDArray[np.float64]:
    """The model's threshold, as one number if all labels have the same."""
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
) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """The logits and targets of all pictures of a split, N x L each.

    `use_cache` takes a frozen backbone's features from where the run keeps them, if it does.
    """
    model = load_model(run)
    pictures: Pictures
    cached = use_cache and bool((config := RunFolder(run).config()).train.cache_features)
    if cached:
        pictures = frozen_features(config, model, info, samples)
    else:
        pictures = eval_pictures(samples, data, info.preprocessing, quiet=quiet)
    loader = eval_loader(pictures, batch_size=batch_size, workers=0 if cached else data.workers)
    what = f"Evaluating {samples.name}, batches"
    batches = track(loader, what, len(loader), quiet=quiet)
    scores = score_batches(model, batches, None if cached else info.preprocessing)
    broken = pictures.broken() if isinstance(pictures, ImageLabels) else []
    if broken and not quiet:
        tell(f"warning: {len(broken)} pictures cannot be read and do not count: {broken[0]}, ...")
    return scores


def score_batches(
    model: Classifier,
    batches: Iterable[tuple[Tensor, Tensor]],
    preprocessing: Preprocessing | None,
) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """The logits and targets (N x L each) of batches of images (uint8 B 3 H W).

    Without `preprocessing` they are batches of cached feature maps. The model goes to the
    accelerator if there is one.
    """
    device = usual_device()
    model.to(device)
    normalize = Normalize(preprocessing).to(device) if preprocessing else None
    logits, found = [], []
    with torch.inference_mode():
        for images, targets in batches:
            if normalize is None:
                scores = model.score(images.to(device).float())
            else:
                scores = model(normalize(images))
            logits.append(scores.float().cpu())
            found.append(targets.to(torch.int8))
    return torch.cat(logits).numpy(), torch.cat(found).numpy()


def predict_batches(
    model: Classifier, batches: Iterable[tuple[Tensor, Tensor]], preprocessing: Preprocessing
) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """The uncalibrated probabilities and the targets (N x L each) of batches of images."""
    logits, targets = score_batches(model, batches, preprocessing)
    return to_probabilities(logits), targets
