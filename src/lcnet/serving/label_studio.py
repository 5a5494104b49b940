"""Label Studio's ML backend protocol: GET /health, POST /setup and POST /predict with JSON.

Written from what Label Studio sends and reads. Pictures are fetched from that Label Studio alone,
or read from the folder of its local files.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx

from lcnet.errors import ConfigError, DataError, reason_of
from lcnet.predicting.label_studio import Control, control_of, prediction_of
from lcnet.predicting.prediction import Prediction
from lcnet.serving.service import BadRequest, Service

TOKEN = "LABEL_STUDIO_API_KEY"
"""Environment variable with the access token of a Label Studio user."""
MOST_JSON = 20_000_000
"""Bytes of a request, at most."""
MOST_TASKS = 1_000
SECONDS = 30.0
"""In which Label Studio must give a picture."""


@dataclass(frozen=True)
class LabelStudio:
    """Where the pictures of tasks come from."""

    address: str
    """Of Label Studio, such as http://localhost:8080."""
    files: Path | None
    """The folder of its local files (LABEL_FILES_DOCUMENT_ROOT there); None for no such files."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.address)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ConfigError(
                "--label_studio: expected the address of Label Studio, such as "
                f"http://localhost:8080, got {self.address!r}. Correct it."
            )
        if self.files is not None and not self.files.is_dir():
            raise ConfigError(
                f"--label_studio_files {self.files}: no such folder. Give the folder that Label "
                "Studio has in LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT."
            )

    def picture(self, address: object, most: int) -> bytes:
        """The bytes of a task's picture, at most `most`. Raises DataError if there are none."""
        if not isinstance(address, str) or not address:
            raise DataError("expected the address of a picture in the task, got none.")
        whole = urljoin(f"{self.address.rstrip('/')}/", address)
        place = urlsplit(whole)
        if place.path.endswith("/data/local-files/") and self.files is not None:
            return self._local(parse_qs(place.query).get("d", [""])[0], most)
        if (place.scheme, place.netloc) != urlsplit(self.address)[:2]:
            raise DataError(
                f"{address}: expected a picture of {self.address}, got one of another server, "
                "which is not asked. Let Label Studio store or proxy it."
            )
        return self._fetched(whole, most)

    def _local(self, name: str, most: int) -> bytes:
        assert self.files is not None
        root = self.files.resolve()
        file = (root / name).resolve()
        if not file.is_relative_to(root):
            raise DataError(f"{name}: expected a file in {root}, got one outside.")
        try:
            if file.stat().st_size > most:
                raise DataError(f"{name}: expected at most {most / 1e6:g} MB, got more.")
            return file.read_bytes()
        except OSError as error:
            raise DataError(f"{name}: cannot be read in {root} ({reason_of(error)}).") from None

    def _fetched(self, address: str, most: int) -> bytes:
        content = bytearray()
        try:
            # httpx drops the token where an answer leads to another server, such as a bucket.
            with (
                httpx.Client(timeout=SECONDS, follow_redirects=True) as client,
                client.stream("GET", address, headers=self._headers(client)) as answer,
            ):
                answer.raise_for_status()
                for part in answer.iter_bytes():
                    content += part
                    if len(content) > most:
                        raise DataError(f"{address}: expected at most {most / 1e6:g} MB, got more.")
        except httpx.HTTPError as error:
            raise DataError(
                f"{address}: Label Studio does not give it ({reason_of(error)}). Set {TOKEN} to an "
                "access token of one of its users."
            ) from None
        return bytes(content)

    def _headers(self, client: httpx.Client) -> dict[str, str]:
        token = os.environ.get(TOKEN, "")
        if not token:
            return {}
        if token.count(".") != 2:  # a legacy token; a personal one is a JSON web token
            return {"Authorization": f"Token {token}"}
        answer = client.post(urljoin(self.address, "/api/token/refresh"), json={"refresh": token})
        answer.raise_for_status()
        return {"Authorization": f"Bearer {answer.json()['access']}"}


def results(
    content: bytes, studio: LabelStudio, service: Service, version: str
) -> dict[str, list[dict[str, Any]]]:
    """The answer to POST /predict: a result for each task, in order; an empty one if it fails.

    Raises BadRequest for a request that is not Label Studio's, or for a project without the model's
    labels.
    """
    request = _request(content)
    control = _control(request, service)
    answers = []
    for task in request["tasks"]:
        prediction = _predicted(task, control, studio, service)
        if prediction.error:
            answers.append({"result": [], "score": 0.0, "model_version": version})
        else:
            answers.append(prediction_of(prediction, control, version))
    return {"results": answers}


def _request(content: bytes) -> Mapping[str, Any]:
    try:
        request = json.loads(content)
    except ValueError:
        raise BadRequest("expected JSON. Label Studio sends it.") from None
    if not isinstance(request, dict) or not isinstance(request.get("tasks"), list):
        raise BadRequest("expected tasks as Label Studio sends them, got other JSON.")
    if len(request["tasks"]) > MOST_TASKS:
        raise BadRequest(f"tasks: expected at most {MOST_TASKS:,}, got {len(request['tasks']):,}.")
    return request


def _control(request: Mapping[str, Any], service: Service) -> Control:
    try:
        return control_of(str(request.get("label_config", "")), service.predictor.info.labels)
    except ConfigError as error:
        raise BadRequest(str(error)) from None


def _predicted(task: object, control: Control, studio: LabelStudio, service: Service) -> Prediction:
    """The prediction of one task's picture; it has the error, if any."""
    data = task.get("data") if isinstance(task, dict) else None
    try:
        address = data.get(control.key) if isinstance(data, dict) else None
        stored = studio.picture(address, service.limits.file_bytes)
        return service.submit(stored, str(address)).result()
    except DataError as error:
        return Prediction("task", error=str(error))
