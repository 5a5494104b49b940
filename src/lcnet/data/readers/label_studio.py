"""Reads Label Studio's JSON exports: a list of tasks, each a picture with its annotations."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lcnet.data.dataset import POSITIVE, UNKNOWN
from lcnet.data.decoding import PICTURE_SUFFIXES
from lcnet.data.readers.label_file import (
    Asked,
    LabelFile,
    chosen,
    json_files,
    layout_of,
    record,
)
from lcnet.data.readers.listing import Listing, Row, counted, listing_of, near_of
from lcnet.data.readers.locating import UPLOADED
from lcnet.errors import DataError

OF_LABELS = (
    "choices",
    "taxonomy",
    "rectanglelabels",
    "polygonlabels",
    "brushlabels",
    "ellipselabels",
    "keypointlabels",
    "labels",
)
"""The types of controls whose values are labels, each under its own name."""
OF_TASKS = frozenset(
    ("id", "annotation_id", "annotator", "created_at", "updated_at", "lead_time", "inner_id")
)
"""What JSON-MIN says of a task beside its data and its controls."""

Answers = Mapping[str, frozenset[str]]
"""The labels that an annotator gave, by control."""


@dataclass(frozen=True)
class _Task:
    data: Mapping[str, Any]
    answers: tuple[Answers, ...]
    """Those of each annotator; empty if nobody has annotated it."""
    where: str


def said(content: Any, asked: Asked) -> Listing:
    """The pictures of all tasks that have an annotation, with the labels of one control.

    A label is present if all annotators gave it; if only some did, it is unknown. Where an
    annotation is marked as ground truth, only such count. Boxes and other regions give their labels
    to the picture. Raises DataError if several controls have labels and none is chosen.
    """
    tasks, types = _min(content, asked) if _is_min(content) else _full(content, asked)
    control = chosen(types, asked)
    key = _picture_key(tasks, asked, types)
    done = [task for task in tasks if task.answers]
    marks = [_marks(task.answers, control) for task in done]
    disputed = sum(UNKNOWN in marked.values() for marked in marks)
    notes = [f"labels of {types[control]} {control!r}".replace("  ", " ")]
    if left := len(tasks) - len(done):
        notes.append(f"{counted(left, 'task')} without an annotation left out")
    if disputed:
        notes.append(
            f"the annotators of {counted(disputed, 'task')} do not agree: what only some of them "
            "marked is unknown"
        )
    rows = [
        Row(task.data.get(key), marked, task.where)
        for task, marked in zip(done, marks, strict=True)
    ]
    near = near_of(asked.file, Path(asked.file).stem)
    listing = listing_of(asked.where, rows, near=near, notes=notes)
    other = [UPLOADED.sub(r"\1", picture) for picture in listing.pictures]
    return replace(listing, other=other if other != listing.pictures else ())


def _marks(answers: tuple[Answers, ...], control: str) -> dict[str, int]:
    given = [answer.get(control, frozenset()) for answer in answers]
    shared = frozenset.intersection(*given)
    some = frozenset.union(*given)
    return {name: POSITIVE if name in shared else UNKNOWN for name in sorted(some)}


def _full(content: Any, asked: Asked) -> tuple[list[_Task], dict[str, str]]:
    """The tasks of a full export, and the type of each control with labels."""
    tasks, types = [], {}
    for number, entry in enumerate(_list(content, asked.where)):
        task = record(entry, f"{asked.where}: task at {number}")
        where = f"{asked.where}: task {task.get('id', number)}"
        annotations = [
            record(annotation, where)
            for annotation in _list(task.get("annotations", task.get("completions")), where)
        ]
        kept = [one for one in annotations if not (one.get("was_cancelled") or one.get("skipped"))]
        answers = []
        for annotation in [one for one in kept if one.get("ground_truth")] or kept:
            answer: dict[str, frozenset[str]] = {}
            for control, kind, names in _results(annotation, where):
                types[control] = kind
                answer[control] = answer.get(control, frozenset()) | names
            answers.append(answer)
        tasks.append(_Task(record(task.get("data"), where), tuple(answers), where))
    return tasks, types


def _results(annotation: dict[str, Any], where: str) -> Iterator[tuple[str, str, frozenset[str]]]:
    """The control, its type and the labels of each result that has labels."""
    for entry in _list(annotation.get("result"), where):
        result = record(entry, where)
        kind = result.get("type")
        if kind in OF_LABELS:
            value = record(result.get("value"), where)
            yield str(result.get("from_name")), str(kind), _names(value.get(str(kind)), where)


def _min(content: Any, asked: Asked) -> tuple[list[_Task], dict[str, str]]:
    """The tasks of a JSON-MIN export, and its keys with labels."""
    rows = [record(entry, f"{asked.where}: entry {number}") for number, entry in enumerate(content)]
    types = _label_keys(rows, asked)
    tasks: dict[object, _Task] = {}
    for number, row in enumerate(rows):
        identity = str(row.get("id", f"at {number}"))
        where = f"{asked.where}: task {identity}"
        answer = {key: _names(row.get(key), where) for key in types}
        earlier = tasks[identity].answers if identity in tasks else ()
        done = (answer,) if row.get("annotation_id") is not None else ()
        tasks[identity] = _Task(row, (*earlier, *done), where)
    return list(tasks.values()), types


def _label_keys(rows: list[dict[str, Any]], asked: Asked) -> dict[str, str]:
    """The keys of JSON-MIN whose values are labels.

    Lists and objects of labels are known by their shape. A text may be a choice or a remark: it is
    taken for a choice if texts repeat.
    """
    found: dict[str, str] = {}
    for key in dict.fromkeys(key for row in rows for key in row if key not in OF_TASKS):
        values = [row[key] for row in rows if row.get(key) not in (None, "", [])]
        shaped = [value for value in values if isinstance(value, list | dict)]
        if any(_is_of_labels(value) for value in shaped):
            found[key] = ""
        elif values and all(isinstance(value, str) for value in values):
            counts = Counter(values)
            is_path = any(_is_picture(value) for value in values)
            if key == asked.labels_in or (not is_path and 2 * len(counts) <= len(values)):
                found[key] = ""
    return found


def _is_of_labels(value: object) -> bool:
    if isinstance(value, dict):
        return any(kind in value for kind in OF_LABELS)
    return isinstance(value, list) and any(
        isinstance(entry, list | str) or (isinstance(entry, dict) and _is_of_labels(entry))
        for entry in value
    )


def _names(value: object, where: str) -> frozenset[str]:
    """The label names in a value of either export; a path of a taxonomy is joined by `/`."""
    if value is None or value == "":
        return frozenset()
    if isinstance(value, str):
        return frozenset((value,))
    if isinstance(value, dict):
        inner = next((value[kind] for kind in OF_LABELS if kind in value), None)
        return _names(inner, where) if not isinstance(inner, dict) else _wrong(value, where)
    if not isinstance(value, list):
        return _wrong(value, where)
    names: set[str] = set()
    for entry in value:
        if isinstance(entry, list) and all(isinstance(part, str) for part in entry):
            names.add("/".join(entry))
        elif isinstance(entry, str | dict):
            names |= _names(entry, where)
        else:
            _wrong(entry, where)
    return frozenset(names)


def _wrong(value: object, where: str) -> frozenset[str]:
    raise DataError(f"{where}: expected label names, got {str(value)[:80]!r}. Export it again.")


def _list(value: object, where: str) -> list[Any]:
    if not isinstance(value, list | None):
        raise DataError(
            f"{where}: expected a list, got {type(value).__name__}. Export it again as JSON."
        )
    return value or []


def _picture_key(tasks: list[_Task], asked: Asked, types: Mapping[str, str]) -> str:
    """The key of the data that holds the picture."""
    if asked.picture:
        return asked.picture
    first = tasks[0].data if tasks else {}
    found = [key for key, value in first.items() if key not in types and _is_picture(value)]
    if len(found) > 1 and "image" not in found:
        raise DataError(
            f"{asked.where}: expected one key with pictures, got {found[0]!r} and {found[1]!r}. "
            "Set --data.table.picture to one of them."
        )
    return "image" if "image" in first or not found else found[0]


def _is_picture(value: object) -> bool:
    text = value.partition("?d=")[2] or value.partition("?")[0] if isinstance(value, str) else ""
    return Path(text).suffix.lower() in PICTURE_SUFFIXES


def _is_min(content: Any) -> bool:
    return isinstance(content, list) and any(
        isinstance(entry, dict) and "annotation_id" in entry and "annotations" not in entry
        for entry in content[:1]
    )


def _fits(content: Any) -> bool:
    """Whether the outline of a JSON file is one of Label Studio."""
    if not isinstance(content, list) or not content or not isinstance(content[0], dict):
        return False
    first = content[0]
    is_full = isinstance(first.get("data"), dict) and ("annotations" in first)
    return (
        is_full
        or (isinstance(first.get("data"), dict) and "completions" in first)
        or ("annotation_id" in first and "lead_time" in first)
    )


LABEL_STUDIO = layout_of(LabelFile("label_studio", "Label Studio export", said, json_files(_fits)))
