"""Fits what known labels say of others, and what to expect of it on new pictures."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit
from torch import Tensor

from lcnet.evaluating.known_labels import Parts, moved
from lcnet.metrics import Flags, Floats, Targets
from lcnet.metrics.calibration import fit_calibration, to_probabilities
from lcnet.metrics.known_labels import States, drawn
from lcnet.metrics.label_evidence import PRIOR_PICTURES, Edges, fit_sources
from lcnet.model.evidence import Evidence

EDGES, FEWEST_EDGES = 2**18, 32
"""Edges in all, and the fewest of a label: up to 512 labels it listens to all, and beyond that the
work hardly grows with their number."""
FOLDS = 5
SHARES = (0.25, 0.5, 0.75)
"""Shares of known labels with which scales are fitted, and nothing must be clearly worse."""
CLEARLY = 2.0
"""Standard errors. With 0, labels whose gain was lost in noise would be cut off as well: on
Corel5k's 90 labels that cost a third of the gain."""

Prior = Callable[[slice], Edges]
"""Some rows of the training labels' log odds ratios, see `prior_edges`."""


@dataclass(frozen=True)
class Crossfitted:
    """Evidence of all pictures, and the pictures in parts with that of the other parts."""

    evidence: Evidence
    parts: Parts


def crossfit(
    logits: NDArray[np.float32],
    targets: Targets,
    prior: Prior,
    *,
    prior_pictures: float = PRIOR_PICTURES,
) -> Crossfitted | None:
    """What known labels say, from logits and targets (N x L) of pictures new to the model.

    The prior of an edge counts as much as `prior_pictures` pictures with both labels. A label that
    is clearly worse off with it in cross-validation listens to no other. None if what is known does
    not clearly lower the cross-entropy of new pictures.
    """
    part = np.random.default_rng(0).permutation(len(logits)) % FOLDS
    fitted = partial(_fitted, prior=prior, prior_pictures=prior_pictures)
    parts = [
        (fitted(logits[part != fold], targets[part != fold]), part == fold) for fold in range(FOLDS)
    ]
    scales = _scales(parts, logits, targets)
    for evidence, _ in parts:
        evidence.scales = scales
    added = _added_losses(parts, logits, targets)
    if not _clearly_positive(-added.sum(axis=1)):
        return None
    for evidence, own in parts:
        deafen(evidence, _clearly_positive(added[~own]))
    whole = fitted(logits, targets)
    whole.scales = scales
    deafen(whole, _clearly_positive(added))
    return Crossfitted(whole, parts)


def deafen(evidence: Evidence, labels: Flags) -> None:
    """Let some labels (L) listen to no other."""
    evidence.weights[torch.from_numpy(labels)] = 0


def _fitted(
    logits: NDArray[np.float32], targets: Targets, *, prior: Prior, prior_pictures: float
) -> Evidence:
    calibration = fit_calibration(logits, targets, "platt")
    most = max(FEWEST_EDGES, EDGES // targets.shape[1])
    probabilities = to_probabilities(logits, calibration)
    sources, weights = fit_sources(
        probabilities, targets, prior, most=most, prior_pictures=prior_pictures
    )
    evidence = Evidence(*sources.shape)
    evidence.slope, evidence.bias = torch.tensor(calibration.slope), torch.tensor(calibration.bias)
    evidence.sources, evidence.weights = torch.from_numpy(sources), torch.from_numpy(weights)
    return evidence


def _scales(parts: Parts, logits: NDArray[np.float32], targets: Targets) -> Tensor:
    """How much absent and present labels count (2), by the least cross-entropy of unknown ones.

    Each picture is scored with edges of the other parts, else they would count too much.
    """
    alone, changes, present = [], [], []
    for states, unknown in _draws(targets):
        by_kind = [np.where(states == kind, states, np.int8(0)) for kind in (-1, 1)]
        alone.append(_calibrated(parts, logits)[unknown])
        changes.append([_changes(parts, logits, kind)[unknown] for kind in by_kind])
        present.append(targets[unknown] == 1)
    start, change = np.concatenate(alone), np.concatenate(changes, axis=1)
    is_present = np.concatenate(present)

    def cost(scales: Floats) -> tuple[float, Floats]:
        scores = start + scales @ change
        error = expit(scores) - is_present
        return float(_cross_entropy(scores, is_present).mean()), change @ error / len(scores)

    found = minimize(cost, np.ones(2), jac=True, method="L-BFGS-B", bounds=[(0.0, 3.0)] * 2)
    return torch.tensor(found.x, dtype=torch.float32)


def _added_losses(parts: Parts, logits: NDArray[np.float32], targets: Targets) -> Floats:
    """What is added to the cross-entropy of each unknown entry (N x L), below 0 where it helps."""
    added = np.zeros(targets.shape)
    alone = _calibrated(parts, logits)
    for states, unknown in _draws(targets):
        given = alone + _changes(parts, logits, states)
        change = _cross_entropy(given, targets == 1) - _cross_entropy(alone, targets == 1)
        added += np.where(unknown, change, 0)
    return added


def _clearly_positive(values: Floats) -> Flags:
    """Whether the sum over pictures (N, or N x L) is above 0 by `CLEARLY` standard errors."""
    return np.asarray(values.sum(axis=0) > CLEARLY * np.sqrt((values**2).sum(axis=0)))


def _draws(targets: Targets) -> Iterator[tuple[States, Flags]]:
    """What is known, and which unknown entries can be scored (N x L each), for each share."""
    for seed, share in enumerate(SHARES):
        states = drawn(targets, share, seed)
        yield states, (states == 0) & (targets >= 0)


def _changes(parts: Parts, logits: NDArray[np.float32], states: States) -> Floats:
    """What known labels add to calibrated logits (N x L)."""
    return _calibrated(parts, moved(parts, logits, states)) - _calibrated(parts, logits)


def _calibrated(parts: Parts, logits: NDArray[np.float32]) -> Floats:
    calibrated = np.empty(logits.shape)
    for evidence, own in parts:
        calibrated[own] = evidence.slope.numpy() * logits[own] + evidence.bias.numpy()
    return calibrated


def _cross_entropy(scores: Floats, present: Flags) -> Floats:
    return np.asarray(np.logaddexp(0, scores) - scores * present)
