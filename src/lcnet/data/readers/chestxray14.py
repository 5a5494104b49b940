"""ChestX-ray14: Data_Entry_2017.csv, and lists of the pictures of training and test."""

from dataclasses import replace
from pathlib import Path

from lcnet.config import Data, Table
from lcnet.data.dataset import Split
from lcnet.data.readers.checks import unreadable
from lcnet.data.readers.table_layout import Known, table_layout

LISTS = {"train": "train_val_list.txt", "test": "test_list.txt"}
"""The lists of the official splits; validation is drawn from the first, patient by patient."""


def settings(columns: tuple[str, ...]) -> Table | None:
    """The findings of a picture are names joined by a bar; No Finding means none of them."""
    if not {"Image Index", "Finding Labels"} <= set(columns):
        return None
    return Table(
        picture="Image Index",
        names="Finding Labels",
        none=["No Finding"],
        group="Patient ID" if "Patient ID" in columns else "",
    )


def with_lists(data: Data, split: Split) -> Split:
    """The split with the part of each picture, if the lists are beside its table."""
    folder = Path(data.root, split.name).parent
    if not all((folder / name).is_file() for name in LISTS.values()):
        return split
    part_of: dict[str, str] = {}
    for role, name in LISTS.items():
        try:
            lines = (folder / name).read_text("utf-8").split()
        except (OSError, ValueError) as error:
            raise unreadable(name, "the name of a picture a line", error) from None
        part_of |= dict.fromkeys(lines, role)
    return replace(split, parts=tuple(part_of.get(s.path.name, "") for s in split.samples))


def parts(table: Path) -> dict[str, str]:
    """The parts that the lists say, if they are beside the table."""
    there = all((table.parent / name).is_file() for name in LISTS.values())
    return {role: role for role in LISTS} if there else {}


CHESTXRAY14 = table_layout(Known("chestxray14", settings, finish=with_lists, parts=parts))
