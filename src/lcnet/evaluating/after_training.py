"""The calibration that a new model gets without being asked for: of a run, of folds, of a soup."""

from dataclasses import replace

from lcnet.errors import DataError
from lcnet.evaluating.calibrate import SHRINKAGE
from lcnet.evaluating.fitting import fit_scores
from lcnet.evaluating.fitting_evidence import (
    drop_evidence,
    fit_evidence,
    mean_ap_at_half,
    sampled,
)
from lcnet.evaluating.measuring import Scored
from lcnet.metrics.thresholds import Goal
from lcnet.model_folder import read_info
from lcnet.progress import tell

FEWEST_PICTURES = 100
"""Fewer tell nothing that can be relied on of what known labels say of others."""


def fitted_by_itself(scored: Scored) -> Scored:
    """The scores of a new model with the calibration and thresholds that training ends with.

    They are fitted to these scores, where that helps, and written to the model's folder, as is what
    known labels say of the others. If they cannot be fitted, a line says why.
    """
    told = _fit_evidence(scored)
    try:
        _, info = fit_scores(
            scored,
            read_info(scored.run),
            goal=Goal(),
            method="platt",
            shrinkage=SHRINKAGE,
            only_if_better=True,
        )
    except DataError as error:
        tell(f"not calibrated, so every threshold is 0.5: {error}")
        return scored
    if told:
        tell(told)
    return replace(scored, info=info)


def _fit_evidence(scored: Scored) -> str:
    """Fit and write what known labels say of the others, where that helps; and say what it gives.

    Empty if nothing was written.
    """
    if len(scored.logits) < FEWEST_PICTURES or len(scored.info.labels) < 2:
        return ""
    info = read_info(scored.run)
    sample = sampled(scored)
    parts = fit_evidence(sample, info)
    if not parts:
        return ""
    ignored, used = mean_ap_at_half(sample, parts)
    if not used > ignored:  # also NaN
        drop_evidence(scored.run, info)
        return ""
    return (
        f"known labels move the others: with half of them known, mAP of the rest {ignored:.1f} -> "
        f"{used:.1f} on new pictures. Give them to lcnet predict with --known"
    )
