"""CelebA: list_attr_celeba with 1 and -1, as text with a count in its first line or as CSV."""

from dataclasses import replace
from pathlib import Path

from lcnet.config import Data, Table
from lcnet.data.dataset import Split
from lcnet.data.readers.checks import unreadable
from lcnet.data.readers.table_file import SPACE
from lcnet.data.readers.table_layout import Known, table_layout

# fmt: off
ATTRIBUTES = frozenset((
    "5_o_Clock_Shadow", "Arched_Eyebrows", "Attractive", "Bags_Under_Eyes", "Bald", "Bangs",
    "Big_Lips", "Big_Nose", "Black_Hair", "Blond_Hair", "Blurry", "Brown_Hair", "Bushy_Eyebrows",
    "Chubby", "Double_Chin", "Eyeglasses", "Goatee", "Gray_Hair", "Heavy_Makeup",
    "High_Cheekbones", "Male", "Mouth_Slightly_Open", "Mustache", "Narrow_Eyes", "No_Beard",
    "Oval_Face", "Pale_Skin", "Pointy_Nose", "Receding_Hairline", "Rosy_Cheeks", "Sideburns",
    "Smiling", "Straight_Hair", "Wavy_Hair", "Wearing_Earrings", "Wearing_Hat",
    "Wearing_Lipstick", "Wearing_Necklace", "Wearing_Necktie", "Young",
))
# fmt: on
LIST = "list_eval_partition.*"
PARTS = {"0": "train", "1": "val", "2": "test"}
"""How list_eval_partition numbers the splits."""


def settings(columns: tuple[str, ...]) -> Table | None:
    """1 is present and -1 absent."""
    first, *labels = columns
    if not labels or not set(labels) <= ATTRIBUTES or first in ATTRIBUTES:
        return None
    return Table(picture=first or "1", labels=labels, present=["1"], absent=["-1"], header="yes")


def with_parts(data: Data, split: Split) -> Split:
    """The split with the part of each picture, if list_eval_partition is beside its table."""
    file = _list_beside(Path(data.root, split.name))
    if file is None:
        return split
    try:
        rows = [line.replace(",", " ").split() for line in file.read_text("utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise unreadable(file.name, "a picture and 0, 1 or 2 a line", error) from None
    part_of = {row[0]: PARTS.get(row[1], "") for row in rows if len(row) == 2}
    return replace(split, parts=tuple(part_of.get(s.path.name, "") for s in split.samples))


def parts(table: Path) -> dict[str, str]:
    """The parts that list_eval_partition says, if it is beside the table or in Eval/."""
    return {role: role for role in PARTS.values()} if _list_beside(table) else {}


def _list_beside(table: Path) -> Path | None:
    """The list of the splits: beside the table or, as released, in `Eval` beside its folder."""
    folder = table.resolve().parent
    found = [
        path for place in (folder, folder.parent / "Eval") for path in sorted(place.glob(LIST))
    ]
    return next(iter(found), None)


CELEBA = table_layout(
    Known(
        "celeba",
        settings,
        openings=(Table(), Table(skip=1, delimiter=SPACE)),
        finish=with_parts,
        parts=parts,
    )
)
