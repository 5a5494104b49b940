"""What a server answers, without the server."""

from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

from lcnet.predicting.prediction import Prediction
from lcnet.serving.service import Service


def served(service: Service, files: Sequence[Path]) -> list[Prediction]:
    """The predictions of files that come in one request."""
    answers = service.submit_all([(str(file), file.read_bytes()) for file in files])
    return [
        (answer.result() if isinstance(answer, Future) else answer).prediction for answer in answers
    ]
