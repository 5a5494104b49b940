"""Recognises what is known by its folders: digits, rope and shards."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lcnet.data.containers import PARQUET, TAR, picture_column, pyarrow_parquet
from lcnet.data.readers.huggingface import FILES
from lcnet.data.readers.layout import ROLES, Given, Recognised, role_of
from lcnet.data.readers.listing import files_by_role, shown
from lcnet.errors import DataError

SCENES = "scenes.json"
ROPE = {"train": "Train", "val": "Val", "test": "Test"}
LABEL_FILES = (".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml")


def recognise_digits(given: Given) -> Recognised | None:
    """Scenes of digits, which lcnet made: a folder per split with `scenes.json`."""
    names = [name for name in _folders(given) if (given.root / name / SCENES).is_file()]
    files = {role: role for role in ROLES if role in names}
    return _recognised(given, "digits", files, "scenes of digits") if "train" in files else None


def recognise_rope(given: Given) -> Recognised | None:
    """Rope damage as released: `ropeTrain` and `imageLabelsTrain.csv`, and the like."""
    files = {
        role: role
        for role, name in ROPE.items()
        if f"rope{name}" in _folders(given) and f"imageLabels{name}.csv" in given.files
    }
    return _recognised(given, "rope", files, "rope damage") if "train" in files else None


def recognise_shards(given: Given) -> Recognised | None:
    """Folders of tar or Parquet files with pictures.

    Raises DataError if the files of several splits are in one folder.
    """
    names = [name for name in _folders(given) if _shards_in(given.root / name)]
    if names:
        for name in names:
            if not role_of(name):
                _check_one_split(_shards_in(given.root / name), name)
        files = files_by_role(given, names, "folder of shards")
        return _recognised(given, "shards", files, "shards")
    tars = [name for name in given.files if Path(name).suffix.lower() == TAR]
    beside = [name for name in given.files if Path(name).suffix.lower() in LABEL_FILES]
    if not tars or beside or given.file:
        return None
    _check_one_split(tars, str(given.root))
    return _recognised(given, "shards", {"train": "."}, "shards")


def _folders(given: Given) -> tuple[str, ...]:
    return () if given.file else given.folders


def _recognised(given: Given, form: str, files: dict[str, str], what: str) -> Recognised:
    splits = {role: files.get(role, "") for role in ROLES}
    data = replace(given.data, format=form, root=str(given.root), **splits)  # type: ignore[arg-type]
    named = ", ".join(f"{role} {name}" if role != name else role for role, name in files.items())
    return Recognised(data, f"{what}: {named}")


def _shards_in(folder: Path) -> list[str]:
    """The shards in a folder; of Parquet files only those with pictures."""
    return sorted(
        path.name
        for path in folder.iterdir()
        if path.suffix.lower() == TAR
        or (path.suffix.lower() == PARQUET and path.name.lower() not in FILES and _shows(path))
    )


def _shows(path: Path) -> bool:
    """Whether a Parquet file has a column of pictures."""
    parquet = pyarrow_parquet()
    import pyarrow

    try:
        return bool(picture_column(path, parquet.read_schema(path)))
    except (DataError, OSError, pyarrow.ArrowException):
        return False


def _check_one_split(names: Sequence[str], where: str) -> None:
    """Raises DataError if shards say by their names that they are of one or another split."""
    if roles := {role_of(name) for name in names} - {""}:
        folders = " and ".join(f"{role}/" for role in ROLES if role in roles)
        raise DataError(
            f"{where}: expected the shards of each split in a folder of its own, got "
            f"{shown(names, 2)}. Move them into {folders}."
        )
