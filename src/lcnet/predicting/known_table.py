"""`lcnet predict --known`: a table of labels with blanks says what is known of pictures."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from lcnet.config import Data, Table
from lcnet.data.passed_over import in_words
from lcnet.data.readers import load_split
from lcnet.data.readers.blanks import SAID
from lcnet.data.readers.layout import Given
from lcnet.data.readers.table_names import EMPTY
from lcnet.data.recognising import recognised_at
from lcnet.data.sources import Picture, PictureSources
from lcnet.errors import ConfigError, DataError
from lcnet.progress import tell
from lcnet.schema import unknown_label

UNKNOWN_CELLS = f"{SAID[EMPTY]} is unknown"
"""How the line on a column of names says that it has empty cells, which are blanks here."""


class KnownTable:
    """What a label table of any layout that is read says of its pictures; blanks say nothing."""

    def __init__(
        self,
        table: Path,
        labels: Sequence[str],
        *,
        quiet: bool = False,
        takes_pictures: bool = False,
    ) -> None:
        """Read the table. Raises DataError if it cannot be read, ConfigError for other labels.

        With `takes_pictures` it may also be a folder of nothing but pictures: all is blank then.
        """
        blank = Data(table=Table(unknown=[""]))  # what else a blank cell might mean elsewhere
        self.table = table
        self.labels: tuple[str, ...] = ()
        """The labels in the table."""
        self._known: dict[Path, dict[str, bool]] = {}
        try:
            read = recognised_at(Given(table, blank), quiet=quiet, divide=False)
        except DataError:
            if not takes_pictures or not table.is_dir():
                raise
            self.labels, self._known = tuple(labels), {picture: {} for picture in _only_in(table)}
            tell(f"{table}: {len(self):,} pictures, no labels, so every cell is blank")
            return
        data = read.data
        if not quiet and UNKNOWN_CELLS in read.said:
            tell(
                "here an empty cell is one that nobody has labelled; lcnet train and check read it "
                "as none of the labels, unless --data.table.unknown '[\"\"]' is set"
            )
        for name in dict.fromkeys(filter(None, (data.train, data.val, data.test))):
            split = load_split(data, name)
            self.labels = self.labels or split.labels
            for label in split.labels:
                if label not in labels:
                    raise ConfigError(
                        f"{table}: {unknown_label(label, labels)}. Leave that column out, "
                        "or rename it as the model does."
                    )
            for sample, states in zip(split.samples, split.targets, strict=True):
                known = {
                    label: bool(state)
                    for label, state in zip(split.labels, states.tolist(), strict=True)
                    if state >= 0
                }
                if self._known.setdefault(sample.path.resolve(), known) != known:
                    raise DataError(
                        f"{table}: {sample.path} is there twice, with other labels. "
                        "Correct the table."
                    )

    def __len__(self) -> int:
        """The number of pictures."""
        return len(self._known)

    def pictures(self) -> Iterator[tuple[Path, dict[str, bool]]]:
        """The file of each picture and what is known of it, in the table's order."""
        yield from self._known.items()

    def unlisted(self, most: int) -> list[Path]:
        """Up to so many pictures in the table's folder and below that it does not list."""
        folder = self.table if self.table.is_dir() else self.table.parent
        there = (Path(name) for name in PictureSources([str(folder)]).names())
        try:
            return list(islice((path for path in there if path.resolve() not in self._known), most))
        except DataError:
            return []  # no picture is there

    def of(self, pictures: Iterable[Picture]) -> Iterator[Picture]:
        """The pictures, each with what is known of it."""
        for picture in pictures:
            known = self._known.get(Path(picture.name).resolve(), {})
            yield replace(picture, known=known) if known else picture

    def require(self, names: Iterable[str]) -> None:
        """Say of how many pictures something is known. Raises ConfigError if of none."""
        count = total = 0
        for name in names:
            total += 1
            count += bool(self._known.get(Path(name).resolve()))
        if not count:
            raise ConfigError(
                f"--known {self.table}: expected something known of these {total:,} pictures, got "
                "nothing: its pictures are other files, or all its cells are blank. Give the "
                "pictures that it lists."
            )
        tell(f"known labels of {count:,} of {total:,} pictures: {self.table}")

    @property
    def digest(self) -> str:
        """The same for two tables only if they say the same: 16 hexadecimal digits."""
        digest = hashlib.sha256()
        for path, known in sorted(self._known.items()):
            digest.update(repr((str(path), sorted(known.items()))).encode())
        return digest.hexdigest()[:16]


def _only_in(folder: Path) -> list[Path]:
    """The pictures in a folder. Raises DataError if there is none, or any other file."""
    sources = PictureSources([str(folder)])
    pictures = sorted(Path(name).resolve() for name in sources.names())
    if sources.passed_over:
        raise DataError(
            f"{folder}: expected a label table, or a folder of nothing but pictures, got other "
            f"files too ({in_words(sources.passed_over)}). Name the table itself."
        )
    return pictures


def name_beside(path: Path, folder: Path) -> str:
    """A picture's path from the folder of a table, so that the table can be read there."""
    try:
        return Path(os.path.relpath(path, folder.resolve())).as_posix()
    except ValueError:  # on another drive
        return str(path)
