"""The backbone layers that the release leaves as they are in training: those before `layer2`."""

from torch import nn

FIRST_TRAINED = "layer2"


def layers_before_layer2(features: nn.Module) -> tuple[str, ...]:
    """The names in a whole model of the backbone's parts with weights before its `layer2`.

    `features` is the backbone's timm model, a TResNet or a ResNet. They are in the form that
    `config.Train.freeze` takes. None are named for a backbone without a part of that name.
    """
    for name, part in features.named_modules():
        children = [child for child, _ in part.named_children()]
        if FIRST_TRAINED in children:
            before = children[: children.index(FIRST_TRAINED)]
            prefix = ".".join(filter(None, ("backbone.features", name)))
            return tuple(f"{prefix}.{child}" for child in before if _has_weights(part, child))
    return ()


def _has_weights(part: nn.Module, child: str) -> bool:
    return any(True for _ in part.get_submodule(child).parameters())
