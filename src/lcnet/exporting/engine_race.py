"""Measures which runtime computes a model's network fastest here, and how far answers differ."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from torch import Tensor

from lcnet.compute import Precision, best_precision
from lcnet.data.loading import stack_images
from lcnet.data.transforms import Normalize
from lcnet.errors import LCNetError, reason_of
from lcnet.exporting.engine_files import OTHERS, can_run, engine, keep_table
from lcnet.exporting.engine_table import MOST_SHARE, EngineTable, Row, Runtime, this_machine
from lcnet.metrics.calibration import probabilities
from lcnet.model.fast import FastClassifier
from lcnet.model_folder import ModelInfo, load_model

Form = tuple[Runtime, Precision]
Scorer = Callable[[Tensor], Tensor]
"""Normalised images (B C size size) to logits (B L)."""
PICTURES, PICTURES_IN_BF16 = 32, 200
"""Pictures on which answers in float32 are compared, and in bfloat16, which needs a bound."""
ROUNDS, LEAST_ROUNDS, SECONDS = 5, 3, 20.0
"""Rounds of a measurement, or as many as fit into these seconds, but no fewer than the least."""
BATCH_SECONDS = 1.0
"""A batch for the measurement of speed takes torch about this long, at most."""


@dataclass(frozen=True)
class Times:
    """The time of one form."""

    seconds: float
    """Of a batch, the median."""
    share: float
    """Of the first form's, the median over rounds."""


def measure_engines(
    model: Path,
    info: ModelInfo,
    pictures: Sequence[Tensor],
    *,
    batch_size: int,
    worth: Callable[[float], bool] = lambda _: True,
) -> EngineTable | None:
    """Compare all installed runtimes on pictures (C size size, uint8), and keep the table.

    The pictures are at least one; speed is measured on at most `batch_size` of them at a time.
    `worth` is given torch's seconds a picture; if it says no, nothing is made and the result is
    None. Raises CheckpointError if the model cannot be read.
    """
    plain = FastClassifier(load_model(model))
    first = _batch(pictures[:1], info)
    plain(first)  # the first pass is slower
    each = _seconds(plain, first)
    if not worth(each):
        return None
    forms, failed = _forms(model, info, plain)
    count = max(1, min(batch_size, len(pictures), int(BATCH_SECONDS / each)))
    timed = _race(forms, _batch(pictures[:count], info))
    rows = [_row(form, forms, timed, pictures, info, count) for form in forms]
    table = EngineTable(this_machine(), count, tuple(rows), failed)
    keep_table(model, info, table)
    return table


def _forms(
    model: Path, info: ModelInfo, plain: FastClassifier
) -> tuple[dict[Form, Scorer], dict[str, str]]:
    """Each form of the network, torch in float32 first; and what cannot run it, with the reason."""
    has_bf16 = best_precision(torch.device("cpu")) == "bf16"
    forms: dict[Form, Scorer] = {("torch", "fp32"): plain}
    if has_bf16:
        forms["torch", "bf16"] = FastClassifier(load_model(model), precision="bf16")
    failed: dict[str, str] = {}
    for runtime in filter(can_run, OTHERS):
        wanted: list[Precision] = ["fp32"]
        if has_bf16 and runtime == "openvino":
            wanted.append("bf16")
        try:
            for precision in wanted:
                made = engine(model, info, runtime, precision)
                assert made is not None
                made.run(torch.zeros(2, *_shape(info)))
                forms[runtime, precision] = made.run
        except LCNetError as error:
            failed[runtime] = str(error)
        except Exception as error:  # the runtimes raise dozens of types
            failed[runtime] = reason_of(error)[:200]
    return forms, failed


def _batch(pictures: Sequence[Tensor], info: ModelInfo) -> Tensor:
    images: Tensor = Normalize(info.preprocessing)(stack_images(pictures))
    return images.contiguous()


def _shape(info: ModelInfo) -> tuple[int, int, int]:
    return info.model.channels, info.preprocessing.size, info.preprocessing.size


def _race(forms: Mapping[Form, Scorer], images: Tensor) -> dict[Form, Times]:
    """The time of each form for the same images, in turns, after a round that does not count."""
    seconds: dict[Form, list[float]] = {form: [] for form in forms}
    begun = perf_counter()
    for number in range(ROUNDS + 1):
        for form, scorer in forms.items():
            taken = _seconds(scorer, images)
            if number:
                seconds[form].append(taken)
        if number >= LEAST_ROUNDS and perf_counter() - begun > SECONDS:
            break
    first = seconds["torch", "fp32"]
    return {
        form: Times(
            statistics.median(own),
            statistics.median(one / base for one, base in zip(own, first, strict=True)),
        )
        for form, own in seconds.items()
    }


def _seconds(scorer: Scorer, images: Tensor) -> float:
    started = perf_counter()
    with torch.inference_mode():
        scorer(images)
    return perf_counter() - started


def _row(
    form: Form,
    forms: Mapping[Form, Scorer],
    timed: Mapping[Form, Times],
    pictures: Sequence[Tensor],
    info: ModelInfo,
    count: int,
) -> Row:
    """How a form did; only one that may be taken is compared on many pictures."""
    runtime, precision = form
    times = timed[form]
    most = PICTURES
    if precision == "bf16" and times.share <= MOST_SHARE:
        most = PICTURES_IN_BF16
    chosen = pictures[:most]
    first, other = forms["torch", "fp32"], forms[form]
    if form == ("torch", "fp32"):
        chosen = chosen[:0]
    logits, moved, relabelled = 0.0, 0.0, 0
    thresholds = torch.tensor(info.thresholds, dtype=torch.float32)
    for start, size in _groups(len(chosen), count):
        batch = _batch(chosen[start : start + size], info)
        with torch.inference_mode():
            ours, theirs = first(batch).float(), other(batch).float()
        likely, changed = (probabilities(each, info.calibration) for each in (ours, theirs))
        differs = ((likely > thresholds) != (changed > thresholds)).any(dim=1)
        # NumPy's maximum keeps NaN, which no bound admits.
        logits = float(np.maximum(logits, (ours - theirs).abs().max().item()))
        moved = float(np.maximum(moved, (likely - changed).abs().max().item()))
        relabelled += int(differs.sum())
    return Row(
        runtime,
        precision,
        share=times.share,
        milliseconds=1000 * times.seconds / count,
        logit=logits,
        probability=moved,
        relabelled=relabelled,
        pictures=len(chosen),
    )


def _groups(count: int, batch: int) -> list[tuple[int, int]]:
    """Where groups of pictures begin and how many they have: one, then as many as in a batch.

    Two sizes expose a file for one fixed size, or that mixes images.
    """
    starts = [0, *range(1, count, max(2, batch))] if count else []
    return [(start, 1 if start == 0 else max(2, batch)) for start in starts]
