"""The table of answers: a CSV file that is read again, changed and written whole for each answer.

So a killed process loses no answer that was acknowledged, and processes that write to one file
change only the cells that they mean.
"""

import csv
import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import RLock

from filelock import FileLock, Timeout

from lcnet.errors import DataError, reason_of
from lcnet.files import written_whole
from lcnet.predicting.known_table import KnownTable, name_beside
from lcnet.serving.labelling.answer_log import AnswerLog, log_of

WAIT = 30.0
"""Seconds to wait for another process that writes to the file."""
CELLS: Mapping[str, bool | None] = {"1": True, "0": False, "": None}

States = dict[str, bool]
"""The known labels of a picture: present (True) or absent (False)."""
Changes = Mapping[str, bool | None]
"""New states of labels of a picture; None makes one unknown again."""


@dataclass(frozen=True)
class Differing:
    """A cell that was not what the annotator had seen."""

    label: str
    was: bool | None
    by: str
    """Who answered it; empty if that is not known."""


@dataclass(frozen=True)
class Changed:
    """What `AnswerFile.change` did."""

    before: Changes
    """What each cell that was to be changed was before."""
    differing: list[Differing]
    """Cells that were neither as the annotator had seen them nor as answered now."""
    others: set[Path]
    """Pictures in which somebody else has changed cells since the file was last read."""


class AnswerFile:
    """The answers in a file, for several threads and several processes."""

    def __init__(self, file: Path, table: KnownTable, *, annotator: str = "") -> None:
        """Start from the table, or where the file exists from the answers in it.

        Raises DataError if the file is no such table.
        """
        self.file = file
        self.labels = table.labels
        self.annotator = annotator
        self._log = AnswerLog(log_of(file), annotator)
        self._guard = RLock()
        self._lock = FileLock(file.with_name(f".{file.name}.lock"))
        self._rows = {path: dict(known) for path, known in table.pictures()}
        self._lines: dict[Path, str] = {}
        self._paths: dict[str, Path] = {}
        self._names: dict[Path, str] = {}
        self._stamp: tuple[int, ...] | None = None
        self._pinned: _Pin | None = None
        file.parent.mkdir(parents=True, exist_ok=True)
        with self._locked():
            self.refresh()
            self._write(self._rows)

    def of(self, picture: Path) -> States:
        """What is known of a picture."""
        return self._rows[picture]

    def answered(self, picture: Path) -> set[str]:
        """The labels of a picture that a person has answered, and that are still as answered."""
        with self._guard:
            return self._log.answered(self._name(picture), self._rows[picture])

    def refresh(self) -> set[Path]:
        """Read what somebody else has written; returns the pictures that they answered.

        Raises DataError if the file is no table of answers any more.
        """
        with self._guard:
            answered = {self._path(name) for name in self._log.refresh()}
            if self._stamp == (stamp := _stamp(self.file)) or stamp is None:
                return answered
            found = self._read()
            changed = {path for path, states in found.items() if self._rows.get(path) != states}
            for path in changed:
                self._rows[path] = found[path]
                self._lines.pop(path, None)
            self._seen(stamp)
            return changed | answered

    def change(
        self,
        picture: Path,
        wanted: Callable[[States], Changes],
        seen: Changes,
        *,
        undo: bool = False,
    ) -> Changed:
        """Change cells of a picture, or confirm them, and return once that is on the disk.

        `wanted` gets what is known now; `seen` is what the annotator saw of the cells. With `undo`
        they are as before an answer, so nobody has looked at them. Raises DataError if a file
        cannot be read or written; no cell is changed then.
        """
        with self._locked():
            others = self.refresh()
            before = self._rows[picture]
            changes = wanted(dict(before))
            differing = [
                Differing(name, before.get(name), self._log.who(self._name(picture), name))
                for name, now in changes.items()
                if name in seen and before.get(name) not in (seen[name], now)
            ]
            after = {name: changes.get(name, before.get(name)) for name in self.labels}
            states = {name: state for name, state in after.items() if state is not None}
            if changes:  # first the log: an answer that is no cell of the table counts for nothing
                self._log.add(self._name(picture), changes, undo=undo)
            if states != before:
                self._write({**self._rows, picture: states}, changed=picture)
            return Changed({name: before.get(name) for name in changes}, differing, others)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            with self._guard, self._lock.acquire(timeout=WAIT):
                yield
        except Timeout:
            raise DataError(
                f"{self.file}: another program has held it for {WAIT:g} s, so nothing was "
                "written. Try again."
            ) from None
        except OSError as error:
            raise DataError(
                f"{self.file}: cannot be written ({reason_of(error)}), so the answer is not kept. "
                "Correct that and answer again."
            ) from None

    def _write(self, rows: Mapping[Path, States], changed: Path | None = None) -> None:
        lines = dict(self._lines)
        for path, states in rows.items():
            if path == changed or path not in lines:
                lines[path] = self._line(path, states)
        with (
            written_whole(self.file) as unfinished,
            unfinished.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
        ):
            file.write(_record(["image", *self.labels]))
            file.writelines(lines.values())
        self._rows, self._lines = dict(rows), lines
        self._seen(_stamp(self.file))

    def _seen(self, stamp: tuple[int, ...] | None) -> None:
        """Remember the file as it is now, to notice when somebody else writes it."""
        self._stamp = stamp
        if os.name != "nt":  # an open file could not be replaced there
            self._pinned = _Pin(self.file)

    def _line(self, path: Path, states: States) -> str:
        name = self._name(path)
        cells = [str(int(states[label])) if label in states else "" for label in self.labels]
        return _record([name, *cells])

    def _read(self) -> dict[Path, States]:
        found: dict[Path, States] = {}
        try:
            with self.file.open(
                newline="", encoding="utf-8-sig", errors="surrogateescape"
            ) as opened:
                reader = csv.reader(opened, strict=True)
                header = next(reader, [])
                self._check_header(header)
                for row in reader:
                    name, states = self._states(header, row, reader.line_num)
                    if (path := self._path(name)) in found:
                        raise self._refused(f"line {reader.line_num}", f"{name} a second time")
                    found[path] = states
        except csv.Error as error:
            raise self._refused("a CSV table", reason_of(error)) from None
        except OSError as error:
            raise DataError(f"{self.file}: cannot be read ({reason_of(error)}).") from None
        return found

    def _check_header(self, header: Sequence[str]) -> None:
        if sorted(header) != sorted(["image", *self.labels]) or header[0] != "image":
            got = ", ".join(header[:6]) or "nothing"
            raise self._refused("the header", f"{got}{' ...' if len(header) > 6 else ''}")

    def _states(self, header: Sequence[str], row: list[str], line: int) -> tuple[str, States]:
        if len(row) != len(header):
            raise self._refused(f"line {line}", f"{len(row)} cells in place of {len(header)}")
        states: States = {}
        for label, cell in zip(header[1:], row[1:], strict=True):
            if cell not in CELLS:
                raise self._refused(f"line {line}", f"{cell[:20]!r} for {label}")
            if (state := CELLS[cell]) is not None:
                states[label] = state
        return row[0], states

    def _refused(self, where: str, got: str) -> DataError:
        few = ", ".join(self.labels[:4]) + (", ..." if len(self.labels) > 4 else "")
        return DataError(
            f"--out {self.file}: expected a table of lcnet label with the columns image, {few} and "
            f"1, 0 or nothing in each cell, got at {where}: {got}. Name another file, or mend it."
        )

    def _name(self, path: Path) -> str:
        """What a picture is called in the file; the answer to the same question by `_path`."""
        if path not in self._names:
            self._names[path] = name = name_beside(path, self.file.parent)
            self._paths[name] = path
        return self._names[path]

    def _path(self, name: str) -> Path:
        if name not in self._paths:
            self._paths[name] = (self.file.parent / name).resolve()
        return self._paths[name]


class _Pin:
    """Holds a file open, so that no later file gets its number on the disk, and so its stamp."""

    def __init__(self, file: Path) -> None:
        self._handle = os.open(file, os.O_RDONLY)

    def __del__(self) -> None:
        with suppress(AttributeError, OSError):
            os.close(self._handle)


def _stamp(file: Path) -> tuple[int, ...] | None:
    """What changes whenever a file is written; None if there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _record(cells: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()
