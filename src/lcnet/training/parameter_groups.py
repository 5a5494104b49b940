"""The parameter groups of the optimizer: which weights learn, at what rate and weight decay."""

from torch import nn

from lcnet.config import Train
from lcnet.errors import ConfigError
from lcnet.model.classifier import Classifier


def parameter_groups(
    model: Classifier,
    lr: float,
    *,
    backbone_lr_factor: float = Train.backbone_lr_factor,
    weight_decay: float = Train.weight_decay,
    decoder_lr_factor: float = 1.0,
    all_matrices: bool = False,
) -> list[dict[str, object]]:
    """Groups for an optimizer: backbone and decoder at their own rates, weight decay on matrices.

    Biases and norms are not decayed, nor label tokens, graph nodes and the weights that a ViT
    excludes from it; with `all_matrices` these three are. Frozen weights are in no group.
    """
    undecayed: set[int] = set()
    if not all_matrices:
        undecayed = {id(weight) for weight in (*model.undecayed(), *model.backbone.undecayed())}
    factors = {id(weight): backbone_lr_factor for weight in model.backbone.parameters()}
    factors |= {id(weight): decoder_lr_factor for weight in model.decoder_parameters()}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for weight in model.parameters():
        if weight.requires_grad:
            rate = lr * factors.get(id(weight), 1.0)
            decays = weight.ndim > 1 and id(weight) not in undecayed
            groups.setdefault((rate, weight_decay if decays else 0.0), []).append(weight)
    return [
        {"params": weights, "lr": rate, "weight_decay": decay}
        for (rate, decay), weights in groups.items()
    ]


def frozen_weights(model: nn.Module, recipe: Train) -> list[nn.Parameter]:
    """The weights in the recipe's `freeze` that would learn otherwise.

    Raises ConfigError for a name that begins none.
    """
    weights: dict[int, nn.Parameter] = {}
    for name in recipe.frozen:
        of_part = [
            weight
            for whole, weight in model.named_parameters()
            if whole == name or whole.startswith(f"{name}.")
        ]
        if not of_part:
            raise ConfigError(
                f"train.freeze: expected names of the model's parts, got {name!r}. "
                f"{_names_near(model, name)}"
            )
        weights |= {id(weight): weight for weight in of_part if weight.requires_grad}
    return list(weights.values())


def _names_near(model: nn.Module, name: str) -> str:
    """The parts that could have been meant: those of the longest beginning that exists."""
    parts = dict(model.named_modules())
    while name not in parts:
        name = name.rpartition(".")[0]
    children = [f"{name}.{child}".lstrip(".") for child, _ in parts[name].named_children()]
    return f"Choose from: {', '.join(children)}."
