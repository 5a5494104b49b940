"""Measures of how good predictions are, as pure functions on NumPy arrays.

docs/reference/metrics.md has the formulas. Every function takes one row per image and one column
per label: probabilities in [0, 1], and targets that are 1 (present), 0 (absent) or -1 (unknown).
Unknown entries are left out everywhere. A value that does not exist, such as the recall of a label
without a positive, or the precision of one without an absent entry, is left out of means, and the
results say for which labels. (Much published code counts it as 0, which lowers the means.) Only
`gathering` keeps state: it collects the arrays over batches and processes.
"""

from lcnet.metrics.ap import ApFormula, average_precision
from lcnet.metrics.array_checks import Flags, Floats, Targets
from lcnet.metrics.bootstrap import Interval, intervals, paired_difference
from lcnet.metrics.by_image import ImageScores, RankingScores, image_scores, ranking_scores
from lcnet.metrics.calibration_error import CalibrationScores, calibration_scores
from lcnet.metrics.decisions import (
    Decisions,
    Rates,
    count_decisions,
    predict_at,
    predict_top,
    rates,
)
from lcnet.metrics.verification import Verification, verify

__all__ = [
    "ApFormula",
    "CalibrationScores",
    "Decisions",
    "Flags",
    "Floats",
    "ImageScores",
    "Interval",
    "RankingScores",
    "Rates",
    "Targets",
    "Verification",
    "average_precision",
    "calibration_scores",
    "count_decisions",
    "image_scores",
    "intervals",
    "paired_difference",
    "predict_at",
    "predict_top",
    "ranking_scores",
    "rates",
    "verify",
]
