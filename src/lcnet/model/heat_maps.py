"""Heat maps: where in a picture the evidence for a label lies, finer than where the head looked."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lcnet.model.classifier import Classifier
from lcnet.model.explanation import evaluating, over_image, shares, size_of, stitch


def heat_maps(model: Classifier, images: Tensor, labels: Sequence[int]) -> Tensor:
    """Where the evidence for some labels lies in images (B 3 H W): B K H W, each sums to 1.

    With a the activations of an early layer of the backbone, g the gradient there of the label's
    logit minus the mean logit of the other labels, and sums over channels:

        sqrt(explain's map) * ReLU(blur(sum(g a))) * blur(sum(ReLU(g) a))

    The first factor says which part of the image the label looked at. The second says what each
    place adds to the score, to first order. The third is LayerCAM (Jiang et al. 2021, equations 5
    and 6). A blur is the binomial mean of 3 x 3 places. One backward pass for each label. If the
    backbone has no such layer (a ViT's tokens are all of one size), or if the product is 0
    everywhere, the map is the one of `explain`.
    """
    with evaluating(model), torch.inference_mode(False), torch.enable_grad():
        with differentiable_from(model.backbone.early_layer() or nn.Identity()) as outputs:
            maps = model.maps(images)  # B V C h w
        chosen = model.looked(maps.detach())[:, list(labels)].detach()  # B K T
        looked = over_image(chosen, maps, level=model.crops.level, images=images)  # B K H W
        if not outputs:
            return looked
        margins = _above_mean(model.scored(maps))  # B L
        evidence = [_evidence(model, margins[:, label], outputs, images) for label in labels]
    heat = looked.sqrt() * torch.cat(evidence, dim=1)
    is_empty = heat.sum(dim=(2, 3), keepdim=True) == 0
    heat = torch.where(is_empty, looked, heat)
    return shares(heat.flatten(2)).unflatten(2, size_of(images))


def _above_mean(logits: Tensor) -> Tensor:
    """Each logit minus the mean of all (B L); a single label's logit stays as it is.

    Subtracting the mean of all labels or of the others differs only by a constant factor.
    """
    usual = logits.mean(dim=1) if logits.shape[1] > 1 else torch.zeros_like(logits[:, 0])
    return logits - usual[:, None]


def _evidence(
    model: Classifier, scores: Tensor, outputs: Sequence[Tensor], images: Tensor
) -> Tensor:
    """The last two factors of a heat map, for one label's scores (B): B 1 H W."""
    backbone = model.backbone
    gradients = torch.autograd.grad(scores.sum(), outputs, retain_graph=True)
    values = backbone.as_maps(torch.cat([output.detach() for output in outputs])).float()
    gradient = backbone.as_maps(torch.cat(gradients)).float()  # B*V C h w

    def positive_over_image(products: Tensor) -> Tensor:
        blurred = _blur(products.sum(dim=1, keepdim=True)).clamp(min=0)  # B*V 1 h w
        views = blurred.unflatten(0, (len(images), -1)).transpose(1, 2)  # B 1 V h w
        return stitch(views, model.crops.level, size_of(images))

    return positive_over_image(gradient * values) * positive_over_image(
        gradient.clamp(min=0) * values
    )


def _blur(values: Tensor) -> Tensor:
    """The binomial mean of 3 x 3 places: N 1 h w."""
    padded = F.pad(values, (1, 1, 1, 1), mode="replicate")
    return F.avg_pool2d(F.avg_pool2d(padded, 2, 1), 2, 1)


@contextmanager
def differentiable_from(part: nn.Module) -> Iterator[list[Tensor]]:
    """Collects the outputs of each call of `part`, with gradients from there on and none before."""
    outputs: list[Tensor] = []

    def start(part: nn.Module, inputs: object, output: Tensor) -> Tensor:
        outputs.append(output.detach().requires_grad_())
        return outputs[-1]

    hook = part.register_forward_hook(start)
    try:
        yield outputs
    finally:
        hook.remove()
