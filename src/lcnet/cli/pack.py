"""`lcnet pack`: its flags, and the call they lead to."""

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from lcnet.cli.flags import add_data, data_of
from lcnet.cli.parser import Parser
from lcnet.errors import ConfigError

HELP = "Write a data set as tar shards, to train on as a stream."


def make_parser() -> ArgumentParser:
    """The flags of `lcnet pack`."""
    parser = Parser()
    parser.add_argument("--out", type=Path, required=True, help="Folder for the shards.")
    parser.add_argument(
        "--shard_megabytes", type=float, default=500.0, help="Size of a shard, at most."
    )
    parser.add_argument("--seed", type=int, default=0, help="Seed of the training pictures' order.")
    add_data(parser)
    return parser


def run(arguments: Namespace) -> int:
    """Write a data set as shards."""
    from lcnet.data.pack import pack

    data = data_of(arguments)
    if data is None:
        raise ConfigError("--data.format: expected a data set, got none. Add --data flags.")
    pack(data, arguments.out, shard_megabytes=arguments.shard_megabytes, seed=arguments.seed)
    return 0
