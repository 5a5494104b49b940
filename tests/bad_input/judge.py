"""Runs a command in this process and says what is wrong with how it ended."""

import contextlib
import io
import re
import shutil
import signal
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from lcnet.cli import main

LONGEST = 1_200
"""Characters of a message, at most."""
MOST_MEMORY = 1.5e9
"""Bytes that a command on these small inputs may take beyond what the process has."""
SECONDS = 60
"""After so long a command hangs."""
KEPT = ("kept", "logs")
"""Folders that a command may write to although it fails: caches, TensorBoard's own."""


class Hang(BaseException):
    """A command that does not end."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str
    crash: str
    """A traceback that went past `main`, or empty."""
    memory: float
    """Bytes at its peak beyond those at its start."""
    written: tuple[str, ...]
    """Files that are new or other than before."""

    @property
    def messages(self) -> list[str]:
        """The lines that say what is wrong."""
        return [line for line in self.err.splitlines() if line.startswith("lcnet: ")]

    @property
    def message(self) -> str:
        """The one line, without the command's name."""
        return self.messages[0].removeprefix("lcnet: ") if self.messages else ""

    def faults(self) -> list[str]:
        """What a command must not do, whatever it is given; empty if all is well."""
        found = []
        if self.crash:
            found.append(f"traceback: {self.crash.strip().splitlines()[-1][:200]}")
        if "Traceback (most recent" in self.out + self.err:
            found.append("prints a traceback")
        if re.search(r"^\S+\.py:\d+: \w*Warning", self.err, re.MULTILINE) and self.code:
            found.append(f"prints a warning: {self.err.strip().splitlines()[0][:200]}")
        if self.code not in (0, 1, 2):
            found.append(f"exit code {self.code}")
        if len(self.messages) > 1:
            found.append("more than one message")
        if any(len(line) > LONGEST for line in self.messages):
            found.append(f"a message of {len(self.message)} characters")
        # lcnet predict has a row for a picture that it cannot read; lcnet check has findings.
        if self.code and not self.messages and not (self.written or self.out):
            found.append(f"exit code {self.code} without a message")
        # Rows that lcnet predict --format has finished are meant to stay, and a run that goes on
        # keeps its history.
        stays = re.compile(r"/(manifest\.json|part-\S+|history\.csv)$")
        broken = [name for name in self.written if not stays.search(name)]
        if self.code and self.messages and broken:
            found.append(f"wrote {', '.join(broken[:3])} although it failed")
        if any(name.endswith(".part") for name in self.written):
            found.append("left an unfinished file")
        if self.memory > MOST_MEMORY:
            found.append(f"took {self.memory / 1e9:.1f} GB")
        return found


def run(argv: Sequence[str], folder: Path) -> Outcome:
    """Run `lcnet` with these words in `folder`."""
    before, start = _files(folder), _memory(reset=True)
    out, err, crash, code = io.StringIO(), io.StringIO(), "", 0
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        patch("lcnet.reporting.gather_report.RESAMPLES", 20),
        patch("lcnet.reporting.gather_report.FEWEST_RESAMPLES", 20),
    ):
        try:
            with _limit(SECONDS):
                main(list(argv))
        except SystemExit as stopped:
            code = stopped.code if isinstance(stopped.code, int) else 1
        except (Exception, Hang):
            crash = traceback.format_exc()
    after = _files(folder)
    written = [name for name, state in after.items() if before.get(name) != state]
    gone = [name for name in before if name not in after]
    memory = _memory() - start
    return Outcome(code, out.getvalue(), err.getvalue(), crash, memory, (*written, *gone))


def fresh(world: Path, folder: Path) -> Path:
    """A copy of the world to spoil."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(world, folder, symlinks=True)
    return folder


def _files(folder: Path) -> dict[str, object]:
    found: dict[str, object] = {}
    for place in folder.rglob("*"):
        name = place.relative_to(folder)
        if not set(name.parts) & set(KEPT) and not place.name.endswith(".lock"):
            if place.is_file():
                found[name.as_posix()] = place.read_bytes()
            elif not place.is_dir():
                found[name.as_posix()] = place.lstat().st_size
    return found


def _memory(*, reset: bool = False) -> float:
    """Peak bytes of this process, from here on if `reset`; 0 where the system does not say."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0.0
    peak = re.search(r"VmHWM:\s+(\d+) kB", status)
    return 1024.0 * int(peak[1]) if peak else 0.0


@contextlib.contextmanager
def _limit(seconds: int) -> Iterator[None]:
    def stop(number: int, frame: object) -> None:
        raise Hang(f"no end after {seconds} s")

    earlier = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, earlier)
