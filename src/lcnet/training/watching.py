"""What looks on at a training for the code that started it."""

from collections.abc import Mapping
from math import inf
from typing import Any


class Watch:
    """Sees each epoch of a training, in its first process; this one does nothing."""

    until: float = inf
    """When `time.monotonic()` passes this, the run is saved and ends with `TimeUp`."""
    finishes: bool = False
    """Whether a run whose time is up is finished with its best model, and trains on until it has
    one."""

    def see(self, row: Mapping[str, Any]) -> None:
        """Take the row of an epoch, as in history.csv; the run is saved by then.

        What it raises ends the run there, and the run can go on later.
        """


NOBODY = Watch()
"""Sees nothing, and leaves a run all the time."""
