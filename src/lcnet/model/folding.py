"""Norms that follow a convolution, folded into its weights: fewer passes over memory."""

from collections import Counter
from typing import Any

from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights


def fold_norms(features: nn.Module) -> int:
    """Fold batch norms into the convolutions before them, in place, and return how many.

    `features` is a timm model in evaluation mode; its maps stay the same up to rounding. A norm is
    left alone if something else reads its convolution, or if the convolution is used twice. No norm
    is folded if torch.fx cannot trace the model, as with most ViTs, which have none.
    """
    traced = _Maps(features)
    try:
        graph = _Tracer().trace(traced)
    except Exception:  # tracing raises a dozen types, and without it only speed is lost
        return 0
    parts = dict(traced.named_modules())
    calls = Counter(node.target for node in graph.nodes if node.op == "call_module")
    folded = 0
    for node in graph.nodes:
        if node.op != "call_module" or not isinstance(parts[node.target], nn.BatchNorm2d):
            continue
        source = node.args[0] if node.args else None
        if (
            isinstance(source, fx.Node)
            and source.op == "call_module"
            and type(parts[source.target]) is nn.Conv2d
            and len(source.users) == calls[source.target] == calls[node.target] == 1
        ):
            norm = parts[node.target]
            _fold(parts[source.target], norm)
            traced.set_submodule(node.target, _after(norm))
            folded += 1
    return folded


class _Maps(nn.Module):
    """The function to trace: a timm model's feature maps."""

    def __init__(self, features: Any) -> None:
        super().__init__()
        self.features = features

    def forward(self, views: Tensor) -> Tensor:
        maps: Tensor = self.features.forward_features(views)
        return maps


class _Tracer(fx.Tracer):
    """Does not trace into convolutions and norms, nor into timm's own kinds of them."""

    def is_leaf_module(self, part: nn.Module, name: str) -> bool:
        return isinstance(part, nn.Conv2d | nn.BatchNorm2d) or super().is_leaf_module(part, name)


def _fold(convolution: Any, norm: Any) -> None:
    convolution.weight, convolution.bias = fuse_conv_bn_weights(
        convolution.weight,
        convolution.bias,
        norm.running_mean,
        norm.running_var,
        norm.eps,
        norm.weight,
        norm.bias,
    )


def _after(norm: Any) -> nn.Module:
    """What a folded norm leaves behind: the dropout and activation of timm's own kinds."""
    if type(norm) is nn.BatchNorm2d:
        return nn.Identity()
    return nn.Sequential(norm.drop, norm.act)
