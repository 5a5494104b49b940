import re
from io import StringIO

import pytest
import rich
from rich.console import Console

from lcnet import progress
from lcnet.progress import on_lines, paragraph, tell, track

LONG = "val.csv: label 'parking meter': no picture shows it; 60 are known not to-show-it-at-all"


@pytest.fixture
def terminal(monkeypatch) -> StringIO:
    """What a terminal of 40 columns shows."""
    shown = StringIO()
    monkeypatch.setenv("COLUMNS", "40")
    console = Console(file=shown, force_terminal=True, color_system=None)
    monkeypatch.setattr(rich, "get_console", lambda: console)
    return shown


def test_a_terminal_gets_lines_that_fit_it_with_a_margin(terminal):
    tell("  " + LONG)
    first, *others = terminal.getvalue().splitlines()
    assert first.startswith("  val.csv") and others
    assert all(len(line) <= 40 for line in (first, *others))
    assert all(line.startswith("  ") for line in others)
    assert paragraph(LONG, hang=4).splitlines()[1].startswith("    ")
    assert " ".join(line.strip() for line in (first, *others)) == LONG


def test_commands_and_long_words_are_not_torn(terminal):
    command = "Continue with: lcnet train --resume runs/a_run_with_a_long_name --train.epochs 100"
    assert paragraph(command) == command
    tell(f"next: {command}\n      {command[15:]}")
    assert command[15:] in terminal.getvalue()
    path = "/".join(["folder"] * 10)
    assert path in paragraph(f"a picture is missing: {path} is not there")


def test_a_message_breaks_between_words_and_its_command_stands_alone():
    text = "--data.format: expected folders, as one-of-many. Continue with: lcnet train --resume a"
    assert on_lines(text, columns=30).splitlines() == [
        "--data.format: expected",
        "  folders, as one-of-many.",
        "  Continue with:",
        "  lcnet train --resume a",
    ]
    more = "Write: lcnet label RUN --out PATH (lcnet label --help lists all flags)"
    assert on_lines(more, columns=60).splitlines() == [
        "Write:",
        "  lcnet label RUN --out PATH",
        "  (lcnet label --help lists all flags)",
    ]
    assert on_lines("x: lcnet a. Then b.", columns=60).splitlines() == [
        "x:",
        "  lcnet a",
        "  Then b.",
    ]
    assert on_lines("nothing here", columns=60) == "nothing here"


def test_without_a_terminal_lines_stay_whole(capsys):
    tell(LONG)
    assert capsys.readouterr().out == LONG + "\n"


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
