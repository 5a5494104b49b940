"""Bad input of every kind gives one line, the right exit code and no half-written file."""

import json
import os
import shlex
from pathlib import Path

import pytest
from tests.bad_input.cases import CASES, Case, edit, table
from tests.bad_input.judge import run

DOCS = Path(__file__).parent.parent.parent / "docs" / "reference" / "bad_input.md"


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind}: {case.what}")
def test_bad_input_gives_one_line_and_the_right_exit_code(place: Path, case: Case) -> None:
    case.change(place)
    outcome = run(shlex.split(case.command), place)
    assert outcome.faults() == []
    said = outcome.message
    rows = place / "out" / "rows.jsonl"
    if case.code and not said and rows.is_file():
        said = json.loads(rows.read_text().splitlines()[0])["error"]
    if case.command.startswith("check"):
        said = outcome.out
    assert case.says in said
    assert outcome.code == case.code, outcome.err


def test_the_docs_have_these_cases() -> None:
    assert table() in DOCS.read_text(encoding="utf-8")


def test_html_in_label_names_is_escaped_in_the_pages(place: Path) -> None:
    name = "<img src=x onerror=alert(1)>"
    for split in ("train", "val"):
        edit(f"table/{split}.csv", "red", name)(place)
    data = "--data.format table --data.root table --data.train train.csv --data.val val.csv"
    run(shlex.split(f"check {data} --html check.html"), place)
    run(shlex.split("train --config config.yaml --train.epochs 1 --out out"), place)
    for page in ("check.html", "out/report.html"):
        text = (place / page).read_text(encoding="utf-8")
        assert name not in text
        assert "&lt;img src=x onerror" in text


def test_a_pipe_among_the_pictures_is_passed_over(place: Path) -> None:
    os.mkfifo(place / "pictures" / "pipe.png")  # reading it would wait for ever
    outcome = run(shlex.split("predict run pictures --out out/rows.jsonl"), place)
    assert (outcome.code, outcome.faults()) == (0, [])
    assert len((place / "out" / "rows.jsonl").read_text().splitlines()) == 3


def test_file_names_of_any_bytes_are_told_of(place: Path) -> None:
    name = os.fsdecode(b"pictures/\xff\x1b[31m.png")
    (place / name).write_bytes(b"no picture")
    outcome = run(shlex.split("predict run pictures --out out/rows.jsonl"), place)
    assert (outcome.code, outcome.faults()) == (1, [])
    assert "cannot identify" in (place / "out" / "rows.jsonl").read_text(encoding="utf-8")
