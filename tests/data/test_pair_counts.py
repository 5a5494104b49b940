import numpy as np
import pytest

from lcnet.data.pair_counts import PairCounts, count_pairs, no_pairs

MOSTLY_KNOWN = np.random.default_rng(0).choice([1, 0, -1], (60, 7), p=[0.3, 0.6, 0.1])
MOSTLY_UNKNOWN = np.random.default_rng(1).choice([1, 0, -1], (60, 7), p=[0.2, 0.1, 0.7])


@pytest.mark.parametrize("targets", [MOSTLY_KNOWN, MOSTLY_UNKNOWN])
def test_counts_are_those_of_whole_tables_and_come_back_from_arrays(targets):
    pairs = count_pairs(targets)
    present, known = (targets == 1).astype(int), (targets >= 0).astype(int)
    assert (pairs.cooccurrence == present.T @ present).all()
    assert (pairs.known_with == present.T @ known).all()
    assert PairCounts.from_arrays(pairs.to_arrays()) == pairs
    assert PairCounts.from_tables(pairs.cooccurrence, pairs.known_with) == pairs
    assert pairs != no_pairs(7)
    assert hash(pairs) == hash(PairCounts.from_arrays(pairs.to_arrays()))


@pytest.mark.parametrize("unknown", [0, -1])
def test_few_labels_a_picture_of_thousands_take_few_entries(unknown):
    targets = np.full((40, 3000), unknown, np.int8)
    targets[np.arange(40), np.arange(40)] = 1
    arrays = count_pairs(targets).to_arrays()
    assert sum(array.nbytes for array in arrays.values()) < 60_000


@pytest.mark.parametrize(
    "change",
    [
        {"together.columns": np.array([99] * 30)},
        {"together.starts": np.array([0, 1])},
        {"unlike.counts": np.array([-1])},
    ],
)
def test_arrays_that_are_no_counts_are_refused(change):
    arrays = count_pairs(MOSTLY_KNOWN).to_arrays() | change
    with pytest.raises(ValueError, match=r"."):
        PairCounts.from_arrays(arrays)
