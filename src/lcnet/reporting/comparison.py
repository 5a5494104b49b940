"""Two models on the same pictures: what `lcnet report --against` shows of them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lcnet.evaluating.measuring import Measured
from lcnet.metrics import Targets
from lcnet.metrics.bootstrap import ApDifferences
from lcnet.reporting.cost import Cost


@dataclass(frozen=True)
class Side:
    """One of the two models."""

    name: str
    measured: Measured
    settings: Mapping[str, object]
    """By the names of their flags; of a model folder, those of the model alone."""
    is_run: bool
    """Whether the settings are those of a whole run."""
    cost: Cost
    epochs: int | None
    """Epochs of its training; None if they are not known."""
    minutes: float | None
    """What they took, validation included."""
    trained_on: str
    """The device that trained it; empty if it is not known."""


@dataclass(frozen=True)
class Comparison:
    """Two models, measured on the same pictures, and what differs."""

    ours: Side
    theirs: Side
    targets: Targets
    """N x L: 1, 0 and -1 (unknown), with the labels in our order."""
    our_ap: NDArray[np.float64]
    """Per label, 0 to 100; NaN where it cannot be measured."""
    their_ap: NDArray[np.float64]
    differences: ApDifferences
    """Ours minus theirs."""
    resamples: int
    cautions: tuple[str, ...]
    environment: Mapping[str, str]

    @property
    def split(self) -> str:
        """What both were measured on."""
        return self.ours.measured.samples.name

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in our order."""
        return self.ours.measured.samples.labels


def differing_settings(ours: Side, theirs: Side) -> list[tuple[str, object, object]]:
    """Name, our value and their value of every setting that differs.

    Where one is a model folder, only what both have is compared.
    """
    both = ours.is_run and theirs.is_run
    names = [name for name in ours.settings if both or name in theirs.settings]
    names += [name for name in theirs.settings if both and name not in ours.settings]
    return [
        (name, ours.settings.get(name), theirs.settings.get(name))
        for name in names
        if ours.settings.get(name) != theirs.settings.get(name)
    ]
