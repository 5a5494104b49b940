"""Reads Pascal VOC: a list of pictures per split, and an XML file of objects per picture."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

from lcnet.data.dataset import NEGATIVE, POSITIVE, UNKNOWN, Sample, Split
from lcnet.data.decoding import PICTURE_SUFFIXES
from lcnet.data.readers.checks import (
    check_known,
    check_labels,
    check_root,
    missing_split,
    targets_of,
    unreadable,
)
from lcnet.errors import DataError

LABELS = (
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)
"""The labels of all VOC years, in alphabetical order, as the challenge lists them."""
DEVKIT = "VOCdevkit"
INSIDE = "JPEGImages/, Annotations/ and ImageSets/Main/"
DIFFICULT = {"positive": POSITIVE, "negative": NEGATIVE, "unknown": UNKNOWN}


def read_voc(
    root: Path,
    split: str,
    labels: Sequence[str] | None = None,
    *,
    difficult: Literal["positive", "negative", "unknown"] = "unknown",
) -> Split:
    """The pictures listed in `ImageSets/Main/{split}.txt`, with the labels of their objects.

    `root` is the folder of a year, or contains one such folder as `VOC2007` or `VOCdevkit/VOC2007`.
    If `root/{split}` contains one, as in the release, that one is read. A label is present if an
    object that is not difficult has it; if only difficult objects have it, `difficult` decides.
    Pictures are `JPEGImages/{id}.jpg`, or have the suffix given in `<filename>`. Without `labels`,
    the labels are VOC's 20; if an object in `Annotations` (of any split) has another name, they
    are the sorted names of all objects. Raises DataError for files that are missing, are not VOC
    or have an object of another label.
    """
    year, together = _year_folders(root, split)
    listed = _listed(year, split)
    order = check_labels(_names(together, root) if labels is None else labels, "labels")
    samples, marks_of = [], []
    for identity, source in listed.items():
        file = year / "Annotations" / f"{identity}.xml"
        picture, name_of_file = _parse(file, root, source), _relative(file, root)
        path = year / "JPEGImages" / f"{identity}{_suffix(picture)}"
        marks: dict[str, int] = {}
        for name, is_difficult, where in _objects(picture, name_of_file):
            check_known(name, order, where)
            if not is_difficult:
                marks[name] = POSITIVE
            else:
                marks.setdefault(name, DIFFICULT[difficult])
        samples.append(Sample(path, source))
        marks_of.append(marks)
    return Split(order, tuple(samples), targets_of(marks_of, order), split)


def _year_folders(root: Path, split: str) -> tuple[Path, list[Path]]:
    """The folder of the year that has `split`, and all folders that share its labels."""
    check_root(root, INSIDE)
    of_splits = _years(root, "*/")
    splits = {year.relative_to(root).parts[0] for year in of_splits}
    if split in splits:
        return _only([year for year in of_splits if root / split in year.parents], root), of_splits
    if _is_year(root):
        return root, [root]
    years = _years(root)
    if splits and not years:
        raise missing_split(root / split / DEVKIT, split, splits)
    return _only(years, root), years


def _years(root: Path, below: str = "") -> list[Path]:
    return [
        folder
        for pattern in ("VOC[0-9]*", f"{DEVKIT}/VOC[0-9]*")
        for folder in sorted(root.glob(below + pattern))
        if _is_year(folder)
    ]


def _only(years: list[Path], root: Path) -> Path:
    if len(years) != 1:
        got = " and ".join(str(year.relative_to(root)) for year in years) or "none"
        raise DataError(
            f"data.root: expected {INSIDE} in {root}, or one year's folder that has them (one for "
            f"all splits, or one in each split's folder), got {got}. "
            "Set --data.root to the folder of a year, or move the others away."
        )
    return years[0]


def _is_year(folder: Path) -> bool:
    return (folder / "Annotations").is_dir() and (folder / "ImageSets" / "Main").is_dir()


def _listed(year: Path, split: str) -> dict[str, str]:
    """The id of each picture, and where it is listed."""
    path = year / "ImageSets" / "Main" / f"{split}.txt"
    if not path.is_file():
        raise missing_split(path, split, _splits(path.parent))
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise unreadable(path.name, "UTF-8 text", error) from None
    listed: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        # The lists of single labels (`cat_train.txt`) have a second column; the id is the first.
        identity, where = line.split()[0], f"{path.name}:{number}"
        if Path(identity).is_absolute() or ".." in Path(identity).parts:
            raise DataError(
                f"{where}: expected the id of a picture in JPEGImages, got {identity!r}. "
                "Correct the line."
            )
        if identity in listed:
            raise DataError(
                f"{where}: picture {identity!r} is already listed in {listed[identity]}. Drop one."
            )
        listed[identity] = where
    if not listed:
        raise DataError(f"{path.name}: no rows. Write one picture id per line.")
    return listed


def _splits(folder: Path) -> Iterable[str]:
    """The splits that have a list; lists of single labels such as `cat_train` do not count."""
    stems = {path.stem for path in folder.glob("*.txt")}
    return (stem for stem in stems if stem.rpartition("_")[2] not in stems - {stem})


def _names(years: Iterable[Path], root: Path) -> Sequence[str]:
    names = {
        name
        for year in years
        for path in sorted((year / "Annotations").glob("*.xml"))
        for name, _, _ in _objects(_parse(path, root), _relative(path, root))
    }
    return LABELS if names <= set(LABELS) else sorted(names)


class _WithoutDoctype(ElementTree.TreeBuilder):
    """Builds a tree, but refuses a DOCTYPE, since its entities could expand without bound."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise DataError(
            f"expected XML without DOCTYPE and ENTITY, got DOCTYPE {name!r}. Remove it."
        )


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def _parse(path: Path, root: Path, source: str = "") -> ElementTree.Element:
    where = _relative(path, root)
    listed = f" (listed in {source})" if source else ""
    try:
        parser = ElementTree.XMLParser(target=_WithoutDoctype())
        return ElementTree.fromstring(path.read_bytes(), parser)
    except FileNotFoundError:
        raise DataError(f"{where}: no such file{listed}. Add it or drop the row.") from None
    except DataError as error:
        raise DataError(f"{where}: {error}") from None
    except (OSError, ElementTree.ParseError, ValueError, LookupError) as error:
        raise unreadable(where, "XML", error) from None


def _suffix(picture: ElementTree.Element) -> str:
    suffix = Path((picture.findtext("filename") or "").strip()).suffix
    return suffix if suffix.lower() in PICTURE_SUFFIXES else ".jpg"


def _objects(picture: ElementTree.Element, file: str) -> Iterator[tuple[str, bool, str]]:
    """Each object's label, whether it is difficult, and where it is."""
    for number, entry in enumerate(picture.findall("object"), start=1):
        where = f"{file}: object {number}"
        name = (entry.findtext("name") or "").strip()
        difficult = entry.findtext("difficult", default="0").strip()
        if not name:
            raise DataError(f"{where}: expected a <name>, got none. Write the label's name.")
        if difficult not in ("0", "1"):
            raise DataError(
                f"{where}: expected 0 or 1 as <difficult>, got {difficult!r}. Correct it."
            )
        yield name, difficult == "1", where
