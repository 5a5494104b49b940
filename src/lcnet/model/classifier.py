"""What every model of this project is: pictures -> views -> feature maps -> a head -> logits.

Letters for shapes: B images, V views, T image tokens, L labels, C channels of a
feature map, D width of a token, H and W pixels.
"""

from torch import Tensor, nn

from lcnet.model.backbone import Backbone
from lcnet.model.crops import Crops


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

    def undecayed(self) -> list[Tensor]:
        """Matrices of the head that weight decay would only shrink, such as label tokens."""
        return []

    def parameter_groups(
        self, lr: float, *, backbone_lr_factor: float, weight_decay: float
    ) -> list[dict[str, object]]:
        """Groups for an optimizer: the backbone at its own rate, decay on weight matrices only.

        Biases, norms, label tokens and graph nodes are not decayed, nor what a ViT excludes itself.
        """
        features = self.backbone.features
        excluded: set[str] = getattr(features, "no_weight_decay", set)()
        spared = {id(weight) for weight in self.undecayed()}
        spared |= {id(weight) for name, weight in features.named_parameters() if name in excluded}
        backbone = {id(weight) for weight in features.parameters()}
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for weight in self.parameters():
            if weight.requires_grad:
                rate = lr * backbone_lr_factor if id(weight) in backbone else lr
                decay = weight_decay if weight.ndim > 1 and id(weight) not in spared else 0.0
                groups.setdefault((rate, decay), []).append(weight)
        return [
            {"params": weights, "lr": rate, "weight_decay": decay}
            for (rate, decay), weights in groups.items()
        ]
