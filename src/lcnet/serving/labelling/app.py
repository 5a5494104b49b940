"""The addresses of the page: the page, a picture by its number, a heat map, and answers."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from lcnet.errors import ConfigError, DataError, LCNetError
from lcnet.serving.guard import BadCall, Guard, refused
from lcnet.serving.labelling.asking import DOUBTFUL
from lcnet.serving.labelling.calls import (
    changes_of,
    is_undo,
    path_of,
    picture_of,
    read_call,
    window_of,
)
from lcnet.serving.labelling.desk import Desk
from lcnet.serving.labelling.shown import heat_of, jpeg_of
from lcnet.serving.page_answer import add_icon, page_answer

Call = dict[str, Any]
KEPT = {"Cache-Control": "private, max-age=3600"}
"""Headers of what stays the same as long as the page's table is the same."""


def build_app(desk: Desk, host: str = "127.0.0.1") -> FastAPI:
    """The routes; `host` is the address on which they are served."""
    app = FastAPI(title="lcnet label", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Guard, host=host)
    add_icon(app)

    @app.get("/")
    async def page() -> HTMLResponse:
        return page_answer("label.html", page=_page(desk))

    @app.get("/{table}/pictures/{number}.jpg")
    def picture(table: str, number: str) -> Response:
        place = _numbered(desk, table, number)
        try:
            return Response(jpeg_of(desk.paths[place], desk.predictor), 200, KEPT, "image/jpeg")
        except DataError as error:
            raise BadCall(str(error), 422) from None

    @app.get("/{table}/pictures/{number}/heat/{label}.png")
    def heat(table: str, number: str, label: str) -> Response:
        place = _numbered(desk, table, number)
        if not (label.isdecimal() and len(label) < 9 and int(label) < len(desk.labels)):
            raise BadCall(f"label: expected a number from 0 to {len(desk.labels) - 1}.")
        name, path = desk.labels[int(label)], desk.paths[place]
        prediction = desk.prediction(place, {})
        if prediction.error or not desk.predictor.explains:
            raise BadCall(prediction.error or "this model cannot explain.", 422)
        try:
            return Response(heat_of(path, name, prediction, desk.predictor), 200, KEPT, "image/png")
        except (DataError, ConfigError) as error:
            raise BadCall(str(error), 422) from None

    @app.exception_handler(BadCall)
    async def bad(request: Request, error: BadCall) -> JSONResponse:
        return refused(error)

    for name, work in _CALLS.items():
        app.add_api_route(f"/{name}", _route(desk, work), methods=["POST"])
    return app


def _open_next(desk: Desk, given: Call) -> Call:
    return desk.open_next(window_of(given))


def _open(desk: Desk, given: Call) -> Call:
    return desk.open(window_of(given), picture_of(given, len(desk.paths)))


def _find(desk: Desk, given: Call) -> Call:
    return desk.find(window_of(given), path_of(given))


def _answer(desk: Desk, given: Call) -> Call:
    number = picture_of(given, len(desk.paths))
    changes = changes_of(given, desk.labels)
    return desk.answer(window_of(given), number, changes, undo=is_undo(given))


def _fill(desk: Desk, given: Call) -> Call:
    return desk.fill(window_of(given), picture_of(given, len(desk.paths)))


def _left(desk: Desk, given: Call) -> Call:
    return desk.left(window_of(given))


def _leave(desk: Desk, given: Call) -> Call:
    return desk.leave(window_of(given))


_CALLS: dict[str, Callable[[Desk, Call], Call]] = {
    "next": _open_next,
    "open": _open,
    "find": _find,
    "answer": _answer,
    "fill": _fill,
    "left": _left,
    "leave": _leave,
}


def _route(
    desk: Desk, work: Callable[[Desk, Call], Call]
) -> Callable[[Request], Awaitable[JSONResponse]]:
    async def route(request: Request) -> JSONResponse:
        given = await read_call(request, desk.table)
        try:
            return JSONResponse(await run_in_threadpool(work, desk, given))
        except LCNetError as error:  # the table cannot be read or written
            raise BadCall(str(error), 409) from None

    return route


def _numbered(desk: Desk, table: str, number: str) -> int:
    if table != desk.table or not (number.isdecimal() and len(number) < 12):
        raise BadCall("no such picture. Load the page again.", 404)
    if int(number) >= len(desk.paths):
        raise BadCall("no such picture. Load the page again.", 404)
    return int(number)


def _page(desk: Desk) -> dict[str, Any]:
    """What the page needs once."""
    thresholds = dict(zip(desk.predictor.info.labels, desk.predictor.info.thresholds, strict=True))
    return {
        "table": desk.table,
        "labels": desk.labels,
        "thresholds": [round(thresholds[label], 4) for label in desk.labels],
        "explains": desk.predictor.explains,
        "advice": desk.advice,
        "caution": desk.caution,
        "correct": desk.correct,
        "doubtful": round(1 - DOUBTFUL, 4),
        "model": str(desk.predictor.path),
        "out": desk.answers.file.name,
        "annotator": desk.answers.annotator,
    }
