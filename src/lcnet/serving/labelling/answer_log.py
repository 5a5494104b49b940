"""The log beside the table of answers: who answered what and when, and so what a person has seen.

A JSON line for each answer, only ever appended to. It is read for two things: who gave another
answer, and which given labels need no second look.
"""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lcnet.errors import DataError, reason_of

Answer = tuple[bool | None, str]
"""The state of a label, and who gave it."""


def log_of(out: Path) -> Path:
    """The log beside a table of answers."""
    return out.with_name(f"{out.name}.log")


def answered(out: Path) -> bool:
    """Whether anything was answered in a table of answers, now or before."""
    return log_of(out).is_file()


class AnswerLog:
    """The last answer for each cell, also those of other processes. Calls must not overlap."""

    def __init__(self, file: Path, annotator: str = "") -> None:
        """Read what is there; `annotator` is who answers now."""
        self.file = file
        self.annotator = annotator
        self._last: dict[str, dict[str, Answer]] = {}
        self._read = 0
        self._inode = 0

    def refresh(self) -> set[str]:
        """Read the lines that came since the last time; returns the pictures that they are of.

        A line that is no answer, as a killed process may leave it, is passed over.
        """
        try:
            found = self.file.stat()
            if found.st_ino != self._inode or found.st_size < self._read:  # it is another file
                self._last, self._read, self._inode = {}, 0, found.st_ino
            if found.st_size == self._read:
                return set()
            with self.file.open("rb") as log:
                log.seek(self._read)
                added = log.read()
        except OSError:  # there is none
            self._last, self._read, self._inode = {}, 0, 0
            return set()
        whole = added[: added.rfind(b"\n") + 1]
        self._read += len(whole)
        return {image for line in whole.splitlines() if (image := self._keep(line))}

    def add(self, image: str, answers: Mapping[str, bool | None], *, undo: bool = False) -> None:
        """Note answers, and return once they are on the disk.

        With `undo` they take earlier ones back, so that nobody has looked at these cells. Raises
        DataError if that cannot be written.
        """
        entry = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "annotator": self.annotator,
            "image": image,
            "answers": answers,
        }
        line = json.dumps(entry | ({"undo": True} if undo else {})) + "\n"
        try:
            with self.file.open("ab") as log:
                if log.tell() > self._read:  # a killed process has left half a line
                    log.write(b"\n")
                log.write(line.encode())
                log.flush()
                os.fsync(log.fileno())
        except OSError as error:
            raise DataError(
                f"{self.file}: cannot be written ({reason_of(error)}), so the answer is not kept. "
                "Correct that and answer again."
            ) from None
        self.refresh()

    def answered(self, image: str, states: Mapping[str, bool]) -> set[str]:
        """The labels of a picture whose last answer is what the table says of them (`states`)."""
        return {
            label
            for label, (state, _) in self._last.get(image, {}).items()
            if state is not None and states.get(label) == state
        }

    def who(self, image: str, label: str) -> str:
        """Who gave the last answer for a cell; empty if nobody said so."""
        return self._last.get(image, {}).get(label, (None, ""))[1]

    def _keep(self, line: bytes) -> str:
        """The picture that a line is of; empty if it is no answer."""
        try:
            entry: dict[str, Any] = json.loads(line)
            image, answers, by = entry["image"], entry["answers"].items(), str(entry["annotator"])
            of_picture = self._last.setdefault(image, {})
            for label, state in answers:
                of_picture[label] = (None if entry.get("undo") else state, by)
        except (ValueError, KeyError, TypeError, AttributeError):
            return ""
        return str(image)
