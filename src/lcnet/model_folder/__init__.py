"""The model folder: everything needed to use a model, and nothing that runs code.

model/
├── model.safetensors   the weights, with the label graph's prior, the label vectors, class
│                       means, what known labels say of the others, which views are needed, and
│                       the counts of label pairs in training
└── model.json          labels, architecture, preprocessing, thresholds, calibration, label counts
"""

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args, overload

import safetensors
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from lcnet import config
from lcnet.compute import Rounding
from lcnet.data.pair_counts import PairCounts
from lcnet.data.statistics import Statistics
from lcnet.data.transforms import Preprocessing
from lcnet.errors import CheckpointError, ConfigError, LCNetError
from lcnet.files import AnyPath, write_text, written_whole
from lcnet.hub import Repository, fetch, is_shared
from lcnet.metrics.calibration import Calibration
from lcnet.metrics.label_rules import LabelRules
from lcnet.model.backbone import BackboneSpec
from lcnet.model.build import build_model, needs_pairs
from lcnet.model.class_means import ClassMeans
from lcnet.model.classifier import Classifier
from lcnet.model.ensemble import Ensemble
from lcnet.model.evidence import Evidence
from lcnet.model.fast import FastClassifier
from lcnet.model.label_edges import Edges
from lcnet.model.members import Member, members_from
from lcnet.model.needed_views import NeededViews
from lcnet.model.size import as_large_as
from lcnet.model.stored_settings import stored_model
from lcnet.model.test_time import check_ways
from lcnet.model_folder.views_saved import ViewsSaved
from lcnet.run_folder import RunFolder
from lcnet.schema import check_mapping, check_names, check_numbers, check_options

DESCRIPTION, WEIGHTS = "model.json", "model.safetensors"
PAIRS = "statistics.pairs."
"""How the names of the counts of label pairs begin in the file of weights."""
NEEDED = "needed.inner.weight"
"""A weight of every model that looks at needed views alone."""
FORMAT = 1
"""Version of the folder's layout."""
FORMAT_OF_MANY = 2
"""The same with what an older lcnet would pass over, and then compute other numbers."""
FORMATS = (FORMAT, FORMAT_OF_MANY)
KNOWN_FORMATS = " or ".join(map(str, FORMATS))
"""The formats in words."""
MISFITS = (
    OSError,
    RuntimeError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AssertionError,
    LCNetError,
    safetensors.SafetensorError,
)
"""What building a model can raise if its weights or description are wrong."""


@dataclass(frozen=True)
class ModelInfo:
    """Everything about a model except its weights."""

    labels: tuple[str, ...]
    """The label names, in the order of the logits."""
    model: config.Model
    """The settings that it was built with."""
    backbone: BackboneSpec
    """The backbone, and how pictures are normalised and resized for it."""
    thresholds: tuple[float, ...]
    """Probability above which each label counts as present."""
    statistics: Statistics | None = None
    """Counts of the training labels."""
    head_options: Mapping[str, Any] = field(default_factory=dict)
    """Sizes of a rival's head, if a published checkpoint has other sizes than its paper."""
    calibration: Calibration | None = None
    """How logits become probabilities, as `lcnet calibrate` fitted it; None for the sigmoid."""
    fit: config.Fit = "squash"
    """How pictures become squares."""
    pixel_range: tuple[float, float] | None = None
    """Values of black and white in pictures of more than 8 bits; None if it knows 8 bits alone."""
    rounding: Rounding | None = None
    """What bfloat16 changes; None if that was not measured. All else is measured in float32."""
    by_hand: tuple[str, ...] = ()
    """The labels whose thresholds were set by hand."""
    rules: LabelRules | None = None
    """Rules between labels, which decisions keep; None if there are none."""
    members: tuple[Member, ...] = ()
    """The models whose mean an ensemble is; `model` and `backbone` are then those of the first.
    Empty for one model."""
    test_time: tuple[str, ...] = ()
    """Ways of `test_time.WAYS` in which each picture is seen too; its logits are the mean."""
    views: ViewsSaved | None = None
    """What looking at needed tiles alone saves; None if the model looks at all of them."""

    def uncalibrated(self) -> "ModelInfo":
        """A copy with every threshold at 0.5, plain sigmoid probabilities and all views.

        It has no test-time augmentation either.
        """
        plain = (0.5,) * len(self.labels)
        return replace(
            self,
            thresholds=plain,
            calibration=None,
            rounding=None,
            by_hand=(),
            test_time=(),
            views=None,
        )

    def seen_by(self, ways: tuple[str, ...]) -> "ModelInfo":
        """A copy that sees pictures in these ways too. Raises ConfigError if it cannot."""
        if ways == self.test_time:
            return self
        if ways and self.views is not None:
            raise ConfigError(
                f"--tta {','.join(ways)}: expected a model that looks at all views, got one that "
                "looks at needed ones. Take them all with: lcnet calibrate MODEL --views all"
            )
        levels = [one.model.crop_level for one in self.members] or [self.model.crop_level]
        if "shift" in ways and not all(levels):
            raise ConfigError(
                "--tta shift: expected a model that cuts pictures into tiles, got one with "
                "--model.crop_level 0. Leave shift out."
            )
        return replace(self, test_time=ways, rounding=None)

    @property
    def preprocessing(self) -> Preprocessing:
        """How pictures must be prepared for the model."""
        spec = self.backbone
        return Preprocessing(
            self.model.image_size,
            spec.mean,
            spec.std,
            spec.interpolation,
            self.fit,
            self.pixel_range,
        )

    def to_dict(self) -> dict[str, Any]:
        """The content of model.json."""
        return {
            "format": FORMAT_OF_MANY if self.members or self.test_time or self.views else FORMAT,
            "labels": list(self.labels),
            "model": asdict(self.model),
            "head_options": dict(self.head_options),
            "backbone": self.backbone.to_dict(),
            # Readers other than lcnet need all of it; lcnet reads fit and pixel_range alone.
            "preprocessing": asdict(self.preprocessing),
            "thresholds": list(self.thresholds),
            "thresholds_by_hand": list(self.by_hand),
            "calibration": self.calibration.to_dict() if self.calibration else None,
            "arithmetic": {
                "measured_in": "fp32",
                "bf16": self.rounding.to_dict() if self.rounding else None,
            },
            "rules": self.rules.to_dict() if self.rules else None,
            "statistics": self.statistics.to_dict() if self.statistics else None,
            **({"test_time": list(self.test_time)} if self.test_time else {}),
            **({"views": self.views.to_dict()} if self.views else {}),
            **({"members": [one.to_dict() for one in self.members]} if self.members else {}),
        }

    def to_json(self) -> str:
        """The text of model.json."""
        return json.dumps(self.to_dict(), indent=1, ensure_ascii=False)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any], pairs: PairCounts | None = None) -> "ModelInfo":
        """The info that `to_dict` wrote, with the training labels' counts of pairs if given.

        The type and range of every value are checked before anything is built from it. Raises one
        of `UNUSABLE` if a value is wrong or missing.
        """
        labels = check_names(fields["labels"], "labels")
        count = len(labels)
        statistics, calibration = fields.get("statistics"), fields.get("calibration")
        rounding = check_mapping(fields.get("arithmetic", {}), "arithmetic").get("bf16")
        by_hand = fields.get("thresholds_by_hand", [])
        rules = fields.get("rules")
        head_options = check_mapping(fields["head_options"], "head_options")
        model = stored_model(fields["model"], "model")
        backbone = BackboneSpec.from_dict(fields["backbone"])
        views = fields.get("views")
        members, ways = fields.get("members"), check_ways(fields.get("test_time", []))
        info = cls(
            labels=labels,
            model=model,
            backbone=backbone,
            thresholds=check_numbers(fields["thresholds"], "thresholds", count=count),
            calibration=Calibration.from_dict(calibration) if calibration else None,
            head_options=check_options(head_options, "head_options", most=65_536, length=256),
            statistics=Statistics.from_dict(statistics, pairs) if statistics else None,
            rounding=Rounding.from_dict(rounding) if rounding else None,
            by_hand=check_names(by_hand, "thresholds_by_hand") if by_hand else (),
            rules=LabelRules.from_dict(rules, labels) if rules else None,
            views=None if views is None else ViewsSaved.from_dict(views),
            members=() if members is None else members_from(members, labels, model, backbone),
            **_read_pixels(fields.get("preprocessing", {})),
        )
        if info.model.channels != info.backbone.channels:
            raise ValueError("model.channels: expected as many as the backbone has")
        if info.calibration and len(info.calibration.slope) != count:
            raise ValueError("calibration: expected a slope per label")
        if not set(info.by_hand) <= set(labels):
            raise ValueError("thresholds_by_hand: expected labels of the model")
        if info.statistics and len(info.statistics.positives) != count:
            raise ValueError("statistics: expected counts of every label")
        return info.seen_by(ways) if ways else info


def _read_pixels(stored: object) -> dict[str, Any]:
    """How pictures become squares and levels; older models do not say it."""
    given = check_mapping(stored, "preprocessing")
    fit, pixel_range = given.get("fit", "squash"), given.get("pixel_range")
    if fit not in get_args(config.Fit):
        raise ValueError(f"preprocessing.fit: expected one of {get_args(config.Fit)}, got {fit!r}")
    if pixel_range is not None:
        pixel_range = check_numbers(pixel_range, "preprocessing.pixel_range", count=2)
        if not pixel_range[0] < pixel_range[1]:
            raise ValueError("preprocessing.pixel_range: expected black below white")
    return {"fit": fit, "pixel_range": pixel_range}


def for_data(info: ModelInfo, data: config.Data) -> ModelInfo:
    """The info for pictures of a data set: a model without a pixel range takes that of the data.

    So a model that says nothing of deep pictures can be measured on them. Raises ConfigError if
    both have a range and they differ.
    """
    given = data.given_range
    if given is None or given == info.pixel_range:
        return info
    if info.pixel_range is None:
        return replace(info, pixel_range=given)
    raise ConfigError(
        f"data.pixel_range: expected that of the model, {list(info.pixel_range)}, or none, got "
        f"{list(given)}. Leave --data.pixel_range out."
    )


UNUSABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, LCNetError)
"""What reading a damaged model description can raise."""


def why_unusable(error: Exception) -> str:
    """What is wrong with a model description, in words; `error` is one of `UNUSABLE`."""
    if isinstance(error, KeyError):
        return f"no {error}"
    if isinstance(error, RecursionError):
        return "values nested too deeply"
    return str(error) or type(error).__name__


@dataclass(frozen=True)
class ModelFolder:
    """The folder of one model. Creating the object does not touch the disk."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def description_file(self) -> Path:
        """Labels, architecture, preprocessing, thresholds, calibration and statistics."""
        return self.path / DESCRIPTION

    @property
    def weights_file(self) -> Path:
        """The weights, with the label graph's prior, the label vectors and the evidence."""
        return self.path / WEIGHTS

    @property
    def files(self) -> tuple[Path, Path]:
        """Both files of the model."""
        return self.description_file, self.weights_file

    @property
    def is_complete(self) -> bool:
        """Whether both files exist."""
        return all(file.is_file() for file in self.files)

    @classmethod
    def find(cls, path: Path) -> "ModelFolder | None":
        """The model at `path`, a model or run folder; None if there is no model."""
        candidates = (cls(path), cls(RunFolder(path).model))
        return next((folder for folder in candidates if folder.is_complete), None)

    @classmethod
    def at(cls, path: Path) -> "ModelFolder":
        """The model at `path`, a model or run folder. Raises CheckpointError if there is none."""
        if folder := cls.find(path):
            return folder
        if (run := RunFolder(path)).waits_for_head:
            raise CheckpointError(
                f"{path}: no model yet, as the training is not beyond its head. {run.continuation}"
            )
        raise CheckpointError(
            f"{path}: no model here (expected a run folder, or a model folder with {DESCRIPTION} "
            f"and {WEIGHTS}). Train one with: lcnet train DATA --minutes 30 --out RUN"
        )

    def info(self) -> ModelInfo:
        """The content of model.json. Raises CheckpointError if it cannot be read."""
        file = self.description_file
        try:
            fields = check_mapping(json.loads(file.read_text(encoding="utf-8")), "the file")
            version = fields["format"]
            if version in FORMATS:
                return ModelInfo.from_dict(fields, self._pairs())
        except UNUSABLE as error:
            raise CheckpointError(
                f"{file}: not a model description ({why_unusable(error)}). Copy the whole folder "
                "again."
            ) from None
        raise CheckpointError(
            f"{file}: expected format {KNOWN_FORMATS}, got {version!r}. Install the lcnet that "
            "wrote it."
        )

    def _pairs(self) -> PairCounts | None:
        """The counts of pairs in the file of weights; None if it has none or cannot be read."""
        try:
            with safetensors.safe_open(self.weights_file, "numpy") as opened:
                names = [name for name in opened.keys() if name.startswith(PAIRS)]  # noqa: SIM118
                arrays = {name.removeprefix(PAIRS): opened.get_tensor(name) for name in names}
        except (OSError, safetensors.SafetensorError):
            return None  # `load` says what is wrong
        return PairCounts.from_arrays(arrays) if arrays else None

    def save(
        self, model: Classifier, info: ModelInfo, weights: Mapping[str, Tensor] | None = None
    ) -> None:
        """Write the model. Each file is complete before it replaces an older one.

        `weights` are needed only if the model does not hold all its weights itself (FSDP).
        """
        weights = model.state_dict() if weights is None else weights
        weights = {name: tensor.contiguous().cpu() for name, tensor in weights.items()}
        if info.statistics:
            arrays = info.statistics.pairs.to_arrays()
            weights |= {f"{PAIRS}{name}": torch.from_numpy(one) for name, one in arrays.items()}
        with (
            written_whole(self.description_file) as description,
            written_whole(self.weights_file) as tensors,
        ):
            save_file(weights, tensors)
            description.write_text(info.to_json(), encoding="utf-8")

    def write_info(self, info: ModelInfo) -> None:
        """Replace model.json and leave the weights alone."""
        write_text(self.description_file, info.to_json())

    def load(self) -> Classifier:
        """The model, on the CPU and in evaluation mode.

        Raises CheckpointError if it cannot be read or its weights do not fit its description.
        """
        info = self.info()
        try:
            stored = load_file(self.weights_file)
            weights = {name: one for name, one in stored.items() if not name.startswith(PAIRS)}
            model = model_of(info, weights)
        except MISFITS as error:
            reason = " ".join(str(error).split())[:200]
            raise CheckpointError(
                f"{self.weights_file}: the weights cannot be used ({reason}). Copy the whole "
                "folder again."
            ) from None
        model.see(info.test_time)
        return model.eval().requires_grad_(False).to(memory_format=torch.channels_last)


@overload
def load_model(path: AnyPath, *, optimize: Literal[False] = False) -> Classifier: ...
@overload
def load_model(path: AnyPath, *, optimize: Literal[True]) -> FastClassifier: ...


def load_model(path: AnyPath, *, optimize: bool = False) -> Classifier | FastClassifier:
    """The trained model in a model or run folder, on the CPU and in evaluation mode.

    A model named hf://user/name[@revision] is fetched first, unless it is in the cache. With
    `optimize` it is the model's fastest form in float32: a callable from images to the same logits,
    for inference only. No code from the folder runs, and nothing else is fetched. Raises
    CheckpointError if the model cannot be read or its weights do not fit its description.
    """
    model = ModelFolder.at(local_model(path)).load()
    return FastClassifier(model) if optimize else model


def read_info(path: Path) -> ModelInfo:
    """The description of the model in a model or run folder; raises as `load_model` does."""
    return ModelFolder.at(path).info()


def require_single(info: ModelInfo, path: AnyPath, what: str) -> None:
    """Raises ConfigError for an ensemble; `what` needs one model."""
    if info.members:
        one = next(filter(None, (member.source for member in info.members)), "one of its models")
        raise ConfigError(
            f"{path}: expected one model for {what}, got the mean of {len(info.members)}. "
            f"Give one that it was made of, such as {one}."
        )


def local_model(model: AnyPath) -> Path:
    """The folder or file of a model; one named hf://user/name[@revision] is fetched first.

    The commit that was fetched is printed on standard error. Raises ConfigError for a wrong name
    and CheckpointError if the model does not exist or cannot be fetched.
    """
    if not is_shared(model):
        return Path(model)
    folder = fetch(model, (DESCRIPTION, WEIGHTS))
    print(f"{Repository.parse(str(model))}: commit {folder.name[:12]}", file=sys.stderr)
    return folder


def model_fingerprint(path: Path) -> str:
    """A SHA-256 digest of the model: its weights, labels, thresholds and calibration.

    `path` is a run or model folder, or an exported file. Raises CheckpointError if there is none.
    """
    files = [path] if path.is_file() else ModelFolder.at(path).files
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()


def weights_fingerprint(path: Path) -> str:
    """A SHA-256 digest of the weights in a run or model folder; raises as `model_fingerprint`."""
    with ModelFolder.at(path).weights_file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def model_of(info: ModelInfo, weights: Mapping[str, Tensor]) -> Classifier:
    """The model that `info` describes, with these weights, ready to be trained.

    Raises one of `MISFITS` if the weights do not fit. A description of a model larger than its
    weights is refused while the model is built, before it can fill the memory.
    """
    with as_large_as(weights, len(info.labels)):
        if info.members:
            model = _ensemble(info, weights)
        else:
            model = _single(info.model, info.backbone, info.head_options, len(info.labels), weights)
        if "evidence.sources" in weights:
            model.evidence = Evidence(*weights["evidence.sources"].shape)
        if (NEEDED in weights) != (info.views is not None):
            raise ValueError("views: expected weights of needed views if model.json names them")
        if NEEDED in weights:
            model.needed = NeededViews(model.backbone.channels, len(weights[NEEDED]))
    model.load_state_dict(weights)
    return model


def _ensemble(info: ModelInfo, weights: Mapping[str, Tensor]) -> Classifier:
    """The models of an ensemble as one, as they are built."""
    built = []
    for number, member in enumerate(info.members):
        prefix = f"members.{number}."
        own = {
            name.removeprefix(prefix): tensor
            for name, tensor in weights.items()
            if name.startswith(prefix)
        }
        built.append(
            _single(member.model, member.backbone, member.head_options, len(info.labels), own)
        )
    return Ensemble(built, [member.order(info.labels) for member in info.members])


def _single(
    settings: config.Model,
    backbone: BackboneSpec,
    head_options: Mapping[str, Any],
    labels: int,
    weights: Mapping[str, Tensor],
) -> Classifier:
    """One model, as it is built."""
    model = build_model(
        replace(settings, pretrained=False),
        labels,
        spec=backbone,
        prior=_prior(weights, settings, labels),
        vectors=_vectors(weights, settings),
        head_options=head_options,
    )
    if "class_means.weight" in weights:
        channels, last = model.backbone.channels, model.backbone.last_channels
        model.class_means = ClassMeans(labels, channels, last)
    return model


def _prior(
    weights: Mapping[str, Tensor], settings: config.Model, labels: int
) -> Tensor | Edges | None:
    """The prior in the weights, so that the graph is built for as many edges as it has.

    Of a graph of another kind it only tells that there are weights for all pairs of labels.
    """
    if needs_pairs(settings, labels) == 0:
        return None
    names = {"ml_gcn": "head.adjacency", "lcnet": "graph.prior"}
    name = "graph.band" if settings.graph == "released" else names[settings.head]
    prior = weights[name]
    if name == "graph.prior" and "graph.joined" in weights:
        return Edges(weights["graph.joined"], prior).check(labels)
    if prior.shape != (labels, labels):
        raise ValueError(f"{name}: expected that of {labels:,} labels, got another")
    return prior


def _vectors(weights: Mapping[str, Tensor], settings: config.Model) -> Tensor | None:
    """The label vectors that a model was built with; None if it learned its own or has none."""
    if settings.head == "ml_gcn":
        return weights["head.vectors"] if settings.label_vectors else None
    return weights.get("graph.vectors")
