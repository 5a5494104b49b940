"""Bounds: which numbers they admit, how they say it, and that arguments are held to them."""

import math
from typing import Annotated, Any, Literal

import pytest

from lcnet.bounds import Above, AtLeast, Share, Within, allowed, check_arguments, described
from lcnet.errors import ConfigError


@pytest.mark.parametrize(
    ("bound", "words", "inside", "outside"),
    [
        (Within(1, 1_000_000), "1 to 1,000,000", [1, 500, 1_000_000], [0, 1_000_001]),
        (Within(-1, 8, "-1 (automatic) or 0 to 8"), "-1 (automatic) or 0 to 8", [-1, 8], [-2, 9]),
        (AtLeast(0), "0 or more", [0, 0.5, 10**9], [-1]),
        (AtLeast(1), "at least 1", [1], [0]),
        (Above(0), "above 0", [1e-9], [0, -1]),
        (Above(0, 604_800), "above 0, at most 604,800", [604_800], [0, 604_801]),
        (Share(), "from 0 to 1", [0, 0.5, 1], [-0.1, 1.1]),
        (Share(one=False), "from 0 to below 1", [0, 0.999], [1, -1]),
        (Share(zero=False), "above 0, at most 1", [1, 0.01], [0, 1.01]),
        (Share(zero=False, one=False), "between 0 and 1", [0.5], [0, 1]),
    ],
)
def test_a_bound_admits_what_its_words_say(bound, words, inside, outside):
    assert str(bound) == words
    assert all(map(bound.admits, inside))
    assert not any(map(bound.admits, outside))


def test_a_type_is_described_by_its_bound_or_else_by_what_it_is():
    count = Annotated[int, AtLeast(1)]
    assert allowed(count | None) == "at least 1"
    assert allowed(count | Literal["auto"]) == "at least 1, or auto"
    assert (allowed(int), described(int)) == ("", "a whole number")
    assert described(count) == "at least 1"
    assert described(Literal["all", "none"]) == "one of all, none"
    assert described(float | None) == "a number"


def export(
    *,
    limit: Annotated[int, Within(1, 1_000_000)] = 500,
    batch: Annotated[int, AtLeast(1)] | Literal["auto"] = "auto",
    threshold: Annotated[float, Share()] | None = None,
    speed: float = 1.0,
    **others: Any,
) -> None:
    """A verb with bounds."""


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("limit", 0, "--limit: expected 1 to 1,000,000, got 0. Set --limit to such a value."),
        ("limit", None, "--limit: expected a value, got None."),
        ("batch", 0, "--batch: expected at least 1, or auto, got 0."),
        ("batch", "most", "--batch: expected at least 1, or auto, got 'most'."),
        ("threshold", 1.5, "--threshold: expected from 0 to 1, got 1.5."),
        ("threshold", math.nan, "--threshold: expected a finite number, got nan."),
        ("speed", math.inf, "--speed: expected a finite number, got inf."),
    ],
)
def test_an_argument_out_of_its_bounds_is_named_by_its_flag(name, value, message):
    with pytest.raises(ConfigError) as error:
        check_arguments(export.__annotations__, {name: value})
    assert str(error.value).startswith(message)


def test_arguments_within_their_bounds_pass():
    values = {"limit": 1, "batch": "auto", "threshold": None, "unknown": 3}
    check_arguments(export.__annotations__, values)
    check_arguments({"limit": Annotated[int, AtLeast(1)]}, {"limit": 1})
