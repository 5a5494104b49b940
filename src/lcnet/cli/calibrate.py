"""`lcnet calibrate`: its flags, and the call they lead to."""

from jsonargparse import ArgumentParser, Namespace

from lcnet.cli.flags import data_of, measuring_parser
from lcnet.errors import ConfigError

HELP = "Fit thresholds and probabilities to a goal."


def make_parser() -> ArgumentParser:
    """The flags of `lcnet calibrate`."""
    parser = measuring_parser(split="Split to fit to; data.val if not given.")
    parser.add_argument(
        "--goal",
        choices=["f1", "precision", "recall"],
        default="f1",
        help="The best F1 of each label; or the best recall with a precision of at least "
        "--at_least, or the best precision with such a recall.",
    )
    parser.add_argument(
        "--at_least", type=float | None, help="Precision or recall to reach, such as 0.9."
    )
    parser.add_argument(
        "--method",
        choices=["platt", "temperature", "none"],
        default="platt",
        help="How probabilities are calibrated: a slope and a bias per label, one temperature, or "
        "not at all.",
    )
    parser.add_argument(
        "--shrinkage",
        type=float,
        default=1.0,
        help="Present pictures at which a label's own threshold weighs as much as the common one.",
    )
    parser.add_argument(
        "--reset", action="store_true", help="Back to thresholds of 0.5 and plain probabilities."
    )
    return parser


def run(arguments: Namespace) -> int:
    """Fit thresholds and probabilities, or undo it."""
    from lcnet.evaluating.calibrate import calibrate, reset
    from lcnet.hub import require_own
    from lcnet.metrics.thresholds import Goal

    require_own(arguments.model)
    if arguments.reset:
        _check_alone(arguments)
        reset(arguments.model)
        return 0
    calibrate(
        arguments.model,
        goal=Goal(arguments.goal, arguments.at_least),
        method=arguments.method,
        shrinkage=arguments.shrinkage,
        split=arguments.split,
        root=arguments.root,
        data=data_of(arguments),
        batch_size=arguments.batch_size,
    )
    return 0


def _check_alone(arguments: Namespace) -> None:
    """Raises ConfigError if --reset, which measures nothing, comes with unusual flags."""
    for flag, usual in make_parser().get_defaults().items():
        if flag not in ("model", "reset") and arguments[flag] != usual:
            raise ConfigError(f"--reset: expected no other flags, got --{flag}. Leave one out.")
    if arguments.get("data") is not None:
        raise ConfigError("--reset: expected no other flags, got --data flags. Leave them out.")
