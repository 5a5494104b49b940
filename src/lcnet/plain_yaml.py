"""YAML files that hold nothing but plain values, and no more than was written."""

from pathlib import Path
from typing import Any

import yaml

from lcnet.errors import ConfigError

LARGEST = 200_000
"""Bytes of a file, at most: a whole config has three thousand."""


class _Loader(yaml.SafeLoader):
    """Plain values alone (no tag that names code) and no aliases.

    Nine lines of aliases of aliases stand for 10^9 values, and one can stand inside itself.
    """

    def compose_node(self, parent: Any, index: Any) -> Any:
        """The next node; raises YAMLError at an alias."""
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "aliases (*name) are not read", mark)
        return super().compose_node(parent, index)


def read_yaml(file: Path) -> Any:
    """The values in a YAML file. Raises ConfigError in one line if it cannot be read."""
    try:
        with file.open("rb") as opened:
            content = opened.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise ConfigError(
                f"{file}: expected at most {LARGEST:,} bytes of YAML, got more. Correct the path."
            )
        return yaml.load(content.decode("utf-8-sig"), Loader=_Loader)
    except FileNotFoundError:
        raise ConfigError(f"{file}: no such config file. Correct the path.") from None
    except RecursionError:
        reason = "values too deep inside each other"
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
    raise ConfigError(f"{file}: not a YAML file ({reason}). Correct the file.")
