"""The command line: one verb is one function call, and no torch before a verb runs."""

import sys
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn

from jsonargparse import ArgumentParser, Namespace

from lcnet.config import SECTIONS, Config, config_parser
from lcnet.errors import ConfigError, LCNetError


class Parser(ArgumentParser):
    """A parser whose errors are one line and name the nearest flag."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise ConfigError with the message as one line."""
        text = " ".join(message.split()).replace('Parser key "', "--").replace('":', ":")
        head, _, unknown = text.partition("unrecognized arguments: ")
        if unknown and not head:
            near = get_close_matches(unknown.split()[0].split("=")[0], self.flags(), n=1)
            text += f". Did you mean {near[0]}?" if near else "."
        raise ConfigError(f"{text} (lcnet VERB --help lists all)")

    def flags(self) -> list[str]:
        """Every flag of this parser and of its verbs."""
        verbs = self._subcommands_action.choices.values() if self._subcommands_action else ()
        own = [flag for action in self._actions for flag in action.option_strings]
        return own + [flag for verb in verbs for flag in verb.flags()]


# The verbs, each a parser and the call it leads to.


def train_parser() -> ArgumentParser:
    """The flags of `lcnet train`."""
    parser = config_parser(Parser)
    parser.add_argument(
        "--config", action="config", help="YAML file with settings; flags override it."
    )
    parser.add_argument("--out", type=Path | None, help="Run folder to make.")
    parser.add_argument("--overwrite", action="store_true", help="Replace --out if it is there.")
    parser.add_argument(
        "--resume", type=Path | None, help="Run folder to continue, as it was set up."
    )
    return parser


def train(arguments: Namespace) -> int:
    """Train, or continue a run."""
    from lcnet.train import resume, train

    config = Config(**{name: arguments[name] for name in SECTIONS})
    if arguments.resume is not None:
        if config != Config() or arguments.out is not None or arguments.overwrite:
            raise ConfigError("--resume: takes no other flags, since a run keeps its own settings.")
        resume(arguments.resume)
    elif arguments.out is None:
        raise ConfigError("--out: expected a folder for the run, got none. Add --out runs/NAME.")
    else:
        train(config, arguments.out, overwrite=arguments.overwrite)
    return 0


def evaluate_parser() -> ArgumentParser:
    """The flags of `lcnet evaluate`."""
    parser = Parser()
    parser.add_argument("run", type=Path, help="Run folder.")
    parser.add_argument(
        "--split", default="", help="Split; the test split of the run's config if not given."
    )
    parser.add_argument("--root", default="", help="Folder of the data set, if it has moved.")
    parser.add_argument("--threshold", type=float | None, help="One threshold for all labels.")
    parser.add_argument(
        "--out", type=Path | None, help="JSON file to write; RUN/metrics.json if not given."
    )
    return parser


def evaluate(arguments: Namespace) -> int:
    """Measure a run."""
    from lcnet.evaluate import evaluate

    evaluate(
        arguments.run,
        split=arguments.split,
        root=arguments.root,
        threshold=arguments.threshold,
        out=arguments.out,
    )
    return 0


def predict_parser() -> ArgumentParser:
    """The flags of `lcnet predict`."""
    parser = Parser()
    parser.add_argument("model", type=Path, help="Run or model folder.")
    parser.add_argument("paths", nargs="+", help="Pictures, folders of pictures, or globs.")
    parser.add_argument(
        "--out", type=Path | None, help="File to write; standard output if not given."
    )
    parser.add_argument("--batch_size", type=int, default=32, help="Pictures at a time.")
    parser.add_argument("--workers", type=int, default=0, help="Loader processes.")
    return parser


def predict(arguments: Namespace) -> int:
    """Label pictures; the exit code is 1 if one could not be read."""
    from lcnet.predict import predict

    failed = predict(
        arguments.model,
        arguments.paths,
        arguments.out,
        batch_size=arguments.batch_size,
        workers=arguments.workers,
    )
    return 1 if failed else 0


VERBS = {
    "train": (train, train_parser, "Train a model, or continue a run."),
    "evaluate": (evaluate, evaluate_parser, "Measure a run's model on a split."),
    "predict": (predict, predict_parser, "Label pictures, one JSON line each."),
}


def build_parser() -> ArgumentParser:
    """The parser of the whole command line."""
    parser = Parser(
        prog="lcnet", description="Multi-label image classification.", version=_version()
    )
    verbs = parser.add_subcommands(dest="verb", metavar="VERB")
    for name, (_, make, help_line) in VERBS.items():
        verbs.add_subcommand(name, make(), help=help_line)
    return parser


def main(argv: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 wrong data, 2 wrong command, 130 stopped."""
    try:
        parser = build_parser()
        arguments = parser.instantiate(parser.parse_args(argv))
        code = VERBS[arguments.verb][0](arguments[arguments.verb])
    except LCNetError as error:
        print(f"lcnet: {error}", file=sys.stderr)
        code = error.exit_code
    except OSError as error:
        print(f"lcnet: {error}", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        print("lcnet: stopped", file=sys.stderr)
        code = 130
    sys.exit(code)


def _version() -> str:
    from importlib.metadata import version

    return version("lcnet")
