"""Recognises how the data set in a folder or file is stored, and says so in one line."""

from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path

from lcnet.config import Data
from lcnet.data.dividing import ROLES, enough_shares, file_of, part, whole_and_part
from lcnet.data.readers import read_split
from lcnet.data.readers.folder_layout import recognise_folders
from lcnet.data.readers.layout import Given, Recognised
from lcnet.data.readers.layouts import LAYOUTS
from lcnet.errors import DataError
from lcnet.files import AnyPath
from lcnet.progress import tell

SMALL_FILE = 2**18
"""Bytes of the label file of a data set whose parts may be drawn larger."""
SMALL_FOLDER = 1_000
"""Files in its folder."""


def data_at(data: Data | Given | AnyPath, *, quiet: bool = False, divide: bool = True) -> Data:
    """The settings of a data set that is given by them or by its folder or label file.

    What was understood of a folder or file is printed, unless `quiet`. Errors and `divide` are as
    for `recognise`.
    """
    return recognised_at(data, quiet=quiet, divide=divide).data


def recognised_at(
    data: Data | Given | AnyPath, *, quiet: bool = False, divide: bool = True
) -> Recognised:
    """As `data_at`, with the line that says how it is read; an empty one for given settings."""
    if isinstance(data, Data):
        return Recognised(data, "")
    given = data if isinstance(data, Given) else Given(Path(data))
    recognised = recognise(given.path, given.data, divide=divide)
    if not quiet:
        tell(recognised.said)
    return recognised


def recognise(path: AnyPath, data: Data | None = None, *, divide: bool = True) -> Recognised:
    """The settings that read the data set at a path, and what was understood.

    `path` is a folder or a label file. Settings in `data` that are not the defaults decide between
    readings; a format other than `digits` is the only one tried. If the data set has no validation
    split, training and validation (and test, if there is none) are parts of its pictures, unless
    `divide` is false. Raises DataError if nothing or more than one layout fits, with what to set.
    """
    given = Given(Path(path), data or Data())
    if not given.path.exists():
        raise DataError(f"{path}: no such folder or file. Correct the path.")
    recognised = _recognised(given)
    data = _with_parts(recognised.data, given.data, divide=divide)
    said = recognised.said
    if data.train != recognised.data.train:
        usual, data = data.shares, _with_enough(data)
        if data.splits:
            said += f"; parts as in {data.splits}"
        else:
            said += f"; no validation split, so parts are drawn: {_shares(data)}"
        if data.shares != usual:
            said += " (larger ones, since there are few pictures; --data.shares decides)"
    return Recognised(data, said)


def _recognised(given: Given) -> Recognised:
    wanted = given.data.format
    layouts = list(LAYOUTS.values()) if wanted == Data().format else [LAYOUTS[wanted]]
    refused: DataError | None = None
    for is_general in (False, True):
        found = {}
        for layout in layouts:
            if layout.is_general != is_general:
                continue
            try:
                recognised = layout.recognise(given)
            except DataError as error:
                if not is_general:
                    raise
                if refused and layout.name == "folder":
                    advice = "If the folders are the labels, set --data.format folder."
                    raise DataError(f"{refused} {advice}") from None
                refused = refused or error
                continue
            if recognised is not None:
                found[layout.name] = recognised
                if is_general:  # the first that fits: a table goes before folders of labels
                    break
        if len(found) > 1:
            names = " and ".join(found)
            flags = " or ".join(f"--data.format {name}" for name in found)
            raise DataError(f"{given.path}: this can be read as {names}. Set {flags}.")
        if found:
            return next(iter(found.values()))
    raise refused or _unknown(given)


def _unknown(given: Given) -> DataError:
    expected = (
        f"the layout {given.data.format}"
        if given.data.format != Data().format
        else ("a table of labels, a label file of a known layout, or a folder per label")
    )
    suffixes = Counter(Path(name).suffix.lower() or "without suffix" for name in given.files)
    there = [f"{count:,} {suffix}" for suffix, count in suffixes.most_common(4)]
    if given.folders:
        there.append(f"the folders {', '.join(given.folders[:5])}")
    return DataError(
        f"{given.path}: expected {expected}, got {', '.join(there) or 'nothing'}. {_advice(given)}"
    )


def _advice(given: Given) -> str:
    """What to do about a folder or file in which nothing is recognised."""
    if any(name.lower().endswith((".xlsx", ".xls", ".ods")) for name in given.files):
        return "Save the sheet with the labels as CSV."
    if given.folders and not given.files and len(given.folders) == 1:
        return f"If the data set is in the folder {given.folders[0]}, name that."
    if len(given.folders) > 1 and recognise_folders(
        replace(given, data=replace(given.data, format="folder"))
    ):
        return "If the folders are the labels, set --data.format folder."
    see = "docs/guide/data.md shows the layouts; a table with a row per picture is the simplest."
    return see if given.file else f"Name the label file itself; {see}"


def _with_enough(data: Data) -> Data:
    """The settings with larger shares of validation and test in a small data set."""
    whole = whole_and_part(data.train)[0]
    if (
        data.shares != Data().shares
        or data.splits
        or not _is_small(Path(data.root, file_of(whole)))
    ):
        return data
    try:
        split = read_split(data, whole)
    except DataError:
        return data  # whoever reads it says what is wrong
    return data if split.parts else replace(data, shares=enough_shares(split, data))


def _is_small(path: Path) -> bool:
    """Whether a label file or a folder of pictures is read in no time."""
    if path.is_file():
        return path.stat().st_size <= SMALL_FILE
    return path.is_dir() and len(list(islice(path.rglob("*"), SMALL_FOLDER))) < SMALL_FOLDER


def _shares(data: Data) -> str:
    """The shares of the parts that are drawn, such as `80 % train, 10 % val, 10 % test`."""
    drawn = dict(zip(ROLES, data.shares, strict=False))
    if whole_and_part(data.test)[0] != whole_and_part(data.train)[0]:
        del drawn["test"]
    total = sum(drawn.values())
    return ", ".join(f"{100 * share / total:.0f} % {role}" for role, share in drawn.items()) + (
        f", whole groups of {data.table.group!r}" if data.table.group else ""
    )


def _with_parts(found: Data, given: Data, *, divide: bool) -> Data:
    """The settings with parts of the training split for the splits that there are not."""
    usual = Data()
    train, val, test = (
        own if (own := getattr(given, role)) != getattr(usual, role) else getattr(found, role)
        for role in ROLES
    )
    if train and not val and divide:
        val, test = part(train, "val"), test or part(train, "test")
        train = part(train, "train")
    return replace(found, train=train, val=val, test=test)
