"""How far known labels move others: what labels have in common that the picture does not tell."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lcnet.metrics.array_checks import Floats, Targets

PICTURES = 1.0
"""Pictures added to each count of a pair, so that a pair never seen says little."""
PRIOR_SHARE = 0.5
"""How much of the training labels' log odds is expected to be left once the picture is known."""
PRIOR_PICTURES = 10.0
"""As many expected pictures with both labels make what was fitted count as much as the prior."""
PICTURES_OUT_OF_FOLD = 3.0
"""The same where edges are fitted to all training pictures, each scored by a model that has not
seen it: they are many, and the training labels say nothing that they do not."""

BLOCK = 512
"""Labels whose edges are computed together: memory grows with the labels, not with their square."""

Edges = NDArray[np.float64]
"""What some labels (rows) take from each label (column), R L."""


@dataclass(frozen=True)
class PairTable:
    """Counts of training pictures for some labels (rows) and each label (column), R L each."""

    together: Floats
    """Both are present."""
    row_known: Floats
    """The row's is present and the column's is known."""
    column_known: Floats
    """The column's is present and the row's is known."""


def fit_sources(
    probabilities: Floats,
    targets: Targets,
    prior: Callable[[slice], Edges],
    *,
    most: int,
    prior_pictures: float = PRIOR_PICTURES,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """For each label the labels that move it most, and how far: `model.Evidence`'s L E each.

    Probabilities and targets (N x L) are of pictures that the model was not trained on. `prior`
    gives the rows of `prior_edges`. At most `most` sources a label: those with the largest weight
    times the deviation of their surprise, the root of the mean of p (1 - p) over the pictures.
    """
    deviation = np.sqrt((probabilities * (1 - probabilities)).mean(axis=0))
    labels = probabilities.shape[1]
    sources, weights = [], []
    for start in range(0, labels, BLOCK):
        rows = slice(start, min(start + BLOCK, labels))
        edges = fit_edges(probabilities, targets, prior(rows), rows, prior_pictures=prior_pictures)
        order = np.argsort(-np.abs(edges) * deviation, axis=1, kind="stable")
        chosen = np.sort(order[:, : min(most, labels)], axis=1)
        sources.append(chosen.astype(np.int64))
        weights.append(np.take_along_axis(edges, chosen, 1).astype(np.float32))
    return np.concatenate(sources), np.concatenate(weights)


def fit_edges(
    probabilities: Floats,
    targets: Targets,
    prior: Edges,
    rows: slice,
    *,
    prior_pictures: float = PRIOR_PICTURES,
) -> Edges:
    """The edges to the labels in `rows` (R L), 0 from a label to itself.

    For labels k and j, n are the counts of pictures in which both are present, neither, and one of
    them, and m the counts to be expected if each picture's labels were independent, given its
    probabilities:

        w_kj = log (n_11 n_00 / n_10 n_01) - log (m_11 m_00 / m_10 m_01)

    with `PICTURES` added to each count. It is 0 where the pictures tell of the pair all that the
    labels do. It is pulled towards `PRIOR_SHARE` times the log odds ratio in the training labels
    (`prior`, R L), by `prior_pictures` against m_11 pictures. Unknown targets are left out.
    """
    known = targets >= 0
    present = np.where(known, probabilities, 0).astype(np.float64)
    fitted = _log_odds(*_pair_counts((targets == 1) * 1.0, (targets == 0) * 1.0, rows))
    expected = _pair_counts(present, known - present, rows)
    fitted -= _log_odds(*expected)
    both = expected[0]
    edges = (both * fitted + prior_pictures * PRIOR_SHARE * prior) / (both + prior_pictures)
    return _without_itself(edges, rows)


def prior_edges(positives: Floats, known: Floats, table: PairTable, rows: slice) -> Edges:
    """The log odds ratio of each two labels in training labels (R L); 0 from a label to itself.

    `positives` and `known` (L) are the pictures in which a label is present, and in which it is
    known. Each pair gets pictures in which its labels are independent, so many that one of them is
    expected to have both: so a rare pair says little.
    """
    share = positives / np.maximum(known, 1)
    one = table.row_known - table.together
    other = table.column_known - table.together
    pictures = np.maximum(np.minimum.outer(known[rows], known), 1)
    neither = np.maximum(pictures - table.together - one - other, 0)
    more = 1 / np.maximum(np.outer(share[rows], share), 1e-9)
    odds = _log_odds(
        table.together + 1,
        neither + more * np.outer(1 - share[rows], 1 - share),
        one + more * np.outer(share[rows], 1 - share),
        other + more * np.outer(1 - share[rows], share),
        added=1e-9,
    )
    return _without_itself(odds, rows)


def _without_itself(edges: Edges, rows: slice) -> Edges:
    places = np.arange(len(edges))
    edges[places, places + rows.start] = 0
    return edges


def _pair_counts(
    present: Floats, absent: Floats, rows: slice
) -> tuple[Floats, Floats, Floats, Floats]:
    """Pictures with both labels, with neither, with the row's alone, with the column's (R L)."""
    with_row, without_row = present[:, rows].T, absent[:, rows].T
    return with_row @ present, without_row @ absent, with_row @ absent, without_row @ present


def _log_odds(
    both: Floats, neither: Floats, one: Floats, other: Floats, *, added: float = PICTURES
) -> Edges:
    counts = (both, neither, one, other)
    logs = [np.log(np.maximum(count, 0) + added) for count in counts]
    return np.asarray(logs[0] + logs[1] - logs[2] - logs[3])
