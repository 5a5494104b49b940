"""Turns logits into probabilities, with a slope and a bias per label fitted to a split."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lcnet.metrics.array_checks import with_absent
from lcnet.schema import check_fields, check_numbers

Method = Literal["platt", "temperature", "none"]
"""platt: a slope and a bias per label. temperature: one slope for all labels. none: neither."""
STEEPEST = 5.0
"""Bound on the logarithm of a slope, up and down."""
PRIOR_STRENGTH = 10.0
"""How strongly `fit_calibration` pulls a label's own slope and bias towards the common ones."""


@dataclass(frozen=True)
class Calibration:
    """How a model's logits become probabilities: sigmoid(slope * logit + bias), label by label."""

    slope: tuple[float, ...]
    """Above 0, so that the order of images, and so the AP, stays as it is."""
    bias: tuple[float, ...]
    source: str = ""
    """In words, what this calibration and the model's thresholds were fitted to."""

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and lists, for JSON."""
        return {**asdict(self), "slope": list(self.slope), "bias": list(self.bias)}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "Calibration":
        """The calibration that `to_dict` stored. Raises ValueError for anything else."""
        given = check_fields(cls, stored, "calibration")
        count = len(given["slope"])
        slope = check_numbers(given["slope"], "calibration.slope", count=count, least=0)
        bias = check_numbers(given["bias"], "calibration.bias", count=count)
        if not all(slope):
            raise ValueError("calibration: expected a positive slope and a bias per label")
        return cls(slope, bias, given.get("source", ""))


def probabilities(logits: Tensor, calibration: Calibration | None = None) -> Tensor:
    """The probabilities (B L, float32, 0 to 1) of logits (B L, any float type).

    They are computed in float32 even if the model runs in half precision: bfloat16 has 3
    significant digits, so that some probabilities would become equal and change the AP.
    """
    logits = logits.float()
    if calibration is not None:
        slope = torch.tensor(calibration.slope, device=logits.device)
        logits = slope * logits + torch.tensor(calibration.bias, device=logits.device)
    return logits.sigmoid()


def to_probabilities(
    logits: NDArray[np.floating], calibration: Calibration | None = None
) -> NDArray[np.float32]:
    """The same as `probabilities` for NumPy: logits (N x L) become N x L, float32, 0 to 1."""
    return probabilities(torch.from_numpy(logits), calibration).numpy()


def fit_calibration(
    logits: NDArray[np.floating], targets: NDArray[np.integer], method: Method
) -> Calibration:
    """The slopes and biases under which the known entries (N x L) are most likely.

    - temperature: one slope 1 / T for all labels and no bias (Guo et al. 2017, section 4.2).
    - platt: a slope a and a bias b per label (Platt 1999). They are pulled towards the common a_0
      and b_0 of all entries together, since a rare label has few entries: each label minimises

      sum of its cross-entropies + S / 2 * ((log a - log a_0)^2 + (b - b_0)^2)

      with S = `PRIOR_STRENGTH`. A label without a present or an absent entry takes a_0 and b_0.
      One without an absent entry does not count in them, since always yes would be best there.
    - none: slope 1 and bias 0.

    Where logits separate present and absent entries, the steepest slope would be the most likely.
    So the common fit takes Platt's targets: (P + 1) / (P + 2) for each of the P present entries and
    1 / (N + 2) for each of the N absent ones, in place of 1 and 0.
    """
    labels = logits.shape[1]
    if method not in get_args(Method):
        raise ValueError(f"fit_calibration: expected platt, temperature or none, got {method!r}.")
    known = (targets >= 0) & with_absent(targets)
    if method == "none" or not known.any():
        return Calibration((1.0,) * labels, (0.0,) * labels)
    present = targets[known] == 1
    common = _fit(logits[known], softened(present), with_bias=method == "platt")
    if method == "temperature":
        return Calibration((float(np.exp(common[0])),) * labels, (0.0,) * labels)
    fitted = []
    for label in range(labels):
        own = known[:, label]
        present = targets[own, label] == 1
        fitted.append(common)
        if present.any() and not present.all():
            fitted[-1] = _fit(logits[own, label], present.astype(np.float64), prior=common)
    return Calibration(
        tuple(float(np.exp(log_slope)) for log_slope, _ in fitted),
        tuple(float(bias) for _, bias in fitted),
    )


def softened(present: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The targets of `present` entries and of the others, by Platt (1999), section 2.2."""
    yes = np.count_nonzero(present)
    no = present.size - yes
    return np.where(present, (yes + 1) / (yes + 2), 1 / (no + 2))


def _fit(
    logits: NDArray[np.floating],
    targets: NDArray[np.float64],
    *,
    with_bias: bool = True,
    prior: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """The log slope and bias of least cross-entropy, and least distance from `prior` if given."""
    from scipy.optimize import minimize
    from scipy.special import expit

    values = logits.astype(np.float64)

    def cost(point: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        slope = np.exp(point[0])
        scores = slope * values + point[1]
        total = np.logaddexp(0, scores).sum() - targets @ scores
        error = expit(scores) - targets
        gradient = np.array([slope * (error @ values), error.sum() * with_bias])
        if prior is None:
            return total / values.size, gradient / values.size
        offset = point - prior
        total += PRIOR_STRENGTH / 2 * (offset @ offset)
        return total / values.size, (gradient + PRIOR_STRENGTH * offset) / values.size

    bounds = [(-STEEPEST, STEEPEST), (-100.0, 100.0)]
    start = np.zeros(2) if prior is None else prior
    solution = minimize(cost, start, jac=True, method="L-BFGS-B", bounds=bounds, tol=1e-10)
    return np.asarray(solution.x, dtype=np.float64)
