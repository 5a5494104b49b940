"""Reads JSON of one's own: a list, lines or an object of pictures, each with its labels."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from lcnet.data.decoding import PICTURE_SUFFIXES
from lcnet.data.readers.huggingface import COLUMNS, TEXTS, kinds_of, said_of_rows
from lcnet.data.readers.json_file import outlines, read_json
from lcnet.data.readers.label_file import Asked, LabelFile, chosen, layout_of
from lcnet.data.readers.layout import Given, role_of
from lcnet.data.readers.listing import Listing, near_of, shown
from lcnet.data.readers.metadata_file import read_rows
from lcnet.data.readers.table_columns import SPLITS, key_of
from lcnet.errors import DataError

LINES = (".jsonl", ".ndjson")
# fmt: off
PICTURES = frozenset((
    "image", "images", "file", "filename", "filepath", "path", "img", "picture", "photo",
    "imagepath", "imagefile", "imagename", "imgpath", "imgname", "imagefilename", "url", "imageurl",
))
# fmt: on
"""Keys of a picture, in lower case and without other signs."""
LOOKED_AT = 3
"""Entries that tell what a file is."""

Rows = list[dict[str, Any]]


def said(content: Rows, asked: Asked) -> Listing:
    """The pictures of a file, with labels from a list or a text of names, or from 0/1 by name.

    Raises DataError if the keys do not tell the picture or the labels; the line names the keys.
    """
    picture = _picture(content, asked)
    asked = replace(asked, picture=picture)
    rows = [{key: _names(value) for key, value in row.items()} for row in content]
    by_name = _by_name(rows, picture)
    kinds = dict.fromkeys(by_name, "0 and 1 by name") | kinds_of(rows, asked)
    if not kinds:
        raise DataError(
            f"{asked.where}: none of the keys {shown([*rows[0]], 8)} holds labels. Write a list of "
            "names under labels, or 0 and 1 by name."
        )
    kind = chosen(kinds, asked)
    split = _split_key(content)
    if kind in by_name:
        marks = [row.get(kind) or {} for row in rows]
        names = tuple(dict.fromkeys(name for own in marks for name in own))
        rows = [
            {name: None if mark == -1 else mark for name, mark in own.items()}
            | {picture: row[picture], split: row.get(split)}
            for own, row in zip(marks, rows, strict=True)
        ]
        asked = replace(asked, labels_in=COLUMNS, columns=asked.columns or names)
    return said_of_rows(
        rows, asked, near=near_of(asked.file), part_of=lambda row: str(row.get(split))
    )


def _by_name(rows: Rows, picture: str) -> list[str]:
    """The keys that hold an object of 0, 1 or -1 by name."""
    keys = dict.fromkeys(key for row in rows for key in row if key != picture)
    values = {key: [row[key] for row in rows if row.get(key)] for key in keys}
    return [
        key
        for key, some in values.items()
        if some and all(isinstance(value, dict) and _are_marks(value) for value in some)
    ]


def _are_marks(value: Mapping[str, Any]) -> bool:
    return all(mark is None or mark in (0, 1, -1) for mark in value.values())


def _names(value: Any) -> Any:
    """The labels of a list of objects, if each has one; any other value as it is."""
    if not _are_objects(value):
        return value
    names = [_name_of(one) for one in value]
    return list(dict.fromkeys(names)) if all(names) else value


def _name_of(entry: Mapping[str, Any]) -> str:
    """The label of an object in a picture; empty if its keys do not say one."""
    found = [value for key, value in entry.items() if key.lower() in (*TEXTS, "name")]
    return found[0] if len(found) == 1 and isinstance(found[0], str) else ""


def _picture(content: Rows, asked: Asked) -> str:
    """The key of the picture. Raises DataError if it is not clear."""
    keys = list(dict.fromkeys(key for row in content for key in row))
    if asked.picture:
        if asked.picture in keys:
            return asked.picture
        raise DataError(
            f"{asked.where}: no key {asked.picture!r}, there are {shown(keys, 8)}. Set "
            "--data.table.picture to one of them."
        )
    texts = [key for key in keys if all(isinstance(row.get(key), str) for row in content)]
    named = [key for key in texts if _are_pictures(row[key] for row in content)]
    known = [key for key in texts if key_of(key) in PICTURES]
    best = [key for key in known if key in named] or named or known
    if len(best) == 1:
        return best[0]
    flags = " or ".join(f"--data.table.picture {key}" for key in (best or texts)[:3])
    what = (
        f"the keys {shown(best)} can all hold the picture" if best else "no key holds the picture"
    )
    raise DataError(
        f"{asked.where}: {what} (the keys are {shown(keys, 8)}). "
        + (f"Set {flags}." if flags else "Write its path under the key image.")
    )


def _are_pictures(values: Iterable[str]) -> bool:
    return all(Path(value).suffix.lower() in PICTURE_SUFFIXES for value in values)


def _split_key(content: Sequence[Mapping[str, Any]]) -> str:
    """The key that says the split of each picture; empty if there is none."""
    for key in content[0] if content else ():
        if key_of(key) in SPLITS and all(
            isinstance(row.get(key), str) and role_of(row[key]) for row in content
        ):
            return key
    return ""


def _parts(content: Rows) -> Iterable[str]:
    key = _split_key(content)
    return dict.fromkeys(row[key] for row in content) if key else ()


def _load(path: Path, where: str) -> Rows:
    """The rows of a file. Raises DataError if it is of another form."""
    if path.suffix.lower() in LINES:
        return read_rows(path, where)
    content = read_json(path, where)
    if isinstance(content, dict):
        key, rows = _rows_of(content)
        content = rows if rows is not None else content[key]
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise DataError(
            f"{where}: expected a list of objects, each with a picture and its labels. Correct it."
        )
    return content


def _rows_of(content: Mapping[str, Any]) -> tuple[str, Rows | None]:
    """The key of the list of pictures; or the rows of an object that has pictures for keys."""
    if content and _are_pictures(content):
        return "", [
            {"image": name, **({"labels": value} if not isinstance(value, dict) else value)}
            for name, value in content.items()
        ]
    lists = [key for key, value in content.items() if _are_objects(value)]
    return (lists[0], None) if len(lists) == 1 else ("", [])


def _are_objects(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value)


def _found(given: Given) -> list[str]:
    """The JSON files of pictures, and those of lines."""
    names = [name for name, content in outlines(given).items() if _fits(content, given)]
    lines = [name for name in given.below if name.lower().endswith(LINES)]
    return sorted([*names, *(name for name in lines if _fits(_first(given.root / name), given))])


def _fits(content: Any, given: Given) -> bool:
    """Whether the first entries are of pictures; of a file that was named, any objects do."""
    if isinstance(content, dict):
        key, rows = _rows_of(content)
        content = content[key] if rows is None else rows
    if not _are_objects(content):
        return False
    return bool(given.file) or any(
        _are_pictures([value]) for value in content[0].values() if isinstance(value, str)
    )


def _first(path: Path) -> list[Any]:
    """The values of the first lines of a file; none if they are no JSON."""
    try:
        with path.open(encoding="utf-8-sig") as lines:
            return [json.loads(line) for line in islice(filter(str.strip, lines), LOOKED_AT)]
    except (OSError, ValueError, RecursionError):
        return []


JSON_ROWS = replace(
    layout_of(LabelFile("json", "JSON", said, _found, _load, _parts)), is_general=True
)
