"""How far known labels move others: what labels have in common that the picture does not tell."""

import numpy as np
from numpy.typing import NDArray

from lcnet.metrics.array_checks import Floats, Targets

PICTURES = 1.0
"""Pictures added to each count of a pair, so that a pair never seen says little."""
PRIOR_SHARE = 0.5
"""How much of the training labels' log odds is expected to be left once the picture is known."""
PRIOR_PICTURES = 10.0
"""As many expected pictures with both labels make what was fitted count as much as the prior."""

Edges = NDArray[np.float64]
"""What each label (row) takes from each other (column), L L; 0 on the diagonal."""


def fit_edges(probabilities: Floats, targets: Targets, prior: Edges) -> Edges:
    """The weights of `model.Evidence`, from calibrated probabilities and targets (N x L each).

    The pictures must be ones that the model was not trained on. For labels k and j, n are the
    counts of pictures in which both are present, neither, and one of them, and m the counts to be
    expected if each picture's labels were independent, given its probabilities:

        w_kj = log (n_11 n_00 / n_10 n_01) - log (m_11 m_00 / m_10 m_01)

    with `PICTURES` added to each count. It is 0 where the pictures tell of the pair all that the
    labels do. It is pulled towards `PRIOR_SHARE` times the log odds ratio in the training labels
    (`prior`), by `PRIOR_PICTURES` against m_11 pictures. Unknown targets are left out.
    """
    known = targets >= 0
    present = np.where(known, probabilities, 0).astype(np.float64)
    observed = _pair_counts((targets == 1).astype(float), (targets == 0).astype(float))
    expected = _pair_counts(present, known - present)
    fitted = _log_odds(*observed) - _log_odds(*expected)
    both = expected[0]
    pulled = (both * fitted + PRIOR_PICTURES * PRIOR_SHARE * prior) / (both + PRIOR_PICTURES)
    np.fill_diagonal(pulled, 0)
    return pulled


def prior_edges(positives: Floats, known: Floats, together: Floats, known_with: Floats) -> Edges:
    """The log odds ratio of each two labels in counts of training labels (`data.Statistics`).

    Each pair gets pictures in which its labels are independent, so many that one of them is
    expected to have both: so a rare pair says little.
    """
    share = positives / np.maximum(known, 1)
    pictures = np.maximum(np.minimum.outer(known, known), 1)
    one = known_with - together
    neither = np.maximum(pictures - together - one - one.T, 0)
    both = np.maximum(np.outer(share, share), 1e-9)
    more = 1 / both
    apart = np.outer(share, 1 - share)
    odds = _log_odds(
        together + 1, neither + more * np.outer(1 - share, 1 - share), one + more * apart,
        one.T + more * apart.T, added=1e-9,
    )  # fmt: skip
    np.fill_diagonal(odds, 0)
    return odds


def strongest_sources(
    edges: Edges, probabilities: Floats, most: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """For each label the labels that move it most, at most `most` (L E), and their weights (L E).

    A source counts by its weight times the deviation of its surprise, the root of the mean of
    p (1 - p) over the pictures (N x L).
    """
    deviation = np.sqrt((probabilities * (1 - probabilities)).mean(axis=0))
    order = np.argsort(-np.abs(edges) * deviation, axis=1, kind="stable")
    sources = np.sort(order[:, : min(most, edges.shape[1])], axis=1)
    return sources.astype(np.int64), np.take_along_axis(edges, sources, 1).astype(np.float32)


def _pair_counts(present: Floats, absent: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Pictures with both labels, with neither, with the row's alone, with the column's (L L)."""
    alone = present.T @ absent
    return present.T @ present, absent.T @ absent, alone, alone.T


def _log_odds(
    both: Floats, neither: Floats, one: Floats, other: Floats, *, added: float = PICTURES
) -> Edges:
    counts = (both, neither, one, other)
    logs = [np.log(np.maximum(count, 0) + added) for count in counts]
    return np.asarray(logs[0] + logs[1] - logs[2] - logs[3])
