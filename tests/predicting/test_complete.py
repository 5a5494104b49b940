"""`lcnet complete`: blank cells are filled, filled ones stay."""

import csv
from pathlib import Path

import pytest
from tests.predicting.test_known import known_table, with_evidence

from lcnet.cli import main
from lcnet.data.readers import load_split
from lcnet.data.recognising import data_at
from lcnet.errors import ConfigError
from lcnet.predicting.complete import complete
from lcnet.predicting.predictor import Predictor

ROWS = ["images/val0.png,1,,0", "images/val3.png,,1,", "images/val4.png,0,0,1"]


@pytest.fixture
def run(trained):
    return with_evidence(trained)


@pytest.fixture
def table(run, tmp_path):
    return known_table(tmp_path, ROWS)


def rows_of(file: Path) -> dict[str, list[str]]:
    with file.open(newline="") as opened:
        header, *rows = csv.reader(opened)
    assert header == ["image", "red", "green", "blue"]
    return {Path(name).name: cells for name, *cells in rows}


def test_blank_cells_get_probabilities_given_the_filled_ones(run, table, tmp_path, capsys):
    done = complete(run, table, tmp_path / "out" / "done.csv")
    assert (done.pictures, done.filled, done.blank, done.unread) == (3, 3, 0, 0)
    rows = rows_of(tmp_path / "out" / "done.csv")
    [given] = Predictor(run)([table.parent / "images/val3.png"], known={"green": True})
    wanted = [f"{given.probabilities[name]:.4f}" for name in ("red", "blue")]
    assert rows["val3.png"] == [wanted[0], "1", wanted[1]]
    assert rows["val0.png"][0::2] == ["1", "0"]
    assert rows["val4.png"] == ["0", "0", "1"]
    assert "3 blank cells of 3 pictures filled" in capsys.readouterr().out


def test_filled_cells_that_may_be_wrong_say_less(run, table, tmp_path):
    complete(run, table, tmp_path / "done.csv", known_errors=0.1, quiet=True)
    unsure, path = Predictor(run, known_errors=0.1), table.parent / "images/val3.png"
    [given] = unsure([path], known={"green": True})
    [sure] = Predictor(run)([path], known={"green": True})
    assert given.probabilities["red"] != pytest.approx(sure.probabilities["red"], abs=1e-4)
    assert rows_of(tmp_path / "done.csv")["val3.png"][0] == f"{given.probabilities['red']:.4f}"


def test_only_sure_cells_are_filled_and_the_table_can_be_read(run, table, tmp_path):
    out = tmp_path / "elsewhere" / "done.csv"
    plain = complete(run, table, out, sure=0.5, quiet=True)
    assert plain.blank == 0
    split = load_split(data := data_at(out, quiet=True, divide=False), data.train)
    assert split.targets.shape == (3, 3)
    assert all(sample.path.is_file() for sample in split.samples)
    unsure = complete(run, table, out, sure=1.0, quiet=True)
    assert (unsure.filled, unsure.blank) == (0, 3)
    assert rows_of(out)["val3.png"] == ["", "1", ""]


def test_a_picture_that_cannot_be_read_keeps_its_blanks(run, table, tmp_path, capsys):
    (table.parent / "images" / "val3.png").write_bytes(b"")
    with pytest.raises(SystemExit) as stopped:
        main(["complete", str(run), str(table), "--out", str(tmp_path / "done.csv")])
    assert stopped.value.code == 1
    assert rows_of(tmp_path / "done.csv")["val3.png"] == ["", "1", ""]
    assert "1 pictures cannot be read" in capsys.readouterr().out


def test_what_cannot_be_completed_is_refused(run, table, tmp_path):
    with pytest.raises(ConfigError, match="expected another file than the table"):
        complete(run, table, table, quiet=True)
    full = known_table(tmp_path, ["images/val0.png,1,0,0"])
    with pytest.raises(ConfigError, match="with blank cells, got one in which all are filled"):
        complete(run, full, tmp_path / "done.csv", quiet=True)
    assert not (tmp_path / "done.csv").exists()
