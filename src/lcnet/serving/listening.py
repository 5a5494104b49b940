"""The address on which a page is served."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from lcnet.errors import ConfigError


@contextmanager
def listening_at(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens on the address, opened before the model is loaded."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=256)
    except OSError as error:
        raise ConfigError(
            f"--host {host} --port {port}: cannot listen there ({error.strerror}). "
            "Choose another address; --port 0 takes a free port."
        ) from None
    with listening:
        yield listening


def address_of(host: str, listening: socket.socket) -> str:
    """What to type into a browser to reach the socket."""
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listening.getsockname()[1]}"


def is_this_machine(host: str) -> bool:
    """Whether only this machine can reach the address."""
    return host == "localhost" or host == "::1" or host.startswith("127.")
