"""Makes a verb's flags from its function's signature and docstring, and arguments from the flags.

A parameter with a default, and every `out`, becomes a flag; the others are positional. A `Config`
becomes all settings and --config, a `Data` the --data flags. Those in `FOR_PYTHON` become none.
"""

import inspect
from argparse import SUPPRESS
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import NoneType
from typing import Any, Union, get_args, get_origin

from jsonargparse import ArgumentParser, Namespace, set_parsing_settings

from lcnet.bounds import members
from lcnet.cli.parser import ConfigFile, Parser, SettingsParser
from lcnet.config import SECTIONS, Config, Data, Table, by_name, config_parser
from lcnet.config.named import names
from lcnet.errors import ConfigError
from lcnet.run_folder import RunFolder

Function = Callable[..., Any]
FOR_PYTHON = ("quiet", "given")
PATH = "path"
"""The argument that names a data set by its folder or label file."""
NESTED = ("model.released", "data.table")
"""Settings that are sections inside a section."""


def summary(function: Function) -> str:
    """The first paragraph of a function's docstring, as one line."""
    return " ".join(inspect.cleandoc(function.__doc__ or "").partition("\n\n")[0].split())


def parser_of(function: Function) -> ArgumentParser:
    """A parser with the flags of a function."""
    import docstring_parser  # takes a tenth of the time of `lcnet --help`, which does not need it

    parameters = dict(_parameters(function))
    meanings = {
        entry.arg_name: " ".join((entry.description or "").split())
        for entry in docstring_parser.parse(function.__doc__ or "").params
    }
    has_settings = any(parameter.annotation is Config for parameter in parameters.values())
    parser = config_parser(SettingsParser) if has_settings else Parser()
    parser.description = summary(function)
    if has_settings:
        _add_config_file(parser)
    for name, parameter in parameters.items():
        if parameter.annotation is Config:
            _add_path(parser)
            continue
        kinds = members(parameter.annotation)
        if Data in kinds:
            if Path in kinds:
                _add_path(parser)
            _add_data(parser, meanings[name], has_config=NoneType not in kinds)
        else:
            _add_flag(parser, name, parameter, meanings[name].replace("%", "%%"))
    _hide_sections(parser, SECTIONS if has_settings else ("data",))
    return parser


def arguments_of(function: Function, parsed: Namespace) -> dict[str, Any]:
    """The arguments of a function: the parsed ones, and the defaults of the others.

    Flags that `Verb.extend` added are kept under their names. Raises ConfigError if the --data
    flags do not describe a whole data set.
    """
    parameters = dict(_parameters(function))
    built: dict[str, Any] = {}
    read = {"config"}
    for name, parameter in parameters.items():
        if parameter.annotation is Config:
            config = Config(**{section: parsed[section] for section in SECTIONS})
            built[name] = replace(config, data=_whole(parsed.get(PATH), config.data))
            read |= {*SECTIONS, PATH}
        elif Data in (kinds := members(parameter.annotation)):
            read.add(PATH)
            if parsed.get(PATH) is not None:
                built[name] = _at_path(parsed)
            elif NoneType in kinds and (moved := _moved_to(parsed)):
                built |= {name: None, "root": moved}
            elif NoneType in kinds:
                built[name] = _data_if_any(parsed)
            else:
                built[name] = _data_to_read(parsed, parameter.default)
    given = {name: value for name, value in vars(parsed).items() if name not in read}
    return {**defaults_of(function), **given, **built}


def defaults_of(function: Function) -> dict[str, Any]:
    """The defaults of a function's parameters, by name."""
    return {
        name: parameter.default
        for name, parameter in _parameters(function)
        if parameter.default is not parameter.empty
    }


def _parameters(function: Function) -> Iterator[tuple[str, inspect.Parameter]]:
    for name, parameter in inspect.signature(function).parameters.items():
        if name not in FOR_PYTHON:
            yield name, parameter


# Flags


def _add_flag(
    parser: ArgumentParser, name: str, parameter: inspect.Parameter, meaning: str
) -> None:
    kind, default = _flag_type(parameter.annotation), parameter.default
    is_required = default is parameter.empty
    if is_required and name != "out":  # positional
        if get_origin(kind) is list:
            parser.add_argument(name, type=get_args(kind)[0], nargs="+", help=meaning)
        else:
            parser.add_argument(name, type=kind, help=meaning)
    elif kind == list[Path]:
        parser.add_argument(f"--{name}", type=Path, nargs="+", default=list(default), help=meaning)
    elif kind is bool and default is False:
        parser.add_argument(f"--{name}", action="store_true", help=meaning)
    elif is_required and isinstance(parser, SettingsParser):
        # Not required here, since --resume goes without; the verb checks it.
        parser.add_argument(f"--{name}", type=kind | None, help=meaning)
    elif is_required:
        parser.add_argument(f"--{name}", type=kind, required=True, help=meaning)
    else:
        plain = list(default) if get_origin(kind) is list else default
        plain = dict(default) if get_origin(kind) is dict else plain
        parser.add_argument(f"--{name}", type=kind, default=plain, help=meaning)


def _flag_type(hint: Any) -> Any:
    """The type that a flag's text is parsed as: Path if the hint allows one; list, dict."""
    kinds = members(hint)
    optional = NoneType in kinds
    if any(get_origin(kind) is Sequence and _takes_paths(kind) for kind in kinds):
        return list[Path]
    if Path in kinds:
        return Path | None if optional else Path
    chosen = next(kind for kind in kinds if kind is not NoneType)
    if get_origin(chosen) is Sequence:
        chosen = list[get_args(chosen)[0]]  # type: ignore[misc]
    elif get_origin(chosen) is Mapping:
        chosen = dict[get_args(chosen)]  # type: ignore[misc]
    return Union[chosen, None] if optional else chosen  # noqa: UP007 -- chosen may be Annotated


def _takes_paths(kind: Any) -> bool:
    """Whether it is a sequence of paths, which a command names one after the other."""
    return Path in members(get_args(kind)[0])


# Settings and data sets


def _add_config_file(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        action=ConfigFile,
        metavar="FILE",
        help="YAML file with settings, or the name of one that comes with lcnet: "
        f"{', '.join(names())}. Flags after it override it.",
    )


def _add_data(parser: ArgumentParser, meaning: str, *, has_config: bool) -> None:
    """Add the --data flags without defaults, so that only the given ones are parsed."""
    if has_config:
        parser.add_argument(
            "--config",
            type=Path | None,
            help="YAML file with settings, such as a run's config.yaml, to read the data set "
            "from; --data flags override it.",
        )
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser.add_class_arguments(Data, "data", instantiate=False)
    parser.set_defaults({f"data.{name}": SUPPRESS for name in by_name(asdict(Data()))})
    assert parser.groups is not None
    parser.groups["data"].description = meaning


def _hide_sections(parser: ArgumentParser, sections: Iterable[str]) -> None:
    """Hide from the help jsonargparse's flags for a file per section: --config reads all."""
    for action in parser._actions:
        if action.dest in (*sections, *NESTED) and action.option_strings:
            action.help = SUPPRESS


def _add_path(parser: ArgumentParser) -> None:
    """Add the data set's folder or label file as a positional argument."""
    parser.add_argument(
        PATH,
        type=Path | None,
        nargs="?",
        metavar="PATH",
        help="Folder or label file of the data set, whose layout is recognised; --data flags "
        "decide where it can be read in several ways.",
    )


def _at_path(parsed: Namespace) -> Any:
    """The path of the data set, with the --data flags that decide between readings."""
    from lcnet.data.readers.layout import Given  # it imports torch

    return Given(parsed[PATH], _from_flags(parsed))


def _whole(path: Path | None, data: Data) -> Data:
    """The data set at a path, or as the settings describe it.

    A folder that is named by --data.root alone is recognised as well, unless digits are in it or
    can be drawn there. Raises ConfigError for a format without a folder.
    """
    usual, root = Data(), Path(data.root)
    if path is None and data.format != usual.format and data.root == usual.root:
        raise ConfigError(
            f"--data.format {data.format}: expected the folder of the data set as well, got none. "
            "Name it in front of the flags, or set --data.root."
        )
    if path is None and data.format == usual.format and data.root != usual.root and root.is_dir():
        path = None if _may_hold_digits(root) else root
    if path is None:
        return data
    from lcnet.data.readers.layout import Given
    from lcnet.data.recognising import data_at

    return data_at(Given(path, data))


def _may_hold_digits(root: Path) -> bool:
    inside = {entry.name for entry in root.iterdir()}
    return not inside or any((root / name / "scenes.json").is_file() for name in inside)


def _data_to_read(parsed: Namespace, default: Any) -> Data:
    """The data set of a verb that needs one: from --config, changed by the --data flags."""
    if parsed.get("config") is None and not _given(parsed) and not isinstance(default, Data):
        raise ConfigError(
            "PATH: expected the folder or label file of a data set, got none. Name it, or describe "
            "it with --data flags."
        )
    return _whole(None, _from_flags(parsed))


def _from_flags(parsed: Namespace) -> Data:
    file = parsed.get("config")
    return _changed(Data() if file is None else Config.load(file).data, _given(parsed))


def _moved_to(parsed: Namespace) -> str:
    """Where the own data set of a run is now, if --data.root alone says so; else empty.

    It would be wrong to take the folder for another data set: that has other parts, in which there
    are pictures that the run was trained on. Raises ConfigError for other settings beside it.
    """
    given = _given(parsed)
    if "root" not in given or "format" in given or not _names_run_with_data(parsed):
        return ""
    if others := " and ".join(f"--data.{name}" for name in given if name != "root"):
        raise ConfigError(
            f"{others}: expected --root {given['root']} alone, which says where the run's own data "
            "set is now, got settings of a data set as well. For another data set name it behind "
            "the run, before the flags: RUN PATH."
        )
    return str(parsed.root or given["root"])


def _names_run_with_data(parsed: Namespace) -> bool:
    """Whether the model of a verb that has --root names a data set itself."""
    model = parsed.get("model")
    run = model[0] if isinstance(model, list) and len(model) == 1 else model
    if "root" not in parsed or not isinstance(run, str | Path):
        return False
    return RunFolder(Path(run)).data() is not None


def _data_if_any(parsed: Namespace) -> Data | None:
    """The data set that the --data flags describe; None without such flags."""
    given = _given(parsed)
    if not given:
        return None
    if "format" not in given and "root" not in given:
        raise ConfigError(
            f"--data.{next(iter(given))}: expected --data.format as well, since --data "
            "flags describe a whole data set, not changes to the run's. Add it."
        )
    return _whole(None, _changed(Data(), given))


def _given(parsed: Namespace) -> dict[str, Any]:
    """The data settings that were given; those of the table as `table.split` and so on.

    jsonargparse makes a `Table` in any case, so only values that differ from the defaults count.
    """
    settings: dict[str, Any] = parsed["data"].as_dict() if parsed.get("data") else {}
    usual, table = Table(), settings.pop("table", Table())
    of_table = {
        name: value for name, value in asdict(table).items() if value != getattr(usual, name)
    }
    return settings | {f"table.{name}": value for name, value in of_table.items()}


def _changed(start: Data, given: Mapping[str, Any]) -> Data:
    """The data set with the settings that were given."""
    own = {name: value for name, value in given.items() if "." not in name}
    of_table = {name.partition(".")[2]: value for name, value in given.items() if "." in name}
    return replace(start, **own, table=replace(start.table, **of_table))
