"""From label tokens to logits, by where each label looks in the feature maps."""

import torch
from torch import Tensor, nn

from lcnet.model.attention import by_head, shares_of
from lcnet.model.image_tokens import tokens_of
from lcnet.model.mapping import Some


class Looking(nn.Module):
    """A label's token says where it looks, and a classifier as wide as the feature maps what it is.

    logit_k = b_k + sum_t a_kt (w_k . x_t), where x_t are the places of the feature maps and a_k the
    mean over heads of softmax_t(q_k . LN(i_t) / sqrt(D / heads)), for the label token q_k and the
    image tokens i_t. So what a label is told by does not have to pass through D numbers.
    """

    is_linear = True
    """Whether the logits are linear in the feature maps, but for where a label looks."""

    def __init__(self, labels: int, channels: int, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        # A bias would move a label's shares alike at all places, which softmax does not see.
        self.norm = nn.LayerNorm(width, bias=False)
        self.register_load_state_dict_pre_hook(_without_bias)  # type: ignore[no-untyped-call]
        self.weight = nn.Parameter(torch.empty(labels, channels))
        self.bias = nn.Parameter(torch.empty(labels))

    def forward(
        self, labels: Tensor, image: Tensor, maps: Tensor, *, some: Some | None = None
    ) -> Tensor:
        """The logits (B L) of label tokens (B L D), image tokens (B T D) and maps (B V C h w).

        With `some`, the tokens are those of these labels (B K D), and so are the logits.
        """
        weight: Tensor = self.weight
        bias: Tensor = self.bias
        if some is not None:
            weight, bias = weight[some], bias[some]
        scores = tokens_of(maps) @ weight.T  # B T L
        return (self.weights(labels, image).mean(dim=1) * scores.mT).sum(dim=-1) + bias

    def asking(self, labels: Tensor, graph: Tensor | None) -> Tensor:
        """The label tokens (L D) that enter the decoder: each with its graph token (L D) added."""
        return labels if graph is None else labels + graph

    def looked(self, labels: Tensor, image: Tensor) -> Tensor | None:
        """Where each label looked: B L T, the mean over heads, rows sum to 1."""
        return self.weights(labels, image).mean(dim=1)

    def with_own(self, graph: Tensor, cut: Tensor, node: int) -> Tensor:
        """The tokens of a graph without a node (G - 1, D), and the node's own in its place (G D).

        So its label still looks where it did, and only the others' edges to it are cut.
        """
        return torch.cat([cut[:node], graph[node : node + 1], cut[node:]])

    def weights(self, labels: Tensor, image: Tensor) -> Tensor:
        """Where each label looks, by head: B heads L T, rows sum to 1."""
        return shares_of(by_head(labels, self.heads), by_head(self.norm(image), self.heads))


def _without_bias(module: nn.Module, weights: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Leave out the norm's bias, which models had up to November 2026 and which did nothing."""
    weights.pop(f"{prefix}norm.bias", None)
