"""The numbers that a setting or an argument allows, in its type: `Annotated[int, Within(0, 9)]`.

The error message and `--help` show a bound in the same words ("0 to 9").
"""

import functools
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    ParamSpec,
    Protocol,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from lcnet.errors import ConfigError


class Bound(Protocol):
    """Which numbers are allowed; `str()` gives it in words."""

    def admits(self, value: float) -> bool:
        """Whether the number is allowed."""


@dataclass(frozen=True)
class Within:
    """From `least` to `most`, both included; `words` replace the two numbers in messages."""

    least: float
    most: float
    words: str = ""

    def admits(self, value: float) -> bool:
        """Whether the number is allowed."""
        return self.least <= value <= self.most

    def __str__(self) -> str:
        return self.words or f"{self.least:,} to {self.most:,}"


@dataclass(frozen=True)
class AtLeast:
    """`least` or more."""

    least: float

    def admits(self, value: float) -> bool:
        """Whether the number is allowed."""
        return self.least <= value

    def __str__(self) -> str:
        return f"at least {self.least:,}" if self.least else "0 or more"


@dataclass(frozen=True)
class Above:
    """More than `limit`, and no more than `most`."""

    limit: float
    most: float = math.inf

    def admits(self, value: float) -> bool:
        """Whether the number is allowed."""
        return self.limit < value <= self.most

    def __str__(self) -> str:
        upper = "" if math.isinf(self.most) else f", at most {self.most:,}"
        return f"above {self.limit:,}{upper}"


@dataclass(frozen=True)
class Share:
    """Between 0 and 1; `zero` and `one` allow the two ends as well."""

    zero: bool = True
    one: bool = True

    def admits(self, value: float) -> bool:
        """Whether the number is allowed."""
        return 0 < value < 1 or (self.zero and value == 0) or (self.one and value == 1)

    def __str__(self) -> str:
        if self.zero:
            return "from 0 to 1" if self.one else "from 0 to below 1"
        return "above 0, at most 1" if self.one else "between 0 and 1"


def bound_of(hint: Any) -> Bound | None:
    """The bound in a type such as `Annotated[int, Within(0, 9)] | None`; None if it has none."""
    for part in members(hint):
        if get_origin(part) is Annotated:
            return next((note for note in get_args(part)[1:] if hasattr(note, "admits")), None)
    return None


def allowed(hint: Any) -> str:
    """The values that a bounded type allows: `at least 1, or auto`; empty if it has no bound."""
    bound = bound_of(hint)
    return "" if bound is None else ", or ".join([str(bound), *_literals(hint)])


LIST = "a list"
WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def described(hint: Any) -> str:
    """The values that a type allows: its bound, or `a whole number`, or `one of all, none`."""
    if bounded := allowed(hint):
        return bounded
    if len(parts := members(hint)) > 1:
        return " or ".join(described(part) for part in parts if part is not NoneType)
    if get_origin(hint) is Literal:
        choices = [str(choice) for choice in get_args(hint) if choice != ""]
        return f"one of {', '.join(choices)}" if len(choices) > 1 else choices[0]
    if get_origin(hint) in (list, tuple):
        return LIST
    return WORDS.get(hint, getattr(hint, "__name__", str(hint)))


def fits(value: object, hint: Any) -> bool:
    """Whether a value is within its type's bound; true if the type has none."""
    bound = bound_of(hint)
    if bound is None or value in _literals(hint) or (value is None and _takes_none(hint)):
        return True
    return isinstance(value, int | float) and bound.admits(value)


def members(hint: Any) -> tuple[Any, ...]:
    """The members of a union; of any other type, the type itself."""
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def check_bounds(section: Any, prefix: str) -> None:
    """Check every field of a dataclass against its bound; `prefix` is its section (`train`).

    Raises ConfigError for a number out of bounds, NaN, infinity, and None, which YAML gives for a
    key without a value.
    """
    hints = get_type_hints(type(section), include_extras=True)
    for field in fields(section):
        name = f"{prefix}.{field.name}"
        _check(getattr(section, field.name), hints[field.name], name, f"--{name}")


def check_arguments(hints: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Check arguments against the bounds in a function's type hints, both by name.

    Names without a hint are not checked. Raises ConfigError as `check_bounds` does, and names the
    flag.
    """
    for name, value in values.items():
        if name in hints:
            _check(value, hints[name], f"--{name}", f"--{name}")


def require(condition: bool, name: str, *, expected: str, got: object, flag: str = "") -> None:
    """Raises ConfigError unless the condition holds; `flag` is the flag to set if not --name."""
    if not condition:
        raise ConfigError(
            f"{name}: expected {expected}, got {got!r}. Set {flag or f'--{name}'} to such a value."
        )


def _check(value: object, hint: Any, name: str, flag: str) -> None:
    has_value = value is not None or _takes_none(hint)
    require(has_value, name, expected="a value", got=value, flag=flag)
    finite = not isinstance(value, float) or math.isfinite(value)
    require(finite, name, expected="a finite number", got=value, flag=flag)
    require(fits(value, hint), name, expected=allowed(hint), got=value, flag=flag)


def _literals(hint: Any) -> list[str]:
    parts = [part for part in members(hint) if get_origin(part) is Literal]
    return [value for part in parts for value in get_args(part)]


def _takes_none(hint: Any) -> bool:
    return any(part in (NoneType, None, Any) for part in members(hint))


Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def bounded(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """The function, with its arguments checked at every call against the bounds it declares.

    It then raises ConfigError as `check_arguments` does.
    """
    # get_type_hints would fail on a result's type that is imported for type checkers only.
    signature = inspect.signature(function)
    hints = {name: hint for name, hint in function.__annotations__.items() if name != "return"}

    @functools.wraps(function)
    def call(*given: Arguments.args, **named: Arguments.kwargs) -> Result:
        check_arguments(hints, signature.bind(*given, **named).arguments)
        return function(*given, **named)

    return call
