"""All metrics of a split together."""

from dataclasses import asdict, dataclass
from functools import reduce

import numpy as np

from lcnet.metrics.ap import ApFormula, average_precision
from lcnet.metrics.array_checks import Floats, Targets, rounded, with_absent, with_present
from lcnet.metrics.blocks import row_blocks
from lcnet.metrics.by_image import (
    ImageScores,
    RankingScores,
    image_part,
    joined_images,
    joined_ranking,
    ranking_part,
)
from lcnet.metrics.calibration_error import CalibrationScores, calibration_scores
from lcnet.metrics.decisions import (
    Decisions,
    Rates,
    count_decisions,
    predict_at,
    predict_top,
    rates_of,
)
from lcnet.metrics.label_rules import IndexedRules


@dataclass(frozen=True)
class Verification:
    """All metrics of a model's predictions on one split; `verify` makes it."""

    mAP: float
    """Mean of `ap` over the labels that have one, 0 to 100; NaN if none has."""
    ap: tuple[float | None, ...]
    """Average precision of each label, 0 to 100; None for a label without a present or without an
    absent entry."""
    labels: tuple[str, ...]
    images: int
    without_positive: tuple[str, ...]
    """The labels without a present entry, which are left out of all means over labels."""
    without_absent: tuple[str, ...]
    """The labels that have present entries and no absent one. They are left out of all numbers but
    the ranking: neither an AP nor precision can be measured of them."""
    ap_formula: ApFormula
    """How `ap` was taken from precision and recall."""
    threshold: float | tuple[float, ...]
    """A label counts as predicted above this: one number for all labels, or one per label."""
    at_threshold: Rates
    top_k: int
    """How many labels per image `at_top` takes."""
    at_top: Rates
    by_image: ImageScores
    """Computed from the labels above the threshold."""
    ranking: RankingScores
    calibration: CalibrationScores

    def to_dict(self) -> dict[str, object]:
        """The same as plain values for JSON, results rounded to 4 digits, thresholds as given.

        "labels" is the number of labels (their names are the keys of "AP"), NaN becomes None, and
        the rates of the top 3 are under "top3". "Brier" has 6 digits. A row of "reliability" has a
        bin's mean probability, its share of present entries and its number of entries.
        """
        threshold = self.threshold
        return {
            "mAP": rounded(self.mAP, 4),
            "ap_formula": self.ap_formula,
            "images": self.images,
            "labels": len(self.labels),
            "labels_without_positive": list(self.without_positive),
            "labels_without_absent": list(self.without_absent),
            "threshold": list(threshold) if isinstance(threshold, tuple) else threshold,
            **_rounded(self.at_threshold),
            **_rounded(self.by_image),
            **_rounded(self.ranking),
            **self.calibration.headline(),
            f"top{self.top_k}": _rounded(self.at_top),
            "AP": {label: rounded(ap, 4) for label, ap in zip(self.labels, self.ap, strict=True)},
            "reliability": [
                [round(row.probability, 4), round(row.present, 4), row.entries]
                for row in self.calibration.reliability
            ],
        }


def verify(
    probabilities: Floats,
    targets: Targets,
    labels: tuple[str, ...] | list[str],
    *,
    threshold: float | Floats = 0.5,
    top_k: int = 3,
    formula: ApFormula = "step",
    rules: IndexedRules | None = None,
) -> Verification:
    """All metrics of a split: mAP, AP per label, rates, metrics by image, ranking, calibration.

    Args:
        probabilities: N x L, in [0, 1].
        targets: N x L, of 1, 0 and -1 (unknown).
        labels: the L names, in column order.
        threshold: one number or one per label; a label counts as predicted strictly above it.
        top_k: how many labels per image the second set of rates takes, at most L.
        rules: rules that the predicted labels keep; rates and metrics by image are of these.
        formula: how the AP is taken from precision and recall; `average_precision` has them.

    Raises DataError if a probability is not finite or no label has a positive.
    """
    ap = 100 * average_precision(probabilities, targets, formula=formula)
    if len(labels) != len(ap):
        raise ValueError(
            "verify: expected a name for each column of probabilities, "
            f"got {len(labels)} names and {len(ap)} columns."
        )
    known, present = ~np.isnan(ap), with_present(targets)
    top_k = min(top_k, len(labels))
    # Before the mean, since `rates_of` raises DataError where no label has a positive.
    at_threshold, at_top, by_image, ranking = _by_rows(
        probabilities, targets, threshold=threshold, top_k=top_k, rules=rules
    )
    return Verification(
        mAP=float(ap[known].mean()) if known.any() else float("nan"),
        ap=tuple(None if np.isnan(value) else float(value) for value in ap),
        labels=tuple(labels),
        images=len(probabilities),
        without_positive=tuple(labels[index] for index in np.flatnonzero(~present)),
        without_absent=tuple(labels[index] for index in np.flatnonzero(present & ~known)),
        ap_formula=formula,
        threshold=_plain(threshold),
        at_threshold=at_threshold,
        top_k=top_k,
        at_top=at_top,
        by_image=by_image,
        ranking=ranking,
        calibration=calibration_scores(probabilities, targets),
    )


def _by_rows(
    probabilities: Floats,
    targets: Targets,
    *,
    threshold: float | Floats,
    top_k: int,
    rules: IndexedRules | None,
) -> tuple[Rates, Rates, ImageScores, RankingScores]:
    """What needs an image's labels together: rates, of the top too, and scores by image."""
    has_absent = with_absent(targets)
    counts, of_top, of_images, of_ranking = [], [], [], []
    for values, marks in row_blocks(probabilities, targets):
        predicted = predict_at(values, threshold, rules)
        counts.append(count_decisions(predicted, marks))
        of_top.append(count_decisions(predict_top(values, top_k), marks))
        of_images.append(image_part(predicted, marks, has_absent))
        of_ranking.append(ranking_part(values, marks))
    at_threshold, at_top = (
        rates_of(reduce(Decisions.plus, each), has_absent, images=len(targets))
        for each in (counts, of_top)
    )
    return at_threshold, at_top, joined_images(of_images), joined_ranking(of_ranking)


def _rounded(scores: Rates | ImageScores | RankingScores) -> dict[str, float | None]:
    return {name: rounded(value, 4) for name, value in asdict(scores).items()}


def _plain(threshold: float | Floats) -> float | tuple[float, ...]:
    values = np.asarray(threshold)
    return float(values) if values.ndim == 0 else tuple(float(value) for value in values)
