"""Reads files of predictions: lcnet's own, and those that other tools wrote."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from lcnet.errors import ConfigError, DataError, LCNetError, reason_of
from lcnet.evaluating.gathered import Gathered, TooWide
from lcnet.evaluating.prediction_arrays import peek_npz, read_npz
from lcnet.evaluating.prediction_columns import KNOWN, Peek, Scores
from lcnet.evaluating.prediction_csv import peek_csv, read_csv
from lcnet.evaluating.prediction_lines import peek_lines, read_lines
from lcnet.evaluating.prediction_parquet import peek_parquet, read_parquet
from lcnet.evaluating.predictions import Predictions, checked
from lcnet.files import AnyPath

READERS: dict[str, Callable[[Path, Gathered], None]] = {
    ".csv": read_csv,
    ".tsv": read_csv,
    ".parquet": read_parquet,
    ".jsonl": read_lines,
    ".npz": read_npz,
}
"""What reads a file of each suffix."""


def read_predictions(file: AnyPath, *, scores: Scores = "") -> Predictions:
    """The predictions in a file that `lcnet evaluate --predictions` or another tool wrote.

    CSV and Parquet have a column with the picture's name and a column per label, npz has arrays
    `pictures`, `labels` and `probabilities` or `logits`, and JSON Lines are those of `lcnet
    predict`. `file` can also be a folder that `lcnet predict --format` wrote. Columns that are
    called `probability:LABEL`, `logit:LABEL` and `target:LABEL` say what they are. Of others
    `scores` says it: `probabilities` or `logits`; if it is empty, values from 0 to 1 are taken as
    probabilities, and others are refused. No code in the file runs.

    Raises DataError if the file cannot be read, has a picture twice or a value that is not finite,
    and ConfigError for another suffix.
    """
    read = gathered_from(file, scores=scores)
    return replace(read, pictures=tuple(read.pictures))


def gathered_from(
    file: AnyPath, *, scores: Scores = "", place: Path | None = None, has_logits: bool = True
) -> Predictions:
    """The predictions in a file, see `read_predictions`; large arrays are files in `place`.

    Without `has_logits` the logits are not kept if there are probabilities or they give them.
    """
    path = Path(file)
    if path.suffix.lower() not in READERS and not is_rows_folder(path):
        raise ConfigError(
            f"{path}: expected a file of predictions that ends in {', '.join(READERS)}, got "
            f"{path.suffix or 'no suffix'}. Rename or convert it."
        )
    if not path.exists():
        raise DataError(f"{path}: no such file of predictions. Correct the path.")
    wide: frozenset[str] = frozenset()
    while True:
        gathered = Gathered(str(path), scores, place, has_logits, wide)
        try:
            return checked(_read(path, gathered), str(path))
        except LCNetError:
            raise
        except TooWide as one:
            wide |= {one.kind}
        except Exception as error:  # csv, json, numpy and pyarrow raise a dozen unrelated types
            raise DataError(
                f"{path}: not a readable file of predictions ({reason_of(error)}). Write it again."
            ) from None
        finally:
            gathered.close()


def _read(path: Path, gathered: Gathered) -> Predictions:
    if path.is_dir() and json.loads((path / "manifest.json").read_text("utf-8")).get("known"):
        gathered.note(KNOWN)
    for part in _parts(path) if path.is_dir() else [path]:
        READERS[part.suffix.lower()](part, gathered)
    return gathered.predictions()


def is_rows_folder(path: Path) -> bool:
    """Whether it is a folder that `lcnet predict --format` wrote."""
    return path.is_dir() and (path / "manifest.json").is_file() and bool(_parts(path))


def _parts(folder: Path) -> list[Path]:
    return sorted(part for part in folder.glob("part-*") if part.suffix in READERS)


def peeked(path: Path) -> Peek:
    """What a path is, from its suffix, its columns and first values."""
    suffix = path.suffix.lower()
    if is_rows_folder(path):
        return Peek("predictions")
    if suffix not in READERS or path.is_dir():
        return Peek("other")
    if not path.is_file():
        return Peek("predictions")
    try:
        return PEEKS.get(suffix, peek_csv)(path)
    except ConfigError:
        raise
    except Exception:  # what is wrong with it is said by whoever reads it
        return Peek("either")


PEEKS: dict[str, Callable[[Path], Peek]] = {
    ".parquet": peek_parquet,
    ".jsonl": peek_lines,
    ".npz": peek_npz,
}
"""What looks into a file of each suffix; others are tables of text."""
