"""The rows of a metadata file of Hugging Face, whichever of its three forms it has."""

import ast
import csv
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lcnet.data.containers import damaged, pyarrow_parquet
from lcnet.data.readers.checks import unreadable
from lcnet.data.readers.label_file import record

QUOTED = r"(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")"
LIST = re.compile(rf"\[\s*(?:{QUOTED}(?:(?:\s*,\s*|\s+){QUOTED})*)?\s*,?\s*\]")
"""A list of texts as Python, JSON or NumPy write it."""


def read_rows(path: Path, where: str) -> list[dict[str, Any]]:
    """The rows of a .jsonl, .csv or .parquet file, by column. Raises DataError if it is none."""
    try:
        match path.suffix.lower():
            case ".jsonl" | ".ndjson":
                return _json_lines(path, where)
            case ".csv":
                return _csv(path, where)
            case _:
                return _parquet(path)
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        raise unreadable(where, f"a {path.suffix} file", error) from None


def text_list(value: object) -> object:
    """The list of texts that a text stands for; anything else as it is."""
    if not isinstance(value, str) or not LIST.fullmatch(value.strip()):
        return value
    try:
        return json.loads(value)
    except ValueError:
        pass  # Python and NumPy write other quotes than JSON
    try:
        return [ast.literal_eval(quoted) for quoted in re.findall(QUOTED, value)]
    except (SyntaxError, ValueError):
        return value


def _json_lines(path: Path, where: str) -> list[dict[str, Any]]:
    lines = path.read_text(encoding="utf-8-sig").split("\n")
    return [
        record(json.loads(line), f"{where}:{number}")
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]


def _parquet(path: Path) -> list[dict[str, Any]]:
    parquet = pyarrow_parquet()
    import pyarrow

    try:
        return parquet.read_table(path).to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise damaged(path, error) from None


def _csv(path: Path, where: str) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8-sig", newline="") as opened:
        reader = csv.DictReader(opened, strict=True)
        rows: list[Mapping[str | Any, Any]] = list(reader)
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise ValueError(f"row {number} has another number of cells than the header")
    return [{key: text_list(value) for key, value in row.items()} for row in rows]
