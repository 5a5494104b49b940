"""From an uploaded file to labels, for the API and the page alike."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from threading import BoundedSemaphore

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lcnet.data.decoding import Pixels, as_shown
from lcnet.data.transforms import eval_transform
from lcnet.errors import DataError
from lcnet.predicting.picture_explanation import PictureExplanation
from lcnet.predicting.prediction import Prediction
from lcnet.predicting.predictor import Predictor
from lcnet.serving.batching import Batcher, Busy
from lcnet.serving.guard import BadCall
from lcnet.serving.measures import Measures, Outcome
from lcnet.serving.uploads import Limits, UploadTooLarge, pixels_of, read_upload

Known = Mapping[str, bool]
"""Labels that are known to be present (True) or absent (False)."""
Read = tuple[str, Tensor, Known]
"""A picture's name, its pixels at the model's size (C H W in uint8), and what is known of it."""
NOTHING: Known = {}


@dataclass(frozen=True)
class Scored:
    """What the model gave a picture."""

    prediction: Prediction
    logits: NDArray[np.float32] | None = None
    """Of the picture alone (L), from which `Predictor.given` makes other predictions; None for an
    ONNX file and a picture that cannot be read."""


class BadRequest(Exception):
    """A request without a picture that can be read from its form."""


@dataclass(frozen=True)
class Refusal:
    """How a refused request is counted, and the HTTP status that answers it."""

    outcome: Outcome
    status: int


REFUSALS: dict[type[Exception], Refusal] = {
    Busy: Refusal("busy", 503),
    UploadTooLarge: Refusal("too_large", 413),
    DataError: Refusal("not_a_picture", 422),
    BadRequest: Refusal("bad_request", 400),
    BadCall: Refusal("bad_request", 400),
}
"""How each error is answered. The first that matches counts, so a subclass comes first."""


def refusal_of(error: Exception) -> Refusal | None:
    """How the error is counted and answered; None if it is the server's own fault."""
    return next((refusal for kind, refusal in REFUSALS.items() if isinstance(error, kind)), None)


class Service:
    """A model that answers many requests at a time."""

    def __init__(self, predictor: Predictor, limits: Limits, *, seconds: float = 0.005) -> None:
        """A batch waits at most `seconds` to fill up to the predictor's batch size."""
        self.predictor = predictor
        self.limits = limits
        self.transform = eval_transform(predictor.info.preprocessing)
        self.batcher: Batcher[Read, Scored] = Batcher(
            self._score,
            batch_size=predictor.batch_size,
            seconds=seconds,
            max_waiting=limits.waiting,
        )
        self.measures = Measures(lambda: self.batcher.taken)
        # A decoded picture is many times as large as its file, so only a few are held at a time.
        self._decoding = BoundedSemaphore(min(4, os.cpu_count() or 1))

    def submit(self, stored: bytes, name: str, known: Known = NOTHING) -> "Future[Scored]":
        """Decode the picture in this thread, and return what the model will give it.

        Raises UploadTooLarge or DataError if the picture cannot be decoded.
        """
        with self._decoding:
            pixels = self.transform(self._read(stored, name))
        return self.batcher.submit((name, pixels, known))

    def submit_all(
        self, files: Sequence[tuple[str, bytes]], known: Known = NOTHING
    ) -> "list[Future[Scored] | Scored]":
        """The predictions to come of a request's files (name and bytes), decoded in this thread.

        A file that cannot be decoded has a prediction with its error, and so has one with which the
        pictures of the request have more pixels together than the limit.
        """
        answers: list[Future[Scored] | Scored] = []
        total = 0
        for name, stored in files:
            pixels = pixels_of(stored)
            try:
                if total and total + pixels > self.limits.pixels:
                    raise UploadTooLarge(
                        f"{name}: expected at most {self.limits.pixels:,} pixels in all pictures "
                        f"of a request, got {total + pixels:,}. Send it in another request."
                    )
                answers.append(self.submit(stored, name, known))
                total += pixels
            except DataError as error:
                answers.append(Scored(Prediction(name, error=str(error))))
        return answers

    def look(self, stored: bytes, name: str, *, side: int) -> "tuple[Future[Scored], Image.Image]":
        """What `submit` returns, and the picture in RGB, upright, to be shown with `side` px."""
        coming = self.submit(stored, name)
        with self._decoding:
            form = self.transform.form
            shown = read_upload(stored, name, self.limits, size=side, form=form)
        return coming, as_shown(shown)

    def explain(self, stored: bytes, name: str, *, labels: int) -> PictureExplanation:
        """A picture's explanation, of its `labels` most probable labels.

        Only one thread may call this at a time. Raises UploadTooLarge or DataError if the picture
        cannot be decoded, and ConfigError if the model cannot explain.
        """
        with self._decoding:
            picture = self._read(stored, name)
            pixels = self.transform(picture)
        prediction = self.batcher.submit((name, pixels, NOTHING)).result().prediction
        return self.predictor.explain_predicted(picture, prediction, labels)

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Hold one of the request slots while the block runs; count its outcome and its seconds."""
        started = time.perf_counter()
        outcome: Outcome = "failed"
        try:
            with self.batcher.place():
                yield
            outcome = "ok"
        except Exception as error:
            outcome = refused.outcome if (refused := refusal_of(error)) else "failed"
            raise
        finally:
            self.measures.request(outcome, time.perf_counter() - started)

    def _read(self, stored: bytes, name: str) -> Pixels:
        size, form = self.transform.decode_size, self.transform.form
        return read_upload(stored, name, self.limits, size=size, form=form)

    def _score(self, batch: list[Read]) -> list[Scored]:
        names, pixels, known = zip(*batch, strict=True)
        scored = self.predictor.score_pixels(names, pixels, known)
        self.measures.batch(len(batch))
        return [Scored(prediction, logits) for prediction, logits in scored]
