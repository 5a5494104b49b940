"""Average precision, by three formulas."""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from lcnet.metrics.array_checks import Floats, Targets, check_probabilities, check_shapes

ApFormula = Literal["step", "envelope", "11-point"]
"""How average precision is taken from precision and recall; `average_precision` has the formulas.

step: as scikit-learn, ML-GCN, CSRA, ASL, ML-Decoder and LCNet have it. envelope: as the VOC
challenge from 2010 on and Query2Label. 11-point: as the VOC challenge up to 2009.
"""


def average_precision(
    probabilities: Floats, targets: Targets, *, formula: ApFormula = "step"
) -> NDArray[np.float64]:
    """The average precision of each label, L values in [0, 1]; NaN where a label has no positive.

    At a positive, precision is the share of positives among all images scored at least as high, and
    recall the share of all positives that are scored at least as high. AP is

    - step: the mean over positives of the precision at each;
    - envelope: the same, with the largest precision at each one's recall or any higher;
    - 11-point: the mean over r = 0, 0.1, ..., 1 of the largest precision at recall r or higher.

    Images of equal probability thus count together, and their order does not matter: the ranking
    alone decides. step equals sklearn.metrics.average_precision_score; envelope is never below it.

    Raises DataError if a probability is not finite.
    """
    if formula not in get_args(ApFormula):
        raise ValueError(
            f"average_precision: expected formula {', '.join(get_args(ApFormula))}, "
            f"got {formula!r}."
        )
    check_shapes(probabilities, targets)
    check_probabilities(probabilities)
    # Labels as rows, since a column of a large array is slow to walk; and no -0, see `_at_least`.
    columns = zip(np.add(probabilities.T, 0, order="C"), targets.T.copy(), strict=True)
    return np.array(
        [_label_average_precision(*column, formula) for column in columns], dtype=np.float64
    )


def _label_average_precision(probabilities: Floats, targets: Targets, formula: ApFormula) -> float:
    known = targets >= 0
    everyone = probabilities if known.all() else probabilities[known]
    positives = np.sort(probabilities[np.flatnonzero(targets == 1)])
    if not positives.size:
        return float("nan")
    # From the lowest positive, where recall is 1, to the highest.
    positives_at_least = positives.size - np.searchsorted(positives, positives)
    precision = positives_at_least / _at_least(positives, everyone)
    if formula == "envelope":
        precision = np.maximum.accumulate(precision)
    elif formula == "11-point":
        # Recall as counts: in floating point 3 of 10 positives may fall short of 0.3.
        reached = [10 * positives_at_least >= tenths * positives.size for tenths in range(11)]
        precision = np.array([precision[at_least].max() for at_least in reached])
    return float(precision.mean())


def _at_least(values: Floats, everyone: Floats) -> NDArray[np.int64]:
    """For each value, how many of `everyone` are as large or larger; the values are among those.

    It is everyone.size - np.searchsorted(np.sort(everyone), values), in half the time: all are
    counted by 16 of their bits, and only those that share these with one of the values are sorted.
    The bits of floats from +0 up are ordered as the floats are.
    """
    integer = np.dtype(f"u{everyone.itemsize}")
    bits = everyone.view(integer)
    lowest = bits.min()
    shift = integer.type(max(0, int(bits.max() - lowest).bit_length() - 16))

    def key_of(floats: Floats) -> NDArray[np.uint16]:
        return ((floats.view(integer) - lowest) >> shift).astype(np.uint16)

    keys, own = key_of(everyone), key_of(values)
    with_key = np.bincount(keys, minlength=2**16)
    up_to_key = with_key.cumsum()
    at_least: NDArray[np.int64] = everyone.size + 1 - up_to_key[own]
    shares = with_key[own] > 1
    is_shared = np.zeros(2**16, dtype=np.bool_)
    is_shared[own[shares]] = True
    rest = np.sort(everyone[np.flatnonzero(is_shared.take(keys))])
    at_least[shares] -= 1
    at_least[shares] += np.searchsorted(key_of(rest), own[shares], side="right")
    at_least[shares] -= np.searchsorted(rest, values[shares])
    return at_least
