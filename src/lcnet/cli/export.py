"""`lcnet export`: its flags, and the call they lead to."""

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from lcnet.cli.flags import add_data, data_of, model_of
from lcnet.cli.parser import Parser

HELP = "Write a model for another runtime, and check the file."


def make_parser() -> ArgumentParser:
    """The flags of `lcnet export`."""
    parser = Parser()
    parser.add_argument("model", type=Path, help="Run or model folder, or hf://user/name.")
    parser.add_argument(
        "--format",
        choices=["onnx", "torch", "openvino"],
        default="onnx",
        help="What runs the file: onnxruntime, torch.export or OpenVINO.",
    )
    parser.add_argument(
        "--out",
        type=Path | None,
        help="File to write; model.onnx, model.pt2 or model.xml in the folder if not given.",
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        default=1e-3,
        help="Largest difference from the model's logits; above it no file is left.",
    )
    parser.add_argument(
        "--pictures",
        default="",
        help="Split, or pictures, folder or glob, to check with; the validation or test split if "
        "not given.",
    )
    parser.add_argument("--limit", type=int, default=500, help="Pictures to check with, at most.")
    parser.add_argument(
        "--quantize",
        default="",
        help="int8: 8 bits for weights and activations, from training pictures (onnx only).",
    )
    parser.add_argument(
        "--calibration_pictures", type=int, default=200, help="How many, for --quantize."
    )
    parser.add_argument(
        "--most_loss",
        type=float,
        default=1.0,
        help="Points of mAP that --quantize may cost; above that no file is left.",
    )
    parser.add_argument("--root", default="", help="Folder of the data set, if it has moved.")
    add_data(parser)
    return parser


def run(arguments: Namespace) -> int:
    """Export a model and check the file."""
    from lcnet.exporting.export import Choices, export

    choices = Choices(
        tolerance=arguments.tolerance,
        quantize=arguments.quantize,
        most_loss=arguments.most_loss,
        calibration_pictures=arguments.calibration_pictures,
        pictures=arguments.pictures,
        limit=arguments.limit,
        root=arguments.root,
        data=data_of(arguments),
    )
    export(model_of(arguments, own_file="--out FILE"), arguments.format, arguments.out, choices)
    return 0
