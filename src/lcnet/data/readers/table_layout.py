"""Recognises tables of labels: a table per split, or one for all; known ones by their header."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from lcnet.config import Data, Format, Table
from lcnet.data.dataset import Split
from lcnet.data.dividing import part, whole_and_part
from lcnet.data.readers.layout import ROLES, Given, Layout, Recognised, by_role
from lcnet.data.readers.split_lists import lists_beside, split_lists, with_lists
from lcnet.data.readers.table import read_table
from lcnet.data.readers.table_file import COMPRESSED, forms, is_table, named_columns
from lcnet.data.readers.table_understanding import Understood, understand
from lcnet.errors import DataError, fault_of

DEPTH = 2
"""Folders below the given one in which tables are looked for."""
SUBMISSION = "submission"
"""Part of the names of tables in which Kaggle shows how predictions are written."""
EXACT = {"train": ("train", "training"), "val": ("val", "valid", "validation", "dev")}


@dataclass(frozen=True)
class Known:
    """A table that is known by its header."""

    name: Format
    settings: Callable[[tuple[str, ...]], Table | None]
    """The settings that read a table of these columns; None if it is another table."""
    openings: tuple[Table, ...] = (Table(),)
    """Settings without which its columns cannot be read; each is tried."""
    suffixes: tuple[str, ...] = ()
    """Suffixes of the pictures, if a picture has several files."""
    finish: Callable[[Data, Split], Split] = lambda data, split: split
    """Changes a split that was read as a table."""
    parts: Callable[[Path], Mapping[str, str]] = lambda table: {}
    """The parts of a table that lists beside it say, for train, val and test."""


def table_layout(known: Known | None = None) -> Layout:
    """The layout of known tables, or of all others."""
    if known is None:
        return Layout("table", _read, lambda given: _recognise(given, None), is_general=True)

    def read(data: Data, split: str, labels: Sequence[str] | None) -> Split:
        return known.finish(data, read_table(_with_known(data, split, known), split, labels))

    return Layout(known.name, read, lambda given: _recognise(given, known))


def _read(data: Data, split: str, labels: Sequence[str] | None) -> Split:
    return with_lists(read_table(data, split, labels), Path(data.root, split))


def _recognise(given: Given, known: Known | None) -> Recognised | None:
    """The tables of a folder that lead to pictures, or the given one.

    Raises DataError if tables are there but none can be read, or if several could be the training
    table.
    """
    data = replace(given.data, format=known.name if known else "table", root=str(given.root))
    for names in [[given.file]] if given.file else _tables(given):
        tables = [name for name in names if is_table(name) and _fits(data, name, known)]
        if not tables:
            continue
        lists = {path for name in tables for path in lists_beside(given.root / name).values()}
        tables = [name for name in tables if known or given.root / name not in lists]
        understood, errors = _understood(data, tables, known)
        wanted = _wanted(given.data, tables)
        training = wanted.get("train") or next(iter(by_role(tables).get("train", [])), "")
        if training in errors and training not in understood and not _has_training(understood):
            raise errors[training]  # another table is no training table in its place
        if understood:
            return _chosen(understood, errors, known, wanted, is_file=bool(given.file))
        if given.file or known or not all(name.endswith(".txt") for name in tables):
            raise next(iter(errors.values()))
    return None


def _fits(data: Data, name: str, known: Known | None) -> bool:
    """Whether a table is of the known kind; without one, every table fits."""
    if known is None:
        return True
    try:
        return _known_settings(data, name, known) is not None
    except DataError:
        return False


def _known_settings(data: Data, name: str, known: Known) -> Table | None:
    for opening in known.openings:
        opened = _merged(data.table, opening)
        for form, records in forms(Path(data.root, name), opened):
            if settings := known.settings(named_columns(records, form, opened)):
                return _merged(opened, settings)
    return None


def _with_known(data: Data, name: str, known: Known) -> Data:
    """The settings with those of a known table. Raises DataError if it is another table."""
    if data.table.picture:
        return data
    if not Path(data.root, name).is_file():
        return data  # the reader says what there is
    table = _known_settings(data, name, known)
    if table is None:
        raise DataError(
            f"{name}: expected a table of the layout {known.name}, got other columns. Set "
            "--data.format table."
        )
    return replace(data, table=table, suffixes=data.suffixes or list(known.suffixes))


def _merged(given: Table, known: Table) -> Table:
    """The settings that were given, and the known ones where nothing was given."""
    usual = asdict(Table())
    missing = {
        name: value
        for name, value in asdict(known).items()
        if value != usual[name] and getattr(given, name) == usual[name]
    }
    return replace(given, **missing)


# Which table is for which split


def _tables(given: Given) -> Iterator[list[str]]:
    """The tables in the folder, then those in folders below, without other forms of the same."""
    for depth in range(DEPTH + 1):
        names = sorted(
            str(path.relative_to(given.root))
            for path in given.root.glob("*/" * depth + "*")
            if is_table(path.name) and path.is_file()
        )
        names = [name for name in names if "/." not in f"/{name}"]
        if names:
            yield [name for name in names if not _is_copy(name, names)]


def _is_copy(name: str, names: Sequence[str]) -> bool:
    """Whether the same table is there uncompressed, or under an earlier kind of compression."""
    path = Path(name)
    if path.suffix.lower() not in COMPRESSED:
        return False
    plain = str(path.with_suffix(""))
    return plain in names or any(other < name for other in names if other.startswith(f"{plain}."))


def _understood(
    data: Data, names: Sequence[str], known: Known | None
) -> tuple[dict[str, Understood], dict[str, DataError]]:
    """The tables that lead to pictures, and why the others cannot be read."""
    understood: dict[str, Understood] = {}
    errors: dict[str, DataError] = {}
    training = by_role(names).get("train", [])
    for name in sorted(names, key=lambda one: (one not in training, one)):
        # The training table says how the others are read: alone, they may have other readings.
        first = next(iter(understood.values())) if training and understood else None
        own = first.data if first and name not in training else data
        try:
            if known and own is data:
                own = _with_known(data, name, known)
            one = understand(replace(own, train=name), name)
        except DataError as error:
            errors[name] = error
            continue
        if one.has_pictures:
            understood[name] = one
        else:
            errors[name] = _no_picture(data, name, one.example)
    return understood, errors


def _no_picture(data: Data, name: str, example: str) -> DataError:
    """The error for a table that leads to no picture."""
    if data.folders:
        where = f"{', '.join(data.folders)} (--data.folders, as seen from {data.root})"
        advice = "Correct it."
    else:
        inside = Path(data.root).iterdir()
        links = [path.name for path in inside if path.is_symlink() and path.is_dir()]
        where, folder = f"{data.root} or below", links[0] if links else "../photos"
        advice = "Set --data.folders to their folder as seen from there, such as "
        advice += f"--data.folders '[{folder}]'"
        advice += ", since a link to a folder is not followed." if links else "."
    return DataError(
        f"{name}: no picture that it lists was found in {where}, such as {example!r}. {advice}"
    )


def _has_training(understood: Mapping[str, Understood]) -> bool:
    return bool(by_role(understood).get("train"))


def _wanted(data: Data, names: Sequence[str]) -> dict[str, str]:
    """The tables that the settings name, by role."""
    chosen = {role: whole_and_part(getattr(data, role))[0] for role in ROLES}
    return {role: name for role, name in chosen.items() if name in names}


def _chosen(
    understood: Mapping[str, Understood],
    errors: Mapping[str, DataError],
    known: Known | None,
    wanted: Mapping[str, str],
    *,
    is_file: bool,
) -> Recognised:
    """The tables of the splits, from all that can be read; a file that was named is all of it."""
    roles = {"train": list(understood)} if is_file else by_role(understood)
    roles |= {role: [name] for role, name in wanted.items()}
    if "train" not in roles:
        others = [
            name for name in understood if by_role([name]) == {} and SUBMISSION not in name.lower()
        ]
        if len(others) != 1:
            raise _several(others or list(understood), "train")
        roles["train"] = others
    chosen = {role: _only(names, role) for role, names in roles.items()}
    first = understood[chosen["train"]]
    recognised = Recognised(
        replace(
            first.data,
            train=chosen["train"],
            val=chosen.get("val", ""),
            test=chosen.get("test", ""),
        ),
        first.said,
    )
    if set(chosen) == {"train"} and first.parts:
        recognised = _with_parts(replace(recognised, said=first.said_in_parts), first)
    elif known and (parts := known.parts(Path(first.data.root, chosen["train"]))):
        recognised = _with_lists(recognised, parts)
    elif set(chosen) == {"train"} and not known:
        table = Path(first.data.root, chosen["train"])
        roles_of_lists = {role: role for role in split_lists(table, first.example)}
        recognised = _with_lists(recognised, roles_of_lists) if roles_of_lists else recognised
    left = [name for name in understood if name not in chosen.values()]
    kind = f"{known.name} " if known else ""
    said = f"{kind}{recognised.said}" + (f"; not read: {', '.join(left[:5])}" if left else "")
    for role, (name, *_) in by_role(list(errors)).items():
        if role not in roles:
            said += f"; no {role} split, as {fault_of(errors[name])}"
    return replace(recognised, said=said)


def _with_parts(recognised: Recognised, understood: Understood) -> Recognised:
    """One table for all splits, with a column that says the split of a row."""
    table = recognised.data.table
    ignore = [other for other in table.ignore if other != understood.split]
    data = _in_parts(recognised.data, understood.parts)
    return Recognised(
        replace(data, table=replace(table, split=understood.split, ignore=ignore)),
        f"{recognised.said}; splits in {understood.split!r}",
    )


def _with_lists(recognised: Recognised, parts: Mapping[str, str]) -> Recognised:
    """One table for all splits, with lists beside it that say the split of a picture."""
    data = _in_parts(recognised.data, parts)
    return Recognised(data, f"{recognised.said}; splits from the lists beside it")


def _in_parts(data: Data, parts: Mapping[str, str]) -> Data:
    """The settings with the parts of one table as splits, by the role of each."""
    train, val, test = (part(data.train, parts[role]) if role in parts else "" for role in ROLES)
    return replace(data, train=train, val=val, test=test)


def _only(names: Sequence[str], role: str) -> str:
    """The one table of a role; of several, the one whose whole name is the role."""
    if len(names) == 1:
        return names[0]
    words = EXACT.get(role, (role,))
    exact = [name for name in names if Path(name).name.partition(".")[0].lower() in words]
    if len(exact) == 1:
        return exact[0]
    raise _several(names, role)


def _several(names: Sequence[str], role: str) -> DataError:
    shown = ", ".join(names[:4]) + ", ..." * (len(names) > 4)
    return DataError(
        f"{shown}: expected one table for {role}, got {len(names)}. Name the table itself in "
        f"place of the folder, or set --data.{role} {names[0]!r}."
    )
