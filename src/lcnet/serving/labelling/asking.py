"""Which label to ask first, and which picture: where an answer is expected to tell most."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WORTH = 0.05
"""An answer is worth giving while the label's probability is this far from 0 and from 1."""

Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Edges:
    """Which labels listen to which: label k to `sources[k]` with `weights[k]` (both L E)."""

    sources: NDArray[np.int64]
    weights: Floats


def questions(chances: Floats, unknown: Flags, edges: Edges | None) -> list[int]:
    """The labels that are unknown, the one that tells most first.

    With p the probabilities (L), given what is known, and the labels k that listen to label j:

        score_j = p_j (1 - p_j) (1 + sum over unknown k of |w_kj| p_k (1 - p_k))

    A label tells much that is itself uncertain, and to which many uncertain labels listen.
    Without edges it is the uncertainty p (1 - p) alone.
    """
    scores = uncertainty(chances, unknown)
    if edges is not None:
        heard = np.abs(edges.weights) * scores[:, None]  # of a known label nothing
        telling = np.bincount(edges.sources.ravel(), heard.ravel(), minlength=len(scores))
        scores = scores * (1 + telling)
    asked = np.flatnonzero(unknown)
    return asked[np.argsort(-scores[asked], kind="stable")].tolist()


def uncertainty(chances: Floats, unknown: Flags) -> Floats:
    """The variance p (1 - p) of each label (L), 0 where it is known; a picture's use is the sum."""
    return chances * (1 - chances) * unknown


def worth_asking(chances: Floats, unknown: Flags) -> int:
    """The number of labels that are unknown and uncertain: p from 0.05 to 0.95."""
    return int(np.sum(unknown & (chances >= WORTH) & (chances <= 1 - WORTH)))
