"""What known labels tell of the others: figures of the unknown labels, with and without."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from lcnet.errors import ConfigError, quoted
from lcnet.evaluating.measuring import Measured
from lcnet.metrics import Flags, Floats, Targets, predict_at, rates
from lcnet.metrics.bootstrap import Interval, mean_ap, paired_difference
from lcnet.metrics.calibration import Calibration, to_probabilities
from lcnet.metrics.known_labels import Known, States, drawn, with_errors
from lcnet.model.evidence import Evidence
from lcnet.model_folder import load_model
from lcnet.model_folder.known_errors import set_known_errors

DRAWS = 3
"""How often it is drawn which labels are known; the figures are means."""
RESAMPLES = 300
"""For the interval of each gain."""
MOST_MOVES = 2**24
"""Pictures times edges at a time: 64 MiB."""
Parts = Sequence[tuple[Evidence, Flags]]
"""Evidence, and the pictures (N) to which it is applied; each picture is in one part."""


@dataclass(frozen=True)
class KnownRow:
    """The figures of the unknown labels, 0 to 100, where some are known."""

    known: Known
    mAP_ignored: float
    """With what is known ignored."""
    mAP: float
    gain: Interval
    """Of mAP, with a 95 % interval over the pictures."""
    CF1_ignored: float
    CF1: float
    OF1_ignored: float
    OF1: float

    def to_dict(self) -> dict[str, Any]:
        """The figures for JSON, rounded to 4 digits."""
        numbers = {
            name: round(getattr(self, name), 4)
            for name in ("mAP_ignored", "mAP", "CF1_ignored", "CF1", "OF1_ignored", "OF1")
        }
        interval = [round(self.gain.low, 4), round(self.gain.high, 4)]
        return {"known": self.known, **numbers, "gain_interval": interval}


def evidence_of(folder: Path, *, wrong: float = 0.0) -> Evidence:
    """What known labels say of the others, by a model, if a share of them is wrong.

    Raises ConfigError if the model does not say.
    """
    evidence = set_known_errors(load_model(folder), wrong, folder).evidence
    if evidence is None:
        raise ConfigError(
            f"--known: expected a model that says what known labels tell of the others, got "
            f"{folder}, which does not. Fit that first: lcnet calibrate {quoted(folder)} --evidence"
        )
    return evidence


def measure_known(
    measured: Measured, evidence: Evidence, kinds: Sequence[Known], *, seed: int = 0
) -> list[KnownRow]:
    """A row for each kind of knowledge, of the pictures that were measured.

    As large a share of what is known is made wrong as the evidence reckons with.
    """
    assert measured.logits is not None
    everything = np.ones(len(measured.targets), np.bool_)
    return figures_of(
        measured.logits,
        measured.targets,
        [(evidence, everything)],
        kinds,
        calibration=measured.calibration,
        threshold=np.array(measured.verification.threshold),
        seed=seed,
        wrong=evidence.wrong,
    )


def figures_of(
    logits: Floats,
    targets: Targets,
    parts: Parts,
    kinds: Sequence[Known],
    *,
    calibration: Calibration | None,
    threshold: Floats,
    seed: int = 0,
    wrong: float = 0.0,
) -> list[KnownRow]:
    """The same for logits and targets (N x L), each picture with the evidence of its part.

    `wrong` is the share of what is known that is made wrong.
    """
    logits = np.asarray(logits, np.float32)
    ignored = to_probabilities(logits, calibration)
    rows = []
    for known in kinds:
        used, unknown, figures = [], [], []
        for draw in range(1 if known == "others" else DRAWS):
            states = drawn(targets, known, seed + draw)
            said = with_errors(states, wrong, seed + draw) if wrong else states
            left = targets if known == "others" else np.where(states == 0, targets, np.int8(-1))
            scores = to_probabilities(moved(parts, logits, said), calibration)
            used.append(scores)
            unknown.append(left)
            both = (_figures(each, left, threshold) for each in (ignored, scores))
            figures.append([number for each in both for number in each])
        gain = paired_difference(used, [ignored] * len(used), unknown, resamples=RESAMPLES)
        mean_ap_ignored, CF1_ignored, OF1_ignored, mAP, CF1, OF1 = np.mean(figures, axis=0).tolist()
        rows.append(KnownRow(known, mean_ap_ignored, mAP, gain, CF1_ignored, CF1, OF1_ignored, OF1))
    return rows


@torch.inference_mode()
def moved(parts: Parts, logits: NDArray[np.float32], states: States) -> NDArray[np.float32]:
    """The logits (N x L) given the states; a known label's own state says nothing of itself."""
    given = np.empty_like(logits)
    for evidence, chosen in parts:
        at_once = max(1, MOST_MOVES // evidence.weights.numel())
        for places in np.array_split(np.flatnonzero(chosen), -(-chosen.sum() // at_once) or 1):
            rows = torch.from_numpy(logits[places]), torch.from_numpy(states[places])
            given[places] = evidence.moved(*rows).numpy()
    return given


def _figures(
    probabilities: Floats, targets: Targets, threshold: Floats
) -> tuple[float, float, float]:
    at_threshold = rates(predict_at(probabilities, threshold), targets)
    return mean_ap(probabilities, targets), at_threshold.CF1, at_threshold.OF1


WORDS = {"one": "one present", "others": "all others"}


def known_title(wrong: float) -> str:
    """What the table of `measure_known` shows, if a share of what is known is wrong."""
    title = "Unknown labels: known ones ignored, then used"
    return f"{title}, {100 * wrong:g} % of them wrong" if wrong else title


def print_known(rows: Sequence[KnownRow], title: str) -> None:
    """Print the rows as a table."""
    table = Table(title=title, title_justify="left", title_style="")
    table.add_column("known", no_wrap=True)
    for name in ("mAP", "gain (95 %)", "CF1", "OF1"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        words = WORDS.get(str(row.known), "")
        table.add_row(
            words or f"{100 * float(row.known):g} %",
            f"{row.mAP_ignored:.1f} \u2192 {row.mAP:.1f}",
            f"{row.gain.value:+.1f} ({row.gain.low:.1f} to {row.gain.high:.1f})",
            f"{row.CF1_ignored:.1f} \u2192 {row.CF1:.1f}",
            f"{row.OF1_ignored:.1f} \u2192 {row.OF1:.1f}",
        )
    Console(highlight=False, markup=False).print(table)
