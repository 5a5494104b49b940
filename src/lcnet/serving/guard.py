"""Which requests are answered at all: their host, the page that they come from, their size."""

import ipaddress
import json
import socket
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lcnet.errors import one_line

DRAINED = 4
"""Up to this many times the limit is read and thrown away, so that the client gets the reason."""
UNOWNED = (".localhost", ".internal")
"""Ends of names that nobody can own, such as that of the machine for a container on it."""
SAME_PAGE = ("same-origin", "none")


class BadCall(Exception):
    """A request that is refused; the message says why."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def refused(error: BadCall) -> JSONResponse:
    """The answer to a call that is refused."""
    return JSONResponse({"error": one_line(str(error))}, error.status)


class Guard:
    """Refuses requests under another host's name; answers are neither kept nor taken for others."""

    def __init__(self, app: ASGIApp, *, host: str | None) -> None:
        """`host` is the address on which the app is served; with None any name is answered."""
        self.app = app
        self.host = host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request, or pass it on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("Cache-Control", "no-store")
                headers["X-Content-Type-Options"] = "nosniff"
            await send(message)

        try:
            check_host(Headers(scope=scope).get("host", ""), self.host)
        except BadCall as error:
            await refused(error)(scope, receive, marked)
            return
        await self.app(scope, receive, marked)


def check_host(named: str, host: str | None) -> None:
    """Raises BadCall where a request names another host than those that this server can have.

    A page of another site can let its own name point to this machine; it then passes for the same
    origin. So only numbers and this machine's names are taken.
    """
    if host is None:
        return
    name = _name_in(f"//{named}")
    own = {"localhost", host.lower(), socket.gethostname().lower()}
    if name in own or name.removesuffix(".local") in own or _is_number(name):
        return
    if name.endswith(UNOWNED):
        return
    raise BadCall(
        f"expected the address that was printed at the start, got {name[:60]!r}. A server in front "
        "of this one must send that address as Host.",
        403,
    )


def _name_in(address: str) -> str:
    try:
        return (urlsplit(address).hostname or "").lower()
    except ValueError:
        return ""


def _is_number(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def check_origin(request: Request) -> None:
    """Raises BadCall for a call from a page of another server.

    Browsers say so by themselves: the newer ones in Sec-Fetch-Site, which also holds with a server
    in between that changes Host; the older ones, and all without encryption, by Origin alone.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        is_own = site in SAME_PAGE
    else:
        is_own = origin is None or origin.partition("://")[2] == request.headers.get("host")
    if not is_own:
        raise BadCall("expected a call from this server's own page, got one from another.", 403)


async def read_object(request: Request, most: int) -> dict[str, Any]:
    """The JSON object of a POST from the server's own page, of at most `most` bytes.

    Raises BadCall for anything else.
    """
    check_origin(request)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise BadCall(f"expected application/json, got {kind[:60] or 'no content type'}.", 415)
    too_long = BadCall(f"expected at most {most:,} bytes, got more.", 413)
    body = await Request(request.scope, bounded(request.receive, most, too_long)).body()
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        raise BadCall("expected JSON, got other bytes.") from None
    if not isinstance(given, dict):
        raise BadCall("expected a JSON object.")
    return given


def bounded(receive: Receive, most: int, error: Exception) -> Receive:
    """Wrap a `receive` so that it raises the error once a body has more than `most` bytes."""
    total = 0

    async def counted() -> Message:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        if total <= most:
            return message
        while message.get("more_body") and total <= DRAINED * most:
            message = await receive()
            total += len(message.get("body", b""))
        raise error

    return counted
