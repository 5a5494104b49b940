"""Everything that the page of a run shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from lcnet.config import Config
from lcnet.data.statistics import Statistics
from lcnet.evaluating.measuring import Measured
from lcnet.metrics import Flags, predict_at
from lcnet.metrics.bootstrap import Interval
from lcnet.model.graph_matrices import GraphMatrices


@dataclass(frozen=True)
class RunReport:
    """A model, what was measured of it on a split, and how it was made."""

    name: str
    """The run's or model's folder, without the path to it."""
    folder: str
    """The folder as commands on the page name it."""
    measured: Measured
    intervals: Mapping[str, Interval]
    resamples: int
    statistics: Mapping[str, Statistics]
    """Counts of labels by split, training first."""
    history: Sequence[Mapping[str, float]]
    """A row per epoch; empty if there is none."""
    config: Config
    graph: GraphMatrices | None
    cautions: tuple[str, ...]
    """What a reader must know before trusting the numbers."""
    notes: tuple[str, ...]
    """What is left out, and why."""
    environment: Mapping[str, str]
    fitting: Mapping[str, Any] | None = None
    """What calibration.json expects of the fitted thresholds; None if it is of another model."""
    trackers: Mapping[str, str] = field(default_factory=dict)
    """Addresses of the run's pages at services such as wandb, by their names."""
    has_own_data: bool = False
    """Whether commands on this folder find the measured data set without being told."""
    resumable_epochs: int = 0
    """The epochs of a run that is done and can be made longer; else 0."""

    @cached_property
    def thresholds(self) -> list[float]:
        """The threshold of each label."""
        labels = len(self.measured.samples.labels)
        return np.broadcast_to(self.measured.verification.threshold, labels).astype(float).tolist()

    @cached_property
    def predicted(self) -> Flags:
        """Which labels are predicted, N x L."""
        threshold = np.array(self.measured.verification.threshold)
        return predict_at(self.measured.probabilities, threshold, self.measured.rules)

    def commonest(self, most: int) -> list[int]:
        """The labels with the most positives in the split, in the labels' order."""
        positives = (self.measured.targets == 1).sum(axis=0)
        return sorted(np.argsort(-positives, kind="stable")[:most].tolist())
