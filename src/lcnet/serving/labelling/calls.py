"""What a request may say: from this machine's own page, in JSON, and nothing unknown."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request

from lcnet.schema import unknown_label
from lcnet.serving.guard import BadCall, read_object

MOST_BYTES = 4_000_000
WINDOW = re.compile(r"[\w-]{1,64}", re.ASCII)
State = bool | None


async def read_call(request: Request, table: str) -> dict[str, Any]:
    """The JSON object of a POST from the server's own page, which shows the same table.

    Raises BadCall for anything else.
    """
    given = await read_object(request, MOST_BYTES)
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


def is_undo(given: Mapping[str, Any]) -> bool:
    """Whether the changes take answers back; not if nothing is said."""
    undo = given.get("undo", False)
    if not isinstance(undo, bool):
        raise BadCall(f"undo: expected true or false, got {_shown(undo)}.")
    return undo


def _shown(value: object) -> str:
    return repr(value)[:60]
