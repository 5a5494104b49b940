"""`lcnet push`: its flags, and the call they lead to."""

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from lcnet.cli.parser import Parser

HELP = "Share a model, with a page of what was measured."


def make_parser() -> ArgumentParser:
    """The flags of `lcnet push`."""
    parser = Parser()
    parser.add_argument("model", type=Path, help="Run or model folder that was measured.")
    parser.add_argument("name", help="Repository, as user/name or user/name@branch.")
    parser.add_argument(
        "--license", default="", help="Identifier for the card, such as apache-2.0."
    )
    parser.add_argument("--dataset", default="", help="What the measured data set is called.")
    parser.add_argument(
        "--private", action="store_true", help="Make the repository private if it is new."
    )
    parser.add_argument("--message", default="", help="Of the commit.")
    parser.add_argument(
        "--with_report",
        action="store_true",
        help="Upload report.html too, which shows some of the pictures.",
    )
    parser.add_argument(
        "--with_metrics",
        action="store_true",
        help="Upload metrics.json too, without the path of the data set.",
    )
    parser.add_argument(
        "--dry_run", type=Path | None, help="Folder to write the files to; nothing is sent."
    )
    return parser


def run(arguments: Namespace) -> int:
    """Share a model."""
    from lcnet.hub import require_own
    from lcnet.reporting.push import push

    require_own(arguments.model)
    push(
        arguments.model,
        arguments.name,
        license=arguments.license,
        dataset=arguments.dataset,
        private=arguments.private,
        message=arguments.message,
        with_report=arguments.with_report,
        with_metrics=arguments.with_metrics,
        dry_run=arguments.dry_run,
    )
    return 0
