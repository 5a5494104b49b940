"""The benchmark that hides labels hides what it says and nothing else."""

import numpy as np
import pytest
from benchmarks.hidden_labels import data_of, hidden, write_table

from lcnet.data.dataset import UNKNOWN
from lcnet.data.readers import load_split

TARGETS = (np.random.default_rng(0).random((2000, 6)) < 0.3).astype(np.int8)


@pytest.mark.parametrize("share", ["0", "0.5", "0.9"])
def test_a_share_of_all_entries_is_hidden_by_chance(share: str) -> None:
    made = hidden(TARGETS, share, seed=1)
    gone = made == UNKNOWN
    assert gone.mean() == pytest.approx(float(share), abs=0.02)
    assert gone[TARGETS == 1].mean() == pytest.approx(float(share), abs=0.03)
    assert (made[~gone] == TARGETS[~gone]).all()
    assert (hidden(TARGETS, share, seed=1) == made).all()
    assert share == "0" or (hidden(TARGETS, share, seed=2) != made).any()


def test_single_keeps_one_present_label_of_each_picture_and_nothing_else() -> None:
    made = hidden(TARGETS, "single", seed=1)
    assert set(np.unique(made)) == {1, UNKNOWN}
    assert ((made == 1).sum(axis=1) == TARGETS.any(axis=1)).all()
    assert (TARGETS[made == 1] == 1).all()
    # Any of them is kept as often as another.
    of_first_two = made[(TARGETS[:, :2] == 1).all(axis=1)][:, :2] == 1
    assert of_first_two[:, 0].mean() == pytest.approx(of_first_two[:, 1].mean(), abs=0.15)


def test_a_written_table_is_read_as_the_same_split(tiny_config, tmp_path) -> None:
    tiny_config.save(tmp_path / "tiny.yaml")
    data = data_of(["--config", str(tmp_path / "tiny.yaml"), "--data.images", "annotated"])
    assert (data.root, data.images) == (tiny_config.data.root, "annotated")
    split = load_split(tiny_config.data, "train.csv")
    made = hidden(split.targets, "0.5", seed=0)
    write_table(tmp_path / "tables" / "half.csv", split, made)
    again = load_split(
        type(data)(format="table", root=str(tmp_path / "tables")), "half.csv", split.labels
    )
    assert (again.targets == made).all()
    assert [sample.path for sample in again.samples] == [sample.path for sample in split.samples]
