"""`lcnet split`: its flags, and the call they lead to."""

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from lcnet.cli.parser import Parser

HELP = "Split a table so that labels have the same shares."


def make_parser() -> ArgumentParser:
    """The flags of `lcnet split`."""
    parser = Parser()
    parser.add_argument("table", type=Path, help="CSV file with a row per picture.")
    parser.add_argument(
        "--shares",
        type=dict[str, float],
        default={"train": 0.8, "val": 0.1, "test": 0.1},
        help="Share of the rows for each file to write: '{train: 0.8, val: 0.2}'.",
    )
    parser.add_argument(
        "--out", type=Path | None, help="Folder for the files; the table's own if not given."
    )
    parser.add_argument(
        "--separator", default="|", help="What stands between the names in one column."
    )
    parser.add_argument("--seed", type=int, default=0, help="Seed of the choice.")
    parser.add_argument("--overwrite", action="store_true", help="Replace files that are there.")
    return parser


def run(arguments: Namespace) -> int:
    """Split a table into several with the same label shares."""
    from lcnet.data.split import split

    split(
        arguments.table,
        arguments.out,
        arguments.shares,
        separator=arguments.separator,
        seed=arguments.seed,
        overwrite=arguments.overwrite,
    )
    return 0
