"""Finds the files of listed pictures, also where a list spells their paths in another way.

A list may leave out the suffix or the folder, write another slash, or come from another machine.
`find_place` looks at a few of its pictures and says where they lie; `locate` then finds all.
"""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from lcnet.config import Data
from lcnet.data.decoding import PICTURE_SUFFIXES
from lcnet.data.dividing import whole_and_part
from lcnet.data.readers.layout import by_role
from lcnet.data.readers.near_names import near_name
from lcnet.errors import DataError

ANYWHERE = "**"
"""The folder setting that looks in all folders below the root."""
ANY_SUFFIX = ".*"
"""The suffix setting that takes the one picture of that name, whatever its suffix."""
NAME_ALONE = -1
"""The value of `strip` that leaves only the file's name of a listed path."""
LOOKED_AT = 1_000
"""Files of a folder that tell whether it holds links."""
TRIED = 100
"""Listed pictures that are looked for to find out where all of them lie."""
MOST_STRIPPED = 16
"""Most leading folders that are left out one after another."""
MOST_FOLDERS = 16
"""Pictures in more folders than this are looked for in all folders."""


UPLOADED = re.compile(r"(^|/)[0-9a-f]{8}-(?=[^/]+$)")
"""What Label Studio puts before the name of an uploaded file."""


@dataclass(frozen=True)
class Place:
    """Where the pictures of a list lie, and how to get from a listed path to a file."""

    folders: tuple[str, ...] = ("",)
    """Folders relative to the root that are searched, in this order; `**` means all."""
    strip: int = 0
    """Leading folders of a listed path to leave out; -1 leaves only the name."""
    suffixes: tuple[str, ...] = ("",)
    """Added to a listed path; several mean a file per channel; `.*` means any suffix."""


@dataclass(frozen=True)
class Located:
    """The files of listed pictures."""

    files: list[str]
    """One per listed picture; where there is none, the path at which it was expected."""
    missing: list[int]
    """Indices of the pictures without a file."""
    other_spelling: list[int]
    """Indices of the pictures whose file is spelled in another way: case, `\\`, Unicode form."""


class Folders:
    """Folders below a root, each listed once."""

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self._listed: dict[str, _Folder | None] = {}
        self._by_name: dict[str, list[str]] | None = None

    def at(self, path: str) -> "_Folder | None":
        """The folder at a path relative to the root; None if there is none of that name."""
        if path not in self._listed:
            self._listed[path] = _Folder.read(os.path.join(self.root, path))
        return self._listed[path]

    def below(self, base: str, head: str) -> "_Folder | None":
        """The folder `head` below `base`, also if another case or Unicode form is on the disk."""
        key = f"{base}\0{head}"
        if key not in self._listed:
            self._listed[key] = self._walk(base, head)
        return self._listed[key]

    def _walk(self, base: str, head: str) -> "_Folder | None":
        if (folder := self.at(os.path.join(base, head))) is not None:
            return folder
        folder = self.at(base)
        for part in head.split("/"):
            if folder is None or part in ("", "."):
                continue
            name = part if part in folder.names else folder.alike(part)
            folder = None if name is None else _Folder.read(os.path.join(folder.path, name))
        return folder

    def holding(self, name: str) -> list[str]:
        """The folders below the root, relative to it, that hold a file of that name or stem."""
        if self._by_name is None:
            self._by_name = {}
            for folder, files in self.walked():
                for file in files:
                    self._by_name.setdefault(_folded(file), []).append(folder)
                    stem, suffix = os.path.splitext(file)
                    if suffix.lower() in PICTURE_SUFFIXES:
                        self._by_name.setdefault(_folded(stem), []).append(folder)
        return list(dict.fromkeys(self._by_name.get(_folded(name), [])))

    def of_role(self, role: str) -> list[str]:
        """The folders up to two below the root whose names say that role."""
        root = Path(self.root)
        found = sorted(
            path.relative_to(root).as_posix()
            for pattern in ("*", "*/*")
            for path in root.glob(pattern)
            if path.suffix.lower() not in PICTURE_SUFFIXES and path.is_dir()
        )
        return [name for name in found if "/." not in f"/{name}" and role in by_role([name])]

    def walked(self) -> Iterator[tuple[str, list[str]]]:
        """Each folder below the root that is not hidden, relative to it, with its files."""
        for folder, inside, files in os.walk(self.root):
            inside[:] = sorted(name for name in inside if not name.startswith("."))
            relative = os.path.relpath(folder, self.root)
            yield ("" if relative == "." else relative), files


class _Folder:
    """The names in a folder, without links that lead nowhere."""

    def __init__(self, path: str, names: frozenset[str]) -> None:
        self.path, self.names = path, names
        self._alike: dict[str, list[str]] | None = None
        self._stems: dict[str, list[str]] | None = None

    @classmethod
    def read(cls, path: str) -> "_Folder | None":
        try:
            with os.scandir(path or ".") as entries:
                has_links = any(one.is_symlink() for one in islice(entries, LOOKED_AT))
            names = os.listdir(path or ".")
            if has_links:  # as git-annex keeps pictures; those that are not fetched lead nowhere
                names = [name for name in names if os.path.exists(os.path.join(path, name))]
            return cls(path, frozenset(names))
        except (OSError, ValueError):  # ValueError: a path that no file system can have
            return None

    def alike(self, name: str) -> str | None:
        """The only name here that differs from `name` in case or Unicode form alone."""
        if self._alike is None:
            self._alike = {}
            for own in self.names:
                self._alike.setdefault(_folded(own), []).append(own)
        found = self._alike.get(_folded(name), [])
        return found[0] if len(found) == 1 else None

    def with_stem(self, stem: str) -> list[str]:
        """The pictures here of that name, whatever their suffix."""
        if self._stems is None:
            self._stems = {}
            for own in self.names:
                start, suffix = os.path.splitext(own)
                if suffix.lower() in PICTURE_SUFFIXES:
                    self._stems.setdefault(start, []).append(own)
        return sorted(self._stems.get(stem, []))


def in_words(strip: int) -> str:
    """What is left of a listed path after leading folders are left out."""
    if strip == NAME_ALONE:
        return "the name of the file alone"
    return f"the path without {strip} leading folder{'s' * (strip != 1)}"


def place_of(data: Data) -> Place | None:
    """The place that the settings say; None if they leave it to be found."""
    if not data.folders and data.strip == 0:
        return None
    folders = tuple("" if folder == "." else folder for folder in data.folders)
    return Place(folders or ("",), data.strip, tuple(data.suffixes) or ("",))


def within(given: Place, listed: Sequence[str], folders: Folders) -> Place:
    """The given place; without leading folders of the paths if the pictures are there only so.

    They are left out where not one picture is in the given folders as it is listed, and only if no
    two pictures become the same.
    """
    sample = _sample(listed)
    if given.strip or given.folders == ("",) or _hits(sample, folders, given):
        return given
    deepest = max((_cleaned(text).strip("/").count("/") for text in sample), default=0)
    best, most = given, 0
    for strip in (*range(1, min(deepest, MOST_STRIPPED)), NAME_ALONE):
        place = replace(given, strip=strip)
        if (hits := _hits(sample, folders, place)) > most and _are_distinct(listed, strip):
            best, most = place, hits
    return best


def _are_distinct(listed: Sequence[str], strip: int) -> bool:
    """Whether listed paths differ without their leading folders as they do with them."""
    whole = {_cleaned(text) for text in listed}
    return len({_stripped(text, strip) for text in whole}) == len(whole)


def place_for(data: Data, split: str, listed: Sequence[str], folders: Folders) -> Place | None:
    """Where the pictures of a table lie: as the settings say, else found; None if none is.

    They are looked for beside the table, in the root, in folders whose names say the same split as
    the table's, and then anywhere below.
    """
    given = place_of(data)
    if given is None:
        own, role = os.path.dirname(split), next(iter(by_role([whole_and_part(split)[0]])), "")
        return find_place(listed, folders, [own, ""], suffixes=data.suffixes, role=role)
    if data.suffixes:
        return within(given, listed, folders)
    sample = _sample(listed)
    places = [
        within(replace(given, suffixes=added), listed, folders)
        for added in (("",), *_suffixes(sample))
    ]
    return max(places, key=lambda place: _hits(sample, folders, place))


def find_place(
    listed: Sequence[str],
    folders: Folders,
    near: Sequence[str] = ("",),
    *,
    suffixes: Sequence[str] = (),
    role: str = "",
) -> Place | None:
    """Where the listed pictures lie; None if not one of them is found.

    Looked at are a few of them: first in the folders `near` (relative to the root), then in the
    folders above the root, then in folders of the same `role`, then below the root. Raises
    DataError if a picture's name alone leads to several files.
    """
    sample = _sample(listed)
    tried = [*dict.fromkeys([*near, "", "..", os.path.join("..", "..")])]
    best: Place | None = None
    most = 0
    for added in (tuple(suffixes),) if suffixes else (("",), *_suffixes(sample)):
        for base in tried:
            place = Place((base,), suffixes=added)
            hits = _hits(sample, folders, place)
            if hits > most:
                best, most = place, hits
            if hits == len(sample):
                return place
    if role and (same := _place_of_role(sample, folders, role, suffixes)):
        return same
    below = None
    if len(suffixes) < 2:  # several are a file per channel
        below = _place_below([text + "".join(suffixes) for text in sample], folders)
        if below is not None and suffixes:
            below = replace(below, suffixes=tuple(suffixes))
    if below is not None and _hits(sample, folders, below) > most:
        return below
    return best


def _sample(listed: Sequence[str]) -> list[str]:
    chosen = np.unique(np.linspace(0, len(listed) - 1, min(TRIED, len(listed))).astype(int))
    return [listed[index] for index in chosen.tolist()]


def _hits(sample: Sequence[str], folders: Folders, place: Place) -> int:
    return len(sample) - len(locate(sample, folders, place).missing)


def _place_of_role(
    sample: Sequence[str], folders: Folders, role: str, suffixes: Sequence[str]
) -> Place | None:
    """The folder of that role that has all pictures of the sample; None if there is none.

    Raises DataError if several have.
    """
    found: list[Place] = []
    for folder in folders.of_role(role):
        for added in (tuple(suffixes),) if suffixes else (("",), *_suffixes(sample)):
            place = Place((folder,), suffixes=added)
            if _hits(sample, folders, place) == len(sample):
                found.append(place)
                break
    if len(found) > 1:
        first, second = (locate(sample[:1], folders, place).files[0] for place in found[:2])
        if os.path.realpath(first) != os.path.realpath(second):
            first, second = (os.path.relpath(file, folders.root) for file in (first, second))
            raise _two_files(sample[0], first, second, os.path.dirname(_cleaned(sample[0])))
    return found[0] if found else None


def locate(listed: Sequence[str], folders: Folders, place: Place) -> Located:
    """The file of each listed picture.

    With several suffixes it is the file of the first. Raises DataError if two files fit a picture.
    """
    located = Located([], [], [])
    bases = [base for pattern in place.folders for base in _matching(folders, pattern)]
    at_once = _AsListed(folders, bases, place, few=len(listed) <= TRIED)
    suffix = place.suffixes[0]
    for index, text in enumerate(listed):
        if (file := at_once.file(text)) is not None:
            located.files.append(file)
            continue
        exact = _cleaned(text)
        head, _, leaf = _stripped(exact, place.strip).rpartition("/")
        head = "/" + head if exact.startswith("/") and place.strip == 0 else head
        file = _found(folders, bases, head, leaf, suffix, text)
        if file is None:
            located.missing.append(index)
            file = os.path.join(folders.root, bases[0] if bases else "", head, leaf + suffix)
        elif "\\" in text or not (suffix == ANY_SUFFIX or file.endswith(f"{head}/{leaf}{suffix}")):
            located.other_spelling.append(index)
        located.files.append(file)
    return located


def spelling(located: Located, listed: Sequence[str]) -> str:
    """In which ways the files of pictures are spelled otherwise than the list has them."""
    some = located.other_spelling[:LOOKED_AT]
    return " and ".join(dict.fromkeys(_difference(listed[one], located.files[one]) for one in some))


def _difference(text: str, file: str) -> str:
    leaf, name = _cleaned(text).rpartition("/")[2], os.path.basename(file)
    if not _folded(name).startswith(_folded(leaf)):
        return "without Label Studio's prefix"
    if not name.startswith(leaf):
        return "in another case or Unicode form"
    if "\\" in text:
        return "with / for \\"
    if "://" in text or "?d=" in text:
        return "as the path of an address"
    return "in another case or Unicode form of a folder"


class _AsListed:
    """Finds the files that are just where a list says, which are most of a million pictures."""

    def __init__(self, folders: Folders, bases: Sequence[str], place: Place, *, few: bool) -> None:
        """With `few` pictures, each is looked at alone, since a folder may hold a million."""
        self.folders, self.suffix, self.few = folders, place.suffixes[0], few
        only = bases[0] if len(bases) == 1 and place.strip == 0 else ANYWHERE
        self.base = None if ANYWHERE in only or self.suffix == ANY_SUFFIX else only
        self.names_in: dict[str, tuple[frozenset[str], str]] = {}

    def file(self, text: str) -> str | None:
        """The file; None if it must be looked for."""
        if self.base is None or text[:1] in "./ " or "\\" in text or ":" in text or "?" in text:
            return None  # an address, or a path of Windows
        if self.few:
            path = os.path.join(self.folders.root, self.base, text + self.suffix)
            return path if os.path.isfile(path) else None
        head, _, leaf = text.rpartition("/")
        known = self.names_in.get(head)
        if known is None:
            path = os.path.join(self.base, head)
            folder = self.folders.at(path)
            known = self.names_in[head] = (
                (folder.names, f"{folder.path.rstrip('/')}/") if folder else (frozenset(), "")
            )
        names, prefix = known
        name = leaf + self.suffix
        return prefix + name if name in names else None


def elsewhere(path: Path, root: Path, taken: Collection[str] = ()) -> str:
    """What to do about a picture that is not at its path: where one of its name lies, if any.

    Else a name in its folder that is nearly the same may be meant, but none of the `taken` paths.
    """
    folders = Folders(root)
    found = folders.holding(path.name) or folders.holding(path.stem)
    if not found:
        near = near_name(path, taken)
        return (
            f"{f'Did you mean {near}? Else correct' if near else 'Correct'} the paths, set "
            f"--data.folders '[FOLDER]' to where the pictures are (as seen from {root}), or drop "
            "the rows to train without them."
        )
    place = found[0] or "."
    at = folders.at(found[0])
    names = (at.alike(path.name), *at.with_stem(path.stem)) if at else ()
    name = next((name for name in names if name), path.name)
    return (
        f"There is {os.path.join(place, name)}: correct the path, or set --data.folders "
        f"'[{place}]' if all pictures are there."
    )


def _found(
    folders: Folders, bases: Sequence[str], head: str, leaf: str, suffix: str, text: str
) -> str | None:
    """The file of a picture in one of the folders; None if it is in none."""
    in_all = bases == [ANYWHERE]
    if in_all:
        bases = folders.holding(leaf + ("" if suffix == ANY_SUFFIX else suffix))
    found: list[str] = []
    for base in bases:
        folder = folders.below(base, head) if head else folders.at(base)
        if folder is None:
            continue
        if suffix == ANY_SUFFIX:
            found += [f"{folder.path.rstrip('/')}/{name}" for name in folder.with_stem(leaf)]
            continue
        name: str | None = leaf + suffix
        if name not in folder.names:
            name = folder.alike(leaf + suffix)
        if name is not None:
            found.append(f"{folder.path.rstrip('/')}/{name}")
    if not found and (plain := UPLOADED.sub("", leaf)) != leaf:
        return _found(folders, [ANYWHERE] if in_all else bases, head, plain, suffix, text)
    if len(found) > 1 and len({os.path.realpath(file) for file in found}) > 1:
        first, second = (os.path.relpath(file, folders.root) for file in found[:2])
        raise _two_files(text, first, second, head)
    return found[0] if found else None


def _two_files(text: str, first: str, second: str, head: str) -> DataError:
    """The error for a picture that can be either file, with the settings that choose one."""
    places = [_base(file, head) for file in (first, second)]
    setting = "folders"
    if places[0] == places[1]:
        setting, places = "suffixes", [os.path.splitext(file)[1] for file in (first, second)]
    choices = " or ".join(f"--data.{setting} '[{place}]'" for place in places)
    return DataError(
        f"picture {text!r}: expected one file, got {first} and {second}. Set {choices}."
    )


def _base(file: str, head: str) -> str:
    """The folder from which a listed path leads to a file."""
    folder = os.path.dirname(file)
    inside = head.strip("/")
    if inside and _folded(folder).endswith(_folded(inside)):
        folder = folder[: len(folder) - len(inside)].rstrip("/")
    return folder or "."


def _matching(folders: Folders, pattern: str) -> list[str]:
    """The folders that a setting names; a pattern such as `images_*` may name several."""
    if pattern == ANYWHERE or not any(sign in pattern for sign in "*?["):
        return [pattern]
    root = Path(folders.root)
    return sorted(str(path.relative_to(root)) for path in root.glob(pattern) if path.is_dir())


def _cleaned(text: str) -> str:
    """A listed path with `/` between folders; of an address, its path."""
    text = text.strip()
    if "://" in text or "?d=" in text:
        try:
            address = urlsplit(text)
        except ValueError:
            return text
        text = unquote(parse_qs(address.query).get("d", [address.path])[0])
    return text.replace("\\", "/").removeprefix("./")


def _stripped(path: str, strip: int) -> str:
    if strip == 0:
        return path.lstrip("/") if path.startswith("//") else path.removeprefix("/")
    parts = path.strip("/").split("/")
    return "/".join(parts[-1:] if strip == NAME_ALONE else parts[min(strip, len(parts) - 1) :])


def _suffixes(sample: Sequence[str]) -> list[tuple[str]]:
    """Further suffixes to try, if some listed pictures have none."""
    bare = [text for text in sample if Path(_cleaned(text)).suffix.lower() not in PICTURE_SUFFIXES]
    if not bare:
        return []
    return [(suffix,) for suffix in sorted(PICTURE_SUFFIXES)] + [(ANY_SUFFIX,)]


def _place_below(sample: Sequence[str], folders: Folders) -> Place | None:
    """The place that most of the sample agree on, from a walk through all folders."""
    places: Counter[tuple[str, int, str]] = Counter()
    for text in sample:
        *head, leaf = _cleaned(text).strip("/").split("/")
        leaf = leaf if folders.holding(leaf) else UPLOADED.sub("", leaf)
        for folder in folders.holding(leaf):
            parts = [part for part in folder.split("/") if part]
            same = 0
            while same < min(len(parts), len(head)) and parts[-1 - same] == head[-1 - same]:
                same += 1
            listing = folders.at(folder)
            assert listing is not None
            suffix = "" if leaf in listing.names or listing.alike(leaf) else ANY_SUFFIX
            strip = len(head) - same if same else (NAME_ALONE if head else 0)
            places["/".join(parts[: len(parts) - same]), strip, suffix] += 1
    if not places:
        return None
    (_, strip, suffix), _ = max(places.items(), key=lambda item: (item[1], item[0][1] == 0))
    chosen = sorted({key[0] for key in places if key[1:] == (strip, suffix)})
    suffixes = (_only_suffix(sample, folders, chosen) or suffix,) if suffix else ("",)
    return Place(tuple(chosen) if len(chosen) <= MOST_FOLDERS else (ANYWHERE,), strip, suffixes)


def _only_suffix(sample: Sequence[str], folders: Folders, chosen: Sequence[str]) -> str:
    """The suffix that all pictures of the sample have; empty if they differ."""
    suffixes = set()
    for text in sample:
        stem = _cleaned(text).rpartition("/")[2]
        for base in chosen:
            folder = folders.at(base)
            names = folder.with_stem(stem) if folder else []
            suffixes |= {os.path.splitext(name)[1] for name in names}
    return suffixes.pop() if len(suffixes) == 1 else ""


def _folded(name: str) -> str:
    """The name without the differences of case and Unicode form."""
    return unicodedata.normalize("NFC", name).casefold()
