"""The API: POST /predict, GET /ready and GET /metrics; and Label Studio's, if it is wanted."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from lcnet.predicting.label_studio import version_of
from lcnet.predicting.prediction import Prediction
from lcnet.serving.label_studio import LabelStudio, results
from lcnet.serving.reading import MOST_FILES, files_of, is_json, json_body, known_of, selected
from lcnet.serving.service import Known, Service, refusal_of


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
                if studio is not None and is_json(request):
                    content = await json_body(request)
                    answer = await run_in_threadpool(
                        results, content, studio, service, version_of_model
                    )
                    return JSONResponse(answer)
                shown, known = selected(request, service), known_of(request, service)
                files = await files_of(request, service)
                if len(files) > 1:
                    answers = await _each(files, service, known)
                    return JSONResponse([shown(answer).to_dict() for answer in answers])
                [(name, stored)] = files
                future = await run_in_threadpool(service.submit, stored, name, known)
                scored = await asyncio.wrap_future(future)
            return JSONResponse(shown(scored.prediction).to_dict())
        except Exception as error:  # the server keeps running; the client gets the reason
            return refusal(error, name)

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

    @app.exception_handler(HTTPException)
    async def missing(request: Request, error: HTTPException) -> JSONResponse:
        """An address or a method that there is not."""
        words = {404: "no such address", 405: "this address is not asked in this way"}
        said = words.get(error.status_code, error.detail)
        return JSONResponse(
            {"error": f"{said}. See /openapi.json."}, error.status_code, error.headers
        )

    return app


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
            if isinstance(submitted, Future):
                submitted = await asyncio.wrap_future(submitted)
            answers.append(submitted.prediction)
        except Exception as error:  # the others go on
            answers.append(Prediction(name, error=failed(error)))
    return answers


def refusal(error: Exception, name: str) -> JSONResponse:
    """The answer to a request that gets no labels."""
    refused = refusal_of(error)
    if refused is None:
        return JSONResponse(Prediction(name, error=failed(error)).to_dict(), 500)
    headers = {"Retry-After": "1"} if refused.status == 503 else None
    return JSONResponse(Prediction(name, error=str(error)).to_dict(), refused.status, headers)


def failed(error: Exception) -> str:
    """What a client is told where it is the server's own fault."""
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
