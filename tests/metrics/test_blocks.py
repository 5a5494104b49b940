"""Metrics in blocks of rows and labels are those of one block, bit for bit."""

import numpy as np
import pytest

from lcnet.errors import DataError
from lcnet.metrics import (
    ap,
    average_precision,
    blocks,
    bootstrap,
    intervals,
    predict_at,
    rates,
    verify,
)
from lcnet.metrics.bootstrap import mean_ap
from lcnet.metrics.label_rules import LabelRules

LABELS = tuple("abcdefg")
RULES = LabelRules.from_dict({"one_of": [["a", "b"]], "implies": {"c": ["d"]}}, LABELS).on(LABELS)


def drawn(*, step: int = 0, dtype: type = np.float32) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities, in steps so that some are equal, and targets of which some are unknown."""
    rng = np.random.default_rng(0)
    values = rng.random((301, len(LABELS)))
    targets = rng.integers(-1, 2, values.shape).astype(np.int8)
    targets[:, 6] = 1
    return (np.round(values * step) / step if step else values).astype(dtype), targets


@pytest.fixture(params=[1, 50, 700])
def tiny(request, monkeypatch):
    """Blocks of a few numbers; called when one block has given what is expected."""

    def set_tiny() -> None:
        monkeypatch.setattr(blocks, "VALUES_AT_ONCE", request.param)
        monkeypatch.setattr(ap, "RANKED_AT_ONCE", request.param * 9)

    return set_tiny


@pytest.mark.parametrize("formula", ["step", "envelope", "11-point"])
@pytest.mark.parametrize("drawing", [{"step": 8}, {"dtype": np.float64}, {}])
def test_all_metrics_are_the_same_in_blocks(tiny, drawing, formula):
    probabilities, targets = drawn(**drawing)
    whole = verify(probabilities, targets, LABELS, formula=formula, rules=RULES, threshold=0.4)
    tiny()
    assert (
        verify(probabilities, targets, LABELS, formula=formula, rules=RULES, threshold=0.4) == whole
    )


def test_arrays_in_files_have_the_same_metrics_and_stay_as_they_are(tiny, tmp_path):
    probabilities, targets = drawn()
    whole = verify(probabilities, targets, LABELS)
    for name, values in (("p", probabilities), ("t", targets)):
        values.tofile(tmp_path / name)
    tiny()
    for mode in ("r", "c", "r+"):
        ours = np.memmap(tmp_path / "p", np.float32, mode, shape=probabilities.shape)
        theirs = np.memmap(tmp_path / "t", np.int8, mode, shape=targets.shape)
        assert verify(ours, theirs, LABELS) == whole
        if mode == "c":  # a change that is in memory alone outlives the walk through the array
            ours[0] = 0.25
            average_precision(ours, theirs)
            assert (ours[0] == 0.25).all()


def test_a_number_that_is_not_finite_is_named_by_its_place_in_all_rows(tiny):
    probabilities, targets = drawn()
    probabilities[299, 3] = probabilities[300, 2] = np.nan
    tiny()
    with pytest.raises(DataError, match=r"got nan for image 299, label 3 .* the first of 2 such"):
        average_precision(probabilities, targets)


@pytest.mark.parametrize("count", [1, 127, 129, 1000, 12_345])
def test_a_sum_of_pieces_is_the_sum_of_numpy(count, monkeypatch):
    monkeypatch.setattr(blocks, "VALUES_AT_ONCE", 1)
    values = np.random.default_rng(count).random(count) ** 3
    assert blocks.total(iter(np.array_split(values, 7)), count) == values.sum()


@pytest.mark.parametrize("formula", ["step", "envelope", "11-point"])
@pytest.mark.parametrize("step", [0, 8])
def test_intervals_are_those_of_the_drawn_images_themselves(tiny, monkeypatch, formula, step):
    probabilities, targets = drawn(step=step)
    probabilities, targets = probabilities[:60], targets[:60]
    targets[:, 4] = 0
    targets[7, 4] = 1  # a third of the resamples have no positive of it
    rng, found = np.random.default_rng(3), []
    for _ in range(30):
        rows = rng.integers(60, size=60)
        at = rates(predict_at(probabilities[rows], 0.4, RULES), targets[rows])
        ap_of = mean_ap(probabilities[rows], targets[rows], formula=formula)
        found.append((ap_of, at.CF1, at.OF1))
    lows, highs = np.nanpercentile(found, [2.5, 97.5], axis=0)
    tiny()
    monkeypatch.setattr(bootstrap, "DRAWN_AT_ONCE", 500)
    given = intervals(
        probabilities, targets, threshold=0.4, formula=formula, resamples=30, seed=3, rules=RULES
    )
    assert [one.low for one in given.values()] == lows.tolist()
    assert [one.high for one in given.values()] == highs.tolist()
