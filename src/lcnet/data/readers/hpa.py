"""Human Protein Atlas: train.csv with Id and Target, and four files a picture, one per channel."""

from lcnet.config import Table
from lcnet.data.readers.table_layout import Known, table_layout

SUFFIXES = ("_red.png", "_green.png", "_blue.png", "_yellow.png")
"""Microtubules, protein, nucleus and endoplasmic reticulum."""


def settings(columns: tuple[str, ...]) -> Table | None:
    """The labels are numbers, joined by a blank (2018) or a bar (2021)."""
    if [name.lower() for name in columns] not in (["id", "target"], ["id", "label"]):
        return None
    return Table(picture=columns[0], names=columns[1])


HPA = table_layout(Known("hpa", settings, suffixes=SUFFIXES))
