"""Refuses columns whose cells have two readings: counts, probabilities, unknown words."""

from collections.abc import Mapping, Sequence

from lcnet.data.readers.checks import is_share
from lcnet.data.readers.table_cells import MINUS, NOT_KNOWN, PAIRS, choices, quoted
from lcnet.errors import DataError

FEW_CELLS = 6
"""Different cells up to which several columns of texts are taken for marks."""
MOST_GRADES = 20
"""The highest number that can be a grade, or a count of one thing."""


def check_numbers(columns: Mapping[str, Sequence[str]], has_labels: bool, where: str) -> None:
    """Raises DataError for columns of numbers that can be labels.

    These are columns in which most are 0 or 1, or shares, if there is no other label column. The
    cells are plain ones.
    """
    mostly = {
        name: cells
        for name, cells in columns.items()
        if 2 * sum(cell in ("1", "0", MINUS) for cell in cells) >= len(cells) > 0
    }
    if mostly and not has_labels and not any("0" in cells for cells in mostly.values()):
        return  # 1 and 2 are no counts, but two codes
    if not mostly:
        shares = [name for name, cells in columns.items() if cells and all(map(is_share, cells))]
        if shares and not has_labels:
            raise DataError(
                f"{where}: the numbers in {_shown(shares)}, such as {columns[shares[0]][0]}, can "
                "be probabilities. Write 1 for those that mean present and 0 for the others."
            )
        return
    odd = sorted(
        {cell for cells in mostly.values() for cell in cells} - {"1", "0", MINUS}, key=float
    )
    names = list(mostly)
    is_count = all(cell.isdigit() for cell in odd)
    present = ["1", *odd] if is_count else odd
    ignore = f"If they are no labels, set --data.table.ignore '[{', '.join(map(quoted, names))}]'."
    if len(odd) > FEW_CELLS and not is_count:
        raise DataError(
            f"{where}: the numbers in {_shown(names)}, such as {odd[0]}, can be probabilities. "
            f"Write 1 for those that mean present and 0 for the others. {ignore}"
        )
    kind = "a count, so present," if is_count else "present"
    raise DataError(
        f"{where}: column {names[0]!r}: expected 1 and 0, or other cells that mean present and "
        f"absent, got {odd[0]!r} as well, which can be {kind} or unknown. "
        f"{choices([('--data.table.present', present), ('--data.table.unknown', odd)])} {ignore}"
    )


def check_lone_numbers(name: str, cells: Sequence[str], where: str) -> None:
    """Raises DataError if the only column is one of numbers: classes, grades, counts or shares.

    Whole numbers above `MOST_GRADES` are taken for classes.
    """
    numbers = sorted(set(cells), key=float)
    if not all(cell.isdigit() for cell in numbers):
        raise DataError(
            f"{where}: the numbers in column {name!r}, such as {numbers[0]}, are no labels. Write "
            "1 for those that mean present and 0 for the others."
        )
    if int(numbers[-1]) > MOST_GRADES or numbers == ["1"]:
        return
    present = [cell for cell in numbers if cell != "0"]
    raise DataError(
        f"{where}: the numbers in column {name!r} ({', '.join(numbers[:FEW_CELLS])}"
        f"{', ...' * (len(numbers) > FEW_CELLS)}) can be one of {len(numbers)} classes, each a "
        f"label, or grades or counts of one label. Set --data.table.names {name!r} for classes, or "
        f"--data.table.labels '[{quoted(name)}]' --data.table.present "
        f"'[{', '.join(map(quoted, present))}]' for one label."
    )


def check_cells(columns: Mapping[str, Sequence[str]], where: str) -> None:
    """Raises DataError for columns of texts that can be marks.

    These are columns with a few cells beside known marks, and several columns that all have the
    same few cells. The cells are plain ones.
    """
    mixed = {name: odd for name, cells in columns.items() if (odd := _beside_marks(cells))}
    if mixed:
        name, (first, *_) = next(iter(mixed.items()))
        all_odd = sorted({cell for odd in mixed.values() for cell in odd})
        raise DataError(
            f"{where}: column {name!r}: expected 1 and 0, or other cells that mean present and "
            f"absent, got {first!r} as well. Correct the cell, say what it means, or leave the "
            f"column out. {_meanings(all_odd, name)}"
        )
    different = sorted({cell for cells in columns.values() for cell in cells})
    alike = all(len({*cells}) > 1 for cells in columns.values())
    if len(columns) > 2 and alike and 1 < len(different) <= FEW_CELLS // 2:
        first, second = (quoted(cell) for cell in different[:2])
        raise DataError(
            f"{where}: {_shown(list(columns))} have the cells {', '.join(different)}, of which "
            "lcnet does not know which means present. Set "
            f"--data.table.present '[{first}]' or --data.table.present '[{second}]'."
        )


def _two(cells: Sequence[str]) -> bool:
    return len({*cells}) <= 2


def _beside_marks(cells: Sequence[str]) -> list[str]:
    """The few other cells of a column of known marks; empty if it has none, or no such marks."""
    for pair in PAIRS:
        odd = [cell for cell in cells if cell not in (*pair, MINUS, *NOT_KNOWN)]
        most = 2 if pair == PAIRS[0] else 4
        has_both = {*pair} - {""} <= {*cells}
        is_few = most * len(odd) <= len(cells)
        if (is_few and (has_both or most == 2)) or (has_both and "" not in pair and _two(odd)):
            return list(dict.fromkeys(odd))
    return []


def _meanings(cells: Sequence[str], column: str) -> str:
    settings = [(f"--data.table.{name}", cells) for name in ("present", "absent", "unknown")]
    return choices([*settings, ("--data.table.ignore", [column])])


def _shown(names: Sequence[str]) -> str:
    listed = ", ".join(map(repr, names[:4])) + ", ..." * (len(names) > 4)
    return f"the column{'s' * (len(names) > 1)} {listed}"
