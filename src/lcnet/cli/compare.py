"""`lcnet compare`: its flags, and the call they lead to."""

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from lcnet.cli.flags import config_of, settings_parser

HELP = "Compare heads or settings on equal terms."


def make_parser() -> ArgumentParser:
    """The flags of `lcnet compare`."""
    parser = settings_parser()
    parser.add_argument("--out", type=Path, required=True, help="Folder for runs and results.")
    parser.add_argument(
        "--heads",
        type=list[str],
        default=[],
        help="Heads to compare, such as '[lcnet,gap]'; the others are measured against the first.",
    )
    parser.add_argument(
        "--variants",
        type=Path | None,
        help="YAML file of variants and what each changes: 'no graph: {model.graph: none}'.",
    )
    parser.add_argument("--seeds", type=list[int], default=[0, 1, 2], help="Seeds of each.")
    parser.add_argument(
        "--lr_factors",
        type=list[float],
        default=[1 / 3, 1.0, 3.0],
        help="Learning rates that each tries in validation, as factors of train.lr.",
    )
    parser.add_argument(
        "--jobs", type=int, default=1, help="Runs at a time, each on its share of the cores."
    )
    return parser


def run(arguments: Namespace) -> int:
    """Compare heads or variants on equal terms."""
    from lcnet.training.compare import compare, read_variants

    heads = {head: {"model.head": head} for head in arguments.heads}
    variants = {} if arguments.variants is None else read_variants(arguments.variants)
    compare(
        config_of(arguments),
        {**heads, **variants},
        arguments.seeds,
        arguments.out,
        lr_factors=arguments.lr_factors,
        jobs=arguments.jobs,
    )
    return 0
