import re

from lcnet import progress
from lcnet.progress import track


def test_without_a_terminal_one_line_is_told_and_all_items_come(capsys):
    assert list(track(iter("abc"), "Reading", 1234)) == ["a", "b", "c"]
    output = capsys.readouterr()
    assert (output.out, output.err) == ("", "Reading: 1,234\n")


def test_without_a_terminal_a_line_tells_of_long_work_again(capsys, monkeypatch):
    monkeypatch.setattr(progress, "SECONDS_A_LINE", 0.0)
    assert list(track(iter("abc"), "Reading", 3)) == ["a", "b", "c"]
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Reading: 3"
    assert re.fullmatch(r"Reading: 2 of 3, [\d,.]+/s", lines[-1])
