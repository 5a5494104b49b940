"""Commands that messages name can be given as they stand, whatever a path is called."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import lcnet
from lcnet.cli.verbs import VERBS
from lcnet.errors import ProcessError, quoted
from lcnet.run_folder import RunFolder

BEFORE = re.compile(rf"\blcnet ({'|'.join(VERBS)}) (([A-Z]+|--[a-z_.]+) )*$")
"""What stands before the name of a folder or a split in a command."""
QUOTED_BEFORE = {"name", "data", "command", "ours", "theirs", "named", "DATA", "one", "other"}
"""Variables that hold names as a shell takes them, or flags."""
NUMBERS = {"2 * facts.epochs", "done + 1"}


def names_in_commands(file: Path) -> Iterator[tuple[int, str]]:
    """The line and the expression of each name that stands in a command without quotes."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.JoinedStr):
            continue
        before = ""
        for part in node.values:
            if isinstance(part, ast.Constant):
                before += str(part.value)
                continue
            assert isinstance(part, ast.FormattedValue)
            name = ast.unparse(part.value)
            is_number = part.format_spec is not None or name in NUMBERS
            is_safe = "quote" in name or name in QUOTED_BEFORE or is_number
            if BEFORE.search(before) and not is_safe:
                yield part.lineno, name
            before += "X"


def test_names_in_commands_are_quoted():
    files = sorted(Path(lcnet.__file__).parent.rglob("*.py"))
    bare = [(file.name, *found) for file in files for found in names_in_commands(file)]
    assert bare == []


def test_a_folder_with_a_space_is_one_word():
    run = RunFolder(Path("my runs/one"))
    assert quoted(run) == "'my runs/one'"
    assert run.continuation.endswith("lcnet train --resume 'my runs/one'")
    assert "--resume 'my runs/one'" in str(ProcessError.of(run, "it is gone", go_on=True))
