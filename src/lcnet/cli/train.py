"""`lcnet train`: its flags, and the call they lead to."""

import os
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from lcnet.cli.flags import config_of, fetched, settings_parser
from lcnet.config import Config, Model
from lcnet.errors import ConfigError

HELP = "Train a model, or continue a run."


def make_parser() -> ArgumentParser:
    """The flags of `lcnet train`."""
    parser = settings_parser()
    parser.usage = "lcnet train --out RUN [flags]\n       lcnet train --resume RUN"
    parser.add_argument("--out", type=Path | None, help="Run folder to make.")
    parser.add_argument("--overwrite", action="store_true", help="Replace --out if it is there.")
    parser.add_argument(
        "--init",
        type=Path | None,
        help="Model or run folder, hf://user/name or published checkpoint to train on from; it "
        "keeps its architecture.",
    )
    parser.add_argument(
        "--resume", type=Path | None, help="Run folder to continue, as it was set up."
    )
    return parser


def run(arguments: Namespace) -> int:
    """Train, or continue a run."""
    # A process whose fellow dies says so in one line; torch would add pages of its own. It looks at
    # this when it is imported.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    from lcnet.training.train import resume, train

    config = config_of(arguments)
    others = arguments.out or arguments.init or arguments.overwrite
    if arguments.resume is not None:
        if config != Config() or others:
            raise ConfigError("--resume: takes no other flags, since a run keeps its own settings.")
        resume(arguments.resume)
    elif arguments.out is None:
        raise ConfigError("--out: expected a folder for the run, got none. Add --out runs/NAME.")
    elif arguments.init is not None and config.model != Model():
        raise ConfigError("--init: takes no --model flags, since a model keeps its architecture.")
    else:
        init = None if arguments.init is None else fetched(arguments.init)
        train(config, arguments.out, overwrite=arguments.overwrite, init=init)
    return 0
