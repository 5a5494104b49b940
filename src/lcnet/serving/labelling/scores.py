"""What the network gives each picture: computed once, and from then on looked up."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from threading import Event, Thread

import numpy as np
from numpy.typing import NDArray

from lcnet.data.sources import Picture
from lcnet.predicting.predictor import Predictor

YIELDING = 0.01
"""Seconds between two looks whether somebody waits for a picture."""


@dataclass(frozen=True)
class Score:
    """What the network gave a picture."""

    logits: NDArray[np.float32] | None
    """Of all labels of the model (L); None if the picture cannot be read."""
    error: str = ""
    """Why it cannot be read."""


class Scores:
    """The scores of pictures by number; asked for, or made by a thread in the background."""

    def __init__(
        self,
        predictor: Predictor,
        paths: Sequence[Path],
        ready: Callable[[int], None],
        *,
        unseen: Mapping[int, Predictor] | None = None,
    ) -> None:
        """`ready` is called with the number of each picture that the background has scored.

        `unseen` are pictures that another network scores, one that was not trained on them.
        """
        self._predictor = predictor
        self._unseen = unseen or {}
        self._paths = paths
        self._ready = ready
        self._found: dict[int, Score] = {}
        self._waiting = 0
        self._stop = Event()
        self._thread: Thread | None = None
        self.failure = ""
        """Why the background has ended early; empty if it has not."""

    def __contains__(self, number: int) -> bool:
        return number in self._found

    def of(self, number: int) -> Score:
        """The score of a picture; computed now if it is not there yet."""
        if number not in self._found:
            self._waiting += 1  # the background lets it go first
            try:
                self._add([number])
            finally:
                self._waiting -= 1
        return self._found[number]

    def start(self, numbers: Iterable[int]) -> None:
        """Score these pictures in the background, in their order."""
        self._thread = Thread(target=self._work, args=(iter(numbers),), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the background after the batch that it is at."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _work(self, numbers: Iterator[int]) -> None:
        missing = (number for number in numbers if number not in self._found)
        try:
            while not self._stop.is_set() and (
                batch := list(islice(missing, self._predictor.batch_size))
            ):
                while self._waiting and not self._stop.is_set():
                    time.sleep(YIELDING)
                self._add(batch)
                for number in batch:
                    self._ready(number)
        except Exception as error:  # pictures are still scored when they are opened
            self.failure = f"{type(error).__name__}: {error}"

    def _add(self, batch: Sequence[int]) -> None:
        of_network: dict[Predictor, list[int]] = {}
        for number in batch:
            of_network.setdefault(self._unseen.get(number, self._predictor), []).append(number)
        for network, numbers in of_network.items():
            pictures = [Picture(str(number), self._paths[number]) for number in numbers]
            scored = network.stream_logits(pictures)
            for number, (prediction, logits) in zip(numbers, scored, strict=True):
                self._found[number] = Score(logits, prediction.error)
