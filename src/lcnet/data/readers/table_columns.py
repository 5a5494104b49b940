"""What the columns of a table are called, and which names say what they hold."""

import re
from collections.abc import Sequence

from lcnet.errors import DataError

# fmt: off
NAMES = frozenset((
    "label", "labels", "tag", "tags", "class", "classes", "category", "categories", "target",
    "targets", "genre", "genres", "choice", "choices", "finding", "findings", "findinglabels",
    "attribute", "attributes", "attributeids", "keywords", "topics", "labelname", "labelnames",
    "classname", "classnames", "object", "objects",
))
"""Names of a column of names, in lower case and without other signs."""
CONFIDENCE = frozenset((
    "confidence", "score", "probability", "prob", "value", "present",
))
SPLITS = frozenset((
    "split", "set", "subset", "partition", "phase", "usage", "datasplit", "fold", "folds", "kfold",
    "cvfold", "foldid",
))
GROUPS = frozenset((
    "patient", "patientid", "subject", "subjectid", "case", "caseid", "person", "personid", "group",
    "groupid",
))
OTHERS = frozenset((
    "id", "index", "idx", "unnamed0", "level0", "age", "sex", "gender", "view", "viewposition",
    "width", "height", "followup", "date", "time", "createdat", "updatedat", "annotator",
    "annotationid", "leadtime", "source", "url", "difficult", "frontallateral", "appa", "study",
    "studyid", "series", "seriesid", "notes", "comment", "caption", "description", "title", "text",
    "isvalid", "isval", "istrain", "istest", "sha256", "md5", "count", "patientage",
    "patientgender", "patientsex", "imagedir", "imageid",
))
"""Names of columns that are no labels though their cells may look like it."""
DOUBTFUL = frozenset((
    "set", "phase", "partition", "view", "text", "source", "date", "time", "title", "caption",
    "comment", "notes", "description", "study", "series", "group", "case", "difficult", "count",
))
"""Those of them that can be names of labels as well."""
# fmt: on


def column(columns: Sequence[str], reference: str, setting: str, where: str) -> int:
    """The index of a column by its name or, failing that, its number from 1.

    Raises DataError if there is none; `setting` names it.
    """
    if reference in columns:
        return list(columns).index(reference)
    if reference.isdigit() and 1 <= int(reference) <= len(columns):
        return int(reference) - 1
    shown = ", ".join(repr(name) for name in columns[:20] if name) or "no names"
    raise DataError(
        f"{where}: no column {reference!r} (there are: {shown}). Set --data.table.{setting} to a "
        "column's name, or to its number from 1."
    )


def long_row(number: int, record: Sequence[str], width: int, split: str) -> DataError | None:
    """The error for a row with more cells than there are columns; None if it has not."""
    if len(record) <= width or not any(map(str.strip, record[width:])):
        return None
    return DataError(
        f"{split}:{number}: expected {width} cells, got {len(record)}. Correct the row; a cell "
        "with a separator in it needs quotation marks."
    )


def label_of(reference: str, columns: Sequence[str]) -> str:
    """The label of a column that a setting names: label_1 for column 2 if it has no name."""
    is_number = reference not in columns and reference.isdigit()
    return f"label_{int(reference) - 1}" if is_number else reference


def reference_of(columns: Sequence[str], index: int) -> str:
    """What a setting calls a column: its name, or its number if it has none of its own."""
    name = columns[index]
    return name if name and columns.count(name) == 1 else str(index + 1)


def key_of(name: str) -> str:
    """A column's name in lower case, letters and digits alone."""
    return re.sub(r"[^a-z0-9]", "", name.lower())
