"""Which window has which picture, so that two annotators at one server get different ones."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

SECONDS = 300.0
"""How long a picture is a window's own after it was last heard of."""
MOST_WINDOWS = 1_000
"""Windows that are remembered; of more, the one longest silent is forgotten."""


@dataclass
class _Window:
    picture: int | None = None
    heard: float = 0.0
    passed: set[int] = field(default_factory=set)


class Leases:
    """The pictures that windows hold for some minutes, and those that each has passed."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds."""
        self._clock = clock
        self._windows: OrderedDict[str, _Window] = OrderedDict()

    def held(self, but: str) -> set[int]:
        """The pictures that other windows than `but` hold."""
        now = self._clock()
        return {
            window.picture
            for name, window in self._windows.items()
            if name != but and window.picture is not None and now - window.heard < SECONDS
        }

    def hold(self, name: str, picture: int) -> None:
        """Give a window a picture, and end its hold on the one before.

        If another window holds it already, that one keeps it.
        """
        window = self._window(name)
        window.picture = None if picture in self.held(name) else picture
        window.passed.add(picture)

    def passed(self, name: str) -> set[int]:
        """The pictures that a window has had."""
        return self._window(name).passed

    def keep(self, name: str) -> None:
        """Note that a window is there still."""
        self._window(name)

    def leave(self, name: str) -> None:
        """End a window's hold."""
        if name in self._windows:
            self._windows[name].picture = None

    def _window(self, name: str) -> _Window:
        window = self._windows.setdefault(name, _Window())
        self._windows.move_to_end(name)
        if len(self._windows) > MOST_WINDOWS:
            self._windows.popitem(last=False)
        window.heard = self._clock()
        return window
