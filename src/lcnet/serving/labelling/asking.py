"""Which label to ask first, and which picture: where an answer is expected to tell most."""

import numpy as np
from numpy.typing import NDArray

WORTH = 0.05
"""An answer is worth giving while the label's probability is this far from 0 and from 1."""

Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]


def questions(chances: Floats, unknown: Flags) -> list[int]:
    """The labels that are unknown, the one that tells most first.

    That is the most uncertain one by its probability (L) given what is known: p (1 - p). On posters
    and on Corel5k no rule that looks ahead to what an answer would do to the other labels was
    better after two answers or more (docs/guide/label_page.md).
    """
    asked = np.flatnonzero(unknown)
    return asked[np.argsort(-uncertainty(chances, unknown)[asked], kind="stable")].tolist()


def uncertainty(chances: Floats, unknown: Flags) -> Floats:
    """The variance p (1 - p) of each label (L), 0 where it is known; a picture's use is the sum."""
    return chances * (1 - chances) * unknown


def worth_asking(chances: Floats, unknown: Flags) -> int:
    """The number of labels that are unknown and uncertain: p from 0.05 to 0.95."""
    return int(np.sum(unknown & (chances >= WORTH) & (chances <= 1 - WORTH)))
