"""The names in a cell: joined by a separator, or as a list in JSON or Python."""

import ast
import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from lcnet.data.readers.table_cells import NO_CELL
from lcnet.errors import DataError

STRONG = ("|", ";", "\t", "\n")
"""Separators that a name hardly ever contains."""
WEAK = (",", " & ", "/", "+", "&", " ")
"""Separators if the parts are names."""
IN_NAMES = ("-", "_")
"""Signs that join the words of a name, and sometimes names."""
HASH = "#"
"""Starts each name of a column of hashtags, which are joined by a blank, a comma or nothing."""
OTHERS = (",", "/", "+", "&")
"""Signs that may join names beside another one."""
ANY_OF = re.compile(r"(?!(.).*\1)[|;,\t\n/&+]{2,}", re.S)
"""A separator of several signs, each of which separates."""
NO_VALUE = NO_CELL | {"", "nan", "none", "null", "na", "n/a", "<na>", "[]", "{}", "set()", "()"}
"""Cells that a program writes where there is no value, in lower case."""
EMPTY, EMPTY_LIST = "", "[]"
"""What settings call a cell without a value, and a list without names."""
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
    return parts_of(cell, separator)


class Entry(NamedTuple):
    """What a cell of names says."""

    names: tuple[str, ...]
    blank: str | None = None
    """`EMPTY` or `EMPTY_LIST` if it names no label, not even one that means none; else None."""
    is_unknown: bool = False
    """Whether nothing is known of any label."""


def entry_of(
    cell: str, separator: str, none: Collection[str] = (), unknown: Collection[str] = ()
) -> Entry:
    """What a cell says; names among `none` mean no label, cells among `unknown` say nothing.

    Both are in lower case. In `unknown`, `EMPTY` is every cell without a value, such as nan.
    """
    plain = cell.strip().lower()
    names = names_in(cell, separator)
    blank = None if names else EMPTY_LIST if plain[:1] + plain[-1:] in WRAPS else EMPTY
    if unknown and (plain in unknown or blank in unknown):
        return Entry((), blank, is_unknown=True)
    return Entry(tuple(name for name in names if name.lower() not in none), blank)


def plain_names(cells: Iterable[str]) -> frozenset[str]:
    """Cells as `entry_of` compares them."""
    return frozenset(cell.strip().lower() for cell in cells)


def parts_of(text: str, separator: str) -> list[str]:
    """What a text falls into at a separator, or at each sign of one such as `;,`.

    After `#`, what joins hashtags is left out, too.
    """
    separator = separator.replace("\\t", "\t")
    if ANY_OF.fullmatch(separator):
        pieces = re.split(f"[{re.escape(separator)}]", text)
    else:
        pieces = text.split(separator)
    around = " \t\r\n,;|" if separator == HASH else None
    return [name for piece in pieces if (name := piece.strip(around).strip())]


def separator_of(cells: Iterable[str], where: str) -> str:
    """What joins the names in the cells of a column.

    A bar, semicolon or tab does wherever it occurs. A comma or a blank does if the parts are names:
    each part of a cell stands alone in another, or occurs in several others. `#` does if each cell
    starts with it. Raises DataError if that holds for some cells only, or if two signs do.
    """
    plain = {cell.strip() for cell in cells if as_list(cell) is None}
    distinct = sorted(cell for cell in plain if cell.lower() not in NO_VALUE | NOTHING)
    if _are_hashtags(distinct, where):
        return HASH
    strong = [sign for sign in STRONG if any(sign in cell for cell in distinct)]
    if len(strong) > 1:
        raise _mixed(where, strong, [_with(distinct, sign) for sign in strong])
    if strong:
        _check_no_other(distinct, strong[0], where)
        return strong[0]
    for sign in WEAK:
        joined = [cell for cell in distinct if sign in cell]
        if not joined:
            continue
        fitting = _decomposed(joined, distinct, sign)
        share = len(fitting) / len(joined)
        if share >= 0.9:
            _check_no_other(distinct, sign, where)
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


def _with(cells: Iterable[str], sign: str) -> str:
    return max((cell for cell in cells if sign in cell), key=lambda cell: sign in cell.strip(sign))


def _are_hashtags(distinct: Sequence[str], where: str) -> bool:
    """Whether each cell starts with `#`. Raises DataError if `#` starts some of the names only."""
    tagged = [cell for cell in distinct if cell.startswith(HASH)]
    if not tagged:
        return False
    names = [name for cell in distinct for name in parts_of(cell, HASH)]
    if len(tagged) == len(distinct):
        inside = [(name, sign) for name in names for sign in (*STRONG, ",") if sign in name]
        if not inside:
            return True
        name, sign = inside[0]
        raise _doubt(where, _with(distinct, name), [HASH, sign])
    glued = [cell for cell in tagged if HASH in cell[1:].rstrip(HASH)]
    bare = {cell for cell in distinct if HASH not in cell}
    also = [cell for cell in tagged if cell.lstrip(HASH) in bare]
    if glued or also:
        raise _doubt(where, (glued or also)[0], [HASH, "|"])
    return False


def _check_no_other(distinct: Sequence[str], separator: str, where: str) -> None:
    """Raises DataError if names that a sign separates are joined by another sign elsewhere."""
    pieces = sorted({name for cell in distinct for name in parts_of(cell, separator)})
    for sign in OTHERS[OTHERS.index(separator) + 1 :] if separator in OTHERS else OTHERS:
        joined = [name for name in pieces if sign in name.strip(sign)]
        if found := _decomposed(joined, pieces, sign, enough=len(pieces) + 1):
            cell = next(cell for cell in distinct if found & {*parts_of(cell, separator)})
            raise _mixed(where, [separator, sign], [_with(distinct, separator), cell])


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


def _mixed(where: str, signs: Sequence[str], cells: Sequence[str]) -> DataError:
    """The error for cells that several signs seem to separate."""
    first, second = signs[:2]
    return DataError(
        f"{where}: names seem to be joined by {first!r} in some cells ({cells[0]!r}) and by "
        f"{second!r} in others ({cells[1]!r}). Set --data.separator {first!r} or --data.separator "
        f"{second!r} if the other sign belongs to names, or --data.separator {''.join(signs)!r} if "
        "each of them joins names."
    )


def _doubt(where: str, cell: str, signs: Sequence[str]) -> DataError:
    first, second = (f"--data.separator {sign!r}" for sign in signs[:2])
    return DataError(f"{where}: {cell!r} can be one name or several. Set {first} or {second}.")
