"""The log of answers: what was answered is known again, by other processes and after a restart."""

import json

import pytest

from lcnet.errors import DataError
from lcnet.serving.labelling.answer_log import AnswerLog


@pytest.fixture
def file(tmp_path):
    return tmp_path / "labelled.csv.log"


def test_an_answer_counts_while_the_table_says_the_same(file):
    log = AnswerLog(file)
    log.add("a.png", {"red": True, "green": False, "blue": None})
    for opened in (log, AnswerLog(file)):
        opened.refresh()
        assert opened.answered("a.png", {"red": True, "green": False}) == {"red", "green"}
        assert opened.answered("a.png", {"red": False}) == set()
        assert opened.answered("b.png", {"red": True}) == set()


def test_an_answer_that_was_undone_does_not_count(file):
    log = AnswerLog(file)
    log.add("a.png", {"red": True, "green": True})
    log.add("a.png", {"red": True}, undo=True)
    assert log.answered("a.png", {"red": True, "green": True}) == {"green"}


def test_others_are_followed_and_told_by_name(file):
    one, other = AnswerLog(file, "Anna"), AnswerLog(file, "Ben")
    one.add("a.png", {"red": True})
    assert other.refresh() == {"a.png"}
    assert other.refresh() == set()
    other.add("b.png", {"red": False})
    assert one.refresh() == {"b.png"}
    assert (one.who("a.png", "red"), one.who("b.png", "red")) == ("Anna", "Ben")
    assert one.who("b.png", "green") == ""


def test_half_a_line_of_a_killed_process_spoils_no_other(file):
    log = AnswerLog(file)
    log.add("a.png", {"red": True})
    with file.open("a") as opened:
        opened.write('{"time": "2026')
    log.refresh()
    log.add("b.png", {"red": True})
    again = AnswerLog(file)
    assert again.refresh() == {"a.png", "b.png"}
    assert log.answered("b.png", {"red": True}) == {"red"}


@pytest.mark.parametrize("line", ["", "[]", "7", "{}", '{"image": "a", "answers": [1]}', "\xff"])
def test_a_line_that_is_no_answer_is_passed_over(file, line):
    file.write_bytes(line.encode("latin-1") + b"\n")
    log = AnswerLog(file)
    assert log.refresh() == set()
    log.add("a.png", {"red": True})
    assert log.answered("a.png", {"red": True}) == {"red"}


def test_a_log_that_was_deleted_is_forgotten(file):
    log = AnswerLog(file)
    log.add("a.png", {"red": True})
    file.unlink()
    log.refresh()
    assert log.answered("a.png", {"red": True}) == set()
    log.add("a.png", {"green": True})
    [line] = file.read_text().splitlines()
    assert json.loads(line)["answers"] == {"green": True}


def test_a_log_that_cannot_be_written_is_said(file):
    file.mkdir()
    with pytest.raises(DataError, match=r"labelled.csv.log: cannot be written .* is not kept"):
        AnswerLog(file).add("a.png", {"red": True})
