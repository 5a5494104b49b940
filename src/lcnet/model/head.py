"""What every head does: feature maps in, logits out, and an account of how they came about.

Letters for shapes: B images, V views, T image tokens (of all views together), L labels, C channels
of a feature map, D width of a token, H and W pixels, h and w cells of a feature map.
"""

from collections.abc import Sequence

from torch import Tensor, nn


class Head(nn.Module):
    """From the feature maps of all views (B V C h w) to logits (B L).

    A head defines `score` and `looked`. The other methods are right as they are for a head without
    a label graph and without label tokens.
    """

    def forward(self, maps: Tensor) -> Tensor:
        """The logits (B L) of feature maps (B V C h w)."""
        return self.score(maps)

    def score(self, maps: Tensor) -> Tensor:
        """The logits (B L) of feature maps (B V C h w)."""
        raise NotImplementedError

    def looked(self, maps: Tensor) -> Tensor:
        """Where each label looked in the feature maps (B V C h w): B L T, rows sum to 1."""
        raise NotImplementedError

    def label_graph(self) -> Tensor | None:
        """What each label (row) takes from each other (column), L L; None without a graph."""
        return None

    def influences(self, maps: Tensor) -> Tensor | None:
        """What each label's graph node does to each score: B L L; None without a graph.

        The feature maps are B V C h w. Row k, column j is the logit of label k minus its logit with
        node j taken out of the graph: above 0 if the node raised the score. For evaluation mode.
        This runs the head once for each label, and never the backbone.
        """
        return None

    def moved(self, maps: Tensor, labels: Sequence[int]) -> tuple[Tensor, Sequence[int]] | None:
        """What graph nodes do to the logits of some labels (B K N), and whose the N nodes are.

        None without a graph. They are the influences of all nodes, but for a graph of so many
        labels that a few nodes must do.
        """
        changes = self.influences(maps)
        if changes is None:
            return None
        return changes[:, list(labels)], range(changes.shape[-1])

    def undecayed(self) -> list[Tensor]:
        """Matrices that weight decay would only shrink, such as label tokens."""
        return []
