"""The server process: page and API behind the gate, until a signal comes."""

import asyncio
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn
from PIL import Image
from starlette.types import ASGIApp

from lcnet.serving.app import build_app
from lcnet.serving.gate import Gate, sweep
from lcnet.serving.gradio_page import mount_page
from lcnet.serving.label_studio import LabelStudio
from lcnet.serving.service import Service

FINISHING = 60.0
"""Seconds that requests in work may still take after the signal."""
KEPT = 300.0
"""Seconds that an upload to the page stays on disk, at least."""
SWEPT = 60.0
"""Seconds between two clean-ups of the uploads."""
CLOSING = 1
"""Seconds until open connections are cut; open pages would keep theirs for ever."""


def whole_app(service: Service, uploads: Path, studio: LabelStudio | None = None) -> ASGIApp:
    """Page and API behind the gate; `uploads` is gradio's folder of uploaded files."""
    app = mount_page(build_app(service, studio), service)
    return Gate(app, uploads=uploads, stored_bytes=service.limits.stored_bytes)


def run(
    service: Service,
    listening: socket.socket,
    uploads: Path,
    started: Callable[[], None],
    studio: LabelStudio | None = None,
) -> None:
    """Serve at the socket until SIGINT or SIGTERM; return when all requests in work are answered.

    `started` is called once requests are accepted.
    """
    Image.MAX_IMAGE_PIXELS = None  # read_upload checks the size before anything is decoded
    config = uvicorn.Config(
        whole_app(service, uploads, studio),
        log_level="critical",
        access_log=False,
        server_header=False,
        limit_concurrency=8 * service.limits.waiting + 256,
        timeout_graceful_shutdown=CLOSING,
    )
    # uvicorn raises the signal again at its end, which would kill the process before it cleans up.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    try:
        _Server(config, service, uploads, started).run(sockets=[listening])
    finally:
        service.batcher.close()


class _Server(uvicorn.Server):
    """uvicorn's server, which finishes the requests in work before it stops."""

    def __init__(
        self,
        config: uvicorn.Config,
        service: Service,
        uploads: Path,
        started: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._uploads = uploads
        self._swept = time.monotonic()
        self._service = service
        self._started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._started()

    async def on_tick(self, counter: int) -> bool:
        if time.monotonic() - self._swept > SWEPT:
            self._swept = time.monotonic()
            await asyncio.to_thread(sweep, self._uploads, KEPT)
        return await super().on_tick(counter)

    def handle_exit(self, sig: int, frame: Any) -> None:
        self._service.batcher.refuse()
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        until = time.monotonic() + FINISHING
        while self._service.batcher.taken and time.monotonic() < until and not self.force_exit:
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)
