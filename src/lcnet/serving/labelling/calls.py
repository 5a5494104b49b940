"""What a request may say: from this machine's own page, in JSON, and nothing unknown."""

import ipaddress
import json
import re
import socket
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request

from lcnet.schema import unknown_label
from lcnet.serving.gate import bounded

MOST_BYTES = 4_000_000
WINDOW = re.compile(r"[\w-]{1,64}", re.ASCII)
State = bool | None


class BadCall(Exception):
    """A request that is refused; the message says why."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def check_host(request: Request, host: str) -> None:
    """Raises BadCall where the address names another host than those that this server can have.

    A page of another site can let its own name point to this machine; it then passes for the same
    origin. So only numbers and this machine's names are taken.
    """
    name = _name_in(f"//{request.headers.get('host', '')}")
    own = {"localhost", host.lower(), socket.gethostname().lower()}
    if name in own or name.removesuffix(".local") in own or _is_number(name):
        return
    raise BadCall(f"expected the address that lcnet label has printed, got {name[:60]!r}.", 403)


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


async def read_call(request: Request, table: str) -> dict[str, Any]:
    """The JSON object of a POST from the server's own page, which shows the same table.

    Raises BadCall for anything else.
    """
    origin = request.headers.get("origin")
    if origin is not None and origin.partition("://")[2] != request.headers.get("host"):
        raise BadCall("expected a call from this server's own page, got one from another.", 403)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise BadCall(f"expected application/json, got {kind[:60] or 'no content type'}.", 415)
    too_long = BadCall(f"expected at most {MOST_BYTES:,} bytes, got more.", 413)
    body = await Request(request.scope, bounded(request.receive, MOST_BYTES, too_long)).body()
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        raise BadCall("expected JSON, got other bytes.") from None
    if not isinstance(given, dict):
        raise BadCall("expected a JSON object.")
    if given.get("table") != table:
        raise BadCall("this page shows another table than the server now has. Load it again.", 409)
    return given


def window_of(given: Mapping[str, Any]) -> str:
    """The name that a window has given itself."""
    window = given.get("window")
    if not isinstance(window, str) or not WINDOW.fullmatch(window):
        raise BadCall("window: expected 1 to 64 letters, digits, - and _.")
    return window


def picture_of(given: Mapping[str, Any], count: int) -> int:
    """The number of a picture."""
    number = given.get("picture")
    if type(number) is not int or not 0 <= number < count:
        raise BadCall(f"picture: expected a number from 0 to {count - 1}, got {_shown(number)}.")
    return number


def path_of(given: Mapping[str, Any]) -> str:
    """The path of a picture, or its end, as a link gives it."""
    path = given.get("path")
    if not isinstance(path, str) or not path:
        raise BadCall(f"path: expected that of a picture, got {_shown(path)}.")
    return path


def changes_of(given: Mapping[str, Any], labels: Sequence[str]) -> dict[str, tuple[State, State]]:
    """For each label what the annotator saw and what it shall be."""
    changes = given.get("changes")
    if not isinstance(changes, dict) or not changes:
        raise BadCall("changes: expected labels with [SEEN, NEW].")
    for label, states in changes.items():
        if label not in labels:
            raise BadCall(f"changes: {unknown_label(label[:60], labels)}.")
        if (
            not isinstance(states, list)
            or len(states) != 2
            or any(state not in (None, True, False) or type(state) is int for state in states)
        ):
            raise BadCall(
                f"changes: expected [SEEN, NEW] for {label}, each true, false or null, got "
                f"{_shown(states)}."
            )
    return {label: (seen, new) for label, (seen, new) in changes.items()}


def _shown(value: object) -> str:
    return repr(value)[:60]
