"""What label files of all layouts say in the end: pictures and marks; and a split made of it."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lcnet.config import Data
from lcnet.data.dataset import UNKNOWN, Sample, Split
from lcnet.data.readers.checks import check_known, check_labels, targets_of
from lcnet.data.readers.layout import ROLES, Given, Recognised, by_role, role_of
from lcnet.data.readers.locating import (
    TRIED,
    Folders,
    Place,
    find_place,
    in_words,
    locate,
    spelling,
    within,
)
from lcnet.errors import DataError


@dataclass(frozen=True)
class Listing:
    """What a label file says of its pictures. It is kept and shared: nobody changes it."""

    where: str
    """The file, as messages call it."""
    labels: tuple[str, ...]
    """The names of the labels, in the file's order."""
    pictures: Sequence[str]
    """As they are listed."""
    marks: Sequence[Mapping[str, int]]
    """1, 0 or -1 by label, for each picture; a label without a mark is absent."""
    sources: Sequence[str]
    """Where each picture is listed."""
    first: Mapping[str, str]
    """Where each label that is marked is marked first."""
    near: tuple[str, ...] = ("",)
    """Folders, relative to the root, in which the pictures are expected; the likeliest first."""
    notes: tuple[str, ...] = ()
    """What a user should know of how the file was read, a sentence each."""
    other: Sequence[str] = ()
    """Other names of the pictures, one each, which are tried too; empty if there are none."""
    nothing_known: Sequence[int] = ()
    """The pictures of which no label is known, by their indices."""
    doubts: tuple[str, ...] = ()
    """What was read in one of two ways, with the setting for the other, a line each."""


@dataclass(frozen=True)
class Row:
    """A picture as a label file lists it."""

    picture: object
    """Its path, not checked yet."""
    marks: Mapping[str, int]
    """1, 0 or -1 by label."""
    source: str
    """Where it is listed."""


def listing_of(
    where: str,
    rows: Iterable[Row],
    labels: Sequence[str] | None = None,
    *,
    near: tuple[str, ...] = ("",),
    notes: Sequence[str] = (),
) -> Listing:
    """The listing of a file's rows; without `labels`, they are the sorted names of all marks.

    Raises DataError for a label that is not among `labels`, for a path that no file can have, and
    if there are no rows.
    """
    pictures, marks, sources = [], [], []
    first: dict[str, str] = {}
    known = None if labels is None else frozenset(check_labels(labels, where))
    for row in rows:
        pictures.append(check_path(row.picture, row.source))
        for name in row.marks:
            if name not in first:
                if known is not None:
                    check_known(name, labels or (), row.source)
                first[name] = row.source
        marks.append(row.marks)
        sources.append(row.source)
    if not pictures:
        raise DataError(f"{where}: expected at least one picture, got none. Name another file.")
    order = check_labels(sorted(first) if labels is None else labels, where)
    return Listing(where, order, pictures, marks, sources, first, near, tuple(notes))


def given_place(data: Data) -> Place | None:
    """Where the settings say that the pictures are; None if they say nothing."""
    if not (data.folders or data.strip or data.suffixes):
        return None
    return Place(tuple(data.folders) or ("",), data.strip, tuple(data.suffixes) or ("",))


def split_of(
    listing: Listing, root: Path, split: str, labels: Sequence[str] | None, place: Place | None
) -> Split:
    """The split of a listing, with the files of its pictures; without a place, one is found.

    A picture that is nowhere keeps the path at which it was expected. Raises DataError for a label
    that is not among `labels`, for a file that is listed twice, and for pictures that are only in
    the folder of another split.
    """
    order = check_labels(listing.labels if labels is None else labels, listing.where)
    for name, where in listing.first.items():
        check_known(name, order, where)
    folders = Folders(root)
    listing = _named(listing, folders, place)
    found = _placed_at(place, listing, folders) or place_of(listing, folders, split)
    located = locate(listing.pictures, folders, found)
    _check_once(listing, located.files)
    notes = [*listing.notes]
    if place and found.strip != place.strip:
        notes.append(f"its pictures are found by {in_words(found.strip)}.")
    if located.other_spelling:
        first = listing.pictures[located.other_spelling[0]]
        count = counted(len(located.other_spelling), "picture")
        how = spelling(located, listing.pictures)
        notes.append(f"{count} spelled otherwise on disk ({how}), such as {first}.")
    if unmentioned := [name for name in order if name not in listing.labels]:
        notes.append(f"it does not mention {shown(unmentioned)}: absent in all its pictures.")
    samples = tuple(
        Sample(Path(file), source)
        for file, source in zip(located.files, listing.sources, strict=True)
    )
    said = tuple(f"{listing.where}: {note}" for note in notes)
    targets = targets_of(listing.marks, order)
    targets[list(listing.nothing_known)] = UNKNOWN
    return Split(order, samples, targets, split, notes=said, doubts=listing.doubts)


def _placed_at(place: Place | None, listing: Listing, folders: Folders) -> Place | None:
    return place and within(place, listing.pictures, folders)


LONGEST_PART = 255
"""Bytes in the name of a file or folder, as file systems limit them."""
LONGEST_PATH = 4_000
IN_NO_PATH = re.compile("[\\x00-\\x1f\\x7f\\ud800-\\udfff]")
"""Control signs and broken characters."""


def check_path(text: object, where: str) -> str:
    """A listed path. Raises DataError if no file can have it."""
    if isinstance(text, str) and is_path(text):
        return text
    raise DataError(f"{where}: expected the path of a picture, got {text!r}. Correct the entry.")


def is_path(text: str) -> bool:
    """Whether a file can have this path, or this address."""
    path = text.partition("?")[0] if "://" in text else text
    if not text.strip() or IN_NO_PATH.search(text) or len(path) > LONGEST_PATH:
        return False
    return all(len(part.encode()) <= LONGEST_PART for part in path.replace("\\", "/").split("/"))


def _check_once(listing: Listing, files: Sequence[str]) -> None:
    first: dict[str, int] = {}
    for index, file in enumerate(files):
        earlier = first.setdefault(file, index)
        if earlier != index:
            raise DataError(
                f"{listing.sources[index]}: expected each picture once, got "
                f"{listing.pictures[index]!r} already in {listing.sources[earlier]}. Join the two."
            )


def place_of(listing: Listing, folders: Folders, split: str) -> Place:
    """Where the pictures of a split are. Raises DataError for the folder of another split."""
    return _checked(_place_of(listing, folders), split, listing.where)


def _named(listing: Listing, folders: Folders, place: Place | None) -> Listing:
    """The listing with those names of its pictures under which more of them are found."""
    if not listing.other:
        return listing
    found: list[tuple[int, int, Listing]] = []
    for names in (listing.pictures, listing.other):
        named = replace(listing, pictures=names, other=())
        sample = _sample(names)
        where = _placed_at(place, named, folders) or _place_of(named, folders)
        found.append((len(locate(sample, folders, where).missing), len(found), named))
    return min(found, key=lambda tried: tried[:2])[2]


def _sample(pictures: Sequence[str]) -> list[str]:
    count = len(pictures)
    chosen = np.unique(np.linspace(0, count - 1, min(TRIED, count)).astype(int)).tolist()
    return [pictures[index] for index in chosen]


def _place_of(listing: Listing, folders: Folders) -> Place:
    """Where most of the pictures are: first where they are expected, then anywhere."""
    sample = _sample(listing.pictures)
    # What is expected wins with half of them: other splits may have pictures of the same names.
    for base in listing.near:
        place = Place((base,))
        if 2 * len(locate(sample, folders, place).missing) <= len(sample):
            return place
    found = find_place(listing.pictures, folders, listing.near) if sample else None
    return found or Place(listing.near[:1])


def _checked(place: Place, split: str, where: str) -> Place:
    """The place. Raises DataError if it is the folder of another split."""
    if other := _other_role(place, split):
        raise DataError(
            f"{where}: expected its pictures in a folder of their own, found them only in {other}, "
            f"the folder of another split by its name. If they are meant, set "
            f"--data.folders '[{', '.join(place.folders)}]'."
        )
    return place


def _other_role(place: Place, split: str) -> str:
    """The first folder of a place that belongs to another split; empty if there is none."""
    name = Path(split).name
    role = role_of(name) or role_of(split)
    own = {"train", "val"} if "trainval" in name.lower() else {role}
    others = {other for other in ROLES if role and other not in own}
    return next((folder for folder in place.folders if role_of(folder) in others), "")


def near_of(file: str, *names: str) -> tuple[str, ...]:
    """Folders in which the pictures of a label file are usual, relative to the root.

    They are beside the file or above its folder, in a folder that is called as one of the `names`,
    in such a folder in `images`, or in `images` itself.
    """
    folder = file.rpartition("/")[0]
    bases = [folder.rpartition("/")[0], folder] if folder else [""]
    inside = [*names, *(f"images/{name}" for name in names)]
    own = [folder] if role_of(folder) else [f"{base}/{name}" for name in inside for base in bases]
    shared = [f"{base}/{name}" for name in ("images", "data", "") for base in reversed(bases)]
    # If the user named the file alone, the root is its folder, such as `annotations`.
    outside = [] if folder else [f"../{name}" for name in [*inside, "images", ""]]
    return tuple(dict.fromkeys(name.strip("/") for name in [*own, *shared, *outside]))


def files_by_role(given: Given, names: Sequence[str], what: str) -> dict[str, str]:
    """The label file of each split: what the settings say, or what the files' names say.

    A single file is that of the training split. Raises DataError if two files fit a split.
    """
    asked = {
        role: getattr(given.data, role)
        for role in ROLES
        if getattr(given.data, role) != getattr(Data(), role)
    }
    roles = by_role(names)
    if "val" in roles and len(roles.get("train", [])) > 1:
        alone = [name for name in roles["train"] if "trainval" not in name.lower()]
        roles["train"] = alone or roles["train"]
    bare = [name for name in names if not (role_of(Path(name).name) or role_of(name))]
    if "train" not in roles:
        roles["train"] = bare or (list(names) if len(names) == 1 else [])
        roles = {"train": roles["train"]} if len(names) == 1 else roles
    chosen = dict(asked)
    for role, found in roles.items():
        if role in asked:
            continue
        if len(found) > 1:
            raise DataError(
                f"{given.root}: expected one {what} for {role}, got {found[0]} and {found[1]}"
                f"{f' and {len(found) - 2} more' if len(found) > 2 else ''}. "
                f"Set --data.{role} to one of them."
            )
        chosen[role] = found[0] if found else ""
    if not chosen.get("train"):
        raise DataError(
            f"{given.root}: expected one {what} for train, got {', '.join(names[:3])}. "
            "Set --data.train to one of them."
        )
    return {role: chosen[role] for role in ROLES if chosen.get(role)}


def recognised(
    given: Given,
    form: str,
    files: Mapping[str, str],
    listing_of: Callable[[str], Listing],
    *,
    title: str,
    left: Sequence[str] = (),
) -> Recognised:
    """How a data set of label files is read, from the file of each of its splits.

    Raises DataError if one cannot be read, or if its pictures are in the folder of another split.
    """
    listings = {role: listing_of(name) for role, name in files.items()}
    splits = {role: files.get(role, "") for role in ROLES}
    data = replace(given.data, format=form, root=str(given.root), **splits)  # type: ignore[arg-type]
    where: list[str] = []
    if (place := given_place(given.data)) is None:
        data = _placed(data, given.root, listings)
    else:
        data, where = _at_given(data, place, listings)
    counts = ", ".join(
        f"{role} {files[role]} with {counted(len(listing.pictures), 'picture')}"
        for role, listing in listings.items()
    )
    labels = listings["train"].labels
    notes = dict.fromkeys(note for listing in listings.values() for note in listing.notes)
    said = f"{title}: {counts}, {counted(len(labels), 'label')} ({shown(labels)})"
    said = "; ".join([said, *where, *(note.rstrip(".") for note in notes), *left])
    return Recognised(data, said)


def counted(number: int, what: str) -> str:
    """A number of things, such as `1 picture` or `1,234 pictures`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def shown(names: Sequence[str], most: int = 5) -> str:
    """The first of some names, in one line."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _placed(data: Data, root: Path, listings: Mapping[str, Listing]) -> Data:
    """The settings with the place of the pictures, unless they are where each split has them."""
    folders = Folders(root)
    listings = {role: _named(listing, folders, None) for role, listing in listings.items()}
    places = {role: _place_of(listing, folders) for role, listing in listings.items()}
    strange = [
        role for role, place in places.items() if _other_role(place, getattr(data, role) or role)
    ]
    if strange and not _disjoint(list(listings.values())):
        _checked(places[strange[0]], getattr(data, strange[0]), listings[strange[0]].where)
    expected = all(
        place.folders[0] in listings[role].near and place == Place(place.folders[:1])
        for role, place in places.items()
    )
    same = {(place.strip, place.suffixes) for place in places.values()}
    together = tuple(dict.fromkeys(name for place in places.values() for name in place.folders))
    each = expected or len(set(places.values())) > 1
    if (each and not strange) or len(same) > 1:
        return data
    strip, suffixes = same.pop()
    return replace(
        data,
        folders=list(together),
        strip=strip,
        suffixes=[] if suffixes == ("",) else list(suffixes),
    )


def _at_given(data: Data, place: Place, listings: Mapping[str, Listing]) -> tuple[Data, list[str]]:
    """The settings with the folders that are left out of paths, and what there is to say."""
    folders = Folders(Path(data.root))
    said: list[str] = []
    strips: dict[int, None] = {}
    for listing in listings.values():
        listing = _named(listing, folders, place)
        found = within(place, listing.pictures, folders)
        sample = _sample(listing.pictures)
        if sample and len(locate(sample, folders, found).missing) == len(sample):
            name = ", ".join(data.folders) or "."
            said.append(
                f"no picture of {listing.where} is in {name}, such as {sample[0]} "
                f"(--data.folders is as seen from {data.root})"
            )
            continue
        strips[found.strip] = None
    if len(strips) != 1 or place.strip in strips:
        return data, said
    strip = next(iter(strips))
    said.append(f"pictures in {', '.join(data.folders)} by {in_words(strip)}")
    return replace(data, strip=strip), said


def _disjoint(listings: Sequence[Listing]) -> bool:
    """Whether no picture's name is in two of the listings."""
    names = [name for listing in listings for name in {*listing.pictures}]
    return len(names) == len(set(names))
