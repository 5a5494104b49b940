"""Checks plain values from a file: their types, ranges and counts.

A file may come from anybody, so its values are checked before anything is built from them. Every
check raises ValueError that says where, what was expected and what was there.
"""

import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from lcnet.bounds import described, fits

COMPARED = 100
"""Letters of a name that are compared with others: the time grows with their square."""
LONGEST_NAME = 500
"""Most characters in a name."""
UNFIT = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode categories not allowed in names: controls, lone surrogates, line ends."""
LARGEST_COUNT = 2**53
"""Counts are computed as floats, which hold whole numbers exactly up to here."""


def check_fields(kind: type, stored: object, where: str) -> dict[str, Any]:
    """The arguments that build a dataclass: its fields by name, of the right types and in bounds.

    A field that is itself a dataclass is built from its own fields.
    """
    given = check_mapping(stored, where)
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


def check_mapping(stored: object, where: str) -> dict[str, Any]:
    """The value as a dictionary, if it is a JSON object."""
    if not isinstance(stored, Mapping):
        raise _error(where, "an object", stored)
    return dict(stored)


def check_numbers(
    stored: object, where: str, *, count: int, least: float = -math.inf, most: float = math.inf
) -> tuple[float, ...]:
    """Exactly `count` finite numbers from `least` to `most`."""
    values = _list(stored, where)
    if len(values) != count:
        raise ValueError(f"{where}: expected {count:,} numbers, got {len(values):,}")
    for value in values:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not _is_finite(value) or not least <= value <= most:
            raise _error(where, f"finite numbers{_bounds(least, most)}", value)
    return tuple(values)


def check_counts(stored: object, where: str, *, count: int) -> tuple[int, ...]:
    """Exactly `count` whole numbers of 0 or more."""
    values = check_numbers(stored, where, count=count, least=0, most=LARGEST_COUNT)
    if not all(isinstance(value, int) for value in values):
        raise ValueError(f"{where}: expected whole numbers")
    return tuple(int(value) for value in values)


def unknown_label(name: object, labels: Sequence[str]) -> str:
    """What to say of a name that is no label, with the nearest one."""
    import difflib

    near = difflib.get_close_matches(str(name)[:COMPARED], labels, n=1, cutoff=0.0)[0]
    return f"no label is called {name!r}, the nearest of the {len(labels):,} is {near!r}"


def check_names(stored: object, where: str) -> tuple[str, ...]:
    """At least one name, none twice, each fit to be written to a file."""
    names = _list(stored, where)
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
    """Why a text cannot be a label name: too long, blank or unprintable; empty if it can be one."""
    if len(name) > LONGEST_NAME:
        return (
            f"expected names of at most {LONGEST_NAME} characters, got one of {len(name):,}, "
            f"{name[:20]!r}..."
        )
    if not name.strip():
        return f"expected names, got {name!r}"
    if any(unicodedata.category(character) in UNFIT for character in name):
        return f"expected names without line ends, controls and broken characters, got {name!r}"
    return ""


def check_options(stored: object, where: str, *, most: int = 16_384, length: int = 64) -> Any:
    """The same value, if it is plain and small: text, numbers, short lists and objects of these.

    Numbers are at most `most`, and lists and objects have at most `length` entries.
    """
    if isinstance(stored, Mapping):
        if len(stored) > length:
            raise ValueError(f"{where}: expected at most {length} entries, got {len(stored):,}")
        for name, value in stored.items():
            check_options(value, f"{where}.{str(name)[:50]}", most=most, length=length)
    elif isinstance(stored, list | tuple):
        if len(stored) > length:
            raise ValueError(f"{where}: expected at most {length} values, got {len(stored):,}")
        for value in stored:
            check_options(value, where, most=most, length=length)
    elif isinstance(stored, int | float) and not isinstance(stored, bool):
        if not _is_finite(stored) or abs(stored) > most:
            raise _error(where, f"numbers of at most {most:,}", stored)
    elif isinstance(stored, str):
        if len(stored) > LONGEST_NAME:
            raise _error(where, f"at most {LONGEST_NAME} characters", stored)
    elif not isinstance(stored, bool | NoneType):
        raise _error(where, "plain values", stored)
    return stored


def _checked(value: object, hint: Any, where: str) -> object:
    """The value, if it is of the type and in bounds; for a dataclass, the built instance."""
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
        return any(_is_of_type(value, member) for member in get_args(hint))
    if hint is float:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and _is_finite(value)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53
    if origin is tuple:
        if not isinstance(value, list | tuple):
            return False
        items = get_args(hint)
        if items[-1] is Ellipsis:
            items = items[:1] * len(value)
        return len(value) == len(items) and all(map(_is_of_type, value, items))
    if origin is not None:  # Mapping[str, Any]
        return isinstance(value, Mapping)
    return isinstance(value, hint)


def _is_finite(value: object) -> bool:
    try:
        return math.isfinite(value)  # type: ignore[arg-type]
    except OverflowError:  # a whole number beyond all floats
        return False


def _list(stored: object, where: str) -> Sequence[Any]:
    if not isinstance(stored, list | tuple):
        raise _error(where, "a list", stored)
    return stored


def _bounds(least: float, most: float) -> str:
    if math.isinf(most):
        return "" if math.isinf(least) else f" of {least:g} or more"
    return f" from {least:g} to {most:g}"


def _error(where: str, expected: str, got: object) -> ValueError:
    shown = (
        repr(got) if isinstance(got, str | int | float | bool | NoneType) else type(got).__name__
    )
    return ValueError(f"{where}: expected {expected}, got {shown[:80]}")
