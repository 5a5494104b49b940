"""What a cell of a label column means: present, absent or unknown."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from lcnet.config import Table
from lcnet.data.dataset import NEGATIVE, POSITIVE, UNKNOWN
from lcnet.errors import DataError

PAIRS = (
    ("1", "0"),
    ("true", "false"),
    ("yes", "no"),
    ("y", "n"),
    ("t", "f"),
    ("positive", "negative"),
    ("pos", "neg"),
    ("present", "absent"),
    ("ja", "nein"),
    ("oui", "non"),
    ("si", "no"),
    ("x", ""),
    ("✓", ""),
    ("✔", ""),
)
"""Cells that mean present and absent; a table uses one pair, in upper or lower case."""
NOT_KNOWN = frozenset({"", "nan", "na", "n/a", "<na>", "null", "none", "?", "unknown", "uncertain"})
MINUS = "-1"
"""Unknown where 0 is absent, as in CheXpert; absent in tables of 1 and -1 alone, as in CelebA."""
USUAL = Table(present=["1"], absent=["0"], unknown=["", MINUS])


@lru_cache(maxsize=10_000)
def plain_cell(cell: str) -> str:
    """A cell without what makes no difference: outer blanks, case, and the `.0` of `1.0`."""
    text = cell.strip().casefold()
    if text[:1].isdigit() or text[:1] in "+-.":
        try:
            number = float(text)
        except ValueError:
            return text
        if number == int(number) if abs(number) < 1e6 else False:
            return str(int(number))
    return text


class Meanings(dict[str, int]):
    """The target of each cell; a cell in another spelling is looked up once.

    Raises KeyError for a cell that the settings do not name.
    """

    def __init__(self, table: Table) -> None:
        super().__init__()
        # As bytes: an unknown cell is 255, which is -1 as int8.
        self.plain = {
            plain_cell(cell): target % 256
            for cells, target in (
                (table.unknown, UNKNOWN),
                (table.absent, NEGATIVE),
                (table.present, POSITIVE),
            )
            for cell in cells
        }

    def __missing__(self, cell: str) -> int:
        self[cell] = target = self.plain[plain_cell(cell)]
        return target


@dataclass(frozen=True)
class Marks:
    """The cells that mean something in the label columns of a table."""

    present: str
    cells: frozenset[str]
    """All plain cells of the columns."""


def is_marked(cells: Iterable[str]) -> str | None:
    """What present is written as in a column of plain cells; None if it is no label column.

    A column of blanks or of unknown cells alone gives an empty text.
    """
    others = set(cells) - NOT_KNOWN
    for present, absent in PAIRS:
        if others <= {present, absent, *((MINUS,) if present == "1" else ())} - {""}:
            return present if others - {MINUS} else ""
    return None


def with_meanings(table: Table, cells: set[str], where: str, *, strict: bool) -> Table:
    """The table with the meaning of the plain cells of its label columns.

    What the settings say stays. If no cell says absent, an empty cell or -1 can mean absent or
    unknown: that raises DataError if `strict`, and is unknown otherwise. Raises DataError as well
    for a cell of another kind.
    """
    given = Meanings(table).plain
    left = cells - given.keys()
    present = next((pair for pair in PAIRS if {pair[0], pair[1]} & (left - NOT_KNOWN - {""})), None)
    chosen = present or PAIRS[0]
    marks = {
        "present": [*table.present, *sorted({chosen[0]} & left)],
        "absent": [*table.absent, *sorted(({chosen[1]} - {""}) & left)],
        "unknown": [*table.unknown, *sorted((NOT_KNOWN - {""}) & left)],
    }
    left -= {cell for listed in marks.values() for cell in listed}
    if odd := sorted(left - NOT_KNOWN - {MINUS}):
        raise DataError(
            f"{where}: expected cells that mean present, absent or unknown, got {odd[0]!r}. Set "
            "--data.table.present, --data.table.absent and --data.table.unknown."
        )
    doubtful = [cell for cell in (MINUS, "") if cell in left]
    if doubtful and strict and not marks["absent"]:
        raise _two_readings(marks["present"], doubtful, where)
    marks["unknown"] += doubtful
    if not table.present and not marks["present"]:
        marks["present"] = [chosen[0]]
    usual = {"absent": ["0"], "unknown": ["", MINUS]} if chosen == PAIRS[0] else {}
    for name, more in usual.items():
        taken = {cell for listed in marks.values() for cell in listed}
        marks[name] += [cell for cell in more if cell not in taken]
    if chosen != PAIRS[0] and "" not in {cell for listed in marks.values() for cell in listed}:
        marks["unknown"].append("")
    return replace(
        table, present=marks["present"], absent=marks["absent"], unknown=marks["unknown"]
    )


def _two_readings(present: Sequence[str], doubtful: Sequence[str], where: str) -> DataError:
    shown = {MINUS: "-1", "": "an empty cell"}
    listed = ", ".join(f'"{cell}"' for cell in doubtful)
    return DataError(
        f"{where}: no cell says absent (present is {' and '.join(map(repr, present)) or 'none'}), "
        f"so {' and '.join(shown[cell] for cell in doubtful)} can mean absent or unknown. "
        f"Set --data.table.absent '[{listed}]' or --data.table.unknown '[{listed}]'."
    )


def meaning_in_words(table: Table) -> str:
    """How cells are read, such as `1/0, blank is unknown`."""

    def shown(cells: Sequence[str]) -> str:
        return "/".join(cell or "blank" for cell in cells)

    text = f"{shown(table.present)} present, {shown(table.absent)} absent"
    return text + (f", {shown(table.unknown)} unknown" if table.unknown else "")
