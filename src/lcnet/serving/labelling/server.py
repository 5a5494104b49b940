"""The server process of `lcnet label`: the page, until a signal comes."""

import socket
from collections.abc import Callable

from lcnet.serving.labelling.app import build_app
from lcnet.serving.labelling.desk import Desk
from lcnet.serving.until_signal import serve_until_signal

CONNECTIONS = 200
CLOSING = 5
"""Seconds that answers in work may still take after the signal."""


def run(desk: Desk, listening: socket.socket, host: str, started: Callable[[], None]) -> None:
    """Serve at the socket until SIGINT or SIGTERM; `started` is called once requests are taken."""
    desk.start()
    try:
        serve_until_signal(
            build_app(desk, host),
            listening,
            started,
            connections=CONNECTIONS,
            closing=CLOSING,
        )
    finally:
        desk.scores.stop()
