"""Finds the picture that a misspelt name may mean: the nearest name in its folder."""

import os
from collections.abc import Collection
from difflib import SequenceMatcher, get_close_matches
from itertools import islice
from pathlib import Path

from lcnet.data.decoding import PICTURE_SUFFIXES

ALIKE = 0.8
"""Likeness of two names, 0 to 1, from which one may be meant by the other."""
LONGER = 2
"""Signs that one of them may have more than the other."""
MOST = 20_000
"""Names of a folder that are compared; a folder may have a million."""


def near_name(path: Path, taken: Collection[str]) -> str | None:
    """The name in the folder of a missing picture that is most like its own; None if none is.

    Names of pictures that are listed (`taken`, as paths) are no mistakes for another, and of two
    that are equally near none is chosen.
    """
    try:
        there = os.listdir(path.parent)  # noqa: PTH208 -- names alone, maybe a million
    except OSError:
        return None
    names = (
        name
        for name in there
        if abs(len(name) - len(path.name)) <= LONGER
        and os.path.splitext(name)[1].lower()  # noqa: PTH122 -- faster
        in PICTURE_SUFFIXES
        and str(path.parent / name) not in taken
    )
    best = get_close_matches(path.name, islice(names, MOST), n=2, cutoff=ALIKE)
    likeness = [SequenceMatcher(None, name, path.name).ratio() for name in best]
    return None if len(set(likeness)) < len(likeness) or not best else best[0]
