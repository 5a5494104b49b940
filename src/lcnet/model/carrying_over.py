"""Carries a model's weights over to one with other labels or another size, label by label."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from math import ceil
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from lcnet.model.classifier import Classifier
from lcnet.model.heads.csra import CSRA
from lcnet.model.heads.gap import GlobalPooling
from lcnet.model.heads.ml_decoder import MLDecoder
from lcnet.model.heads.ml_gcn import MLGCN
from lcnet.model.heads.query2label import Query2Label
from lcnet.model.label_graph import LabelGraph
from lcnet.model.label_tokens import LabelTokens
from lcnet.model.looking import Looking
from lcnet.model.mapping import Mapping as LabelMapping
from lcnet.model.pooling import Attended, Pooling
from lcnet.model.released_parts import ReleasedGraph

Places = Sequence[int | None]
"""For each label of the new model its place among the old one's labels; None for a new label."""
ROWS, BOTH = (0,), (0, 1)
FEATURES = "backbone.features."
ATTENTIONS = ("first_attention", "second_attention")
"""Those of the released graph."""
Part = TypeVar("Part", bound=nn.Module)


class Misfit(ValueError):
    """The two models do not have the same weights."""

    def __init__(self, name: str) -> None:
        """Name a weight that one of them lacks, or has in another shape."""
        super().__init__(f"its weight {name} has another shape")


@torch.no_grad()
def carry_over(new: Classifier, old: Classifier, places: Places) -> None:
    """Give a fresh model the weights of another: those of a label by `places`, and all shared ones.

    A new label keeps its fresh weights. In ML-GCN it takes from the old labels, but they take
    nothing from it, so that they keep their logits. Position embeddings of another size are
    resampled by timm. Raises Misfit where the architectures differ.
    """
    weights, before = new.state_dict(), old.state_dict()
    axes, grouped = label_axes(new), _grouped(new)
    _resample(new, weights, before)
    for name, anew in _starting_anew(new, old):
        before[name] = anew
        axes.pop(name, None)
    for path, graph, known in _pairs(new, old, LabelGraph):
        if graph.joined is not None or known.joined is not None:
            before.pop(f"{path}.joined", None)
            before |= {f"{path}.{name}": one for name, one in _edges(graph, known, places).items()}
            axes.pop(f"{path}.prior", None)
    for name, weight in weights.items():
        if name not in before:
            raise Misfit(name)
        if name not in grouped:
            weights[name] = _with_rows(name, weight, before[name], axes.get(name, ()), places)
    if extra := before.keys() - weights.keys():
        raise Misfit(min(extra))
    new.load_state_dict(weights)
    is_new = torch.tensor([was is None for was in places])
    for _, gcn, _ in _pairs(new, old, MLGCN):
        # Its edges never learn, and those from a label to a random vector would spoil the label.
        gcn.adjacency[torch.outer(~is_new, is_new)] = 0
    for _, part, other in _pairs(new, old, MLDecoder):
        _carry_queries(part, other, places)


def label_axes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """The axes that stand for labels, of each weight that has such axes, by the weight's name."""
    axes: dict[str, tuple[int, ...]] = {}
    for path, part in model.named_modules():
        own = {f"{path}.{name}".lstrip("."): of for name, of in _axes_of(part).items()}
        axes |= {name: of for name, of in own.items() if _is_there(model, name)}
    return {name: of for name, of in axes.items() if name not in _grouped(model)}


def _axes_of(part: nn.Module) -> Mapping[str, tuple[int, ...]]:
    """The same for the weights that a module holds itself, or that are as wide as its labels."""
    match part:
        case LabelTokens():
            return {"tokens": ROWS}
        case LabelGraph():
            own = {"prior": BOTH} if part.joined is None else {}  # `_edges` has the others
            return {**own, "vectors": ROWS, "nodes": ROWS}
        case ReleasedGraph():
            return {"band": BOTH, "nodes": ROWS, **_RELEASED_ATTENTIONS}
        case LabelMapping() if part.shared_bias:
            return {"weight": ROWS}
        case LabelMapping() | Looking() | GlobalPooling() | Query2Label():
            return {"weight": ROWS, "bias": ROWS}
        case Attended():
            return {"weight": ROWS}
        case Pooling() | MLDecoder():
            return {"bias": ROWS}
        case CSRA():
            return {f"classifiers.{number}.weight": ROWS for number in range(len(part.classifiers))}
        case MLGCN():
            return {"adjacency": BOTH, "vectors": ROWS}
    return {}


# A query, key or value has labels at its input alone: what lies between is as wide, but unnamed.
_RELEASED_ATTENTIONS: Mapping[str, tuple[int, ...]] = {
    "norm.weight": ROWS,
    "norm.bias": ROWS,
    **{
        f"{attention}.{linear}.{weight}": axes
        for attention in ATTENTIONS
        for linear, weight, axes in (
            ("query", "weight", (1,)),
            ("key", "weight", (1,)),
            ("value", "weight", (1,)),
            ("out", "weight", ROWS),
            ("out", "bias", ROWS),
        )
    },
}


def _pairs(new: nn.Module, old: nn.Module, kind: type[Part]) -> Iterator[tuple[str, Part, Part]]:
    """The parts of a kind in both models, each with its name."""
    for path, part in new.named_modules():
        if isinstance(part, kind):
            other = old.get_submodule(path)
            assert isinstance(other, kind)
            yield path, part, other


def _is_there(model: nn.Module, name: str) -> bool:
    path, _, last = name.rpartition(".")
    return getattr(model.get_submodule(path), last, None) is not None


def _with_rows(
    name: str, fresh: Tensor, old: Tensor, axes: tuple[int, ...], places: Places
) -> Tensor:
    """The old weight where it is of a kept label, and the fresh one elsewhere."""
    if not axes:
        if fresh.shape != old.shape:
            raise Misfit(name)
        return old
    now = [place for place, was in enumerate(places) if was is not None]
    was = [place for place in places if place is not None]
    result, kept = fresh.clone(), old
    for axis in axes:
        kept = kept.index_select(axis, torch.tensor(was, dtype=torch.long, device=kept.device))
    spots = [
        torch.tensor(now, dtype=torch.long) if axis in axes else torch.arange(size)
        for axis, size in enumerate(fresh.shape)
    ]
    result[torch.meshgrid(*spots, indexing="ij")] = kept
    return result


# Backbones


def _resample(new: Classifier, weights: Mapping[str, Tensor], before: dict[str, Tensor]) -> None:
    """Put timm's resampled weights, as of positions, where the backbone is of another size."""
    misfits = [
        name
        for name, weight in weights.items()
        if name.startswith(FEATURES) and name in before and before[name].shape != weight.shape
    ]
    if not misfits:
        return
    features: Any = new.backbone.features
    resampled = getattr(sys.modules[type(features).__module__], "checkpoint_filter_fn", None)
    if resampled is None:
        raise Misfit(misfits[0])
    own = {name.removeprefix(FEATURES): before[name] for name in before if FEATURES in name}
    try:
        converted = resampled(own, features)
    except Exception as error:  # timm's filters raise a dozen types
        raise Misfit(misfits[0]) from error
    for name in misfits:
        before[name] = converted[name.removeprefix(FEATURES)]


# Graphs in which a label is joined to a few others


def _edges(new: LabelGraph, old: LabelGraph, places: Places) -> dict[str, Tensor]:
    """Prior and edges for a new graph: the old ones between kept labels, and fresh ones.

    Where a label has more than the new graph's number, the most probable stay, and itself.
    """
    now = {was: place for place, was in enumerate(places) if was is not None}
    rows = [_row_of(new, label) for label in range(len(places))]
    for label, was in enumerate(places):
        if was is not None:
            kept = _row_of(old, was).items()
            rows[label] |= {now[other]: value for other, value in kept if other in now}
    if new.joined is None:
        prior = new.prior.clone()
        for label, row in enumerate(rows):
            prior[label, list(row)] = torch.tensor(list(row.values()))
        return {"prior": prior}
    for label, row in enumerate(rows):
        ranked = sorted(row, key=lambda other: (other != label, -row[other]))
        rows[label] = {other: row[other] for other in ranked[: new.joined.shape[1]]}
    return {
        "prior": torch.tensor([list(row.values()) for row in rows]),
        "joined": torch.tensor([list(row) for row in rows]),
    }


def _row_of(graph: LabelGraph, label: int) -> dict[int, float]:
    """The prior of each label that a label is joined to."""
    values = graph.prior[label].tolist()
    joined = range(len(values)) if graph.joined is None else graph.joined[label].tolist()
    return dict(zip(joined, values, strict=True))


# Heads whose weights do not have a row for each label


def starts_anew(model: nn.Module, labels: int, before: int) -> str:
    """The part that cannot be carried over to another number of labels, in words; mostly empty."""
    if labels != before and any(isinstance(part, ReleasedGraph) for part in model.modules()):
        return "the attentions of the released graph, which are as wide as the labels are many"
    return ""


def _starting_anew(new: nn.Module, old: nn.Module) -> list[tuple[str, Tensor]]:
    """The fresh weights of the parts that `starts_anew` names."""
    return [
        (f"{path}.{name}", weight)
        for path, part, other in _pairs(new, old, ReleasedGraph)
        if len(part.band) != len(other.band)
        for name, weight in part.state_dict().items()
        if name == "band" or name in _RELEASED_ATTENTIONS or name.startswith(ATTENTIONS)
    ]


def _grouped(model: nn.Module) -> set[str]:
    """The weights of ML-Decoder that have a row for each group of labels."""
    return {
        f"{path}.{name}"
        for path, part in model.named_modules()
        if isinstance(part, MLDecoder)
        for name in ("weight", "queries.tokens")
    }


def groups_for(labels: int, groups: int, places: Places) -> int:
    """How many groups ML-Decoder needs so that each kept label keeps its query.

    The old head had `labels` labels and at most `groups` groups. A group for each label always
    does.
    """
    size = ceil(labels / min(groups, labels))
    now = len(places)
    for wanted in (min(groups, now), ceil(now / size)):
        each, seen = ceil(now / wanted), dict[int, int]()
        if all(
            seen.setdefault(place // each, was // size) == was // size
            for place, was in enumerate(places)
            if was is not None
        ):
            return wanted
    return now


def _carry_queries(new: MLDecoder, old: MLDecoder, places: Places) -> None:
    """Give each kept label its old vector, and its group the old query."""
    size, before = new.weight.shape[2], old.weight.shape[2]
    for place, was in enumerate(places):
        if was is not None:
            new.weight[place // size, :, place % size] = old.weight[was // before, :, was % before]
            new.queries.tokens[place // size] = old.queries.tokens[was // before]
