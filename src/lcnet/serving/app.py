"""The API: POST /predict, GET /ready and GET /metrics; and Label Studio's, if it is wanted."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from lcnet.errors import ConfigError
from lcnet.predicting.given import check_known
from lcnet.predicting.label_studio import version_of
from lcnet.predicting.prediction import Prediction
from lcnet.predicting.selection import Selection, selection
from lcnet.serving.gate import bounded
from lcnet.serving.label_studio import MOST_JSON, LabelStudio, results
from lcnet.serving.service import BadRequest, Known, Service, refusal_of
from lcnet.serving.uploads import UploadTooLarge, shown_name

ENVELOPE = 16_384
"""Bytes that a request may have besides its pictures."""
MOST_FILES = 64
"""Pictures in one request."""
MOST_DIGITS = 10
SLOWEST = 60.0
"""Seconds in which a picture must arrive, since its sender occupies a place meanwhile."""


def build_app(service: Service, studio: LabelStudio | None = None) -> FastAPI:
    """The routes, documented in /openapi.json; with `studio` it is a Label Studio backend too."""
    app = FastAPI(
        title="lcnet", version=version("lcnet"), docs_url=None, redoc_url=None
    )  # those pages load scripts from other servers
    version_of_model = version_of(service.predictor.path) if studio is not None else ""

    @app.post("/predict", openapi_extra=_BODY, responses=_ANSWERS)
    async def predict(request: Request) -> JSONResponse:
        """The labels of a picture, sent as a form with a file; of several files, a list."""
        name = "picture"
        try:
            with service.counted():
                if studio is not None and _is_json(request):
                    content = await _json_body(request)
                    answer = await run_in_threadpool(
                        results, content, studio, service, version_of_model
                    )
                    return JSONResponse(answer)
                shown, known = _shown(request, service), _known(request, service)
                files = await _files(request, service)
                if len(files) > 1:
                    answers = await _each(files, service, known)
                    return JSONResponse([shown(answer).to_dict() for answer in answers])
                [(name, stored)] = files
                future = await run_in_threadpool(service.submit, stored, name, known)
                prediction = await asyncio.wrap_future(future)
            return JSONResponse(shown(prediction).to_dict())
        except Exception as error:  # the server keeps running; the client gets the reason
            return _refusal(error, name)

    if studio is not None:

        @app.get("/health")
        async def health() -> JSONResponse:
            """Label Studio asks whether the backend is there."""
            return JSONResponse({"status": "UP", "model_class": "lcnet"})

        @app.post("/setup")
        async def setup(request: Request) -> JSONResponse:
            """Label Studio says of which project it is the backend, and takes the version."""
            return JSONResponse({"model_version": version_of_model})

    @app.get("/ready")
    async def ready() -> JSONResponse:
        """200 while pictures are accepted, 503 once the server is stopping."""
        is_open = service.batcher.is_open
        return JSONResponse({"ready": is_open}, 200 if is_open else 503)

    @app.get("/metrics")
    async def metrics() -> Response:
        """Requests, pictures, seconds and queue, in Prometheus' text format."""
        return Response(service.measures.text(), media_type="text/plain; version=0.0.4")

    return app


def _is_json(request: Request) -> bool:
    return request.headers.get("content-type", "").startswith("application/json")


async def _json_body(request: Request) -> bytes:
    message = f"expected at most {MOST_JSON:,} bytes of JSON, got more. Send fewer tasks at a time."
    limited = Request(request.scope, bounded(request.receive, MOST_JSON, UploadTooLarge(message)))
    try:
        async with asyncio.timeout(SLOWEST):
            return await limited.body()
    except TimeoutError:
        raise BadRequest(f"expected the request within {SLOWEST:g} s. Send it again.") from None


def _shown(request: Request, service: Service) -> Selection:
    """The labels that the query asks for; raises BadRequest if it cannot be met."""
    top, only = request.query_params.get("top", "0"), request.query_params.getlist("only")
    if not (top.isascii() and top.isdecimal() and len(top) < MOST_DIGITS):
        raise BadRequest(f"top: expected a whole number such as 5, got {top[:20]!r}. Correct it.")
    try:
        return selection(service.predictor.info.labels, top=int(top), only=only)
    except ConfigError as error:
        raise BadRequest(str(error).removeprefix("--")) from None


def _known(request: Request, service: Service) -> dict[str, bool]:
    """The labels that the query says are present or absent; raises BadRequest if it cannot be."""
    present, absent = (request.query_params.getlist(name) for name in ("present", "absent"))
    known = {**dict.fromkeys(present, True), **dict.fromkeys(absent, False)}
    if len(known) < len({*present}) + len({*absent}):
        both = next(label for label in present if label in absent)
        raise BadRequest(
            f"absent: expected labels that are not present too, got {both!r}. Drop it."
        )
    try:
        check_known(known, service.predictor.info.labels)
    except ConfigError as error:
        raise BadRequest(str(error)) from None
    return known


async def _files(request: Request, service: Service) -> list[tuple[str, bytes]]:
    """The names and the bytes of the files in a form, in order; fields may have any names."""
    most = service.limits.file_bytes + ENVELOPE
    message = (
        f"picture: expected at most {service.limits.megabytes:g} MB in a request, got more. Send a "
        "smaller file, or fewer."
    )
    limited = Request(request.scope, bounded(request.receive, most, UploadTooLarge(message)))
    try:
        async with (
            asyncio.timeout(SLOWEST),
            limited.form(max_files=MOST_FILES, max_fields=8) as form,
        ):
            files = [
                (shown_name(value.filename), await value.read())
                for _, value in form.multi_items()
                if isinstance(value, UploadFile)
            ]
    except TimeoutError:
        raise BadRequest(f"expected the picture within {SLOWEST:g} s. Send it again.") from None
    except HTTPException as error:  # a form that cannot be read
        raise BadRequest(
            f"{error.detail} Send one picture as multipart/form-data, or up to {MOST_FILES}."
        ) from None
    if not files:
        raise BadRequest(
            "no picture in the request. Send one: curl -F picture=@FILE ADDRESS/predict"
        )
    return files


async def _each(
    files: Sequence[tuple[str, bytes]], service: Service, known: Known
) -> list[Prediction]:
    """A prediction for each file, in order; one that cannot be read, or fails, has its error."""
    answers: list[Prediction] = []
    names = [name for name, _ in files]
    for name, submitted in zip(
        names, await run_in_threadpool(service.submit_all, files, known), strict=True
    ):
        try:
            answers.append(
                await asyncio.wrap_future(submitted) if isinstance(submitted, Future) else submitted
            )
        except Exception as error:  # the others go on
            answers.append(Prediction(name, error=_failed(error)))
    return answers


def _refusal(error: Exception, name: str) -> JSONResponse:
    """The answer to a request that gets no labels."""
    refused = refusal_of(error)
    if refused is None:
        return JSONResponse(Prediction(name, error=_failed(error)).to_dict(), 500)
    headers = {"Retry-After": "1"} if refused.status == 503 else None
    return JSONResponse(Prediction(name, error=str(error)).to_dict(), refused.status, headers)


def _failed(error: Exception) -> str:
    return f"the model failed ({type(error).__name__}). Ask whoever runs the server."


def _json(description: str, properties: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


_TEXT = {"type": "string"}
_ERROR = {"image": _TEXT, "error": _TEXT}
_BODY: dict[str, Any] = {
    "parameters": [
        {
            "name": "top",
            "in": "query",
            "description": "Labels in the answer: the most probable ones, most probable first; all "
            "if not given or 0. A label above its threshold that is not among them is left out.",
            "schema": {"type": "integer", "minimum": 0},
        },
        {
            "name": "only",
            "in": "query",
            "description": "A label in the answer; repeated for several: only=cat&only=dog.",
            "schema": {"type": "array", "items": _TEXT},
        },
        {
            "name": "present",
            "in": "query",
            "description": "A label that is known to be present; repeated for several. It moves "
            "the others if the model knows how (lcnet calibrate --evidence).",
            "schema": {"type": "array", "items": _TEXT},
        },
        {
            "name": "absent",
            "in": "query",
            "description": "A label that is known to be absent; repeated for several.",
            "schema": {"type": "array", "items": _TEXT},
        },
    ],
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "description": f"A file, or up to {MOST_FILES} in fields of any names. Limits "
                    "on bytes and pixels hold for all files of a request together.",
                    "properties": {
                        "picture": {**_TEXT, "format": "binary"},
                        "pictures": {"type": "array", "items": {**_TEXT, "format": "binary"}},
                    },
                }
            }
        },
    },
}
_PREDICTION = {
    "image": _TEXT,
    "labels": {"type": "array", "items": _TEXT},
    "known": {"type": "object", "additionalProperties": {"type": "boolean"}},
    "probabilities": {"type": "object", "additionalProperties": {"type": "number"}},
}
_RESULT = {"type": "object", "properties": _PREDICTION}
_FAILURE = {"type": "object", "properties": _ERROR}
_LABELLED = {
    "description": "The labels above their thresholds, the most probable first, and the "
    "probability of every label, 0 to 1. Of several files, a list of such results in their order; "
    "one that could not be read has its error instead.",
    "content": {
        "application/json": {
            "schema": {
                "oneOf": [_RESULT, {"type": "array", "items": {"oneOf": [_RESULT, _FAILURE]}}]
            }
        }
    },
}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: _LABELLED,
    400: _json("No picture in the request, or a query that cannot be met.", _ERROR),
    413: _json("Too many bytes or pixels.", _ERROR),
    422: _json("Not a readable picture.", _ERROR),
    500: _json("The model failed.", _ERROR),
    503: _json("Too many requests in work, or the server is stopping.", _ERROR),
}
