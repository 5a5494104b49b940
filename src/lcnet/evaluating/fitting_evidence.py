"""`lcnet calibrate --evidence`: what known labels say of the others, fitted and written."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from lcnet.errors import DataError
from lcnet.evaluating.crossfit_evidence import FOLDS, Prior, crossfit
from lcnet.evaluating.known_labels import Parts, figures_of, moved, print_known
from lcnet.evaluating.measuring import Scored
from lcnet.metrics.bootstrap import mean_ap
from lcnet.metrics.calibration import to_probabilities
from lcnet.metrics.known_labels import Known, drawn
from lcnet.metrics.label_evidence import (
    PICTURES_OUT_OF_FOLD,
    PRIOR_PICTURES,
    Edges,
    PairTable,
    prior_edges,
)
from lcnet.model.evidence import Evidence
from lcnet.model_folder import ModelFolder, ModelInfo, load_model
from lcnet.progress import tell

MOST_ENTRIES = 2**23
"""Pictures times labels that are fitted to: they take about 1 GiB."""
MEASURED: tuple[Known, ...] = (0.25, 0.5, 0.75, "one", "others")


def sampled(scored: Scored) -> Scored:
    """The logits and targets of as many pictures as evidence is fitted to, drawn at random."""
    most = MOST_ENTRIES // len(scored.info.labels)
    if len(scored.logits) <= most:
        return scored
    chosen = np.sort(np.random.default_rng(0).permutation(len(scored.logits))[:most])
    return replace(scored, logits=scored.logits[chosen], targets=scored.targets[chosen])


def fit_evidence(scored: Scored, info: ModelInfo) -> Parts:
    """Fit a model's evidence to its logits of pictures that it was not trained on, and write it.

    Also returns what `show_worth` measures: the pictures in parts, each with the evidence that the
    other parts gave. Where known labels do not clearly help on new pictures, nothing is written, a
    model's older evidence is taken out, and there are no parts. Raises DataError for too few
    pictures.
    """
    logits = np.asarray(scored.logits, np.float32)
    if len(logits) < 2 * FOLDS:
        raise DataError(
            f"--evidence: expected at least {2 * FOLDS} pictures to fit to, got {len(logits)}. "
            "Set --split to a larger split."
        )
    pictures = PICTURES_OUT_OF_FOLD if scored.out_of_fold else PRIOR_PICTURES
    found = crossfit(logits, scored.targets, _prior(info), prior_pictures=pictures)
    if found is None:
        drop_evidence(scored.run, info)
        return ()
    _write(scored.run, info, found.evidence)
    return found.parts


def show_worth(scored: Scored, info: ModelInfo, parts: Parts) -> None:
    """Print what known labels will tell of new pictures, by the evidence of `fit_evidence`."""
    rows = figures_of(
        scored.logits,
        scored.targets,
        parts,
        MEASURED,
        calibration=info.calibration,
        threshold=np.array(info.thresholds),
    )
    print_known(rows, title="What known labels tell of new pictures")
    if info.statistics is None and not scored.out_of_fold:
        tell("the model does not know its training labels' counts, so rare pairs say little")


def mean_ap_at_half(scored: Scored, parts: Parts) -> tuple[float, float]:
    """The mAP of unknown labels with half of the others known: known ones ignored, and used."""
    logits, targets = np.asarray(scored.logits, np.float32), scored.targets
    states = drawn(targets, 0.5, 0)
    left = np.where(states == 0, targets, np.int8(-1))
    scores = (to_probabilities(each) for each in (logits, moved(parts, logits, states)))
    ignored, used = (mean_ap(each, left) for each in scores)
    return ignored, used


def drop_evidence(run: Path, info: ModelInfo) -> None:
    """Take the evidence out of a model that has some."""
    model = load_model(run)
    if model.evidence is not None:
        model.evidence = None
        ModelFolder.at(run).save(model, info)


def _write(run: Path, info: ModelInfo, evidence: Evidence) -> None:
    model = load_model(run)
    model.evidence = evidence
    ModelFolder.at(run).save(model, info)


def _prior(info: ModelInfo) -> Prior:
    """The rows of the training labels' log odds ratios; zeros if they are not known."""
    labels, counts = len(info.labels), info.statistics

    def rows_of(rows: slice) -> Edges:
        if counts is None:
            return np.zeros((rows.stop - rows.start, labels))
        positives, known = np.array(counts.positives, float), np.array(counts.known, float)
        table = PairTable(*(each.astype(np.float64) for each in counts.pairs.rows(rows)))
        return prior_edges(positives, known, table, rows)

    return rows_of
