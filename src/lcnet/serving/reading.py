"""What a request to the API or from the page has in it: pictures, known labels, JSON."""

import asyncio

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from lcnet.errors import ConfigError
from lcnet.predicting.given import check_known
from lcnet.predicting.selection import Selection, selection
from lcnet.serving.guard import bounded
from lcnet.serving.label_studio import MOST_JSON
from lcnet.serving.service import BadRequest, Service
from lcnet.serving.uploads import UploadTooLarge, shown_name

ENVELOPE = 16_384
"""Bytes that a request may have besides its pictures."""
MOST_FILES = 64
"""Pictures in one request."""
MOST_DIGITS = 10
SLOWEST = 60.0
"""Seconds in which a picture must arrive, since its sender occupies a place meanwhile."""


def is_json(request: Request) -> bool:
    """Whether it says that it is JSON."""
    return request.headers.get("content-type", "").startswith("application/json")


async def json_body(request: Request) -> bytes:
    """The bytes of a request of Label Studio. Raises UploadTooLarge or BadRequest."""
    message = f"expected at most {MOST_JSON:,} bytes of JSON, got more. Send fewer tasks at a time."
    limited = Request(request.scope, bounded(request.receive, MOST_JSON, UploadTooLarge(message)))
    try:
        async with asyncio.timeout(SLOWEST):
            return await limited.body()
    except TimeoutError:
        raise BadRequest(f"expected the request within {SLOWEST:g} s. Send it again.") from None


def selected(request: Request, service: Service) -> Selection:
    """The labels that the query asks for; raises BadRequest if it cannot be met."""
    top, only = request.query_params.get("top", "0"), request.query_params.getlist("only")
    if not (top.isascii() and top.isdecimal() and len(top) < MOST_DIGITS):
        raise BadRequest(f"top: expected a whole number such as 5, got {top[:20]!r}. Correct it.")
    try:
        return selection(service.predictor.info.labels, top=int(top), only=only)
    except ConfigError as error:
        raise BadRequest(str(error).removeprefix("--")) from None


def known_of(request: Request, service: Service) -> dict[str, bool]:
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


async def files_of(request: Request, service: Service) -> list[tuple[str, bytes]]:
    """The names and the bytes of the files in a form, in order; fields may have any names.

    Raises UploadTooLarge or BadRequest.
    """
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
