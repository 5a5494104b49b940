"""Any timm model, CNN or ViT, as a map of features."""

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import timm
import torch
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD, resolve_data_config
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from lcnet.bounds import require
from lcnet.config import MOST_CHANNELS, PixelStatistics
from lcnet.errors import ConfigError, reason_of
from lcnet.model.cvt import CVT, build_cvt
from lcnet.model.stage_statistics import with_statistics
from lcnet.schema import check_fields, check_mapping, check_numbers, check_options


@dataclass(frozen=True)
class BackboneSpec:
    """A backbone's architecture and the input it expects: enough to build it again, offline."""

    architecture: str
    """Name of the timm model."""
    options: Mapping[str, Any]
    """Keyword arguments for timm's builder, such as `{"img_size": 224}`."""
    mean: tuple[float, ...]
    """Mean of each channel for normalising inputs, whose values are from 0 to 1."""
    std: tuple[float, ...]
    """Their standard deviation."""
    interpolation: str
    """How pictures are resized: `bilinear` or `bicubic`."""
    leaky_slope: float | None = None
    """Slope of all leaky ReLUs, if the weights were trained with another slope than timm's."""

    def normalised_by(self, statistics: PixelStatistics) -> "BackboneSpec":
        """A copy with these mean and std, as `config.Model.pixel_statistics` explains them."""
        if statistics == "backbone":
            return self
        mean, std = (for_channels(rgb, self.channels) for rgb in STATISTICS[statistics])
        return replace(self, mean=mean, std=std)

    @property
    def channels(self) -> int:
        """How many channels its pictures have."""
        return len(self.mean)

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "BackboneSpec":
        """The spec that `to_dict` wrote.

        Raises ValueError for anything else. The file may come from a stranger and the model is
        built from it, so it may hold no more than a model's name and sizes.
        """
        given = check_fields(cls, fields, "backbone")
        architecture = given["architecture"]
        if architecture != CVT and not timm.is_model(architecture.partition(".")[0]):
            raise ValueError(f"backbone: timm has no model {architecture!r}")
        if given["interpolation"] not in INTERPOLATIONS:
            raise ValueError(f"backbone: no interpolation is called {given['interpolation']!r}")
        given["options"] = check_build_options(given["options"])
        channels = given["options"].get("in_chans", 3)
        if not isinstance(channels, int) or not 1 <= channels <= MOST_CHANNELS:
            raise ValueError(f"backbone.options: expected 1 to {MOST_CHANNELS} channels")
        for name, least in (("mean", -1e3), ("std", 1e-6)):
            given[name] = check_numbers(
                given[name], f"backbone.{name}", count=channels, least=least, most=1e3
            )
        return cls(**given)


def short_name(backbone: str) -> str:
    """The last part of a backbone's name, without the folders of somebody's disk."""
    return Path(backbone.partition(":")[2] or backbone).name


def for_channels(rgb: Sequence[float], channels: int) -> tuple[float, ...]:
    """Statistics of red, green and blue for another number of channels.

    Grey gets their mean, more channels get them in turn: as timm makes weights from those for RGB.
    """
    if channels == 1:
        return (sum(rgb) / len(rgb),)
    return tuple(rgb[channel % len(rgb)] for channel in range(channels))


STATISTICS = {
    "imagenet": (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD),
    "unit": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}
"""Mean and std of pixels (red, green, blue, from 0 to 1) that do not depend on the backbone."""
INTERPOLATIONS = ("nearest", "nearest-exact", "bilinear", "bicubic", "box", "hamming", "lanczos")
FOREIGN = (
    "pretrained",
    "checkpoint_path",
    "cache_dir",
    "scriptable",
    "exportable",
    "features_only",
)
"""Prefixes of timm arguments that fetch or read a file, or build something else."""


def check_build_options(options: object) -> dict[str, Any]:
    """The options, unchanged. Raises ValueError for options that are not sizes or switches."""
    given = check_mapping(options, "backbone.options")
    for name in given:
        if name.startswith(FOREIGN):
            raise ValueError(f"backbone.options: expected sizes or switches, got {name!r}")
    check_options(given, "backbone.options")
    return given


PUBLISHED_NAMES = {
    "TResnetL_V2": "tresnet_v2_l.miil_in21k",
    "swin_B_224_22k": "swin_base_patch4_window7_224.ms_in22k",
    "swin_B_384_22k": "swin_base_patch4_window12_384.ms_in22k",
    "swin_L_224_22k": "swin_large_patch4_window7_224.ms_in22k",
    "swin_L_384_22k": "swin_large_patch4_window12_384.ms_in22k",
    "CvT_w24": "cvt_w24",
}
"""Names of backbones in the release and in Query2Label, with their names in timm. Names that are
the same in both (resnet101, tresnet_l) are left out."""
RELEASED_SLOPE = 1e-6
"""Slope of all leaky ReLUs in the release's TResNet-L V2; timm's have 1e-2 and 1e-3."""


def describe_backbone(name: str, view_size: int, channels: int = 3) -> BackboneSpec:
    """The spec of a timm model, given by its name, `local-dir:FOLDER` or `hf-hub:USER/NAME`.

    The names in `PUBLISHED_NAMES` work too. Models for a single image size (ViT, Swin) are built
    for `view_size`. Raises ConfigError if there is no such model, or it takes no such pictures.
    """
    slope = RELEASED_SLOPE if name == "TResnetL_V2" else None
    name = PUBLISHED_NAMES.get(name, name)
    if name == CVT:
        require(channels == 3, "model.channels", expected="3 for cvt_w24", got=channels)
        return BackboneSpec(CVT, {}, IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD, "bicubic")
    kind, _, place = name.partition(":")
    if kind == "local-dir":
        architecture, settings, options = _local_config(Path(place))
    elif kind in ("hf-hub", "hf_hub"):
        try:
            settings, architecture, options = timm.models.load_model_config_from_hf(place)
        except Exception as error:  # the hub and the network raise a dozen types
            raise ConfigError(
                f"model.backbone: no description of {name!r} on the hub ({reason_of(error)}). "
                "Correct the name, or use local-dir:FOLDER where there is no network."
            ) from error
    else:
        architecture, options = name, {}
        if not timm.is_model(name.split(".")[0]):
            near = difflib.get_close_matches(name, timm.list_models(), n=3)
            hint = f"Did you mean {', '.join(near)}?" if near else "timm.list_models() names all."
            raise ConfigError(f"model.backbone: no timm model is called {name!r}. {hint}")
        try:
            known = timm.get_pretrained_cfg(name)
        except RuntimeError:  # a known model, but no such weights
            tags = ", ".join(timm.list_pretrained(f"{name.split('.')[0]}.*"))
            raise ConfigError(
                f"model.backbone: timm has no weights {name!r}. Known: {tags}."
            ) from None
        settings = known.to_dict() if known else {}
    options = {name: value for name, value in options.items() if name != "num_classes"}
    if settings.get("fixed_input_size"):
        options["img_size"] = view_size
    if options.pop("in_chans", 3) != channels or channels != 3:
        options["in_chans"] = channels
    expects = resolve_data_config(pretrained_cfg=settings)
    return BackboneSpec(
        architecture=architecture,
        options=options,
        mean=for_channels(expects["mean"], channels),
        std=for_channels(expects["std"], channels),
        interpolation=expects["interpolation"],
        leaky_slope=slope,
    )


def _local_config(folder: Path) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Architecture, pretrained settings and build options of a folder in timm's own format."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        architecture = config["architecture"]
        if not isinstance(architecture, str) or not timm.is_model(architecture.partition(".")[0]):
            raise ValueError(f"timm has no model {architecture!r}")
        return (
            architecture,
            check_options(
                check_mapping(config.get("pretrained_cfg", {}), "pretrained_cfg"), "pretrained_cfg"
            ),
            check_build_options(config.get("model_args", {})),
        )
    except FileNotFoundError:
        raise ConfigError(
            f"model.backbone: no {folder}/config.json (expected timm's local folder format: "
            "config.json and model.safetensors). Correct the folder's path."
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ConfigError(
            f"model.backbone: {folder}/config.json is not timm's format ({error!r}). "
            "Save the folder anew with timm.models.save_for_hf."
        ) from None


class Backbone(nn.Module):
    """A network's last feature map, in one layout for all networks.

    On request each place also has the statistics of the earlier stages (`stage_statistics`).
    """

    features: Any
    """A timm model, or a module with the same methods; timm declares no common type."""

    def __init__(
        self,
        features: Any,
        *,
        channels: int | None = None,
        chunk: int = 0,
        earlier_stages: bool = False,
    ) -> None:
        """Take a timm model without classifier, or any module that gives feature maps.

        Such a module turns views (N 3 H W) into maps (N C h w) and needs `channels`, its C. At most
        `chunk` views pass at a time (0: all of them). Raises ConfigError if `earlier_stages` are
        wanted of a network that has none.
        """
        super().__init__()
        self.features = features if channels is None else _AsTimm(features, channels)
        self.chunk = chunk
        self.stages = self._earlier_stages() if earlier_stages else {}
        """Channels of the earlier stages whose statistics are added, by timm's number for each."""
        self.channels: int = self.features.num_features + 2 * sum(self.stages.values())
        """C: the last stage's channels, and two statistics for each earlier one's."""
        self.still: tuple[str, ...] = ()
        """The parts of `features` that stay in evaluation; their own parts are named too."""

    def freeze(self, *, learning: int | None, keep_norms: bool = False) -> None:
        """Keep all but the last `learning` stages as they are; None lets all of them learn.

        Stages are timm's: the last one is what comes after the last change of the cells' size, or a
        block of a ViT. Weights do not learn, and the statistics of batch norms stay. With
        `keep_norms` the statistics stay in all stages. Weights that an earlier call has kept do not
        learn again. Raises ConfigError if timm names fewer stages.
        """
        before = () if learning is None else self._before_last(learning)
        for name in before:
            for weight in self.features.get_submodule(name).parameters(recurse=False):
                weight.requires_grad_(False)
        parts = self.features.named_modules() if keep_norms else ()
        norms = [name for name, part in parts if isinstance(part, _BatchNorm)]
        self.still = tuple(dict.fromkeys((*before, *norms)))

    def _before_last(self, count: int) -> tuple[str, ...]:
        """The names of all parts before the last stages, in the order in which images pass them."""
        names = [name for name, _ in self.features.named_modules()]
        if not count:
            return tuple(names)
        stages = [stage["module"] for stage in getattr(self.features, "feature_info", None) or ()]
        if count >= len(stages):
            most = f"0 to {len(stages) - 1}" if stages else "0"
            has = f"the backbone has {len(stages)}" if stages else "timm names no stages of it"
            raise ConfigError(
                f"train.backbone_stages: expected {most}, as {has}, got {count}. Set 0 to let all "
                "of it learn."
            )
        before = stages[-count - 1]
        of_stage = [name == before or name.startswith(f"{before}.") for name in names]
        return tuple(names[: len(names) - of_stage[::-1].index(True)])

    def train(self, mode: bool = True) -> "Backbone":
        """Switch to training or evaluation, in which the parts in `still` always are."""
        super().train(mode)
        for name in self.still:
            self.features.get_submodule(name).training = False
        return self

    @property
    def last_channels(self) -> int:
        """How many of the channels are the last stage's own; they come first."""
        count: int = self.features.num_features
        return count

    def forward(self, views: Tensor) -> Tensor:
        """One feature map per view (N 3 h w): N C h' w'.

        In evaluation chunks do not change the results. In training, batch norm sees one chunk at a
        time. The activations of a chunk are not kept but computed again for the gradients, so that
        memory hardly grows with the number of views (Chen et al. 2016, arXiv 1604.06174).
        """
        if not self.chunk:
            return self._map(views)
        return torch.cat([self._chunk(chunk) for chunk in views.split(self.chunk)])

    def _chunk(self, views: Tensor) -> Tensor:
        if not (torch.is_grad_enabled() and self._learns()):
            return self._map(views)
        maps: Tensor = checkpoint(
            self._map,
            views,
            use_reentrant=False,
            context_fn=lambda: (nullcontext(), _statistics_kept(self.features)),
        )
        return maps

    def _learns(self) -> bool:
        return any(weight.requires_grad for weight in self.features.parameters())

    def _map(self, views: Tensor) -> Tensor:
        views = views.contiguous(memory_format=torch.channels_last)
        if not self.stages:
            return self.as_maps(self.features.forward_features(views))
        last, earlier = self.features.forward_intermediates(views, indices=list(self.stages))
        return with_statistics(self.as_maps(last), earlier)

    def as_maps(self, features: Tensor) -> Tensor:
        """A layer's output, in whatever layout the backbone has, as feature maps: N C h w."""
        if features.ndim == 3:  # ViT: N tokens C, of which the first may be no patches
            patches = features[:, getattr(self.features, "num_prefix_tokens", 0) :]
            features = patches.unflatten(1, self.features.patch_embed.grid_size)
        elif getattr(self.features, "output_fmt", "NCHW") == "NCHW":
            return features
        return features.permute(0, 3, 1, 2)

    def undecayed(self) -> list[Tensor]:
        """The weights that the timm model itself excludes from weight decay, as most ViTs do."""
        excluded: set[str] = getattr(self.features, "no_weight_decay", set)()
        return [weight for name, weight in self.features.named_parameters() if name in excluded]

    def early_layer(self) -> nn.Module | None:
        """The first layer whose cells are 4 pixels wide or more, if later ones are wider still.

        None where timm names no such layer, as for a ViT, whose cells are all of one size.
        """
        early = next(iter(self._finer_stages().values()), None)
        return None if early is None else self.features.get_submodule(early["module"])

    def _finer_stages(self) -> dict[int, Mapping[str, Any]]:
        """The stages with cells of 4 pixels or more that are finer than the last, as timm has them.

        By timm's numbers for them.
        """
        stages = list(getattr(self.features, "feature_info", None) or ())
        return {
            number: stage
            for number, stage in enumerate(stages)
            if 4 <= stage["reduction"] < stages[-1]["reduction"]
        }

    def _earlier_stages(self) -> dict[int, int]:
        finer = self._finer_stages()
        if not finer or not hasattr(self.features, "forward_intermediates"):
            raise ConfigError(
                "model.earlier_stages: expected false for this backbone, which has no earlier "
                "stages with finer cells, or timm does not give them. Use a network of stages, "
                "such as a ResNet, EfficientNet, ConvNeXt or Swin."
            )
        return {number: stage["num_chs"] for number, stage in finer.items()}


class _AsTimm(nn.Module):
    """Gives any module from views to feature maps the few names of a timm model in use here."""

    def __init__(self, network: nn.Module, channels: int) -> None:
        super().__init__()
        self.network = network
        self.num_features = channels

    def forward_features(self, views: Tensor) -> Tensor:
        """The network's own maps (N 3 H W): N C h w."""
        maps: Tensor = self.network(views)
        return maps


@contextmanager
def _statistics_kept(features: nn.Module) -> Iterator[None]:
    """Keeps the running statistics of batch norms, which the first pass has already updated."""
    norms = [part for part in features.modules() if isinstance(part, _BatchNorm)]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked = norm.num_batches_tracked.clone()
    try:
        yield
    finally:
        for norm, (momentum, batches) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, batches


def build_backbone(
    spec: BackboneSpec, *, pretrained_from: str = "", chunk: int = 0, earlier_stages: bool = False
) -> Backbone:
    """A backbone with random weights, or with timm's pretrained ones of `pretrained_from`.

    Raises ConfigError if timm cannot build the model, the weights cannot be loaded, or it has no
    `earlier_stages`.
    """
    try:
        features = _build_features(spec, PUBLISHED_NAMES.get(pretrained_from, pretrained_from))
    except ConfigError:
        raise
    except Exception as error:  # timm, the hub and the network raise a dozen types
        if not pretrained_from:
            raise ConfigError(
                f"model.backbone: timm cannot build {spec.architecture!r} ({reason_of(error)}). "
                "Choose another backbone or another --model.view_size."
            ) from error
        raise ConfigError(
            f"model.backbone: no pretrained weights for {pretrained_from!r} ({reason_of(error)}). "
            "Use --model.backbone local-dir:FOLDER or --model.backbone_weights FILE for weights on "
            "disk; or --model.pretrained false; or --minutes with a folder of backbones in "
            "LCNET_WEIGHTS."
        ) from error
    if spec.leaky_slope is not None:
        for part in features.modules():
            if isinstance(part, nn.LeakyReLU):
                part.negative_slope = spec.leaky_slope
    return Backbone(features, chunk=chunk, earlier_stages=earlier_stages)


def _build_features(spec: BackboneSpec, pretrained_from: str) -> Any:
    if spec.architecture == CVT:
        return build_cvt(pretrained=bool(pretrained_from))
    return timm.create_model(
        pretrained_from or spec.architecture,
        pretrained=bool(pretrained_from),
        num_classes=0,
        **spec.options,
    )
