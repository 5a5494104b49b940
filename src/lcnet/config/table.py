"""The settings that say how a table of labels is read."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from lcnet.bounds import AtLeast, Share, check_bounds


@dataclass(frozen=True)
class Table:
    """How a table of labels is read. What is left empty is recognised from the training table."""

    picture: str = ""
    """Column of the pictures: its name, or its number from 1."""
    labels: list[str] = field(default_factory=list)
    """Label columns, one per label."""
    names: str = ""
    """Column that lists the names of a picture's labels, in place of label columns."""
    ignore: list[str] = field(default_factory=list)
    """Columns to leave alone."""
    present: list[str] = field(default_factory=list)
    """Cells of a label column that mean present, such as '["1", "yes"]'."""
    absent: list[str] = field(default_factory=list)
    """Cells of a label column that mean absent; "" is an empty cell."""
    unknown: list[str] = field(default_factory=list)
    """Cells of a label column that mean unknown; "" is an empty cell. In a column of names, those
    after which no label is known; without it, an empty cell there means none of the labels."""
    none: list[str] = field(default_factory=list)
    """Names in the column of names that mean no label, such as '["No Finding"]'."""
    rows: Literal["auto", "picture", "label"] = "auto"
    """A row is a whole picture, or one label of a picture that has several rows."""
    confidence: str = ""
    """With a row per label: column that says how sure the label is, 0 to 1."""
    sure: Annotated[float, Share(zero=False)] = 1.0
    """Lowest confidence of a present label; 0 is an absent one, and between the two is unknown."""
    unlisted: Literal["auto", "absent", "unknown"] = "auto"
    """With a row per label: what the labels are that no row of a picture names. auto: absent, or
    unknown if the confidence says of some that they are absent."""
    split: str = ""
    """Column that says which split a row belongs to."""
    group: str = ""
    """Column of what must stay in one split, such as the patient."""
    delimiter: str = ""
    """What separates the columns, such as ";" or a tab; "space" means any blanks."""
    encoding: str = ""
    """Encoding of the file, such as utf-8 or cp1252."""
    skip: Annotated[int, AtLeast(0)] = 0
    """Lines before the header to leave out."""
    header: Literal["auto", "yes", "no"] = "auto"
    """Whether the first row names the columns."""
    columns: list[str] = field(default_factory=list)
    """Names of the columns of a table without a header."""

    def __post_init__(self) -> None:
        check_bounds(self, "data.table")
