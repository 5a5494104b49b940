"""Published backbone weights under timm's names."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from timm.models import adapt_input_conv
from torch import Tensor

from lcnet.errors import CheckpointError, reason_of
from lcnet.model.cvt import CVT
from lcnet.published.naming import count
from lcnet.published.reading import read_published


def to_timm(weights: Mapping[str, Tensor], features: Any) -> dict[str, Tensor]:
    """Published weights, renamed as in a timm model; those of its classifier are left out.

    timm's own filters rename them. TResNets were published with InPlaceABN, whose batch norms
    multiply by |weight| + 1e-5; the filters turn them into plain batch norms with that weight.
    """
    renamed = getattr(sys.modules[type(features).__module__], "checkpoint_filter_fn", None)
    converted = dict(renamed(dict(weights), features) if renamed else weights)
    classifier = getattr(features, "default_cfg", {}).get("classifier") or ()
    parts = (classifier,) if isinstance(classifier, str) else classifier  # some models have two
    heads = tuple(f"{part}." for part in parts)
    return {name: weight for name, weight in converted.items() if not name.startswith(heads)}


def load_backbone_weights(features: Any, file: Path) -> None:
    """Load weights in timm's or a published format into a timm model without classifier.

    Raises CheckpointError if the file cannot be read or its weights do not fit the model.
    """
    published = read_published(file).tensors
    try:
        weights = to_timm(published, features)
    except Exception as error:  # timm's filters raise a dozen types on unexpected names
        raise CheckpointError(
            f"{file}: the weights are not this backbone's ({type(error).__name__}: "
            f"{reason_of(error)}). Give the backbone that they were trained with."
        ) from error
    load_exactly(features, _for_channels(weights, features), file)


def _for_channels(weights: Mapping[str, Tensor], features: Any) -> dict[str, Tensor]:
    """Weights whose first layer takes RGB, for a model of other channels, as timm adapts them."""
    expected = features.state_dict()
    adapted = dict(weights)
    for name, weight in weights.items():
        shape: tuple[int, ...] = tuple(expected[name].shape) if name in expected else ()
        if weight.ndim != len(shape) or weight.ndim != 4:
            continue
        outputs, channels, *kernel = shape
        if channels != 3 and tuple(weight.shape) == (outputs, 3, *kernel):
            adapted[name] = adapt_input_conv(channels, weight)
    return adapted


def load_exactly(module: Any, weights: Mapping[str, Tensor], file: Path) -> None:
    """Load weights into a module; names and shapes must match exactly.

    Only the counters of batch norms may be missing. Raises CheckpointError otherwise.
    """
    expected = module.state_dict()
    counters = {name for name in expected if name.endswith("num_batches_tracked")}
    missing = sorted(expected.keys() - weights.keys() - counters)
    unknown = sorted(weights.keys() - expected.keys())
    misshapen = sorted(
        name
        for name in expected.keys() & weights.keys()
        if expected[name].shape != weights[name].shape
    )
    for names, what in (
        (missing, "has no"),
        (unknown, "has unknown"),
        (misshapen, "has misshapen"),
    ):
        if names:
            more = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
            shapes = (
                f" (expected {tuple(expected[names[0]].shape)}, "
                f"got {tuple(weights[names[0]].shape)})"
                if names is misshapen
                else ""
            )
            raise CheckpointError(
                f"{file}: {what} weights {names[0]!r}{more}{shapes}. "
                "Give the whole checkpoint, and the backbone it was trained with."
            )
    module.load_state_dict(weights, strict=False)


def describe_weights(weights: Mapping[str, Tensor], file: Path) -> tuple[str, dict[str, Any]]:
    """The backbone that published weights belong to, and the options to build it with.

    The name is one of timm's. Depths and width are read from names and shapes; they are options
    only if no published model has them. Raises CheckpointError for a backbone that neither the
    release nor the rivals have.
    """
    if "body.conv1.0.weight" in weights:
        second = "body.layer1.0.conv3.0.weight" in weights  # only V2 starts with bottlenecks
        depths = tuple(count(weights, f"body.layer{stage}.") for stage in (1, 2, 3, 4))
        planes = weights["body.conv1.0.weight"].shape[0]
        name = TRESNETS.get((second, depths, planes))
        if name:
            return name, {}
        name = "tresnet_v2_l" if second else "tresnet_l"
        return name, {"layers": list(depths), "width_factor": planes / 64}
    if "conv1.weight" in weights and "layer4.0.conv3.weight" in weights:
        depths = tuple(count(weights, f"layer{stage}.") for stage in (1, 2, 3, 4))
        if depths in RESNETS:
            return RESNETS[depths], {}
    if "layers.0.blocks.0.attn.relative_position_bias_table" in weights:
        bias_rows = len(weights["layers.0.blocks.0.attn.relative_position_bias_table"])
        planes = weights["patch_embed.proj.weight"].shape[0]
        if (planes, bias_rows) in SWINS:
            return SWINS[planes, bias_rows], {}
    if "stage0.patch_embed.proj.weight" in weights:
        return CVT, {}
    raise CheckpointError(
        f"{file}: a backbone that lcnet does not know (expected a TResNet, a ResNet of 50, 101 or "
        "152 layers, a Swin B or L, or CvT-w24). Import a checkpoint with one of them."
    )


TRESNETS: dict[tuple[bool, tuple[int, ...], int], str] = {
    (False, (3, 4, 11, 3), 64): "tresnet_m",
    (False, (4, 5, 18, 3), 76): "tresnet_l",
    (False, (4, 5, 24, 3), 83): "tresnet_xl",
    (True, (3, 4, 23, 3), 64): "tresnet_v2_l",
}
"""By whether it is V2, its number of blocks in each stage, and its first width."""
RESNETS: dict[tuple[int, ...], str] = {
    (3, 4, 6, 3): "resnet50",
    (3, 4, 23, 3): "resnet101",
    (3, 8, 36, 3): "resnet152",
}
"""By its number of blocks in each stage."""
SWINS = {
    (128, 13**2): "swin_base_patch4_window7_224",
    (128, 23**2): "swin_base_patch4_window12_384",
    (192, 13**2): "swin_large_patch4_window7_224",
    (192, 23**2): "swin_large_patch4_window12_384",
}
"""By its first width and the rows of its first window's bias table."""
