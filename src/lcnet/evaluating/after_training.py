"""The calibration that a new model gets without being asked for: of a run, of folds, of a soup."""

from dataclasses import replace

from lcnet.errors import DataError
from lcnet.evaluating.calibrate import SHRINKAGE
from lcnet.evaluating.fitting import fit_scores
from lcnet.evaluating.measuring import Scored
from lcnet.metrics.thresholds import Goal
from lcnet.model_folder import read_info
from lcnet.progress import tell


def fitted_by_itself(scored: Scored) -> Scored:
    """The scores of a new model with the calibration and thresholds that training ends with.

    They are fitted to these scores, where that helps, and written to the model's folder. If they
    cannot be fitted, a line says why.
    """
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
    return replace(scored, info=info)
