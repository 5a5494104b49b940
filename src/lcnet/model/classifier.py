"""What every model of this project is: pictures -> views -> feature maps -> a head -> logits.

`model/head.py` lists the letters for shapes.
"""

import torch
from torch import Tensor, nn

from lcnet.model.backbone import Backbone
from lcnet.model.crops import Crops
from lcnet.model.explanation import Explanation, evaluating, over_image
from lcnet.model.graph_matrices import GraphMatrices, matrix_of
from lcnet.model.head import Head


class Classifier(Head):
    """A head with Crop-Forwarding and a backbone in front of it, which make its feature maps."""

    def __init__(self, crops: Crops, backbone: Backbone) -> None:
        super().__init__()
        self.crops = crops
        self.backbone = backbone

    def forward(self, images: Tensor) -> Tensor:
        """The logits (B L, float32) of images (B 3 H W, RGB, normalised for the backbone)."""
        return self.score(self.maps(images)).float()

    def maps(self, images: Tensor) -> Tensor:
        """The feature maps of all views of each image (B 3 H W): B V C h w."""
        views = self.crops(images)  # B V 3 S S
        maps: Tensor = self.backbone(views.flatten(0, 1))  # B*V C h w
        return maps.unflatten(0, views.shape[:2])  # B V C h w

    def ways(self, maps: Tensor) -> tuple[Tensor, ...]:
        """The logits (B L each) that each have a loss in training; `score` is their mean."""
        return (self.score(maps),)

    def singles(self) -> "list[Classifier]":
        """The models whose mean it is: itself alone, but for an ensemble."""
        return [self]

    @torch.inference_mode()
    def explain(self, images: Tensor) -> Explanation:
        """Logits, where each label looked in the image, and the label graph, as in evaluation.

        Images are as in `forward`. Each token's share is put back where the token's cell lies in
        the image. The maps are as coarse as the backbone's last one; `heat_maps` gives finer ones.
        """
        with evaluating(self):
            maps = self.maps(images)  # B V C h w
            looked = over_image(self.looked(maps), maps, level=self.crops.level, images=images)
            return Explanation(self.score(maps).float(), looked, self.label_graph())

    @torch.inference_mode()
    def graph_matrices(self) -> GraphMatrices | None:
        """The label graph before and after learning; None without a graph."""
        graph = self.label_graph()
        return None if graph is None else GraphMatrices(matrix_of(graph), learned=None)

    def decoder_parameters(self) -> list[nn.Parameter]:
        """Weights that may be trained at another learning rate than the rest of the head."""
        return []
