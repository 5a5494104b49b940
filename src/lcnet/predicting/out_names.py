"""Names of files that promise something else than JSON lines; needs no torch."""

from pathlib import Path
from typing import TextIO

from lcnet.data.opening import PICTURE_SUFFIXES
from lcnet.errors import ConfigError

OTHER_KINDS = frozenset({".csv", ".tsv", ".xlsx", ".parquet", ".json", ".gz", ".zip"})
"""Suffixes that promise another kind of file than JSON lines."""


def refuse_name(out: Path | TextIO | None) -> None:
    """Raise ConfigError for a file whose name promises something else than JSON lines."""
    suffix = out.suffix.lower() if isinstance(out, Path) else ""
    if suffix not in OTHER_KINDS and suffix not in PICTURE_SUFFIXES:
        return
    others = {
        ".csv": ". For CSV: --format csv --out FOLDER",
        ".parquet": ". For Parquet: --format parquet --out FOLDER",
        ".json": ". For a list of tasks in JSON: --label_studio PREFIX",
    }
    raise ConfigError(
        f"--out {out}: expected a name that ends in .jsonl, since JSON lines are written"
        f"{others.get(suffix, '')}."
    )
