"""Joins the scores of several models with weights per label, fitted to a split."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lcnet.metrics.array_checks import Floats, Targets, with_absent

PRIOR_STRENGTH = 10.0
"""How strongly `fit_stacking` pulls a label's own weights and bias towards the common ones."""
HEAVIEST = 100.0
"""Bound on a weight; without it weights grow without end where the scores separate all entries."""
FOLDS = 5
"""Parts of the images in `cross_fitted`."""

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Stacking:
    """A logistic regression per label on the scores of M models."""

    weights: Doubles
    """L x M, 0 or more."""
    bias: Doubles
    """L"""
    common: Doubles
    """The weights (M) that were fitted to all labels together."""

    def logits(self, scores: Floats) -> Doubles:
        """The joined logits, N x L, of the models' scores, M x N x L."""
        joined = np.einsum("mnl,lm->nl", scores, self.weights) + self.bias
        return np.asarray(joined, dtype=np.float64)


def fit_stacking(scores: Floats, targets: Targets) -> Stacking:
    """The weights under which the known entries are most likely.

    Each label minimises the sum of its cross-entropies plus

        S / 2 * (|w - w_0|^2 + (b - b_0)^2)

    Here w_0 and b_0 are fitted to all entries together, S is `PRIOR_STRENGTH`, and weights are for
    scores that are divided by their standard deviation. A label without a present or an absent
    entry takes the common ones. One without an absent entry does not count in them. `scores` are
    logits, M x N x L, and `targets` are N x L. With no entry to fit to, all models weigh the same.
    """
    models, _, labels = scores.shape
    known = (targets >= 0) & with_absent(targets)
    if not known.any():
        equal = np.full(models, 1 / models)
        return Stacking(np.tile(equal, (labels, 1)), np.zeros(labels), equal)
    spread = np.maximum(scores[:, known].std(axis=1, dtype=np.float64), 1e-9)
    start = np.append(np.full(models, 1 / models), 0.0)
    common = _fit(scores[:, known], targets[known] == 1, spread, start=start)
    points = np.tile(common, (labels, 1))
    for label in range(labels):
        own = known[:, label]
        present = targets[own, label] == 1
        if present.any() and not present.all():
            points[label] = _fit(scores[:, own, label], present, spread, start=common, prior=True)
    return Stacking(points[:, :-1] / spread, points[:, -1], common[:-1] / spread)


def cross_fitted(
    scores: Floats,
    targets: Targets,
    *,
    fit: Callable[[Floats, Targets], Stacking] = fit_stacking,
    folds: int = FOLDS,
    seed: int = 0,
) -> Doubles:
    """The joined logits, N x L, of images that the weights were not fitted to.

    The images are divided into `folds` at random, and each is joined with what the others gave.
    """
    images = scores.shape[1]
    fold_of = np.random.default_rng(seed).permutation(images) % min(folds, images)
    joined = np.empty(scores.shape[1:], dtype=np.float64)
    for fold in np.unique(fold_of):
        held_out = fold_of == fold
        joined[held_out] = fit(scores[:, ~held_out], targets[~held_out]).logits(scores[:, held_out])
    return joined


def log_loss(logits: Floats, targets: Targets) -> float:
    """The mean cross-entropy of the known entries, N x L each; NaN if there are none."""
    known = (targets >= 0) & with_absent(targets)
    if not known.any():
        return float("nan")
    values = logits[known].astype(np.float64)
    return float((np.logaddexp(0, values) - values * (targets[known] == 1)).mean())


def _fit(
    scores: Floats,
    present: NDArray[np.bool_],
    spread: Doubles,
    *,
    start: Doubles,
    prior: bool = False,
) -> Doubles:
    """Weights and bias for entries, M x E, of least cross-entropy and distance from the start."""
    from scipy.optimize import minimize
    from scipy.special import expit

    values = scores.astype(np.float64) / spread[:, None]
    strength = PRIOR_STRENGTH if prior else 0.0

    def cost(point: Doubles) -> tuple[float, Doubles]:
        joined = point[:-1] @ values + point[-1]
        total = np.logaddexp(0, joined).sum() - joined[present].sum()
        error = expit(joined) - present
        gradient = np.append(values @ error, error.sum())
        offset = point - start
        total += strength / 2 * (offset @ offset)
        return total / present.size, (gradient + strength * offset) / present.size

    bounds = [(0.0, HEAVIEST)] * len(values) + [(-HEAVIEST, HEAVIEST)]
    solution = minimize(cost, start, jac=True, method="L-BFGS-B", bounds=bounds, tol=1e-9)
    return np.asarray(solution.x, dtype=np.float64)
