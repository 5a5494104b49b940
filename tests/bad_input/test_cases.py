"""Bad input of every kind gives one line, the right exit code and no half-written file."""

import json
import shlex
from pathlib import Path

import pytest
from tests.bad_input.cases import CASES, Case, table
from tests.bad_input.judge import run

DOCS = Path(__file__).parent.parent.parent / "docs" / "reliability.md"


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
