"""What every model of this project is: pictures -> views -> feature maps -> a head -> logits.

Letters for shapes: B images, V views, T image tokens, L labels, C channels of a
feature map, D width of a token, H and W pixels.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lcnet.model.backbone import Backbone
from lcnet.model.crops import Crops
from lcnet.model.explanation import Explanation, differentiable_from, shares, stitch


class Classifier(nn.Module):
    """Crop-Forwarding and a backbone; subclasses add the head, which turns maps into logits."""

    def __init__(self, crops: Crops, backbone: Backbone) -> None:
        super().__init__()
        self.crops = crops
        self.backbone = backbone

    def forward(self, images: Tensor) -> Tensor:
        """The logits (B L, float32) of images (B 3 H W, RGB, normalised for the backbone)."""
        return self.score(self.maps(images)).float()

    def maps(self, images: Tensor) -> Tensor:
        """The feature maps of all views of each image: B V C h w."""
        views = self.crops(images)  # B V 3 S S
        maps: Tensor = self.backbone(views.flatten(0, 1))
        return maps.unflatten(0, views.shape[:2])

    def score(self, maps: Tensor) -> Tensor:
        """The head: the logits (B L) of feature maps (B V C h w)."""
        raise NotImplementedError

    def ways(self, maps: Tensor) -> tuple[Tensor, ...]:
        """The logits (B L each) that learn by a loss of their own; `score` is their mean."""
        return (self.score(maps),)

    def looked(self, maps: Tensor) -> Tensor:
        """Where each label looked in the feature maps (B V C h w): B L T, rows sum to 1."""
        raise NotImplementedError

    def adjacency(self) -> Tensor | None:
        """What each label (row) takes from each other (column), L L; none without a graph."""
        return None

    def influences(self, maps: Tensor) -> Tensor | None:
        """What each label's graph node does to each score (maps B V C h w): B L L, or no graph.

        Row k, column j: the logit of label k less what it is with node j out of the graph, so above
        0 if the node raised it. In evaluation mode. One pass of the head for each label, none of
        the backbone.
        """
        return None

    @torch.inference_mode()
    def explain(self, images: Tensor) -> Explanation:
        """Logits, where each label looked over the image and the label graph, as in evaluation.

        Images are as in `forward`. What the tokens of tiles and whole image got is put back to
        where they came from. It is as coarse as the backbone's last map; `heat` is finer.
        """
        with self._evaluating():
            maps = self.maps(images)
            looked = self._over_image(self.looked(maps), maps, images)
            return Explanation(self.score(maps).float(), looked, self.adjacency())

    def heat(self, images: Tensor, labels: Sequence[int]) -> Tensor:
        """Where the evidence for some labels lies in images (B 3 H W): B K H W, each sums to 1.

        With a the activations of an early layer of the backbone, g the gradient there of the
        label's logit less the mean of the other labels', and sums over channels:

            sqrt(explain's map) * ReLU(blur(sum(g a))) * blur(sum(ReLU(g) a))

        The first says which part of the image the label looked at, the second what each place adds
        to the score to first order, the third is LayerCAM (Jiang et al. 2021, equations 5 and 6).
        A blur is the binomial mean of 3 x 3 places. One backward pass for each label. Where the
        backbone has no such layer (a ViT's tokens are all of one size), or the product is 0
        throughout, it is `explain`'s map.
        """
        with self._evaluating(), torch.inference_mode(False), torch.enable_grad():
            layer = self.backbone.early_layer()
            with differentiable_from(layer or nn.Identity()) as outputs:
                maps = self.maps(images)
            chosen = self.looked(maps.detach())[:, list(labels)].detach()
            looked = self._over_image(chosen, maps, images)
            if not outputs:
                return looked
            logits = self.score(maps).float()
            # A label's logit and the mean of all differ as from the mean of the others, but for a
            # factor; a label alone stands for itself.
            usual = logits.mean(dim=1) if logits.shape[1] > 1 else torch.zeros_like(logits[:, 0])
            found = [
                self._evidence((logits[:, label] - usual).sum(), outputs, images)
                for label in labels
            ]
        heat = looked.sqrt() * torch.cat(found, dim=1)
        is_empty = heat.sum(dim=(2, 3), keepdim=True) == 0
        return shares(torch.where(is_empty, looked, heat).flatten(2)).unflatten(2, _size(images))

    def _evidence(self, score: Tensor, outputs: list[Tensor], images: Tensor) -> Tensor:
        """The last two factors of `heat`: B 1 H W."""
        gradients = torch.autograd.grad(score, outputs, retain_graph=True)
        places = self.backbone.as_maps(torch.cat([output.detach() for output in outputs])).float()
        gradient = self.backbone.as_maps(torch.cat(gradients)).float()

        def over_image(values: Tensor) -> Tensor:
            blurred = _blur(values.sum(dim=1, keepdim=True)).clamp(min=0)  # B*V 1 h w
            views = blurred.unflatten(0, (len(images), -1)).transpose(1, 2)
            return stitch(views, self.crops.level, _size(images))

        return over_image(gradient * places) * over_image(gradient.clamp(min=0) * places)

    def _over_image(self, looked: Tensor, maps: Tensor, images: Tensor) -> Tensor:
        """Shares of the tokens (B L T) over the images: B L H W."""
        views = looked.unflatten(-1, (maps.shape[1], *maps.shape[-2:]))
        return stitch(views, self.crops.level, _size(images))

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        was_training = self.training
        self.eval()
        try:
            yield
        finally:
            self.train(was_training)

    def undecayed(self) -> list[Tensor]:
        """Matrices of the head that weight decay would only shrink, such as label tokens."""
        return []

    def decoding(self) -> list[nn.Parameter]:
        """Weights of a decoder beside which a simpler way learns, which has a rate of its own."""
        return []

    def parameter_groups(
        self,
        lr: float,
        *,
        backbone_lr_factor: float,
        weight_decay: float,
        decoder_lr_factor: float = 1.0,
    ) -> list[dict[str, object]]:
        """Groups for an optimizer: backbone and decoder at rates of their own, matrices decayed.

        Biases, norms, label tokens and graph nodes are not decayed, nor what a ViT excludes itself.
        """
        features = self.backbone.features
        excluded: set[str] = getattr(features, "no_weight_decay", set)()
        spared = {id(weight) for weight in self.undecayed()}
        spared |= {id(weight) for name, weight in features.named_parameters() if name in excluded}
        factors = {id(weight): backbone_lr_factor for weight in features.parameters()}
        factors |= {id(weight): decoder_lr_factor for weight in self.decoding()}
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for weight in self.parameters():
            if weight.requires_grad:
                rate = lr * factors.get(id(weight), 1.0)
                decay = weight_decay if weight.ndim > 1 and id(weight) not in spared else 0.0
                groups.setdefault((rate, decay), []).append(weight)
        return [
            {"params": weights, "lr": rate, "weight_decay": decay}
            for (rate, decay), weights in groups.items()
        ]


def _size(images: Tensor) -> tuple[int, int]:
    return images.shape[-2], images.shape[-1]


def _blur(values: Tensor) -> Tensor:
    """The binomial mean of 3 x 3 places: N 1 h w."""
    padded = F.pad(values, (1, 1, 1, 1), mode="replicate")
    return F.avg_pool2d(F.avg_pool2d(padded, 2, 1), 2, 1)
