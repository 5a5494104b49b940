"""Label Studio's ML backend protocol: GET /health, POST /setup and POST /predict with JSON.

Written from what Label Studio sends and reads. Pictures are fetched from that Label Studio alone,
or read from the folder of its local files.
"""

import json
import os
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx

from lcnet.errors import ConfigError, DataError, reason_of
from lcnet.predicting.label_studio import Control, control_of, prediction_of
from lcnet.predicting.prediction import Prediction
from lcnet.serving.service import BadRequest, Scored, Service

TOKEN = "LABEL_STUDIO_API_KEY"
"""Environment variable with the access token of a Label Studio user."""
MOST_JSON = 20_000_000
"""Bytes of a request, at most."""
MOST_TASKS = 1_000
FETCHED_AT_ONCE = 4
"""Pictures of a request that are fetched at a time."""
FRESH = 60.0
"""Seconds in which a token that was exchanged is surely not over yet."""
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

    @contextmanager
    def opened(self) -> Iterator["Pictures"]:
        """The pictures of a request's tasks, fetched over one connection and with one token."""
        # httpx drops the token where an answer leads to another server, such as a bucket.
        with httpx.Client(
            timeout=SECONDS, follow_redirects=True, auth=_Access(self.address)
        ) as client:
            yield Pictures(self, client)


@dataclass(frozen=True)
class Pictures:
    """Fetches pictures of tasks; for several threads."""

    studio: LabelStudio
    client: httpx.Client

    def read(self, address: object, most: int) -> bytes:
        """The bytes of a task's picture, at most `most`. Raises DataError if there are none."""
        if not isinstance(address, str) or not address:
            raise DataError("expected the address of a picture in the task, got none.")
        own, files = self.studio.address, self.studio.files
        whole = urljoin(f"{own.rstrip('/')}/", address)
        place = urlsplit(whole)
        if place.path.endswith("/data/local-files/") and files is not None:
            return _local(files, parse_qs(place.query).get("d", [""])[0], most)
        if (place.scheme, place.netloc) != urlsplit(own)[:2]:
            raise DataError(
                f"{address}: expected a picture of {own}, got one of another server, which is not "
                "asked. Let Label Studio store or proxy it."
            )
        return self._fetched(whole, most)

    def _fetched(self, address: str, most: int) -> bytes:
        content = bytearray()
        try:
            with self.client.stream("GET", address) as answer:
                answer.raise_for_status()
                for part in answer.iter_bytes():
                    content += part
                    if len(content) > most:
                        raise DataError(f"{address}: expected at most {most / 1e6:g} MB, got more.")
        except (httpx.HTTPError, KeyError, ValueError) as error:  # also of the answer to a token
            raise DataError(
                f"{address}: Label Studio does not give it ({reason_of(error)}). Set {TOKEN} to an "
                "access token of one of its users."
            ) from None
        return bytes(content)


def _local(files: Path, name: str, most: int) -> bytes:
    root = files.resolve()
    file = (root / name).resolve()
    if not file.is_relative_to(root):
        raise DataError(f"{name}: expected a file in {root}, got one outside.")
    try:
        if file.stat().st_size > most:
            raise DataError(f"{name}: expected at most {most / 1e6:g} MB, got more.")
        return file.read_bytes()
    except OSError as error:
        raise DataError(f"{name}: cannot be read in {root} ({reason_of(error)}).") from None


class _Access(httpx.Auth):
    """Signs requests with a user's token; a personal one is exchanged for one of some minutes."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._guard = Lock()
        self._exchanged = ""
        self._since = 0.0

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        token = os.environ.get(TOKEN, "")
        if token.count(".") != 2:  # a legacy token; a personal one is a JSON web token
            if token:
                request.headers["Authorization"] = f"Token {token}"
            yield request
            return
        access = self._exchanged or (yield from self._exchange(token, ""))
        request.headers["Authorization"] = f"Bearer {access}"
        answer = yield request
        if answer.status_code == httpx.codes.UNAUTHORIZED and self._is_old():
            access = yield from self._exchange(token, access)
            request.headers["Authorization"] = f"Bearer {access}"
            yield request

    def _is_old(self) -> bool:
        return time.monotonic() - self._since > FRESH

    def _exchange(self, token: str, old: str) -> Generator[httpx.Request, httpx.Response, str]:
        """Another token than the old one; of several threads one asks for it."""
        with self._guard:
            if self._exchanged == old:
                address = urljoin(self._address, "/api/token/refresh")
                answer = yield httpx.Request("POST", address, json={"refresh": token})
                answer.read()
                answer.raise_for_status()
                self._exchanged, self._since = str(answer.json()["access"]), time.monotonic()
            return self._exchanged


def results(
    content: bytes, studio: LabelStudio, service: Service, version: str
) -> dict[str, list[dict[str, Any]]]:
    """The answer to POST /predict: a result for each task, in order; an empty one if it fails.

    Raises BadRequest for a request that is not Label Studio's, or for a project without the model's
    labels.
    """
    request = _request(content)
    control = _control(request, service)
    empty = {"result": [], "score": 0.0, "model_version": version}
    return {
        "results": [
            empty if prediction.error else prediction_of(prediction, control, version)
            for prediction in _predicted(request["tasks"], control, studio, service)
        ]
    }


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


def _predicted(
    tasks: Sequence[object], control: Control, studio: LabelStudio, service: Service
) -> Iterator[Prediction]:
    """A prediction of each task's picture, in order; it has the error, if any.

    A batch is fetched at a time, and scored while it is fetched.
    """
    size = service.predictor.batch_size
    with studio.opened() as pictures, ThreadPoolExecutor(FETCHED_AT_ONCE) as pool:
        for start in range(0, len(tasks), size):
            submitted = pool.map(
                lambda task: _submitted(task, control, pictures, service),
                tasks[start : start + size],
            )
            for each in list(submitted):
                yield each.result().prediction if isinstance(each, Future) else each


def _submitted(
    task: object, control: Control, pictures: Pictures, service: Service
) -> "Future[Scored] | Prediction":
    data = task.get("data") if isinstance(task, dict) else None
    try:
        address = data.get(control.key) if isinstance(data, dict) else None
        stored = pictures.read(address, service.limits.file_bytes)
        return service.submit(stored, str(address))
    except DataError as error:
        return Prediction("task", error=str(error))
