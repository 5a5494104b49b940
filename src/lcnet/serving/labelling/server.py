"""The server process of `lcnet label`: the page, until a signal comes."""

import signal
import socket
from collections.abc import Callable

import uvicorn

from lcnet.serving.labelling.app import build_app
from lcnet.serving.labelling.desk import Desk

CLOSING = 5
"""Seconds that answers in work may still take after the signal."""


def run(desk: Desk, listening: socket.socket, host: str, started: Callable[[], None]) -> None:
    """Serve at the socket until SIGINT or SIGTERM; `started` is called once requests are taken."""
    config = uvicorn.Config(
        build_app(desk, host),
        log_level="critical",
        access_log=False,
        server_header=False,
        limit_concurrency=200,
        timeout_graceful_shutdown=CLOSING,
    )
    # uvicorn raises the signal again at its end, which would kill the process before it cleans up.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    desk.start()
    try:
        _Server(config, started).run(sockets=[listening])
    finally:
        desk.scores.stop()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._started()
