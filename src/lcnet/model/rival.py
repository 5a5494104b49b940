"""A model with one of the heads that LCNet is compared with."""

import torch
from torch import Tensor

from lcnet.model.backbone import Backbone
from lcnet.model.classifier import Classifier
from lcnet.model.crops import Crops
from lcnet.model.head import Head


class RivalNet(Classifier):
    """Crop-Forwarding as in LCNet, a backbone, and a head that answers for the model."""

    def __init__(self, *, crops: Crops, backbone: Backbone, head: Head) -> None:
        super().__init__(crops, backbone)
        self.head = head

    def score(self, maps: Tensor) -> Tensor:
        """The head's logits (B L) of the feature maps of all views (B V C h w)."""
        logits: Tensor = self.head(maps)  # not head.score, which would bypass a compiled head
        return logits

    def looked(self, maps: Tensor) -> Tensor:
        """Where each label looked in the feature maps (B V C h w): B L T, rows sum to 1."""
        return self.head.looked(maps)

    def label_graph(self) -> Tensor | None:
        """The head's label graph (L L), if it has one."""
        return self.head.label_graph()

    @torch.inference_mode()
    def influences(self, maps: Tensor) -> Tensor | None:
        """What each node of the head's label graph does to each score (B L L), if it has one."""
        return self.head.influences(maps)

    def undecayed(self) -> list[Tensor]:
        """The head's weights that are not decayed."""
        return self.head.undecayed()
