"""`lcnet report`: its flags, and the call they lead to."""

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from lcnet.cli.flags import data_of, measuring_parser, model_of
from lcnet.evaluating.protocols import PROTOCOLS

HELP = "Write all that is known of a run as one HTML page."


def make_parser() -> ArgumentParser:
    """The flags of `lcnet report`."""
    parser = measuring_parser(split="Split; the protocol's or data.test if not given.")
    parser.add_argument(
        "--protocol", default="", help=f"Measure as published: {', '.join(PROTOCOLS)}."
    )
    parser.add_argument(
        "--out", type=Path | None, help="HTML file to write; MODEL/report.html if not given."
    )
    return parser


def run(arguments: Namespace) -> int:
    """Write the page of a run."""
    from lcnet.reporting.report import report

    report(
        model_of(arguments, own_file="--out FILE.html"),
        split=arguments.split,
        root=arguments.root,
        data=data_of(arguments),
        protocol=arguments.protocol,
        batch_size=arguments.batch_size,
        out=arguments.out,
    )
    return 0
