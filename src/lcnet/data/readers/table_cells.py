"""What a cell of a label column means: present, absent or unknown."""

import json
import re
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
    ("j", "n"),
    ("wahr", "falsch"),
    ("oui", "non"),
    ("vrai", "faux"),
    ("si", "no"),
    ("s\u00ed", "no"),
    ("sim", "n\u00e3o"),
    ("on", "off"),
    ("x", "-"),
    ("+", "-"),
    ("x", ""),
    ("✓", ""),
    ("✔", ""),
)
"""Cells that mean present and absent; a table uses one pair, in upper or lower case."""
NO_CELL = frozenset({"#n/a", "#n/a n/a", "#na", "#nv", "#n/d", "#n/b", "#i/t", "-nan", "<na>"})
"""What spreadsheets of several languages, and programs, write where a value is missing."""
NOT_KNOWN = NO_CELL | {"", "nan", "na", "n/a", "null", "none", "?", "unknown", "uncertain"}
MINUS = "-1"
"""Unknown where 0 is absent, as in CheXpert; absent in tables of 1 and -1 alone, as in CelebA."""
USUAL = Table(present=["1"], absent=["0"], unknown=["", MINUS])


@lru_cache(maxsize=10_000)
def plain_cell(cell: str) -> str:
    """A cell without what makes no difference: outer blanks, case, and the `.0` of `1.0`."""
    text = re.sub(r"^([+-]?\d),0+$", r"\1", cell.strip().casefold())  # a decimal comma
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


def is_marked(cells: Iterable[str], table: Table | None = None) -> str | None:
    """What present is written as in a column of plain cells; None if it is no label column.

    A column of blanks or of unknown cells alone gives an empty text. A column in which the settings
    say what present is has marks.
    """
    given = Meanings(table).plain if table else {}
    if table and any(given.get(cell) == POSITIVE for cell in cells):
        return plain_cell(table.present[0])
    others = set(cells) - NOT_KNOWN - given.keys()
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
    # max takes the first pair of those that say most.
    chosen = max(PAIRS, key=lambda pair: len({*pair} & (left - NOT_KNOWN)))
    marks = {
        "present": [*table.present, *sorted({chosen[0]} & left)],
        "absent": [*table.absent, *sorted(({chosen[1]} - {""}) & left)],
        "unknown": [*table.unknown],
    }
    left -= {cell for listed in marks.values() for cell in listed}
    if odd := sorted(left - NOT_KNOWN - {MINUS}):
        raise DataError(
            f"{where}: the cell {odd[0]!r} can mean present, absent or unknown. "
            + choices(
                (f"--data.table.{name}", odd[:1]) for name in ("present", "absent", "unknown")
            )
        )
    doubtful = [cell for cell in (MINUS, *sorted(NOT_KNOWN)) if cell in left]
    if doubtful and strict and not marks["absent"]:
        raise _two_readings(marks["present"], doubtful, where)
    marks["unknown"] += [cell for cell in doubtful if cell not in marks["unknown"]]
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
    shown = " and ".join(cell or "an empty cell" for cell in doubtful)
    return DataError(
        f"{where}: no cell says absent (present is {' and '.join(map(repr, present)) or 'none'}), "
        f"so {shown} can mean absent or unknown. "
        + choices((f"--data.table.{name}", doubtful) for name in ("absent", "unknown"))
    )


def choices(settings: Iterable[tuple[str, Sequence[str]]]) -> str:
    """The advice to set one of several settings to a list of texts."""
    listed = [f"{name} '[{', '.join(map(quoted, values))}]'" for name, values in settings]
    return f"Set {' or '.join(listed)}."


def quoted(text: str) -> str:
    """A text as it stands in a list on the command line."""
    return json.dumps(text, ensure_ascii=False)


def meaning_in_words(table: Table) -> str:
    """How cells are read, such as `1/0, blank is unknown`."""

    def shown(cells: Sequence[str]) -> str:
        return "/".join(cell or "blank" for cell in cells)

    text = f"{shown(table.present)} present, {shown(table.absent)} absent"
    return text + (f", {shown(table.unknown)} unknown" if table.unknown else "")


NO_MARK = 2
MOST_MISSES = 100
"""Rows one after another without single signs after which none is tried."""
EMPTY = "\0"
"""Stands for an empty cell in a row of single signs."""


class SingleSigns:
    """The targets of rows whose cells are single signs or empty, a row at a time.

    That takes half the time of a look at each cell, and most large tables are such.
    """

    def __init__(self, meanings: Meanings, cells: int) -> None:
        self.length = 2 * cells - 1
        table = bytearray([NO_MARK] * 256)
        for sign in map(chr, range(33, 127)):
            if sign != "," and plain_cell(sign) in meanings.plain:
                table[ord(sign)] = meanings.plain[plain_cell(sign)]
        if "" in meanings.plain:
            table[ord(EMPTY)] = meanings.plain[""]
        self.table = bytes(table)
        self.misses = 0

    def row(self, cells: Sequence[str]) -> bytes | None:
        """A byte per cell, as `Meanings` has it; None if a cell is no known single sign."""
        if self.misses > MOST_MISSES:
            return None
        text = ",".join(cells)
        if len(text) != self.length:
            text = text.replace(",,", f",{EMPTY},").replace(",,", f",{EMPTY},")
            text = f"{EMPTY * (text[:1] in ',')}{text}{EMPTY * (text[-1:] == ',')}"
        if len(text) == self.length and text.isascii():
            # A comma in a cell, or a longer cell, puts a comma among the signs: it has no mark.
            marks = text[::2].encode().translate(self.table)
            if NO_MARK not in marks:
                self.misses = 0
                return marks
        self.misses += 1
        return None
