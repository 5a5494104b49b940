"""What known labels give: gain in mAP of the unknown ones on the test split, over several runs.

    python -m benchmarks.known_labels runs/a/seed0 runs/a/seed1 runs/a/seed2 --known 0.25 0.5 others

The runs have other seeds and the same rest. For each, what known labels say of the others is fitted
to its validation split (`lcnet calibrate --evidence`) and measured on its test split (`lcnet
evaluate --known`); kept features are used if the run has some. A folder of `lcnet train --folds` is
measured with what it was given: all its pictures, each by the member that has not seen it.
`some wrong`: with half of the labels known, 10 % of the present ones among them are said to be
absent and 2 % of the absent ones to be present; `told so`: and the model is told which share of
them is wrong in all (`--known_errors`). Each row has the mean over the runs, and the gain of the
lowest and the highest.
"""

import argparse
from pathlib import Path

import numpy as np

from lcnet.evaluating.fitting_evidence import fit_evidence
from lcnet.evaluating.known_labels import evidence_of, figures_of, moved
from lcnet.evaluating.measuring import score
from lcnet.metrics.bootstrap import mean_ap
from lcnet.metrics.calibration import to_probabilities
from lcnet.metrics.known_labels import drawn, parse_known
from lcnet.model.evidence import Evidence
from lcnet.model_folder import read_info
from lcnet.run_folder import RunFolder

MISSED, INVENTED, DRAWS = 0.10, 0.02, 5


def with_wrong_answers(
    evidence: Evidence, logits: np.ndarray, targets: np.ndarray, *, told: bool
) -> float:
    """The gain in mAP with half of the labels known, some of them wrongly."""
    everything, gains = np.ones(len(targets), np.bool_), []
    for seed in range(DRAWS):
        states = drawn(targets, 0.5, seed)
        left = np.where(states == 0, targets, np.int8(-1))
        chance = np.random.default_rng(seed).random(states.shape)
        wrong = (states == 1) & (chance < MISSED) | (states == -1) & (chance < INVENTED)
        said = np.where(wrong, -states, states).astype(np.int8)
        evidence.wrong = float(wrong[states != 0].mean()) if told else 0.0
        used = to_probabilities(moved([(evidence, everything)], logits, said))
        gains.append(mean_ap(used, left) - mean_ap(to_probabilities(logits), left))
    return float(np.mean(gains))


def tested_logits(folder: RunFolder) -> tuple[np.ndarray, np.ndarray]:
    """Logits and targets (N x L each) on the test split; of folds the mean of the members'."""
    scored = [
        score(run.path, split=run.config().data.test, use_cache=True, quiet=True)
        for run in folder.folds() or [folder]
    ]
    return np.mean([one.logits for one in scored], axis=0), scored[0].targets


def main() -> None:
    """Fit and measure each run, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--known", nargs="+", default=["0.25", "0.5", "0.75", "one", "others"])
    given = parser.parse_args()
    kinds = parse_known(given.known)
    rows: dict[str, list[tuple[float, float]]] = {}
    for run in given.runs:
        folder, info = RunFolder(run), read_info(run)
        if not folder.has_folds:
            val = folder.config().data.val
            fit_evidence(score(run, split=val, use_cache=True, quiet=True), info)
        evidence = evidence_of(run)
        logits, targets = tested_logits(folder)
        figures = figures_of(
            logits,
            targets,
            [(evidence, np.ones(len(targets), np.bool_))],
            kinds,
            calibration=info.calibration,
            threshold=np.array(info.thresholds),
        )
        for row in figures:
            rows.setdefault(str(row.known), []).append((row.mAP_ignored, row.gain.value))
        whole = mean_ap(to_probabilities(logits), targets)
        for name, told in (("0.5, some wrong", False), ("0.5, some wrong, told so", True)):
            gain = with_wrong_answers(evidence, logits, targets, told=told)
            rows.setdefault(name, []).append((whole, gain))
    print("| known | mAP, known ones ignored | gain, mean of runs | lowest to highest |")
    print("|---|---|---|---|")
    for known, found in rows.items():
        ignored, gains = np.array(found).T
        print(
            f"| {known} | {ignored.mean():.1f} | {gains.mean():+.2f} | "
            f"{gains.min():+.2f} to {gains.max():+.2f} |"
        )


if __name__ == "__main__":
    main()
