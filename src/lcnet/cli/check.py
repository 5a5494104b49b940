"""`lcnet check`: its flags, and the call they lead to."""

from dataclasses import replace
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from lcnet.cli.flags import add_data, model_of
from lcnet.cli.parser import Parser
from lcnet.config import Config

HELP = "Find what is wrong with a data set before training."


def make_parser() -> ArgumentParser:
    """The flags of `lcnet check`."""
    parser = Parser()
    parser.add_argument(
        "--config",
        type=Path | None,
        help="YAML file with settings, such as a run's, whose data set is checked; --data flags "
        "override it.",
    )
    parser.add_argument(
        "--json", type=Path | None, help="File for the findings: a list of kind, where, detail."
    )
    parser.add_argument("--html", type=Path | None, help="File for the page.")
    parser.add_argument(
        "--model",
        type=Path | None,
        help="Run or model folder whose predictions show suspicious labels; needs lcnet[check].",
    )
    parser.add_argument(
        "--split", default="", help="Split that the model judges; val and test if not given."
    )
    add_data(parser)
    return parser


def run(arguments: Namespace) -> int:
    """Check a data set; the exit code is 1 if training on it is not safe."""
    from lcnet.checking.check import check

    start = Config() if arguments.config is None else Config.load(arguments.config)
    given = arguments.get("data")
    report = check(
        replace(start.data, **given.as_dict()) if given else start.data,
        model=None if arguments.model is None else model_of(arguments),
        split=arguments.split,
        json_file=arguments.json,
        html=arguments.html,
    )
    return 0 if report.is_safe else 1
