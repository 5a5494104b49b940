"""Average precision, by three formulas."""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from lcnet.metrics.array_checks import (
    Floats,
    Targets,
    check_probabilities,
    check_shapes,
)
from lcnet.metrics.blocks import release, resident, spans

ApFormula = Literal["step", "envelope", "11-point"]
"""How average precision is taken from precision and recall; `average_precision` has the formulas.

step: used by scikit-learn, ML-GCN, CSRA, ASL, ML-Decoder and LCNet. envelope: used by the VOC
challenge from 2010 on and by Query2Label. 11-point: used by the VOC challenge up to 2009.
"""

RANKED_AT_ONCE = 64_000_000
"""Probabilities that are ranked at a time: all of some labels."""


def average_precision(
    probabilities: Floats, targets: Targets, *, formula: ApFormula = "step"
) -> NDArray[np.float64]:
    """The average precision of each label, L values in [0, 1].

    NaN for a label without a present or without an absent entry: there is nothing to rank.

    At a positive, precision is the share of positives among all images scored at least as high, and
    recall is the share of all positives that are scored at least as high. AP is

    - step: the mean over positives of the precision at each;
    - envelope: the same, but with the largest precision at that recall or any higher one;
    - 11-point: the mean over r = 0, 0.1, ..., 1 of the largest precision at recall r or higher.

    So images of equal probability count together, and only the ranking matters. step equals
    sklearn.metrics.average_precision_score; envelope is never below it.

    Raises DataError if a probability is not finite.
    """
    if formula not in get_args(ApFormula):
        raise ValueError(
            f"average_precision: expected formula {', '.join(get_args(ApFormula))}, "
            f"got {formula!r}."
        )
    check_shapes(probabilities, targets)
    check_probabilities(probabilities)
    images, labels = probabilities.shape
    groups = spans(labels, max(1, images), values=RANKED_AT_ONCE)
    return np.concatenate([_of_group(probabilities, targets, one, formula) for one in groups])


def _of_group(
    probabilities: Floats, targets: Targets, labels: slice, formula: ApFormula
) -> NDArray[np.float64]:
    """The average precision of some labels, of which a copy is ranked and then freed."""
    ranked, known, absent = _keys(probabilities, targets, labels)
    ranked.sort(axis=1)
    found = [
        _of_ranked(ranked[part], known[part], absent[part], formula)
        for part in spans(len(ranked), max(1, ranked.shape[1]))
    ]
    return np.concatenate(found)


def resampled_precision(
    probabilities: Floats,
    targets: Targets,
    draws: NDArray[np.unsignedinteger],
    *,
    formula: ApFormula = "step",
) -> NDArray[np.float64]:
    """The average precision of each label in resampled images, R x L.

    `draws` says how often each image was drawn, R x N. A row is what `average_precision` gives of
    the drawn images, bit for bit; but the images are ranked once for all rows.
    """
    images, labels = probabilities.shape
    found = np.empty((len(draws), labels))
    for group in spans(labels, max(1, images), values=RANKED_AT_ONCE):
        keys, known, _ = _keys(probabilities, targets, group)
        for place, label in enumerate(range(group.start, group.stop)):
            order = np.argsort(keys[place])[: known[place]]
            found[:, label] = _of_draws(keys[place][order], order, draws, formula)
    return found


def _of_draws(
    ranked: NDArray[np.unsignedinteger],
    order: NDArray[np.intp],
    draws: NDArray[np.unsignedinteger],
    formula: ApFormula,
) -> NDArray[np.float64]:
    """The average precision of a label in each resample; `order` are its known images, ranked."""
    positions = np.flatnonzero(ranked & 1 == 0)
    values, numbers = ranked[positions], np.arange(len(positions))
    first = np.maximum.accumulate(
        np.where(np.append(True, values[1:] != values[:-1])[: len(values)], numbers, 0)
    )
    found = [np.empty(0)]
    for part in spans(len(draws), len(order)):
        drawn = draws[part][:, order]
        times = drawn[:, positions]
        present, known = _from_here_on(times), _from_here_on(drawn)
        with np.errstate(invalid="ignore"):  # 0 / 0 where a positive was never drawn
            precision = present[:, first] / known[:, positions[first]]
        counts, images = present[:, 0], known[:, 0]
        repeated = np.repeat(precision.ravel(), times.ravel())
        found.append(_of_precision(repeated, counts, images - counts, formula))
    return np.concatenate(found)


def _from_here_on(drawn: NDArray[np.unsignedinteger]) -> NDArray[np.intp]:
    """How often images from each place on were drawn, R x N + 1."""
    sums = np.zeros((drawn.shape[0], drawn.shape[1] + 1), dtype=np.intp)
    np.cumsum(drawn, axis=1, out=sums[:, 1:])
    return sums[:, -1:] - sums


def _of_ranked(
    ranked: NDArray[np.unsignedinteger],
    known: NDArray[np.intp],
    absent: NDArray[np.intp],
    formula: ApFormula,
) -> NDArray[np.float64]:
    """The average precision of labels whose probabilities are ranked; see `_keys`."""
    precision, positives = _precision_at_positives(ranked, known)
    return _of_precision(precision, positives, absent, formula)


def _of_precision(
    precision: NDArray[np.float64],
    positives: NDArray[np.intp],
    absent: NDArray[np.intp],
    formula: ApFormula,
) -> NDArray[np.float64]:
    """The average precision of labels, of which `_precision_at_positives` was taken."""
    if formula != "step":
        by_label = np.split(precision, positives.cumsum()[:-1])
        precision = np.concatenate([np.maximum.accumulate(label) for label in by_label])
    if formula == "11-point":
        return np.where(absent > 0, _eleven_point(precision, positives), np.nan)
    sums = np.bincount(
        np.repeat(np.arange(len(positives)), positives), precision, minlength=len(positives)
    )
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN
        return np.where(absent > 0, sums / positives, np.nan)


def _eleven_point(envelope: Floats, positives: NDArray[np.intp]) -> NDArray[np.float64]:
    """The mean of each label's envelope at recall 0, 0.1, ..., 1 (L)."""
    has_positive, end = positives > 0, positives.cumsum()
    # Recall as counts of the highest positives: in floating point 3 of 10 may fall short of 0.3.
    needed = np.maximum(1, -(-np.arange(11)[:, None] * positives // 10))
    ap = np.full(len(positives), np.nan)
    ap[has_positive] = envelope[(end - needed)[:, has_positive]].mean(axis=0)
    return ap


def _precision_at_positives(
    ranked: NDArray[np.unsignedinteger], known: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """The precision at each positive, and how many positives each label has (L).

    Positives are listed label by label, and within a label from the lowest probability to the
    highest.
    """
    images = ranked.shape[1]
    positions = np.flatnonzero(ranked & 1 == 0)
    label = positions // max(1, images)
    positives = np.bincount(label, minlength=len(known))
    values, numbers = ranked.ravel()[positions], np.arange(len(positions))
    # Equally probable positives of a label count together, from the first of them on.
    is_first = np.ones(len(positions), dtype=np.bool_)
    is_first[1:] = (values[1:] != values[:-1]) | (label[1:] != label[:-1])
    numbers, positions = (
        np.maximum.accumulate(np.where(is_first, counted, 0)) for counted in (numbers, positions)
    )
    last_positive = positives.cumsum()
    last_known = known + np.arange(len(known)) * images
    return (last_positive[label] - numbers) / (last_known[label] - positions), positives


def _keys(
    probabilities: Floats, targets: Targets, labels: slice
) -> tuple[NDArray[np.unsignedinteger], NDArray[np.intp], NDArray[np.intp]]:
    """The probabilities of some labels in rising order (L N) as integers, and counts by label.

    The counts (L each) are of known and of absent entries.
    An integer is even for a positive; unknown labels come last. The bits of floats from +0 up have
    the order of the floats, so a single sort of integers ranks them, with positives first among
    equal probabilities.
    """
    count, images = labels.stop - labels.start, len(probabilities)
    unsigned = f"u{probabilities.itemsize}"
    keys = np.empty((count, images), dtype=unsigned)
    known, absent = np.zeros(count, dtype=np.intp), np.zeros(count, dtype=np.intp)
    for block in spans(images, count):
        # Labels as rows, since a column of a large array is slow to walk; + 0 makes +0 of -0.
        rows = np.add(probabilities[block, labels].T, 0, order="C")
        marks = resident(targets[block, labels]).T
        rows[marks < 0] = 2
        own = rows.view(unsigned)
        own <<= 1
        own |= marks != 1
        keys[:, block] = own
        known += (marks >= 0).sum(axis=1)
        absent += (marks == 0).sum(axis=1)
        release(probabilities)
        release(targets)
    return keys, known, absent
