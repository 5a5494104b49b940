"""The file of answers: none that was acknowledged is lost, none of others is overwritten."""

import csv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from filelock import FileLock

from lcnet.data.readers import load_split
from lcnet.data.recognising import data_at
from lcnet.errors import DataError
from lcnet.predicting.known_table import KnownTable
from lcnet.serving.labelling.answers import AnswerFile

LABELS = ("red", "green", "blue")


@pytest.fixture
def known(table):
    return KnownTable(table, LABELS, quiet=True)


def cells(file: Path) -> dict[str, str]:
    """The cells of each picture, such as `1-0` where the second is blank."""
    with file.open(newline="") as opened:
        header, *rows = csv.reader(opened)
    assert header == ["image", *LABELS]
    return {Path(name).stem: "".join(cell or "-" for cell in row) for name, *row in rows}


def answered(answers: AnswerFile, known: KnownTable, number: int, **changes: bool | None):
    path = [path for path, _ in known.pictures()][number]
    return answers.change(path, lambda _: changes, dict.fromkeys(changes))


def test_it_begins_as_the_table_and_changes_one_cell_at_a_time(known, out, table):
    before = table.read_bytes()
    answers = AnswerFile(out, known)
    assert cells(out) == {"val0": "1--", "val3": "-1-", "val4": "---", "val5": "101"}
    assert answered(answers, known, 2, blue=False).before == {"blue": None}
    assert cells(out)["val4"] == "--0"
    answered(answers, known, 2, blue=None, red=True)
    assert cells(out)["val4"] == "1--"
    assert table.read_bytes() == before
    split = load_split(data := data_at(out, quiet=True, divide=False), data.train)
    assert all(sample.path.is_file() for sample in split.samples)
    again = AnswerFile(out, known)
    assert again.of(split.samples[2].path.resolve()) == {"red": True}


def test_a_cell_that_was_made_blank_stays_so(known, out):
    answered(AnswerFile(out, known), known, 0, red=None)
    AnswerFile(out, known)
    assert cells(out)["val0"] == "---"


def test_two_processes_write_to_one_file_and_lose_nothing(known, out):
    one, other = AnswerFile(out, known, annotator="Anna"), AnswerFile(out, known, annotator="Ben")
    answered(one, known, 2, red=True)
    changed = answered(other, known, 2, green=False)
    assert [path.name for path in changed.others] == ["val4.png"]
    assert changed.differing == []
    assert cells(out)["val4"] == "10-"
    [differing] = answered(one, known, 2, green=True).differing
    assert (differing.label, differing.was, differing.by) == ("green", False, "Ben")
    assert cells(out)["val4"] == "11-"
    assert answered(other, known, 2, green=True).differing == []  # they agree


def test_many_at_once_lose_nothing(known, out):
    files = [AnswerFile(out, known) for _ in range(4)]
    wanted = [(number, label) for number in (0, 2, 3) for label in LABELS] * 4
    with ThreadPoolExecutor(8) as pool:
        for turn, (number, label) in enumerate(wanted):
            pool.submit(answered, files[turn % 4], known, number, **{label: True})
    assert cells(out) == {"val0": "111", "val3": "-1-", "val4": "111", "val5": "111"}


def test_pictures_that_the_table_lacks_stay_in_the_file(known, out):
    AnswerFile(out, known)
    with out.open("a") as file:
        file.write("colours/images/train0.png,1,,0\n")
    answered(AnswerFile(out, known), known, 2, red=True)
    assert cells(out)["train0"] == "1-0"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,red,green\n", "got at the header: image, red, green"),
        ("image,red,green,blue\nimages/val0.png,1,2,\n", "got at line 2: '2' for green"),
        ("image,red,green,blue\nimages/val0.png,1\n", "got at line 2: 2 cells in place of 4"),
        ("image,red,green,blue\na.png,1,,\na.png,,,\n", "got at line 3: a.png a second time"),
        ("", "got at the header: nothing"),
    ],
)
def test_another_file_is_refused_and_left_alone(known, out, text, message):
    out.write_text(text)
    with pytest.raises(DataError, match=message):
        AnswerFile(out, known)
    assert out.read_text() == text


def test_an_answer_that_cannot_be_written_is_not_kept(known, out, monkeypatch):
    answers = AnswerFile(out, known)
    monkeypatch.setattr("lcnet.serving.labelling.answers.WAIT", 0.05)
    with FileLock(out.with_name(".labelled.csv.lock")), pytest.raises(DataError, match="held it"):
        answered(answers, known, 2, red=True)
    out.with_name("labelled.csv.part").mkdir()
    with pytest.raises(DataError, match="cannot be written"):
        answered(answers, known, 2, red=True)
    out.with_name("labelled.csv.part").rmdir()
    assert cells(out)["val4"] == "---"
    answered(answers, known, 2, green=True)
    assert cells(out)["val4"] == "-1-"
