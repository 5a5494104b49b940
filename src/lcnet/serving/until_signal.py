"""A server process that runs until SIGINT or SIGTERM, and finishes the requests in work."""

import asyncio
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

import uvicorn
from starlette.types import ASGIApp


def serve_until_signal(
    app: ASGIApp,
    listening: socket.socket,
    started: Callable[[], None],
    *,
    connections: int,
    closing: int,
    refuse: Callable[[], None] = lambda: None,
    in_work: Callable[[], bool] = lambda: False,
    finishing: float = 0.0,
) -> None:
    """Serve at the socket; return after a signal, once nothing is in work.

    `started` is called once requests are accepted, `refuse` at the signal. From then on it waits
    for `finishing` seconds at most while something is `in_work`; then for `closing` seconds at most
    until open `connections`, of which there are at most that many, are cut.
    """
    config = uvicorn.Config(
        app,
        log_level="critical",
        access_log=False,
        server_header=False,
        limit_concurrency=connections,
        timeout_graceful_shutdown=closing,
    )
    # uvicorn raises the signal again at its end, which would kill the process before it cleans up.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    _Server(config, started, refuse, in_work, finishing).run(sockets=[listening])


class _Server(uvicorn.Server):
    def __init__(
        self,
        config: uvicorn.Config,
        started: Callable[[], None],
        refuse: Callable[[], None],
        in_work: Callable[[], bool],
        finishing: float,
    ) -> None:
        super().__init__(config)
        self._started = started
        self._refuse = refuse
        self._in_work = in_work
        self._finishing = finishing

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._started()

    def handle_exit(self, sig: int, frame: Any) -> None:
        self._refuse()
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        until = time.monotonic() + self._finishing
        while self._in_work() and time.monotonic() < until and not self.force_exit:
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)
