"""Flags that several verbs have, and what they stand for."""

import sys
from argparse import SUPPRESS
from dataclasses import fields
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace, set_parsing_settings

from lcnet.cli.parser import ConfigFile, Parser, SettingsParser
from lcnet.config import SECTIONS, Config, Data, config_parser
from lcnet.errors import ConfigError


def settings_parser() -> ArgumentParser:
    """The flags of every setting, and of a file with settings."""
    parser = config_parser(SettingsParser)
    parser.add_argument(
        "--config",
        action=ConfigFile,
        metavar="FILE",
        help="YAML file with settings; flags after it override it.",
    )
    _hide_sections(parser)
    return parser


def config_of(arguments: Namespace) -> Config:
    """The settings that `settings_parser` read."""
    return Config(**{name: arguments[name] for name in SECTIONS})


def measuring_parser(*, split: str) -> Parser:
    """The flags of a model and the pictures that it is to be measured on."""
    parser = Parser()
    parser.add_argument(
        "model", type=Path, help="Run folder, or model folder or hf://user/name with --data flags."
    )
    parser.add_argument("--split", default="", help=split)
    parser.add_argument("--root", default="", help="Folder of the data set, if it has moved.")
    parser.add_argument(
        "--batch_size", type=int | None, help="Pictures at a time; as in the run if not given."
    )
    add_data(parser)
    return parser


def add_model_to_run(parser: ArgumentParser) -> None:
    """The model of a verb that looks at pictures only, in any form that can."""
    parser.add_argument(
        "model",
        type=Path,
        help="Run or model folder, hf://user/name, or an ONNX file of lcnet export.",
    )


def model_of(arguments: Namespace, *, own_file: str = "") -> Path:
    """The folder of the model that is named, fetched first where it is hf://user/name.

    `own_file` is the flag for what would be written into the folder, which then is a cache.
    """
    from lcnet.hub import is_shared

    if own_file and arguments.out is None and is_shared(arguments.model):
        raise ConfigError(
            f"--out: expected it with a model that is fetched, which has no folder of its own. Add "
            f"{own_file}."
        )
    return fetched(arguments.model)


def fetched(model: Path) -> Path:
    """Where a model is; of a fetched one its commit is said, on standard error."""
    from lcnet.hub import Repository, is_shared, local_model

    place = local_model(model)
    if is_shared(model):
        print(f"{Repository.parse(str(model))}: commit {place.name[:12]}", file=sys.stderr)
    return place


def add_data(parser: ArgumentParser) -> None:
    """The --data flags without defaults, so that only what is given is there."""
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser.add_class_arguments(Data, "data", instantiate=False)
    parser.set_defaults({f"data.{setting.name}": SUPPRESS for setting in fields(Data)})
    _hide_sections(parser)


def _hide_sections(parser: ArgumentParser) -> None:
    """Leave flags out of the help that take a file for a section: --config takes one for all."""
    for action in parser._actions:
        if action.dest in (*SECTIONS, "model.released") and action.option_strings:
            action.help = SUPPRESS


def data_of(arguments: Namespace) -> Data | None:
    """The data set that --data flags describe; None if there are none."""
    given = arguments.get("data")
    if given is None:
        return None
    if "format" not in given:
        raise ConfigError(
            f"--data.{next(iter(given.keys()))}: expected --data.format with it, since --data "
            "flags describe a whole data set and not what differs from the run's. Add it."
        )
    return Data(**given.as_dict())
