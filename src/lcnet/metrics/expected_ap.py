"""The mAP to expect of a ranking, if each entry is present with a known probability."""

import numpy as np
from numpy.typing import NDArray


def expected_mean_ap(scores: NDArray[np.floating], probabilities: NDArray[np.floating]) -> float:
    """The expected mAP, 0 to 100, of scores (N L) if entries are present with `probabilities`.

    With q_i the probability of the entry in place i of a label's ranking, and entries independent,
    the sum over its places of q_i (1 + sum of q_j before it) / i, in shares of the sum of all q.
    """
    order = np.argsort(-scores, axis=0, kind="stable")
    present = np.take_along_axis(probabilities.astype(np.float64), order, axis=0)
    before = np.cumsum(present, axis=0) - present
    places = np.arange(1, len(scores) + 1)[:, None]
    found = (present * (1 + before) / places).sum(axis=0)
    return float(100 * (found / present.sum(axis=0).clip(1e-12)).mean())
