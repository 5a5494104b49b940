"""The server process of `lcnet serve`: page and API, until a signal comes."""

import socket
from collections.abc import Callable

from fastapi import FastAPI
from PIL import Image

from lcnet.serving.app import build_app
from lcnet.serving.guard import Guard
from lcnet.serving.label_studio import LabelStudio
from lcnet.serving.listening import is_this_machine
from lcnet.serving.page import add_page
from lcnet.serving.service import Service
from lcnet.serving.until_signal import serve_until_signal

FINISHING = 60.0
"""Seconds that requests in work may still take after the signal."""
CLOSING = 1
"""Seconds until connections that are open without a request in work are cut."""


def whole_app(
    service: Service,
    host: str,
    studio: LabelStudio | None = None,
    *,
    advice: str = "",
    name: str = "",
) -> FastAPI:
    """Page and API; `host` is the address on which they are served.

    Where only this machine can reach it, it answers to this machine's names alone: a web site that
    gives itself this machine's number could otherwise use the browser of whoever visits it. Others
    come by names that it cannot know.
    """
    app = build_app(service, studio)
    add_page(app, service, advice=advice, name=name)
    app.add_middleware(Guard, host=host if is_this_machine(host) else None)
    return app


def run(
    service: Service,
    listening: socket.socket,
    host: str,
    started: Callable[[], None],
    studio: LabelStudio | None = None,
    *,
    advice: str = "",
    name: str = "",
) -> None:
    """Serve at the socket until SIGINT or SIGTERM; return when all requests in work are answered.

    `started` is called once requests are accepted. `advice` is shown where known labels move
    nothing, and `name` in the page's heading.
    """
    Image.MAX_IMAGE_PIXELS = None  # read_upload checks the size before anything is decoded
    try:
        serve_until_signal(
            whole_app(service, host, studio, advice=advice, name=name),
            listening,
            started,
            connections=8 * service.limits.waiting + 256,
            closing=CLOSING,
            refuse=service.batcher.refuse,
            in_work=lambda: service.batcher.taken > 0,
            finishing=FINISHING,
        )
    finally:
        service.batcher.close()
