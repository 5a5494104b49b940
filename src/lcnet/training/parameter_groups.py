"""The parameter groups of the optimizer: the learning rate and weight decay of each weight."""

from torch import nn

from lcnet.config import Train
from lcnet.model.classifier import Classifier


def parameter_groups(
    model: Classifier,
    lr: float,
    *,
    backbone_lr_factor: float = Train.backbone_lr_factor,
    weight_decay: float = Train.weight_decay,
    decoder_lr_factor: float = 1.0,
) -> list[dict[str, object]]:
    """Groups for an optimizer: backbone and decoder at their own rates, weight decay on matrices.

    Biases, norms, label tokens and graph nodes are not decayed, nor the weights that a ViT excludes
    from it. Frozen weights are in no group.
    """
    undecayed = {id(weight) for weight in (*model.undecayed(), *model.backbone.undecayed())}
    factors = {id(weight): backbone_lr_factor for weight in model.backbone.parameters()}
    factors |= {id(weight): decoder_lr_factor for weight in model.decoder_parameters()}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for weight in model.parameters():
        if weight.requires_grad:
            rate = lr * factors.get(id(weight), 1.0)
            decay = weight_decay if weight.ndim > 1 and id(weight) not in undecayed else 0.0
            groups.setdefault((rate, decay), []).append(weight)
    return [
        {"params": weights, "lr": rate, "weight_decay": decay}
        for (rate, decay), weights in groups.items()
    ]
