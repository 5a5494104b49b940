"""`lcnet graph`: its flags, and the call they lead to."""

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from lcnet.cli.flags import model_of
from lcnet.cli.parser import Parser

HELP = "Draw the label graph, before and after learning."


def make_parser() -> ArgumentParser:
    """The flags of `lcnet graph`."""
    parser = Parser()
    parser.add_argument("model", type=Path, help="Run or model folder, or hf://user/name.")
    parser.add_argument(
        "--out", type=Path | None, help="Folder for the files; MODEL/graph if not given."
    )
    parser.add_argument(
        "--edges", type=int, default=30, help="So many of the strongest edges are in the network."
    )
    return parser


def run(arguments: Namespace) -> int:
    """Draw the label graph of a model."""
    from lcnet.reporting.graph import draw_graph

    draw_graph(model_of(arguments, own_file="--out FOLDER"), arguments.out, edges=arguments.edges)
    return 0
