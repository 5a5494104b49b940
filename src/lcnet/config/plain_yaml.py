"""Reads YAML files that hold plain values only: no tags that run code, no aliases."""

from pathlib import Path
from typing import Any

import yaml

from lcnet.errors import ConfigError

LARGEST = 200_000
"""Most bytes in a file; a whole config has about 3,000."""


class _Loader(yaml.SafeLoader):
    """Loads plain values; refuses tags that name code, and aliases.

    Nine lines of nested aliases can expand to 10^9 values, and an alias can contain itself.
    """

    def compose_node(self, parent: Any, index: Any) -> Any:
        """The next node; raises YAMLError at an alias."""
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "aliases (*name) are not read", mark)
        return super().compose_node(parent, index)


def read_yaml(file: Path, *, largest: int = LARGEST) -> Any:
    """The values in a YAML file of at most `largest` bytes.

    Raises ConfigError in one line if it cannot be read.
    """
    try:
        with file.open("rb") as opened:
            content = opened.read(largest + 1)
        if len(content) > largest:
            raise ConfigError(
                f"{file}: expected at most {largest:,} bytes of YAML, got more. Correct the path."
            )
        return yaml.load(content.decode("utf-8-sig"), Loader=_Loader)
    except FileNotFoundError:
        raise ConfigError(f"{file}: no such config file. Correct the path.") from None
    except RecursionError:
        reason = "values nested too deeply"
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
    raise ConfigError(f"{file}: not a YAML file ({reason}). Correct the file.")
