"""The names in a cell: joined by a separator, or as a list in JSON or Python."""

import ast
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from lcnet.errors import DataError

STRONG = ("|", ";", "\t", "\n")
"""Separators that a name hardly ever contains."""
WEAK = (",", " & ", "/", "+", "&", " ")
"""Separators if the parts are names."""
IN_NAMES = ("-", "_")
"""Signs that join the words of a name, and sometimes names."""
NO_VALUE = frozenset({"", "nan", "none", "null", "na", "n/a", "<na>", "[]", "{}", "set()", "()"})
"""Cells that a program writes where there is no value, in lower case."""
NOTHING = frozenset({"no finding", "no findings", "no label", "no labels", "nothing", "unlabeled"})
"""Names that say that there is no label, in lower case."""
QUOTED = r"(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")"
NUMPY = re.compile(rf"\[\s*{QUOTED}(?:\s+{QUOTED})+\s*\]")
"""A list of texts as NumPy prints it, without commas: `['cat' 'dog']`."""
BARE = re.compile(r"[^\[\]{}():'=]+")
"""The inside of a list without quotation marks."""
MARKS = re.compile(r"[01]{3,}|[\[(]?\s*[01](?:\.0*)?(?:[\s,;|]+[01](?:\.0*)?){2,}\s*[\])]?")
"""A 1 or 0 for each of three or more labels, joined or not."""
WRAPS = ("[]", "{}", "()")
LONGEST_LIST = 2**20
"""Characters of the longest cell that is parsed as a list."""


def as_list(cell: str) -> list[str] | None:
    """The names in a cell that is a list in JSON or Python, also Label Studio's; else None."""
    text = cell.strip()
    if text[:1] + text[-1:] not in WRAPS or len(text) > LONGEST_LIST:
        return None
    if NUMPY.fullmatch(text):  # before Python, which would join the texts to one
        return [str(ast.literal_eval(quoted)).strip() for quoted in re.findall(QUOTED, text)]
    for parse in (json.loads, ast.literal_eval):
        try:
            value = parse(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            continue
        if isinstance(value, dict):
            value = value.get("choices", value.get("labels"))
        if isinstance(value, set):
            value = sorted(value, key=str)
        if isinstance(value, list | tuple) and all(isinstance(one, str | int) for one in value):
            return [str(name).strip() for name in value]
    return _bare_list(text)


def _bare_list(text: str) -> list[str] | None:
    """The names in a list without quotation marks, such as `[cat, hot dog]` or `{cat,dog}`."""
    inner = text[1:-1]
    if text[0] == "(" or not BARE.fullmatch(inner):
        return None
    return [name for part in inner.split(",") if (name := part.strip().strip('"').strip())]


def names_in(cell: str, separator: str) -> list[str]:
    """The names in a cell; a cell without a value has none."""
    if cell.strip().lower() in NO_VALUE:
        return []
    if (listed := as_list(cell)) is not None:
        return listed
    return [name for part in cell.split(separator) if (name := part.strip())]


def separator_of(cells: Iterable[str], where: str) -> str:
    """What joins the names in the cells of a column.

    A bar, semicolon or tab does wherever it occurs. A comma or a blank does if the parts are names:
    each part of a cell stands alone in another, or occurs in several others. Raises DataError if
    that holds for some cells only, or if both a bar and a semicolon occur.
    """
    plain = {cell.strip() for cell in cells if as_list(cell) is None}
    distinct = sorted(cell for cell in plain if cell.lower() not in NO_VALUE | NOTHING)
    strong = [sign for sign in STRONG if any(sign in cell for cell in distinct)]
    if len(strong) > 1:
        raise _doubt(where, next(cell for cell in distinct if strong[0] in cell), strong)
    if strong:
        return strong[0]
    for sign in WEAK:
        joined = [cell for cell in distinct if sign in cell]
        if not joined:
            continue
        fitting = _decomposed(joined, distinct, sign)
        share = len(fitting) / len(joined)
        if share >= 0.9:
            return sign
        if all(part.isdigit() for cell in joined for part in cell.split(sign)):
            return sign  # numbers of labels
        unlike = [cell for cell in joined if cell not in fitting]
        if share > 0.1:
            raise _doubt(where, unlike[0], [sign, "|"])
        if few := _decomposed(joined, distinct, sign, enough=2):
            raise _doubt(where, min(few), [sign, "|"])
    for sign in IN_NAMES:
        joined = [cell for cell in distinct if sign in cell]
        if joined and 2 * len(_decomposed(joined, distinct, sign)) > len(joined):
            raise _doubt(where, joined[0], [sign, "|"])
    return "|"


def check_are_names(cells: Iterable[str], where: str) -> None:
    """Raises DataError if the cells of a column say 1 or 0 for each label in place of names."""
    distinct = sorted({cell.strip() for cell in cells} - {""})
    if len(distinct) < 2:
        return
    is_marks = len(set(map(len, distinct))) == 1 and all(map(MARKS.fullmatch, distinct))
    wrong = distinct if is_marks else [cell for cell in distinct if _is_mapping(cell)]
    if wrong:
        raise DataError(
            f"{where}: expected the names of labels, got {wrong[0][:80]!r}, which seems to say "
            "something of each label. Write a column of 1 and 0 for each label."
        )


def _is_mapping(cell: str) -> bool:
    if (
        cell[0] != "{"
        or cell.lower() in NO_VALUE
        or as_list(cell) is not None
        or len(cell) > LONGEST_LIST
    ):
        return False
    try:
        return isinstance(ast.literal_eval(cell), dict)
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        return re.fullmatch(r'\{\s*"[^"]*"\s*:.*\}', cell, re.S) is not None


def _decomposed(
    joined: Sequence[str], distinct: Sequence[str], sign: str, *, enough: int = 0
) -> set[str]:
    """The joined cells of which each part is a name: it stands alone, or `enough` cells have it.

    Without a number that is three for a blank, which is also in names, and two for other signs.
    """
    parts_of = {
        cell: [part.strip() for part in cell.split(sign) if part.strip()] for cell in joined
    }
    alone = set(distinct)
    seen = Counter(part for parts in parts_of.values() for part in set(parts))
    enough = enough or (3 if sign == " " else 2)
    return {
        cell
        for cell, parts in parts_of.items()
        if all(part in alone or seen[part] >= enough for part in parts)
    }


def _doubt(where: str, cell: str, signs: Sequence[str]) -> DataError:
    first, second = (f"--data.separator {sign!r}" for sign in signs[:2])
    return DataError(f"{where}: {cell!r} can be one name or several. Set {first} or {second}.")
