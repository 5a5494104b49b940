"""What stops a run where it can be continued: SIGTERM, Ctrl-C, SIGHUP, or the end of its time."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from types import FrameType

from lcnet.errors import Stopped, TimeUp

SIGNALS = [
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name)
]
SAME_S = 1.0
"""Seconds within which two signals are one: a launcher passes on what its processes got too."""


class Stop:
    """Whether a signal has asked the run to stop.

    While `is_patient` is true, a first signal is only remembered, and the run looks for it itself.
    Otherwise, and from the second signal on, a signal raises `Stopped` at once.
    """

    def __init__(self, advice: str, until: float = inf) -> None:
        """End every message with `advice`, the next step for the user.

        A patient run also stops when `time.monotonic()` has passed `until`.
        """
        self.advice, self.until = advice, until
        self.is_patient = False
        self.signal: signal.Signals | None = None
        self._came = 0.0

    @property
    def is_wanted(self) -> bool:
        """Whether a signal has come, or the time is over."""
        return self.signal is not None or time.monotonic() > self.until

    def now(self, where: str = "") -> Stopped:
        """The exception that ends the run; `where` says how far it got."""
        if self.signal is None and time.monotonic() > self.until:
            return TimeUp(f"time is up {where}. {self.advice}", signal.SIGTERM)
        if self.signal is None:  # the signal went to another process
            self.signal = signal.SIGTERM
        what = f"stopped by {self.signal.name} {where}".strip()
        return Stopped(f"{what}. {self.advice}", self.signal)

    def listen(self) -> None:
        """Handle the signals, in place of any handlers that a library has set since."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                is_ignored = signal.getsignal(number) is signal.SIG_IGN
                if number in (signal.SIGTERM, signal.SIGINT) or not is_ignored:  # as under nohup
                    signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        is_second = self.signal is not None and now - self._came > SAME_S
        self.signal, self._came = signal.Signals(number), now
        if is_second or not self.is_patient:
            raise self.now()


@contextmanager
def stopping(advice: str, until: float = inf) -> Iterator[Stop]:
    """A `Stop` that listens inside the block; afterwards the former handlers are back.

    Outside the main thread, which alone gets signals, it never stops.
    """
    stop = Stop(advice, until)
    former = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        stop.listen()
        yield stop
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in former.items():
                signal.signal(number, handler)
