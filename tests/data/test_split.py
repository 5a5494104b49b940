"""`lcnet split` keeps every row as it is and every label's share."""

import shlex
from pathlib import Path

import numpy as np
import pytest
from tests.cli.test_cli import run

from lcnet.checking.check import check
from lcnet.config import Data
from lcnet.data.readers.table import read_table
from lcnet.data.split import split
from lcnet.data.splitting import stratify
from lcnet.errors import ConfigError, DataError

THREE = {"train": 0.8, "val": 0.1, "test": 0.1}
LABELS = ("common", "middling", "rare")


def rows(count: int = 400) -> list[str]:
    """Rows of a table whose labels have the shares 0.5, 0.1 and 0.05, some cells unknown."""
    rng = np.random.default_rng(0)
    present = rng.random((count, 3)) < (0.5, 0.1, 0.05)
    cells = np.where(present, "1", np.where(rng.random((count, 3)) < 0.1, "", "0"))
    return [f"images/{place}.jpg,{','.join(line)}" for place, line in enumerate(cells)]


@pytest.fixture
def table(tmp_path) -> Path:
    file = tmp_path / "data" / "labels.csv"
    file.parent.mkdir()
    file.write_text("\n".join([f"image,{','.join(LABELS)}", *rows()]) + "\n")
    return file


def test_every_row_is_in_one_file_byte_by_byte_and_in_order(table):
    parts = split(table, shares=THREE, quiet=True)
    header, *body = table.read_bytes().splitlines(keepends=True)
    found = [part.file.read_bytes().splitlines(keepends=True) for part in parts]
    assert [lines[0] for lines in found] == [header] * 3
    assert sorted(line for lines in found for line in lines[1:]) == sorted(body)
    place = {line: number for number, line in enumerate(body)}
    for part, lines in zip(parts, found, strict=True):
        places = [place[line] for line in lines[1:]]
        assert (places, len(places)) == (sorted(places), part.rows)


def test_rows_and_label_shares_are_as_asked(table):
    parts = split(table, shares=THREE, quiet=True)
    assert [part.rows for part in parts] == [320, 40, 40]
    whole = (
        read_table(Data(format="table", root=str(table.parent)), table.name).targets == 1
    ).mean(axis=0)
    for part in parts:
        own = (
            read_table(Data(format="table", root=str(table.parent)), part.file.name).targets == 1
        ).mean(axis=0)
        assert np.abs(own - whole).max() == pytest.approx(part.deviation)
        assert part.deviation <= 1 / part.rows
        assert part.without_positive == ()


def test_shares_are_closer_than_a_random_split_s():
    rng = np.random.default_rng(1)
    present = rng.random((5000, 8)) < np.geomspace(0.5, 0.005, 8)

    def worst(part_of: np.ndarray) -> float:
        own = np.array([present[part_of == part].mean(axis=0) for part in range(3)])
        return float(np.abs(own / present.mean(axis=0) - 1).max())

    at_random = worst(rng.choice(3, size=5000, p=list(THREE.values())))
    assert worst(stratify(present, list(THREE.values()), 0)) < at_random / 4


def test_files_are_taken_from_everywhere_in_the_table(table):
    for part in split(table, shares=THREE, quiet=True):
        names = [line.split(",")[0] for line in part.file.read_text().splitlines()[1:]]
        places = [int(name.removeprefix("images/").removesuffix(".jpg")) for name in names]
        assert 120 < np.mean(places) < 280


def test_the_seed_decides(table, tmp_path):
    def files(out: str, seed: int) -> list[bytes]:
        return [
            part.file.read_bytes()
            for part in split(table, out=tmp_path / out, shares=THREE, seed=seed, quiet=True)
        ]

    first = files("a", 0)
    assert files("b", 0) == first
    assert files("c", 1) != first


def test_a_column_of_names_is_split_by_its_names(tmp_path):
    names = ["red;green", "red", "", "blue"] * 25
    lines = [f"{place}.jpg,{name}" for place, name in enumerate(names)]
    (tmp_path / "labels.csv").write_text("\n".join(["image,labels", *lines]) + "\n")
    halves = {"a": 0.6, "b": 0.4}
    parts = split(tmp_path / "labels.csv", shares=halves, quiet=True)
    assert [part.rows for part in parts] == [60, 40]
    assert [part.file.read_text().count("red;green") for part in parts] == [15, 10]
    assert [part.file.read_text().count(",\n") for part in parts] == [15, 10]


def test_bytes_survive_marks_line_ends_quotes_and_a_missing_last_line_end(tmp_path):
    records = [f'"a,{place}.jpg",1,"{place % 2}"\r\n' for place in range(10)]
    records[4] = '"b\r\nc.jpg", 1 ,0\r\n'
    text = "\ufeffBild,Kätzchen,Hund\r\n" + "".join(records) + "\r\n,,\r\n" + "z.jpg,0,1"
    (tmp_path / "labels.csv").write_bytes(text.encode())
    parts = split(tmp_path / "labels.csv", shares={"a": 0.5, "b": 0.5}, quiet=True)
    assert sum(part.rows for part in parts) == 11
    for part in parts:
        content = part.file.read_bytes().decode()
        assert content.startswith("\ufeffBild,Kätzchen,Hund\r\n")
        assert content.endswith("\r\n")
        assert (
            len(read_table(Data(format="table", root=str(tmp_path)), part.file.name)) == part.rows
        )
    together = "".join(part.file.read_bytes().decode() for part in parts)
    assert all(together.count(record) == 1 for record in [*records, "z.jpg,0,1\r\n"])


def test_what_is_there_stays_unless_overwritten(table):
    (table.parent / "val.csv").write_text("mine")
    with pytest.raises(ConfigError, match=r"val\.csv: already there"):
        split(table, shares=THREE, quiet=True)
    assert sorted(file.name for file in table.parent.iterdir()) == ["labels.csv", "val.csv"]
    assert (table.parent / "val.csv").read_text() == "mine"
    split(table, shares=THREE, overwrite=True, quiet=True)
    assert (table.parent / "val.csv").read_text() != "mine"
    with pytest.raises(ConfigError, match="is the table that is split"):
        split(table, shares={"labels": 0.5, "b": 0.5}, overwrite=True, quiet=True)


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({"train": 1.0}, "two or more shares above 0 that sum to 1"),
        ({"train": 0.8, "val": 0.3}, "got {train: 0.8, val: 0.3}"),
        ({"train": 1.2, "val": -0.2}, "two or more shares above 0"),
        ({"train": float("nan"), "val": 0.5}, "two or more shares above 0"),
        ({"train": 0.5, "../val": 0.5}, "names for files"),
    ],
)
def test_shares_that_cannot_be_are_refused(table, shares, message):
    with pytest.raises(ConfigError, match=message):
        split(table, shares=shares, quiet=True)
    assert len(list(table.parent.iterdir())) == 1


def test_a_table_that_cannot_be_read_leaves_nothing(table):
    table.write_text(table.read_text() + "images/0.jpg,1,0,0\n")
    with pytest.raises(DataError, match="already listed in line 2"):
        split(table, shares=THREE, quiet=True)
    assert len(list(table.parent.iterdir())) == 1


def test_a_label_that_a_part_lacks_is_told(table, capsys):
    text = table.read_text().splitlines()
    table.write_text(
        "\n".join([f"{text[0]},single", f"{text[1]},1", *(f"{x},0" for x in text[2:])])
    )
    parts = split(table, shares=THREE)
    assert sum("single" in part.without_positive for part in parts) == 2
    assert "no picture of single" in capsys.readouterr().out


def test_the_command_splits_and_says_how_to_check(table, capsys, tmp_path):
    out = tmp_path / "parts"
    flags = f"--shares '{{train: 0.75, val: 0.25}}' --out {out} --seed 3"
    code, printed, error = run(capsys, f"split {table} {flags}")
    assert code == 0, error
    assert (len((out / "train.csv").read_text().splitlines()), "300" in printed) == (301, True)
    line = next(line for line in printed.splitlines() if line.startswith("next: lcnet check"))
    words = shlex.split(line)
    given = dict(zip(words[3::2], words[4::2], strict=True))
    data = Data("table", given["--data.root"], given["--data.train"], given["--data.val"], "")
    assert {one.kind for one in check(data, quiet=True).findings} == {"missing-image"}
    code, _, error = run(capsys, f"split {table} {flags}")
    assert (code, error.count("\n")) == (2, 1)
    code, _, error = run(capsys, f"split {tmp_path}/none.csv")
    assert (code, "none.csv: no such folder or file" in error) == (1, True)
