"""`lcnet predict`: its flags, and the call they lead to."""

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from lcnet.cli.flags import add_model_to_run, model_of
from lcnet.cli.parser import Parser
from lcnet.errors import ConfigError

HELP = "Label pictures, one JSON line each."


def make_parser() -> ArgumentParser:
    """The flags of `lcnet predict`."""
    parser = Parser()
    add_model_to_run(parser)
    parser.add_argument(
        "paths",
        nargs="+",
        help="Pictures, folders of pictures, globs, lists (.txt, a path a line), or tar and "
        "Parquet files with pictures inside.",
    )
    parser.add_argument(
        "--out",
        type=Path | None,
        help="File to write, or with --format a folder of files; standard output if not given.",
    )
    parser.add_argument(
        "--format",
        choices=["", "jsonl", "csv", "parquet"],
        default="",
        help="For big jobs: --out becomes a folder of such files, and the same command goes on "
        "where it was stopped.",
    )
    parser.add_argument(
        "--rows_per_file", type=int, default=1_000, help="Pictures in each file of --format."
    )
    parser.add_argument(
        "--shard",
        default="",
        help="i/n such as 2/8: every n-th picture, from the i-th on; each process takes its own.",
    )
    parser.add_argument("--batch_size", type=int, default=32, help="Pictures at a time.")
    parser.add_argument(
        "--workers", type=int, default=-1, help="Loader processes; -1 chooses by the cores."
    )
    parser.add_argument(
        "--precision",
        choices=["auto", "fp32", "bf16"],
        default="auto",
        help="Arithmetic; auto is bf16 where the device multiplies in it, with probabilities "
        "within 0.01.",
    )
    parser.add_argument(
        "--compile",
        type=bool | None,
        help="Compile the model first, which takes minutes; from 5,000 pictures on if not given.",
    )
    parser.add_argument(
        "--engine",
        choices=["local", "ray"],
        default="local",
        help="What runs it: this process, or workers of Ray (lcnet[ray]), which may die.",
    )
    parser.add_argument(
        "--ray_address",
        default="",
        help="Cluster of --engine ray, such as auto or HOST:6379; by default this machine alone.",
    )
    parser.add_argument(
        "--ray_workers",
        type=int,
        default=0,
        help="Workers of --engine ray; 0 takes one for each accelerator, or else for each core.",
    )
    parser.add_argument(
        "--explain",
        type=Path | None,
        help="Folder for heat maps: a folder in it for each picture, a PNG for each label.",
    )
    parser.add_argument(
        "--explain_labels", type=int, default=5, help="Labels explained of a picture at most."
    )
    return parser


def run(arguments: Namespace) -> int:
    """Label pictures; the exit code is 1 if one could not be read."""
    from lcnet.predicting.predict import predict
    from lcnet.predicting.ray_engine import Place
    from lcnet.predicting.sources import Shard

    shard = Shard.parse(arguments.shard)
    if arguments.engine == "local" and (arguments.ray_address or arguments.ray_workers):
        raise ConfigError("--ray_address, --ray_workers: go with --engine ray. Add it.")
    place = Place(arguments.ray_address, arguments.ray_workers)
    failed = predict(
        model_of(arguments),
        arguments.paths,
        arguments.out,
        batch_size=arguments.batch_size,
        workers=arguments.workers,
        precision=arguments.precision,
        compiled=arguments.compile,
        explain=arguments.explain,
        explain_labels=arguments.explain_labels,
        shard=shard,
        format=arguments.format,
        rows_per_file=arguments.rows_per_file,
        ray=place if arguments.engine == "ray" else None,
    )
    return 1 if failed else 0
