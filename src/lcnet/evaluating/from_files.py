"""Measures files of predictions in place of a model."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lcnet.config import Data
from lcnet.errors import ConfigError, DataError
from lcnet.evaluating.joining import Mean, aligned, fitted_to, joined
from lcnet.evaluating.kept_rows import place_beside
from lcnet.evaluating.measuring import few_pictures, plainly
from lcnet.evaluating.metrics_file import numbers
from lcnet.evaluating.metrics_table import print_verification, roughness
from lcnet.evaluating.prediction_columns import Scores
from lcnet.evaluating.predictions import Predictions
from lcnet.evaluating.reading_predictions import gathered_from
from lcnet.evaluating.truth import with_truth
from lcnet.evaluating.writing_predictions import USUAL_THRESHOLD, write_predictions
from lcnet.files import AnyPath, write_text
from lcnet.freed_memory import freed_memory_given_back
from lcnet.metrics import Targets, Verification, intervals, verify
from lcnet.metrics.bootstrap import RESAMPLES, Interval
from lcnet.progress import tell

if TYPE_CHECKING:
    from lcnet.data.readers.layout import Given


@dataclass(frozen=True)
class FromFiles:
    """The predictions that files hold together, and their metrics."""

    files: tuple[Path, ...]
    predictions: Predictions
    targets: Targets
    verification: Verification
    how: tuple[str, ...]
    """What was read, joined, fitted and matched, a line each."""

    def intervals(self, resamples: int = RESAMPLES) -> dict[str, Interval]:
        """The intervals of mAP, CF1 and OF1, see `bootstrap.intervals`."""
        return intervals(
            self.predictions.probabilities,
            self.targets,
            threshold=np.array(self.verification.threshold),
            resamples=resamples,
        )

    @property
    def title(self) -> str:
        """What was measured, in words."""
        split = self.predictions.split
        return ", ".join(map(str, self.files)) + f" ({split})" * bool(split)

    def write(self, out: Path, ranges: dict[str, Interval]) -> None:
        """Write the metrics as JSON."""
        content = {
            "files": [str(file) for file in self.files],
            "split": self.predictions.split or None,
            "model": self.predictions.fingerprint or None,
            "how": list(self.how),
            **numbers(self.verification, self.targets, ranges),
        }
        write_text(out, json.dumps(content, indent=1, ensure_ascii=False))


def measure_files(
    files: Sequence[AnyPath],
    *,
    data: "Data | Given | AnyPath | None" = None,
    split: str = "",
    threshold: float | None = None,
    fit: Sequence[AnyPath] = (),
    mean: Mean = "",
    scores: Scores = "",
    place: Path | None = None,
    has_logits: bool = True,
    quiet: bool = False,
) -> FromFiles:
    """The metrics of the predictions in files; arguments and errors are those of `evaluate`.

    Arrays that do not fit into memory are files in the folder `place`, if one is given; logits are
    kept if they are needed, or if `has_logits`.
    """
    if mean and len(files) < 2:
        raise ConfigError(f"--mean {mean}: expected several files, got one. Leave it out.")
    if split and data is None:
        raise ConfigError(
            f"--split {split}: expected a data set that has it, got none, and a file has the "
            "pictures that it has. Name the data set, or leave --split out."
        )
    gather = partial(
        gathered_from,
        scores=scores,
        has_logits=has_logits or bool(fit) or mean == "logits",
    )
    read = aligned([gather(file, place=place) for file in files])
    notes = [f"{one.source}: {note}" for one in read for note in one.notes]
    if data is not None:
        judged = with_truth(read[0], data, split, quiet=quiet)
        notes.append(judged.said)
        others = (replace(file.chosen(judged.rows), targets=None) for file in read[1:])
        read = [judged.predictions, *others]
    fits = [gather(file) for file in fit]  # what is fitted looks at all of it many times
    together = fitted_to(read, fits, mean) if fits else joined(read, mean)
    one = together.predictions
    if one.targets is None:
        raise DataError(
            f"{read[0].source}: expected targets, got none, so nothing can be measured. Name the "
            "labels behind it: lcnet evaluate FILE LABELS."
        )
    at = _threshold(one, threshold)
    verification = verify(one.probabilities, one.targets, one.labels, threshold=at)
    return FromFiles(
        files=tuple(map(Path, files)),
        predictions=one,
        targets=one.targets,
        verification=verification,
        how=(
            *notes,
            *together.said,
            plainly(verification) + _why(one, threshold),
            *few_pictures(verification),
        ),
    )


@freed_memory_given_back()
def evaluate_files(
    files: Sequence[AnyPath],
    *,
    data: "Data | Given | AnyPath | None",
    split: str,
    threshold: float | None,
    fit: Sequence[AnyPath],
    mean: Mean,
    scores: Scores,
    with_intervals: bool,
    predictions: Path | None,
    out: Path | None,
    quiet: bool,
) -> Verification:
    """Measure files of predictions, write and print the metrics; see `evaluate`."""
    paths = [Path(file) for file in [*files, *fit]]
    for flag, written in (("--out", out), ("--predictions", predictions)):
        if written is not None and written.resolve() in {path.resolve() for path in paths}:
            raise ConfigError(
                f"{flag} {written}: is one of the files to read. Choose another name."
            )
    if out is None and len(files) == 1:
        is_folder = paths[0].is_dir()
        out = paths[0] / "metrics.json" if is_folder else paths[0].with_suffix(".metrics.json")
    measured = measure_files(
        files,
        data=data,
        split=split,
        threshold=threshold,
        fit=fit,
        mean=mean,
        scores=scores,
        place=place_beside(out),
        has_logits=predictions is not None,
        quiet=quiet,
    )
    ranges = measured.intervals() if with_intervals else {}
    if predictions is not None:
        write_predictions(predictions, measured.predictions)
    if out is not None:
        measured.write(out, ranges)
    if not quiet:
        print_verification(
            measured.verification,
            ranges,
            title=measured.title,
            how=measured.how,
            rough=roughness(measured, ranges),
        )
        if out is None:
            tell("the metrics of several files are kept only with --out FILE.json")
    return measured.verification


def _threshold(one: Predictions, given: float | None) -> float | np.ndarray:
    if given is not None:
        return given
    own = one.thresholds or (USUAL_THRESHOLD,)
    return own[0] if len(set(own)) == 1 else np.array(own)


def _why(one: Predictions, given: float | None) -> str:
    return "" if given is not None or one.thresholds else ", since the file has none"
