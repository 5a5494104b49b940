"""Several models as one: the mean of their logits."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lcnet.model.classifier import Classifier


class Ensemble(Classifier):
    """Models with the same labels that see the same pictures; its logits are the mean of theirs.

    It has no views, feature maps and graph of its own: those are its members'.
    """

    def __init__(self, members: Sequence[Classifier], orders: Sequence[Sequence[int]]) -> None:
        """Take the models, and for each where the ensemble's labels are in its logits.

        An empty order says that they are in the ensemble's own.
        """
        nn.Module.__init__(self)  # not Classifier's, which takes views and a backbone
        self.evidence = self.class_means = self.needed = None
        self.members = nn.ModuleList(members)
        for number, order in enumerate(orders):
            places = torch.tensor(order, dtype=torch.long) if order else None
            self.register_buffer(f"order{number}", places, persistent=False)

    def logits(self, images: Tensor) -> Tensor:
        """The mean of the members' logits (B L, float32) of images (B 3 H W, normalised)."""
        logits = [self._ordered(n, member(images)) for n, member in enumerate(self.members)]
        return torch.stack(logits).mean(dim=0)

    def _ordered(self, number: int, logits: Tensor) -> Tensor:
        places = getattr(self, f"order{number}")
        return logits if places is None else logits[:, places]

    def singles(self) -> list[Classifier]:
        """The members."""
        return [member for member in self.members if isinstance(member, Classifier)]

    def label_graph(self) -> Tensor | None:
        """None: each member has a graph of its own."""
        return None
