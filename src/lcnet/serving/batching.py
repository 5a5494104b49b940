"""Batches: requests that come one by one, answered together by one worker thread."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Busy(Exception):
    """No place is free, or the server is stopping; the message says which and what to do."""


@dataclass(frozen=True)
class _Job(Generic[Item, Answer]):
    item: Item
    answer: "Future[Answer]" = field(default_factory=Future)


class Batcher(Generic[Item, Answer]):
    """Collects items for a moment and answers them in order with one call of `work`.

    All calls of `work` come from one thread. Places limit how much is in work at a time: a request
    takes one before its picture is read, and keeps it until it is answered.
    """

    def __init__(
        self,
        work: Callable[[list[Item]], Sequence[Answer]],
        *,
        batch_size: int,
        seconds: float,
        max_waiting: int,
    ) -> None:
        """Start the thread.

        `work` returns an answer per item. A batch has at most `batch_size` items and waits at most
        `seconds` for them after its first; `max_waiting` is the number of places.
        """
        self._work = work
        self.batch_size = batch_size
        self.seconds = seconds
        self.max_waiting = max_waiting
        self._taken = 0
        self._is_open = True
        self._lock = Lock()
        self._jobs: SimpleQueue[_Job[Item, Answer] | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name="lcnet-batches", daemon=True)
        self._thread.start()

    @property
    def taken(self) -> int:
        """How many places are taken."""
        return self._taken

    @property
    def is_open(self) -> bool:
        """Whether new requests still get places."""
        return self._is_open

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place for as long as the block runs; raises Busy if none is free."""
        with self._lock:
            if not self._is_open:
                raise Busy("the server is stopping. Ask again when it is back.")
            if self._taken >= self.max_waiting:
                raise Busy(f"{self._taken} requests are in work already. Ask again in a moment.")
            self._taken += 1
        try:
            yield
        finally:
            with self._lock:
                self._taken -= 1

    def submit(self, item: Item) -> "Future[Answer]":
        """The answer to come, or the error that `work` raises for this item alone."""
        job: _Job[Item, Answer] = _Job(item)
        self._jobs.put(job)
        return job.answer

    def refuse(self) -> None:
        """Give no more places; requests that have one are still answered."""
        self._is_open = False

    def close(self) -> None:
        """Give no more places, answer everything submitted, and end the thread."""
        self.refuse()
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (first := self._jobs.get()) is not None:
            batch, is_last = [first], False
            until = time.monotonic() + self.seconds
            while len(batch) < self.batch_size and not is_last:
                try:
                    job = self._jobs.get(timeout=max(0.0, until - time.monotonic()))
                except Empty:
                    break
                if job is None:
                    is_last = True
                else:
                    batch.append(job)
            self._answer([job for job in batch if job.answer.set_running_or_notify_cancel()])
            if is_last:
                break

    def _answer(self, batch: "list[_Job[Item, Answer]]") -> None:
        """Answer a batch; if that fails, each item alone, so that one does not spoil the others."""
        try:
            answers = self._work([job.item for job in batch]) if batch else ()
        except Exception as error:  # any error of the model belongs to its request
            if len(batch) == 1:
                batch[0].answer.set_exception(error)
                return
            for job in batch:
                self._answer([job])
            return
        for job, answer in zip(batch, answers, strict=True):
            job.answer.set_result(answer)
