"""`lcnet serve`: its flags, and the call they lead to."""

from jsonargparse import ArgumentParser, Namespace

from lcnet.cli.flags import add_model_to_run, model_of
from lcnet.cli.parser import Parser

HELP = "Label pictures on a page and by HTTP."


def make_parser() -> ArgumentParser:
    """The flags of `lcnet serve`."""
    parser = Parser()
    add_model_to_run(parser)
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="Address to listen at; by default only this machine is answered.",
    )
    parser.add_argument("--port", type=int, default=7860, help="Port; 0 takes a free one.")
    parser.add_argument("--batch_size", type=int, default=16, help="Pictures at a time, at most.")
    parser.add_argument(
        "--batch_ms", type=float, default=5.0, help="Milliseconds that a batch waits to fill up."
    )
    parser.add_argument(
        "--max_megabytes", type=float, default=20.0, help="Size of a picture's file, at most."
    )
    parser.add_argument(
        "--max_pixels", type=int, default=40_000_000, help="Width times height, at most."
    )
    parser.add_argument(
        "--max_waiting", type=int, default=64, help="Requests in work; more are turned away."
    )
    return parser


def run(arguments: Namespace) -> int:
    """Serve a model until it is stopped."""
    from lcnet.serving.serve import serve

    serve(
        model_of(arguments),
        host=arguments.host,
        port=arguments.port,
        batch_size=arguments.batch_size,
        batch_ms=arguments.batch_ms,
        max_megabytes=arguments.max_megabytes,
        max_pixels=arguments.max_pixels,
        max_waiting=arguments.max_waiting,
    )
    return 0
