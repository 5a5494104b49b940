"""The page of `lcnet serve`, and the addresses that it alone asks.

Nothing that is sent is kept: the page holds its pictures, and sends back the logits of a picture of
which labels are known, so that these move the others without another look.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
from fastapi import FastAPI
from numpy.typing import NDArray
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from lcnet.errors import ConfigError
from lcnet.model.backbone import short_name
from lcnet.model.fast import FastClassifier
from lcnet.model_folder import ModelInfo
from lcnet.predicting.row_formats import SEPARATOR, csv_header
from lcnet.reporting.graph_files import MOST_LABELS
from lcnet.serving.app import refusal
from lcnet.serving.graph_figures import graph_figures
from lcnet.serving.guard import BadCall, check_origin, read_object, refused
from lcnet.serving.page_answer import add_icon, page_answer
from lcnet.serving.reading import files_of
from lcnet.serving.results import SIDE_PX, Values, heats, looked
from lcnet.serving.service import BadRequest, Service

MOST_LOOKED_AT = 8
"""Pictures that are shown at a time, at most."""
MOST_IN_TABLE = 500
HEAT_LABELS = 5
BYTES_OF_NUMBER = 40
LETTER = 6
"""Bytes of a number and of a letter in JSON, at most."""

LARGEST = 1e30
"""No logit is as large; more would not fit into float32."""

Work = Callable[[Request, Service], Awaitable[Values]]


def add_page(app: FastAPI, service: Service, *, advice: str = "", name: str = "") -> None:
    """Add the page at the root; `advice` is shown where known labels move nothing.

    `name` is that of the model, for the heading.
    """
    figures = graph_figures(service.predictor)
    values = _values(service, list(figures), advice, name or service.predictor.path.name)
    add_icon(app)

    @app.get("/", include_in_schema=False)
    async def page() -> HTMLResponse:
        return page_answer("serve.html", page=values)

    @app.get("/graph/{name}.png", include_in_schema=False)
    def figure(name: str) -> Response:
        if name not in figures:
            return JSONResponse({"error": "this model has no such figure."}, 404)
        return Response(figures[name](), media_type="image/png")

    for name, work in {"look": _look, "explain": _explaining(), "given": _given}.items():
        route = _route(service, work)
        app.add_api_route(f"/{name}", route, methods=["POST"], include_in_schema=False)


def _route(service: Service, work: Work) -> Callable[[Request], Awaitable[JSONResponse]]:
    async def route(request: Request) -> JSONResponse:
        try:
            check_origin(request)
            with service.counted():
                return JSONResponse(await work(request, service))
        except BadCall as error:
            return refused(error)
        except Exception as error:  # the server keeps running; the page says the reason
            return refusal(error, "picture")

    return route


async def _look(request: Request, service: Service) -> Values:
    """The labels of a picture."""
    name, stored = await _picture(request, service)
    future, shown = await run_in_threadpool(service.look, stored, name, side=SIDE_PX)
    scored = await asyncio.wrap_future(future)
    return await run_in_threadpool(looked, scored, shown)


def _explaining() -> Work:
    one_at_a_time = asyncio.Lock()  # it is the most work

    async def explain(request: Request, service: Service) -> Values:
        """Heat maps of a picture's labels."""
        if not service.predictor.explains:
            raise BadRequest("this model cannot explain.")
        name, stored = await _picture(request, service)
        async with one_at_a_time:
            found = await run_in_threadpool(service.explain, stored, name, labels=HEAT_LABELS)
        return await run_in_threadpool(heats, found)

    return explain


async def _given(request: Request, service: Service) -> Values:
    """The labels of a picture by its logits, given what is known of it."""
    labels = service.predictor.info.labels
    most = 65_536 + sum(BYTES_OF_NUMBER + LETTER * len(label.encode()) for label in labels)
    call = await read_object(request, most)
    logits, known = _logits(call.get("logits"), len(labels)), call.get("known")
    if not isinstance(known, dict):
        raise BadRequest("known: expected labels with true or false.")
    try:
        found = await run_in_threadpool(service.predictor.given, logits, known)
    except ConfigError as error:  # no such label, or an exported file
        raise BadRequest(str(error)) from None
    return found.to_dict()


def _logits(given: object, count: int) -> NDArray[np.float32]:
    if (
        not isinstance(given, list)
        or len(given) != count
        or not all(type(value) in (int, float) for value in given)
        or not all(abs(value) < LARGEST for value in given)  # no nan either
    ):
        raise BadRequest(f"logits: expected the {count} numbers that this server gave.")
    return np.array(given, np.float32)


async def _picture(request: Request, service: Service) -> tuple[str, bytes]:
    files = await files_of(request, service)
    if len(files) > 1:
        raise BadRequest(f"expected one picture at a time, got {len(files)}.")
    return files[0]


def _backbones(info: ModelInfo) -> str:
    """The backbone's name; of several models each one's, once."""
    models = [member.model for member in info.members] or [info.model]
    return ", ".join(dict.fromkeys(short_name(model.backbone) for model in models))


def _values(service: Service, figures: list[str], advice: str, name: str) -> dict[str, Any]:
    """What the page needs once."""
    predictor, limits = service.predictor, service.limits
    info = predictor.info
    is_exported = not isinstance(predictor.model, FastClassifier)
    return {
        "model": name,
        "backbones": _backbones(info),
        "labels": info.labels,
        "thresholds": [round(threshold, 6) for threshold in info.thresholds],
        "ruled": info.rules is not None,
        "explains": predictor.explains,
        "kind": "an exported file" if is_exported else "several models as one",
        "moves": predictor.takes_known and len(info.labels) > 1,
        "advice": advice,
        "megabytes": limits.megabytes,
        "bounds": f"up to {limits.megabytes:g} MB and {limits.pixels / 1e6:g} million pixels each",
        "most_looked_at": MOST_LOOKED_AT,
        "most_in_table": MOST_IN_TABLE,
        "columns": csv_header(info.labels),
        "separator": SEPARATOR,
        "figures": figures,
        "exported": is_exported,
        "most_drawn": MOST_LABELS,
    }
