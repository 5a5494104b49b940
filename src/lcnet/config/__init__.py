"""Every setting of a run: its name, default, meaning and bounds, in one place.

A field is a command line flag (`--model.crop_level 2`) and a YAML key (`model: {crop_level: 2}`);
its docstring is the flag's help.
"""

from lcnet.config.config import (
    SECTIONS,
    Config,
    by_name,
    config_parser,
    in_words,
    parse_config,
    type_of,
)
from lcnet.config.data import MOST_WORKERS, Data, Fit, Format
from lcnet.config.model import MOST_CHANNELS, Model, PixelStatistics, Released
from lcnet.config.moved import MOVED, with_former_defaults, with_new_names
from lcnet.config.named import config_file
from lcnet.config.recipe import BestBy, Train, Unknown
from lcnet.config.table import Table

__all__ = [
    "MOST_CHANNELS",
    "MOST_WORKERS",
    "MOVED",
    "SECTIONS",
    "BestBy",
    "Config",
    "Data",
    "Fit",
    "Format",
    "Model",
    "PixelStatistics",
    "Released",
    "Table",
    "Train",
    "Unknown",
    "by_name",
    "config_file",
    "config_parser",
    "in_words",
    "parse_config",
    "type_of",
    "with_former_defaults",
    "with_new_names",
]
