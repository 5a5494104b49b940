"""The gate of the server: which addresses are open, and what a call from the page may contain.

gradio brings addresses that serve files by path, fetch from other servers or change the page. Only
those that this page needs are open. So no file of the server is ever served, and a call may name no
path but that of an uploaded file.
"""

import json
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lcnet.serving.uploads import UploadTooLarge

OWN = re.compile(r"/(predict|ready|metrics|health|setup|openapi\.json)")
PAGE = re.compile(
    r"/|/config|/theme\.css|/favicon\.ico|/manifest\.json|/(assets|static|svelte)/.+"
    r"|/gradio_api/(info|openapi\.json|app_id|startup-events|upload|upload_progress|queue/join"
    r"|queue/data|cancel|reset|heartbeat/\w+|call/\w+|call/\w+/\w+)"
)
MOST_JSON = 1_000_000
"""Bytes of a call from the page, at most."""
DRAINED = 4
"""Up to this many times the limit is read and thrown away, so that the client gets the reason."""


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


class Gate:
    """Lets through what the page and the API need, within their limits."""

    def __init__(self, app: ASGIApp, *, uploads: Path, stored_bytes: int) -> None:
        """`uploads` is gradio's folder of uploaded files, which may hold `stored_bytes` in all."""
        self.app = app
        self.uploads = uploads
        self.stored_bytes = stored_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request, or pass it on."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        path = str(scope["path"]) if scope["type"] == "http" else ""
        if OWN.fullmatch(path):
            await self.app(scope, receive, send)
            return
        if not PAGE.fullmatch(path.rstrip("/") or "/" if path else "") or ".." in path:
            refusal = JSONResponse({"error": "no such address. See /openapi.json."}, 404)
            await refusal(scope, receive, send)
            return
        if scope["method"] == "POST" and path.startswith("/gradio_api/upload"):
            free = max(0, self.stored_bytes - _size(self.uploads))
            # Raised while gradio's framework reads the body, so it must be one that it answers.
            full = HTTPException(413, "no room for more uploads now. Try again later.")
            receive = bounded(receive, free, full)
        elif scope["method"] == "POST":
            try:
                receive = await self._checked(receive)
            except (UploadTooLarge, PermissionError) as error:
                status = 413 if isinstance(error, UploadTooLarge) else 400
                await JSONResponse({"error": str(error)}, status)(scope, receive, send)
                return
        await self.app(scope, receive, send)

    async def _checked(self, receive: Receive) -> Receive:
        """A `receive` that repeats the body, after checking that it names only uploaded files."""
        limited = bounded(
            receive,
            MOST_JSON,
            UploadTooLarge(f"a call: expected at most {MOST_JSON:,} bytes, got more."),
        )
        body, more = b"", True
        while more:
            message = await limited()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        try:
            paths = list(_paths(json.loads(body or b"null")))
        except ValueError:
            raise PermissionError("expected JSON.") from None
        root = self.uploads.resolve()
        for path in paths:
            if not isinstance(path, str) or not _is_inside(path, root):
                raise PermissionError("expected uploaded pictures, got a path or an address.")
        sent = False

        async def again() -> Message:
            nonlocal sent
            if sent:
                return await receive()
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        return again


def _paths(value: Any) -> Iterator[Any]:
    """The values of all `path` keys, at any depth of a JSON value."""
    if isinstance(value, dict):
        if "path" in value:
            yield value["path"]
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from _paths(part)


def _is_inside(path: str, root: Path) -> bool:
    try:
        return Path(path).resolve().is_relative_to(root)
    except (OSError, ValueError):
        return False


def sweep(folder: Path, seconds: float) -> None:
    """Delete the files that have been in a folder of uploads for longer than `seconds`.

    gradio never deletes some of its own temporary files, which would fill the folder.
    """
    oldest = time.time() - seconds
    for path in folder.rglob("*"):
        with suppress(OSError):  # gone meanwhile
            if path.is_file() and path.stat().st_mtime < oldest:
                path.unlink()


def _size(folder: Path) -> int:
    """Bytes in a folder, from which files may vanish meanwhile."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total
