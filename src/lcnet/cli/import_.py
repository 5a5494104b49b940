"""`lcnet import`: its flags, and the call they lead to."""

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from lcnet.cli.flags import add_data, data_of
from lcnet.cli.parser import Parser

HELP = "Turn a published checkpoint into a model folder."


def make_parser() -> ArgumentParser:
    """The flags of `lcnet import`."""
    parser = Parser()
    parser.add_argument(
        "checkpoint",
        type=Path,
        help="Published checkpoint of LCNet, ML-Decoder, ASL or Query2Label, the folder of "
        "LCNet's model_best.pth.tar, or hf://user/name.",
    )
    parser.add_argument("--out", type=Path, required=True, help="Model folder to make.")
    parser.add_argument(
        "--labels", default="", help="Text file with a label name per line, or names with commas."
    )
    parser.add_argument(
        "--correlation",
        type=Path | None,
        help="LCNet: .npy with the L x L label correlations that its graph starts from.",
    )
    parser.add_argument("--crop_level", type=int | None, help="Crop-Forwarding level.")
    parser.add_argument("--view_size", type=int | None, help="Side of a view in pixels.")
    parser.add_argument("--heads", type=int | None, help="Attention heads of the decoder.")
    add_data(parser)
    return parser


def run(arguments: Namespace) -> int:
    """Turn a published checkpoint into a model folder."""
    from lcnet.published.import_model import Choices, import_model

    choices = Choices(
        labels=arguments.labels,
        correlation=arguments.correlation,
        crop_level=arguments.crop_level,
        view_size=arguments.view_size,
        heads=arguments.heads,
        data=data_of(arguments),
    )
    import_model(arguments.checkpoint, arguments.out, choices)
    return 0
