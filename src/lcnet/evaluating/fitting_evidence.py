"""`lcnet calibrate --evidence`: what known labels say of the others, fitted and written."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor

from lcnet.errors import DataError
from lcnet.evaluating.known_labels import Parts, figures_of, moved, print_known
from lcnet.evaluating.measuring import Scored
from lcnet.metrics import Flags, Floats, Targets
from lcnet.metrics.bootstrap import mean_ap
from lcnet.metrics.calibration import Calibration, fit_calibration, to_probabilities
from lcnet.metrics.known_labels import Known, drawn
from lcnet.metrics.label_evidence import Edges, PairTable, fit_sources, prior_edges
from lcnet.model.evidence import Evidence
from lcnet.model_folder import ModelFolder, ModelInfo, load_model
from lcnet.progress import tell

EDGES, FEWEST_EDGES = 2**18, 32
"""Edges in all, and the fewest of a label: up to 512 labels it listens to all, and beyond that the
work hardly grows with their number."""
FOLDS = 5
MEASURED: tuple[Known, ...] = (0.25, 0.5, 0.75, "one", "others")
GUARDED = (0.25, 0.5, 0.75)
"""Shares of known labels with which a label must not be clearly worse off than without, in all."""
CLEARLY = 2.0
"""Standard errors. With 0, labels whose gain was lost in noise would be cut off as well: on
Corel5k's 90 labels that cost a third of the gain."""


def fit_evidence(scored: Scored, info: ModelInfo) -> Parts:
    """Fit a model's evidence to its logits of pictures that it was not trained on, and write it.

    Also returns what `show_worth` measures: the pictures in `FOLDS` parts, each with the evidence
    that the other parts gave. Where what is known does not clearly lower the cross-entropy of new
    pictures, nothing is written, a model's older evidence is taken out, and there are no parts.
    Raises DataError for too few pictures.
    """
    logits, targets = scored.logits, scored.targets
    if len(logits) < 2 * FOLDS:
        raise DataError(
            f"--evidence: expected at least {2 * FOLDS} pictures to fit to, got {len(logits)}. "
            "Set --split to a larger split."
        )
    prior = _prior(info)
    part = np.random.default_rng(0).permutation(len(logits)) % FOLDS
    parts = [
        (_fit(logits[part != fold], targets[part != fold], prior), part == fold)
        for fold in range(FOLDS)
    ]
    scales = _scales(logits, targets, parts)
    for evidence, _ in parts:
        evidence.scales = scales
    losses = _losses(logits, targets, parts)
    if not _worse(-losses.sum(axis=1, keepdims=True)).all():
        drop_evidence(scored.run, info)
        return ()
    for evidence, own in parts:
        _deafen(evidence, _worse(losses[~own]))
    whole = _fit(logits, targets, prior)
    whole.scales = scales
    _deafen(whole, _worse(losses))
    _write(scored.run, info, whole)
    return parts


def _scales(logits: Floats, targets: Targets, parts: Parts) -> Tensor:
    """How much absent and present labels count (2), by the least cross-entropy of unknown ones.

    Each picture is scored with edges of the other parts, else they would count too much.
    """
    from scipy.optimize import minimize

    offsets, told, present = [], [], []
    for seed, share in enumerate(GUARDED):
        states = drawn(targets, share, seed)
        unknown = (states == 0) & (targets >= 0)
        changes = np.zeros((2, *targets.shape))
        calibrated = np.empty(targets.shape)
        for evidence, own in parts:
            slope, bias = evidence.slope.numpy(), evidence.bias.numpy()
            calibrated[own] = slope * logits[own] + bias
            for kind, state in enumerate((-1, 1)):
                of_kind = np.where(states == state, states, np.int8(0))
                given = moved([(evidence, own)], np.asarray(logits, np.float32), of_kind)
                changes[kind][own] = slope * (given[own] - logits[own])
        offsets.append(calibrated[unknown])
        told.append(changes[:, unknown])
        present.append(targets[unknown] == 1)
    offset, change, is_present = (
        np.concatenate(offsets), np.concatenate(told, axis=1), np.concatenate(present)
    )  # fmt: skip

    def cost(scales: Floats) -> tuple[float, Floats]:
        scores = offset + scales @ change
        error = expit(scores) - is_present
        total = np.logaddexp(0, scores).sum() - scores[is_present].sum()
        return total / len(scores), change @ error / len(scores)

    found = minimize(cost, np.ones(2), jac=True, method="L-BFGS-B", bounds=[(0.0, 3.0)] * 2)
    return torch.tensor(found.x, dtype=torch.float32)


def _losses(logits: Floats, targets: Targets, parts: Parts) -> Floats:
    """What the cross-fitted evidence adds to the cross-entropy of each unknown entry (N x L)."""
    added = np.zeros(targets.shape)
    for seed, share in enumerate(GUARDED):
        states = drawn(targets, share, seed)
        counts = (states == 0) & (targets >= 0)
        given = moved(parts, np.asarray(logits, np.float32), states)
        for evidence, own in parts:
            before, after = (
                _cross_entropy(evidence, each[own], targets[own]) for each in (logits, given)
            )
            added[own] += np.where(counts[own], after - before, 0)
    return added


def _worse(losses: Floats) -> Flags:
    """The labels (L) that are clearly worse off for what is known: by `CLEARLY` standard errors."""
    return np.asarray(losses.sum(axis=0) > CLEARLY * np.sqrt((losses**2).sum(axis=0)))


def _cross_entropy(evidence: Evidence, logits: Floats, targets: Targets) -> Floats:
    calibrated = evidence.slope.numpy() * logits + evidence.bias.numpy()
    return np.asarray(np.logaddexp(0, calibrated) - calibrated * (targets == 1))


def _deafen(evidence: Evidence, labels: Flags) -> None:
    """Let some labels (L) listen to no other: so no label is worse off for what is known."""
    evidence.weights[torch.from_numpy(labels)] = 0


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
    print_known(rows, title="What known labels tell of new pictures (cross-fitted)")
    if info.statistics is None:
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
    if load_model(run).evidence is not None:
        _write(run, info, None)


def _write(run: Path, info: ModelInfo, evidence: Evidence | None) -> None:
    model = load_model(run)
    model.evidence = evidence
    ModelFolder.at(run).save(model, info)


def _prior(info: ModelInfo) -> Callable[[slice], Edges]:
    """The rows of the training labels' log odds ratios; zeros if they are not known."""
    labels, counts = len(info.labels), info.statistics

    def rows_of(rows: slice) -> Edges:
        if counts is None:
            return np.zeros((rows.stop - rows.start, labels))
        positives, known = np.array(counts.positives, float), np.array(counts.known, float)
        table = PairTable(*(each.astype(np.float64) for each in counts.pairs.rows(rows)))
        return prior_edges(positives, known, table, rows)

    return rows_of


def _fit(logits: Floats, targets: Targets, prior: Callable[[slice], Edges]) -> Evidence:
    calibration = fit_calibration(logits, targets, "platt")
    probabilities = to_probabilities(logits.astype(np.float32), calibration)
    most = max(FEWEST_EDGES, EDGES // targets.shape[1])
    return _evidence(calibration, *fit_sources(probabilities, targets, prior, most=most))


def _evidence(
    calibration: Calibration, sources: NDArray[np.int64], weights: NDArray[np.float32]
) -> Evidence:
    evidence = Evidence(*sources.shape)
    evidence.slope = torch.tensor(calibration.slope)
    evidence.bias = torch.tensor(calibration.bias)
    evidence.sources, evidence.weights = torch.from_numpy(sources), torch.from_numpy(weights)
    return evidence
