"""Every setting of a run: its name, default, meaning and check, in one place.

A field is a command line flag (`--model.crop_level 2`) and a YAML key (`model: {crop_level: 2}`).
"""

import math
from argparse import ArgumentError
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from dataclasses import fields as dataclass_fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import yaml
from jsonargparse import ArgumentParser, set_parsing_settings

from lcnet.errors import ConfigError
from lcnet.files import write_text
from lcnet.plain_yaml import read_yaml


def _require(condition: bool, name: str, expected: str, got: object) -> None:
    if not condition:
        raise ConfigError(
            f"{name}: expected {expected}, got {got!r}. Set --{name} to such a value."
        )


def _require_all(section: Any, name: str) -> None:
    """Raises ConfigError for a key without a value, which YAML reads as null, and for inf."""
    for setting in dataclass_fields(section):
        value = getattr(section, setting.name)
        _require(value is not None, f"{name}.{setting.name}", "a value", value)
        if isinstance(value, float):
            _require(math.isfinite(value), f"{name}.{setting.name}", "a finite number", value)


MOST_WIDTH = 16_384
"""Larger widths are slips of the keyboard: the largest published backbones have 4,096."""
MOST_PIXELS = 16_384
"""Side of a picture that a model sees, at most."""
MOST_WORKERS = 1_024
"""Processes that read pictures, at most."""
MOST_DEVICES, MOST_NODES = 1_024, 65_536
MOST_WAITING = 604_800
"""Seconds that a device may wait for the others."""


@dataclass(frozen=True)
class Model:
    """The network: backbone, Crop-Forwarding, label graph and decoder."""

    backbone: str = "resnet50"
    """A timm model by name, `local-dir:FOLDER` or `hf-hub:USER/NAME`, CNN or ViT."""
    pretrained: bool = True
    """Start the backbone from pretrained weights, fetched by timm or read from the local folder."""
    backbone_weights: str = ""
    """File with the backbone's weights, in timm's or the published TResNet, Swin or CvT format."""
    crop_level: int = 2
    """Crop-Forwarding: C x C tiles and the whole image; 0 is the whole image alone."""
    view_size: int = 224
    """Side of each view in pixels; images are brought to max(1, crop_level) times this."""
    antialias: bool = True
    """Shrink views with antialiasing; the release does not."""
    view_chunk: int = 0
    """Views that go through the backbone at a time; 0 is all at once. Training then computes each
    chunk twice and keeps nothing of it between, so that memory hardly grows with the crop level."""
    head: Literal["lcnet", "gap", "csra", "ml_gcn", "query2label", "ml_decoder"] = "lcnet"
    """What turns features into scores: LCNet, or a rival, whose sizes are those of its paper; the
    settings below are LCNet's."""
    width: int = 256
    """Width of all tokens."""
    heads: int = 4
    """Attention heads; they must divide the width."""
    depth: int = 2
    """Decoder (LLCD) layers."""
    mlp_width: int = 512
    """Hidden width of each decoder layer's MLP."""
    share_layers: bool = False
    """Let all decoder layers share one set of weights, as the release does."""
    dropout: float = 0.1
    """Dropout inside the decoder."""
    layer: Literal["exchange_first", "released"] = "exchange_first"
    """Decoder layer: image and graph exchange before labels read, or as released."""
    graph: Literal["learned", "prior", "released", "none"] = "learned"
    """Label graph: learned from the prior, the prior alone, as released, or none."""
    graph_tokens: Literal["label", "feature"] = "label"
    """What a graph token stands for: a label, or a feature, as released."""
    graph_width: int = 1024
    """Width between the two hops of the released graph."""
    graph_low: float = 0.2
    """Correlation from which labels are joined in the released graph (VOC: 0.4)."""
    label_tokens: Literal["learned", "frozen"] = "learned"
    """Label tokens: learned, or frozen where they start, as released."""
    shared_bias: bool = False
    """One bias for all labels in the mapping, as released."""
    label_vectors: str = ""
    """Optional vectors of the labels: text (`name v1 v2 ...`) or .npy with a row per label."""
    pooling: Literal["one_classifier", "two_classifiers", "none"] = "one_classifier"
    """Average the decoder's logits with those that each label's own attention pools from the
    features, as CSRA does: with one classifier for all views, or with one for the tiles and one for
    the whole image. Both ways learn by a loss of their own."""
    decoder_gradient: float = 0.0
    """Share of the decoder's gradient that reaches the backbone, where pooling trains it too."""
    position: bool = False
    """Add sine position codes to image tokens, by place in the image and size of the view."""

    def __post_init__(self) -> None:
        _require_all(self, "model")
        for name, least, most in (
            ("crop_level", 0, 32),
            ("view_size", 8, 8_192),
            ("view_chunk", 0, 2**31),
            ("depth", 1, 256),
            ("heads", 1, MOST_WIDTH),
            ("width", 6, MOST_WIDTH),
            ("mlp_width", 1, MOST_WIDTH),
            ("graph_width", 1, MOST_WIDTH),
        ):
            value = getattr(self, name)
            _require(least <= value <= most, f"model.{name}", f"{least:,} to {most:,}", value)
        _require(
            self.image_size <= MOST_PIXELS,
            "model.view_size",
            f"at most {MOST_PIXELS:,} pixels times crop_level",
            self.view_size,
        )
        _require(
            self.width % self.heads == 0,
            "model.width",
            f"a multiple of model.heads ({self.heads})",
            self.width,
        )
        _require(0 <= self.graph_low < 1, "model.graph_low", "from 0 to below 1", self.graph_low)
        _require(
            0 <= self.decoder_gradient <= 1,
            "model.decoder_gradient",
            "a share from 0 to 1",
            self.decoder_gradient,
        )
        _require(0 <= self.dropout < 1, "model.dropout", "a share from 0 to below 1", self.dropout)

    @property
    def image_size(self) -> int:
        """Side in pixels that images are brought to before the model sees them."""
        return max(1, self.crop_level) * self.view_size


@dataclass(frozen=True)
class Data:
    """The pictures and their labels."""

    format: Literal["digits", "coco", "voc", "table", "folder", "rope", "shards"] = "digits"
    """How labels are stored; docs/data.md shows each."""
    root: str = "data/digits"
    """Folder of the data set; `digits` writes its scenes there."""
    train: str = "train"
    """Training split: a split's name, or for `table` a CSV path relative to the root."""
    val: str = "val"
    """Validation split, on which the best model is picked."""
    test: str = "test"
    """Test split, for `lcnet evaluate`; leave it empty if there is none."""
    images: Literal["all", "annotated"] = "all"
    """Take all pictures of a split, or leave out those without any present label."""
    separator: str = "|"
    """`table`: what stands between the names, where one column lists an image's labels."""
    difficult: Literal["positive", "negative", "unknown"] = "unknown"
    """`voc`: what a label counts as whose every object is marked difficult."""
    shuffle_window: int = 1000
    """`shards`: training reads them from front to back and shuffles so many pictures at a time."""
    workers: int = -1
    """Loader processes; -1 chooses by the number of cores."""
    broken: Literal["stop", "skip"] = "stop"
    """What a picture does that cannot be read while training: stop the run, or be left out and
    counted."""
    cache_images: str = ""
    """Folder that keeps each picture as large as the model needs it, so that large pictures are
    decoded once, for this run and later ones; empty decodes them every time."""

    def __post_init__(self) -> None:
        _require_all(self, "data")
        _require(bool(self.separator), "data.separator", "at least one character", self.separator)
        _require(self.shuffle_window >= 1, "data.shuffle_window", "at least 1", self.shuffle_window)
        _require(
            -1 <= self.workers <= MOST_WORKERS,
            "data.workers",
            f"-1 (automatic) or 0 to {MOST_WORKERS:,}",
            self.workers,
        )


@dataclass(frozen=True)
class Train:
    """The training recipe."""

    epochs: int = 20
    """Passes over the training split."""
    batch_size: int | Literal["auto"] = 32
    """Images per step and device; `auto` takes the most that fit in memory, up to 32, and
    accumulates the rest of the 32, so that what is learned stays alike."""
    accumulate: int = 1
    """Steps whose gradients are summed before the weights move."""
    lr: float = 3e-4
    """Peak learning rate of the one-cycle schedule (Adam)."""
    backbone_lr_factor: float = 1.0
    """Times this for the backbone's weights; 0 freezes it, its norm statistics too."""
    decoder_lr_factor: float = 0.3
    """Times this for LCNet's graph, tokens and decoder, where pooling learns beside them: a linear
    classifier learns best at a higher rate than layers of attention do."""
    cache_features: str = ""
    """Folder that keeps what a frozen backbone makes of each picture, so that it is computed once,
    for this run and later ones; empty computes it every time."""
    weight_decay: float = 1e-2
    """Decoupled weight decay (AdamW) on matrices only, never on biases, norms, tokens and nodes."""
    warmup: float = 0.2
    """Share of all steps in which the learning rate rises."""
    clip_norm: float = 1.0
    """Largest norm of the gradient; 0 does not clip."""
    ema_decay: float = 0.9997
    """Decay of the averaged weights that are validated and kept; 0 takes no average."""
    gamma_neg: float = 4.0
    """Asymmetric loss: focusing on negatives."""
    gamma_pos: float = 0.0
    """Asymmetric loss: focusing on positives."""
    loss_clip: float = 0.05
    """Asymmetric loss: probability by which easy negatives are shifted out."""
    unknown: Literal["ignore", "negative", "weighted"] = "ignore"
    """What an unknown label is in training: left out, absent, or absent with `unknown_weight`."""
    unknown_weight: float = 0.0
    """How much an unknown label then counts against a known one; 0 takes 1 / (labels - 1)."""
    positive_weight: float = 0.0
    """Power of absent / present by which a label's present entries count more; 1 balances them."""
    repeat_rare: float = 0.0
    """Show pictures more often whose labels are present in less than this share; 0 shows all
    alike."""
    flip: bool = True
    """Mirror half of the training images."""
    min_scale: float = 1.0
    """Smallest share of the picture's area that a random training crop keeps; 1 keeps all of it."""
    randaugment: int = 9
    """Magnitude of RandAugment, from 0 (off) to 30."""
    cutout: float = 0.5
    """Side of the square cut out of half the training images, as a share of theirs; 0 is off."""
    precision: Literal["fp32", "bf16", "fp16", "auto"] = "fp32"
    """Arithmetic: float32, or mixed with bfloat16 or float16; auto is bfloat16 where the device
    multiplies in it, float32 elsewhere."""
    compile: bool = False
    """Compile the model with torch.compile: minutes at first, then faster steps."""
    early_stop: int = 0
    """Stop after this many epochs without a better validation mAP; 0 never stops early."""
    save_minutes: float = 10.0
    """Minutes between checkpoints within an epoch; 0 saves after each epoch only."""
    nan_limit: int = 10
    """Stop after this many steps in a row whose loss or gradient is not finite. Such a step is
    skipped."""
    seed: int = 0
    """Seed of weights, order, augmentation and dropout."""
    devices: int = 1
    """Devices of each machine, 1 to 1,024, with a process each; a step then has `batch_size` images
    of each."""
    nodes: int = 1
    """Machines that train together, 1 to 65,536, each started with the same command
    (docs/scaling.md)."""
    strategy: Literal["ddp", "fsdp"] = "ddp"
    """Each device holds the whole model, or a share of its weights, gradients and moments."""
    sync_batchnorm: bool = False
    """Let batch norms take their statistics over the images of all devices."""
    timeout_s: float = 1800.0
    """Seconds, a week at most, that a device waits for the others before the training ends."""

    def __post_init__(self) -> None:
        _require_all(self, "train")
        for name in ("epochs", "accumulate", "nan_limit"):
            _require(getattr(self, name) >= 1, f"train.{name}", "at least 1", getattr(self, name))
        for name, most in (("devices", MOST_DEVICES), ("nodes", MOST_NODES)):
            value = getattr(self, name)
            _require(1 <= value <= most, f"train.{name}", f"1 to {most:,}", value)
        _require(
            self.batch_size == "auto" or self.batch_size >= 1,
            "train.batch_size",
            "at least 1, or auto",
            self.batch_size,
        )
        _require(self.lr > 0, "train.lr", "above 0", self.lr)
        for name in (
            "backbone_lr_factor",
            "decoder_lr_factor",
            "weight_decay",
            "clip_norm",
            "gamma_neg",
            "gamma_pos",
            "early_stop",
            "positive_weight",
            "save_minutes",
        ):
            _require(getattr(self, name) >= 0, f"train.{name}", "0 or more", getattr(self, name))
        for name in ("ema_decay", "loss_clip", "cutout", "repeat_rare"):
            _require(
                0 <= getattr(self, name) < 1,
                f"train.{name}",
                "from 0 to below 1",
                getattr(self, name),
            )
        _require(
            0 <= self.unknown_weight <= 1,
            "train.unknown_weight",
            "from 0 to 1",
            self.unknown_weight,
        )
        _require(
            self.unknown == "weighted" or self.unknown_weight == 0,
            "train.unknown_weight",
            "0 unless train.unknown is weighted",
            self.unknown_weight,
        )
        _require(0 < self.warmup < 1, "train.warmup", "a share between 0 and 1", self.warmup)
        _require(
            0 < self.min_scale <= 1, "train.min_scale", "a share above 0, at most 1", self.min_scale
        )
        _require(0 <= self.randaugment <= 30, "train.randaugment", "0 to 30", self.randaugment)
        if self.cache_features:
            for name, value in (
                ("backbone_lr_factor", 0.0),
                ("randaugment", 0),
                ("cutout", 0.0),
                ("min_scale", 1.0),
            ):
                _require(
                    getattr(self, name) == value,
                    f"train.{name}",
                    f"{value:g}, which train.cache_features needs",
                    getattr(self, name),
                )
        _require(0 <= self.seed < 2**32, "train.seed", "0 to 4294967295", self.seed)
        _require(
            0 < self.timeout_s <= MOST_WAITING,
            "train.timeout_s",
            f"above 0, at most {MOST_WAITING:,}, a week",
            self.timeout_s,
        )
        if self.strategy == "fsdp":
            _require(
                self.ema_decay == 0,
                "train.ema_decay",
                "0, since fsdp cannot average weights that lie in parts",
                self.ema_decay,
            )

    @property
    def processes(self) -> int:
        """Devices of all machines, with a process each."""
        return self.devices * self.nodes

    @property
    def batch(self) -> int:
        """Images per step of a recipe whose `batch_size` is a number, as that of every run is."""
        assert self.batch_size != "auto"
        return self.batch_size

    def weight_of_unknown(self, labels: int) -> float:
        """How much an unknown entry counts as an absent one, 0 to 1, with so many labels.

        `weighted` without a weight takes 1 / (labels - 1), so that one known present label weighs
        as much as all others together, assumed absent ("weak assume negative", Cole et al. 2021,
        arXiv 2106.09708, equation 5).
        """
        match self.unknown:
            case "ignore":
                return 0.0
            case "negative":
                return 1.0
            case _:
                return self.unknown_weight or 1 / max(1, labels - 1)


@dataclass(frozen=True)
class Config:
    """A whole run: model, data and training recipe."""

    model: Model = field(default_factory=Model)
    data: Data = field(default_factory=Data)
    train: Train = field(default_factory=Train)

    @classmethod
    def load(cls, file: Path | str) -> "Config":
        """The config in a YAML file; what the file leaves out has its default.

        Raises ConfigError if the file is missing, no YAML, or has an unknown key or a bad value.
        """
        return parse_config(read_yaml(Path(file)) or {}, str(file))

    def save(self, file: Path) -> None:
        """Write all settings as YAML, so that `load` gives them back."""
        write_text(file, yaml.safe_dump(asdict(self), sort_keys=False))


SECTIONS: dict[str, type] = {"model": Model, "data": Data, "train": Train}


def config_parser(kind: type[ArgumentParser] = ArgumentParser) -> ArgumentParser:
    """A parser of the given kind with a flag for every setting."""
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser = kind(exit_on_error=False)
    for name, section in SECTIONS.items():
        parser.add_class_arguments(section, name)
    return parser


def parse_config(fields: Mapping[str, Any], where: str) -> Config:
    """The config with the given fields; `where` says in messages where they stand.

    Raises ConfigError if a key is unknown (with the nearest known one) or a value does not fit.
    """
    if not isinstance(fields, Mapping):
        raise ConfigError(f"{where}: expected the keys model, data and train, got {fields!r}.")
    for section, settings in fields.items():
        _check_keys([section], SECTIONS, where, "")
        if not isinstance(settings, Mapping):
            raise ConfigError(f"{where}: {section}: expected settings, got {settings!r}.")
        _check_keys(
            settings,
            [known.name for known in dataclass_fields(SECTIONS[section])],
            where,
            f"{section}.",
        )
    parser = config_parser()
    try:
        parsed = parser.parse_object(dict(fields))
    except ArgumentError as error:
        raise ConfigError(f"{where}: {' '.join(str(error).split())}") from None
    sections = parser.instantiate(parsed)
    return Config(**{name: sections[name] for name in SECTIONS})


def _check_keys(keys: Iterable[str], known: Iterable[str], where: str, prefix: str) -> None:
    for key in keys:
        if key not in known:
            near = get_close_matches(str(key), known, n=1)
            hint = f"Did you mean {prefix}{near[0]}?" if near else f"Known: {', '.join(known)}."
            raise ConfigError(f"{where}: no setting is called {prefix}{key}. {hint}")
