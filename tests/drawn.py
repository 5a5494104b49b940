"""What hypothesis draws for several test files."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

Split = tuple[np.ndarray, np.ndarray]


def measured(targets: np.ndarray) -> np.ndarray:
    """The targets, with the labels that have no absent entry unknown: metrics leave them out."""
    return np.where((targets == 0).any(axis=0), targets, np.int8(-1))


@st.composite
def splits(draw: st.DrawFn, values: tuple[int, ...] = (1, 0, -1)) -> Split:
    """Probabilities and targets of few images; few different probabilities, so that many tie."""
    shape = draw(st.tuples(st.integers(1, 12), st.integers(1, 4)))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    few = st.sampled_from([0.0, 0.2, 0.5, 0.8, 1.0])
    elements = draw(st.sampled_from([few, st.floats(0, 1, width=32)]))
    probabilities = draw(nps.arrays(dtype, shape, elements=elements))
    values = draw(st.sampled_from([values, (1, 0), (1,)]))
    return probabilities, draw(nps.arrays(np.int8, shape, elements=st.sampled_from(values)))
