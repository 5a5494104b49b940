"""Signals: SIGTERM and Ctrl-C end a run where it can be continued."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from lcnet.errors import Stopped

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stop:
    """Whether a signal has asked to stop, and how.

    Where a run says that it looks for itself (`is_patient`), a first signal only asks; elsewhere,
    and from the second signal on, it raises `Stopped` at once.
    """

    def __init__(self, advice: str) -> None:
        """Take what a user can do next, which ends each message."""
        self.advice = advice
        self.is_patient = False
        self.signal: signal.Signals | None = None

    @property
    def is_wanted(self) -> bool:
        """Whether a signal has come."""
        return self.signal is not None

    def now(self, where: str = "") -> Stopped:
        """The exception that ends the run; `where` says how far it came."""
        assert self.signal is not None
        said = f"stopped by {self.signal.name} {where}".strip()
        return Stopped(f"{said}. {self.advice}", self.signal)

    def listen(self) -> None:
        """Take the signals, also those that a library took meanwhile."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                signal.signal(number, self._take)

    def _take(self, number: int, frame: FrameType | None) -> None:
        again = self.is_wanted
        self.signal = signal.Signals(number)
        if again or not self.is_patient:
            raise self.now()


@contextmanager
def stopping(advice: str) -> Iterator[Stop]:
    """A `Stop` that listens inside the block; signals are as they were afterwards.

    In another thread than the main one, which gets no signals, it never stops.
    """
    stop = Stop(advice)
    usual = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        stop.listen()
        yield stop
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in usual.items():
                signal.signal(number, handler)
