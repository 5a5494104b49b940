"""Whether the plain values in a file are what is expected of them: types, ranges, numbers of them.

Descriptions that others wrote are checked before anything is built from them. Every function raises
ValueError that says where, what was expected and what came.
"""

import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from lcnet.bounds import described, fits

LONGEST_NAME = 500
"""Characters of a name, at most."""
UNFIT = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Kinds of characters that no name has: controls, halves of characters, line ends."""
LARGEST_COUNT = 2**53
"""Up to here whole numbers are exact as floats, which counts are computed with."""


def check_fields(kind: type, found: object, where: str) -> dict[str, Any]:
    """What to build a dataclass from: its fields by name, each of its type and within its bounds.

    A field that is itself a dataclass is built of what stands for it.
    """
    given = check_mapping(found, where)
    hints = get_type_hints(kind, include_extras=True)
    for name in given:
        if name not in hints:
            raise ValueError(f"{where}: unknown {str(name)!r}")
    for field in fields(kind):
        if field.name in given:
            given[field.name] = _checked(
                given[field.name], hints[field.name], f"{where}.{field.name}"
            )
        elif field.default is MISSING and field.default_factory is MISSING:
            raise ValueError(f"{where}: no {field.name!r}")
    return given


def check_mapping(found: object, where: str) -> dict[str, Any]:
    """An object with names."""
    if not isinstance(found, Mapping):
        raise _error(where, "an object", found)
    return dict(found)


def check_numbers(
    found: object, where: str, *, count: int, least: float = -math.inf, most: float = math.inf
) -> tuple[float, ...]:
    """So many finite numbers within bounds."""
    values = _list(found, where)
    if len(values) != count:
        raise ValueError(f"{where}: expected {count:,} numbers, got {len(values):,}")
    for value in values:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not _is_finite(value) or not least <= value <= most:
            raise _error(where, f"finite numbers{_bounds(least, most)}", value)
    return tuple(values)


def check_counts(found: object, where: str, *, count: int) -> tuple[int, ...]:
    """So many whole numbers of 0 or more."""
    values = check_numbers(found, where, count=count, least=0, most=LARGEST_COUNT)
    if not all(isinstance(value, int) for value in values):
        raise ValueError(f"{where}: expected whole numbers")
    return tuple(int(value) for value in values)


def check_names(found: object, where: str) -> tuple[str, ...]:
    """At least one name, each once and fit to be written to a file."""
    names = _list(found, where)
    if not names:
        raise ValueError(f"{where}: expected at least one name, got none")
    seen: set[str] = set()
    for name in names:
        if not isinstance(name, str):
            raise _error(where, "names", name)
        if reason := unfit_name(name):
            raise ValueError(f"{where}: {reason}")
        if name in seen:
            raise ValueError(f"{where}: expected each name once, got {name!r} twice")
        seen.add(name)
    return tuple(names)


def unfit_name(name: str) -> str:
    """Why a label cannot be called so, or empty: too long, empty, or not to be written as text."""
    if len(name) > LONGEST_NAME:
        return (
            f"expected names of at most {LONGEST_NAME} characters, got one of {len(name):,}, "
            f"{name[:20]!r}..."
        )
    if not name.strip():
        return f"expected names, got {name!r}"
    if any(unicodedata.category(sign) in UNFIT for sign in name):
        return f"expected names without line ends, controls and broken characters, got {name!r}"
    return ""


def check_options(found: object, where: str, *, most: int = 16_384, length: int = 64) -> Any:
    """Plain values, none of which is large: text, numbers, and lists and objects of a few."""
    if isinstance(found, Mapping):
        if len(found) > length:
            raise ValueError(f"{where}: expected at most {length} entries, got {len(found):,}")
        for name, value in found.items():
            check_options(value, f"{where}.{str(name)[:50]}", most=most, length=length)
    elif isinstance(found, list | tuple):
        if len(found) > length:
            raise ValueError(f"{where}: expected at most {length} values, got {len(found):,}")
        for value in found:
            check_options(value, where, most=most, length=length)
    elif isinstance(found, int | float) and not isinstance(found, bool):
        if not _is_finite(found) or abs(found) > most:
            raise _error(where, f"numbers of at most {most:,}", found)
    elif isinstance(found, str):
        if len(found) > LONGEST_NAME:
            raise _error(where, f"at most {LONGEST_NAME} characters", found)
    elif not isinstance(found, bool | NoneType):
        raise _error(where, "plain values", found)
    return found


def _checked(value: object, hint: Any, where: str) -> object:
    """The value, if it is of the type and within its bounds; of a dataclass one that is built."""
    if isinstance(hint, type) and is_dataclass(hint):
        return hint(**check_fields(hint, value, where))
    if not _is_of_type(value, hint) or not fits(value, hint):
        raise _error(where, described(hint), value)
    return value


def _is_of_type(value: object, hint: Any) -> bool:
    origin = get_origin(hint)
    if origin is Annotated:
        return _is_of_type(value, get_args(hint)[0])
    if origin is Literal:
        return isinstance(value, str) and value in get_args(hint)
    if origin in (Union, UnionType):
        return any(_is_of_type(value, one) for one in get_args(hint))
    if hint is float:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and _is_finite(value)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53
    if origin is tuple:
        if not isinstance(value, list | tuple):
            return False
        inside = get_args(hint)
        if inside[-1] is Ellipsis:
            inside = inside[:1] * len(value)
        return len(value) == len(inside) and all(map(_is_of_type, value, inside))
    if origin is not None:  # Mapping[str, Any]
        return isinstance(value, Mapping)
    return isinstance(value, hint)


def _is_finite(value: object) -> bool:
    try:
        return math.isfinite(value)  # type: ignore[arg-type]
    except OverflowError:  # a whole number beyond all floats
        return False


def _list(found: object, where: str) -> Sequence[Any]:
    if not isinstance(found, list | tuple):
        raise _error(where, "a list", found)
    return found


def _bounds(least: float, most: float) -> str:
    if math.isinf(most):
        return "" if math.isinf(least) else f" of {least:g} or more"
    return f" from {least:g} to {most:g}"


def _error(where: str, expected: str, got: object) -> ValueError:
    shown = (
        repr(got) if isinstance(got, str | int | float | bool | NoneType) else type(got).__name__
    )
    return ValueError(f"{where}: expected {expected}, got {shown[:80]}")
