"""`lcnet evaluate`: its flags, and the call they lead to."""

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from lcnet.cli.flags import data_of, measuring_parser, model_of
from lcnet.evaluating.protocols import PROTOCOLS

HELP = "Measure a model on a split."


def make_parser() -> ArgumentParser:
    """The flags of `lcnet evaluate`."""
    parser = measuring_parser(split="Split; the protocol's or data.test if not given.")
    parser.add_argument(
        "--protocol",
        default="",
        help=f"Measure as published: {', '.join(PROTOCOLS)}. docs/metrics.md says what each does.",
    )
    parser.add_argument(
        "--threshold",
        type=float | None,
        help="One threshold for all labels; the protocol's or the model's own if not given.",
    )
    parser.add_argument(
        "--out", type=Path | None, help="JSON file to write; MODEL/metrics.json if not given."
    )
    parser.add_argument(
        "--intervals",
        action="store_true",
        help="Add 95 %% intervals of mAP, CF1 and OF1 over images (1,000 resamples).",
    )
    return parser


def run(arguments: Namespace) -> int:
    """Measure a model."""
    from lcnet.evaluating.evaluate import evaluate

    evaluate(
        model_of(arguments, own_file="--out FILE.json"),
        split=arguments.split,
        root=arguments.root,
        threshold=arguments.threshold,
        data=data_of(arguments),
        protocol=arguments.protocol,
        batch_size=arguments.batch_size,
        out=arguments.out,
        with_intervals=arguments.intervals,
    )
    return 0
