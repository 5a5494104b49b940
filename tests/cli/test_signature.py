"""The signature is the command: a verb's flags are its function's parameters."""

import inspect
from argparse import SUPPRESS
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import pytest
from jsonargparse import Namespace

from lcnet.bounds import AtLeast, bounded
from lcnet.cli.signature import FOR_PYTHON, arguments_of, parser_of, summary
from lcnet.cli.verbs import VERBS
from lcnet.config import Config, Data, Model
from lcnet.errors import ConfigError


@bounded
def sort(
    table: Path | str,
    others: Sequence[str],
    *,
    out: Path | None = None,
    by: Literal["name", "size"] = "name",
    limit: Annotated[int, AtLeast(1)] = 5,
    parts: Mapping[str, float] | None = None,
    seeds: Sequence[int] = (0, 1),
    reverse: bool = False,
    quiet: bool = False,
) -> str:
    """Sort a table. In a way of your own.

    Args:
        table: What is sorted.
        others: What goes
            with it.
        out: Where it goes.
        by: What it is sorted by.
        limit: Rows, at most.
        parts: Shares of each.
        seeds: Seeds.
        reverse: From the end.
        quiet: Print nothing.
    """
    return f"{table} {limit}"


def parsed(words: str) -> dict:
    return arguments_of(
        sort, parser_of(sort).parse_args([word.replace("_", " ") for word in words.split()])
    )


def test_parameters_become_flags_and_come_back_as_arguments():
    assert parsed("a.csv b c") == {
        "table": Path("a.csv"),
        "others": ["b", "c"],
        "out": None,
        "by": "name",
        "limit": 5,
        "parts": None,
        "seeds": [0, 1],
        "reverse": False,
    }
    given = parsed("a.csv b --out x --by size --limit 2 --reverse --seeds [3] --parts {a:_0.5}")
    assert (given["out"], given["by"], given["limit"]) == (Path("x"), "size", 2)
    assert (given["reverse"], given["seeds"], given["parts"]) == (True, [3], {"a": 0.5})
    with pytest.raises(ConfigError, match="--by"):
        parsed("a.csv b --by colour")


def test_the_help_is_the_docstring_with_bounds_and_defaults():
    text = " ".join(parser_of(sort).format_help().split())
    assert "Sort a table." in text
    assert "What goes with it." in text
    assert "Rows, at most. (at least 1, default: 5)" in text
    assert "quiet" not in text


def test_bounds_are_held_from_python_and_from_the_command_line():
    with pytest.raises(ConfigError, match="--limit: expected at least 1, got 0"):
        sort("a.csv", [], limit=0)
    with pytest.raises(ConfigError, match="--limit: expected at least 1, got 0"):
        sort(**parsed("a.csv b --limit 0"))
    assert sort("a.csv", [], limit=1) == "a.csv 1"


def test_a_data_set_is_described_whole_or_taken_from_a_file(tmp_path):
    def look(data: Data, *, split: str = "") -> None:
        """Look.

        Args:
            data: What to look at.
            split: Which.
        """

    Config(data=Data(root="elsewhere")).save(tmp_path / "it.yaml")
    words = f"--config {tmp_path / 'it.yaml'} --data.train first".split()
    given = arguments_of(look, parser_of(look).parse_args(words))
    assert given == {"data": Data(root="elsewhere", train="first"), "split": ""}
    with pytest.raises(ConfigError, match=r"PATH: expected the folder or label file of a data set"):
        arguments_of(look, parser_of(look).parse_args([]))


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_parameter_of_a_verb_is_explained_and_is_a_flag(verb):
    function, parser = VERBS[verb].function, VERBS[verb].parser()
    assert summary(function).endswith(".")
    actions = {action.dest: action for action in parser._actions}
    for name, parameter in inspect.signature(function).parameters.items():
        if name in FOR_PYTHON:
            assert name not in actions
        elif parameter.annotation is Config:
            assert "model.backbone" in actions
        elif name == "data":
            assert "data.format" in actions
        else:
            assert actions[name].help not in (None, "", SUPPRESS)


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_defaults_of_the_flags_are_those_of_the_function(verb):
    function, parser = VERBS[verb].function, VERBS[verb].parser()
    defaults = parser.get_defaults()
    for name, parameter in inspect.signature(function).parameters.items():
        if name in (*FOR_PYTHON, "data", "config") or parameter.default is parameter.empty:
            continue
        shown, default = defaults[name], parameter.default
        assert shown == (list(default) if isinstance(default, tuple) else default), name


def test_settings_make_a_config():
    def work(config: Config, out: Path) -> None:
        """Work.

        Args:
            config: All settings.
            out: Where.
        """

    parser = parser_of(work)
    parsed = parser.instantiate(parser.parse_args(["--model.depth", "3", "--out", "x"]))
    assert isinstance(parsed, Namespace)
    given = arguments_of(work, parsed)
    assert given == {"config": Config(model=Model(depth=3)), "out": Path("x")}
