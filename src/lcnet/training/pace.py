"""How fast a training goes, how long it waits for pictures, and how long it still takes."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import rich
from rich.status import Status

from lcnet.progress import tell
from lcnet.training.state import Epoch, State

Item = TypeVar("Item")

IN_FILE_S = 60.0
"""Seconds between two lines in a log file."""
IN_PLACE_S = 1.0
"""Seconds between two changes of the line on a terminal."""
MUCH = 0.2
"""Share of waiting from which on the hint against it is printed, once."""
LEAST_S = 1.0
"""Seconds of waiting in an epoch below which no hint is printed."""


class Pace:
    """The clocks of a training, and its progress line.

    An accelerator may still compute while the process waits for pictures, so the share of waiting
    is an upper bound of what faster loading can save.
    """

    def __init__(self, *, epochs: int, batches: int, hint: str = "") -> None:
        """For `epochs` epochs of `batches` batches; `hint` is the advice against waiting."""
        self.epochs = epochs
        self.batches = batches
        self.hint = hint
        self.begun = self.said = time.monotonic()
        self.done = 0
        """Batches trained since the run was started or resumed."""
        self.status: Status | None = None

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the progress line in place while the block runs, if standard output is a terminal.

        In a log file the same line is printed every minute.
        """
        console = rich.get_console()
        if not console.is_terminal or console.quiet:
            yield
            return
        with console.status("starting") as self.status:
            yield
        self.status = None

    def timed(self, batches: Iterable[Item], state: State) -> Iterator[Item]:
        """The batches, while the clocks of the epoch run and the progress line follows."""
        mark = time.monotonic()
        for batch in batches:
            here, epoch = time.monotonic(), state.epoch
            epoch.waited_s += here - mark
            epoch.trained_s += here - mark
            yield batch
            mark = time.monotonic()
            epoch.trained_s += mark - here
            self.done += 1
            if mark - self.said > (IN_PLACE_S if self.status else IN_FILE_S):
                self.said = mark
                self._show(self.line(state))

    @contextmanager
    def validating(self, state: State) -> Iterator[None]:
        """Add the time of the block to the epoch's validation."""
        start = time.monotonic()
        if self.status:
            self._show(f"epoch {state.epochs + 1}/{self.epochs}  validating")
        yield
        state.epoch.validated_s += time.monotonic() - start

    def line(self, state: State) -> str:
        """Epoch, step, loss, images per second, share of waiting and time left, in one line."""
        epoch = state.epoch
        loss = float(epoch.loss) / max(float(epoch.images), 1.0)
        left = (self.epochs - state.epochs) * self.batches - epoch.batches
        each = (time.monotonic() - self.begun) / max(self.done, 1)
        return (
            f"epoch {state.epochs + 1}/{self.epochs}  step {epoch.batches}/{self.batches}  "
            f"loss {loss:.4g}  {images_per_second(epoch):,.0f} images/s  "
            f"waiting {epoch.waiting:.0%}  {_time(left * each)} left"
        )

    def advise(self, epoch: Epoch) -> None:
        """Print the hint once if an epoch has waited for long."""
        if self.hint and epoch.waiting > MUCH and epoch.waited_s > LEAST_S:
            share = f"{epoch.waiting:.0%} of the training time"
            tell(f"{share} is spent waiting for pictures. {self.hint}")
            self.hint = ""

    def _show(self, line: str) -> None:
        if self.status:
            self.status.update(line)
        else:
            tell(line)


def images_per_second(epoch: Epoch) -> float:
    """Images that this process has trained on in a second of an epoch."""
    return float(epoch.images) / max(epoch.trained_s, 1e-9)


def _time(seconds: float) -> str:
    """A time in words: 40 s, 12 min or 3 h 05 min."""
    minutes = round(seconds / 60)
    if minutes < 2:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
