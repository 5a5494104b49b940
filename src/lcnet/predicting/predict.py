"""`lcnet predict`: labels for pictures, into a file or a folder of files."""

import sys
from collections.abc import Iterable, Iterator, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TextIO

from rich.console import Console

from lcnet.compute import Precision
from lcnet.data.dataset import read_image
from lcnet.errors import ConfigError, DataError
from lcnet.files import written_whole
from lcnet.model.fast import FastClassifier
from lcnet.model_folder import model_fingerprint
from lcnet.predicting.heat_pictures import write_explanation
from lcnet.predicting.output_files import Job, open_shard
from lcnet.predicting.prediction import Prediction
from lcnet.predicting.predictor import Predictor
from lcnet.predicting.ray_engine import Place, RayPredictor
from lcnet.predicting.row_formats import to_json_line
from lcnet.predicting.sources import Picture, PictureSources, Shard
from lcnet.progress import track

WHOLE = Shard()
COMPILE_FROM = 5_000
"""Pictures from which the minutes that compilation takes come back (docs/performance.md)."""


def predict(
    model: Path,
    paths: Sequence[str],
    out: Path | None = None,
    *,
    batch_size: int,
    workers: int,
    precision: Precision | Literal["auto"] = "auto",
    compiled: bool | None = None,
    explain: Path | None = None,
    explain_labels: int = 5,
    shard: Shard = WHOLE,
    format: str = "",
    rows_per_file: int = 1_000,
    ray: Place | None = None,
) -> int:
    """The number of pictures that could not be read, after writing a row for each picture.

    `paths` are as `PictureSources` takes them. JSON lines go to the file `out`, which appears when
    all are written, or to standard output. With `format` (jsonl, csv, parquet) `out` is a folder of
    files, as `predicting.files` has it: pictures whose rows are there are not done again. Precision
    and compilation are chosen by machine and number of pictures unless given, and said on standard
    error. With `explain`, a folder in it for each picture says why it got its labels
    (`heat_pictures.write_explanation`), at most `explain_labels` each.
    With `ray`, processes of Ray do the work there; rows, files and resuming are the same.
    Raises DataError if a path gives no picture, CheckpointError if the model cannot be read,
    ConfigError if the folder has the rows of another job or another process writes them.
    """
    sources = PictureSources(paths)
    _refuse(sources, out, explain, explain_labels, format, ray)
    total = sum(1 for _ in shard.of(sources.names()))
    compiled = total >= COMPILE_FROM if compiled is None else compiled
    predictor: Predictor | RayPredictor
    if ray is None:
        predictor = Predictor(
            model,
            batch_size=batch_size,
            workers=workers,
            precision=precision,
            compiled=compiled,
        )
    else:
        predictor = RayPredictor(
            model,
            batch_size=batch_size,
            workers=workers,
            precision=precision,
            compiled=compiled,
            place=ray,
        )
    pictures = shard.of(sources if ray is None else sources.light())
    if format and out is not None:
        job = Job(
            model_fingerprint(model),
            format,
            predictor.info.labels,
            predictor.precision,
            shard.count,
        )
        with open_shard(out, job, shard, rows_per_file=rows_per_file) as files:
            done = files.finished()
            ready = _count_finished(shard.of(sources.names()), done.images, out, shard)
            _console().print(f"{ready:,} of {total:,} pictures have their row in {out}")
            unfinished = (picture for picture in pictures if picture.name not in done.images)
            rows = files.write(predictor.stream(unfinished))
            failed = done.failed + _follow(rows, predictor, total - ready)
    else:
        with _lines(out) as file:
            predictions = (
                predictor.stream(pictures)
                if explain is None or isinstance(predictor, RayPredictor)
                else _explained(predictor, pictures, explain, explain_labels)
            )
            rows = _written(predictions, file)
            failed = _follow(rows, predictor, total)
    if out is not None:
        _console().print(f"{total:,} pictures -> {out}")
    return failed


def _refuse(
    sources: PictureSources,
    out: Path | None,
    explain: Path | None,
    labels: int,
    format: str,
    ray: Place | None,
) -> None:
    """Raise ConfigError for flags that do not go together."""
    if format and out is None:
        raise ConfigError("--format: expected --out with it, a folder for the files. Add it.")
    if format and explain is not None:
        raise ConfigError("--explain: goes without --format. Leave one of them out.")
    if not format and out is not None and out.is_dir():
        raise ConfigError(
            f"--out {out}: expected a file to write, got a folder. Name a file in it, or add "
            "--format for a folder of files."
        )
    if ray is not None and explain is not None:
        raise ConfigError("--explain: goes without --engine ray. Leave one of them out.")
    if explain is not None and explain.exists() and not explain.is_dir():
        raise ConfigError(f"--explain {explain}: expected a folder, got a file. Name another.")
    if explain is not None and not sources.are_files:
        raise ConfigError(
            "--explain: expected pictures in files of their own, got a tar or Parquet file. "
            "Unpack it."
        )
    if labels < 1:
        raise ConfigError(f"--explain_labels: expected at least 1, got {labels}.")


def _count_finished(names: Iterable[str], finished: Set[str], out: Path, shard: Shard) -> int:
    """How many of the shard's pictures are finished.

    Raises DataError if others are too: then the shards no longer have every picture between them.
    """
    if not finished:
        return 0
    found = sum(name in finished for name in names)
    if shard.count > 1 and found < len(finished):
        raise DataError(
            f"{out}: {len(finished) - found:,} of shard {shard}'s finished pictures are not in it "
            "now, so the input has changed and other pictures would be left out. Give the same "
            "input in the same order, or start all shards anew in another folder."
        )
    return found


def _follow(rows: Iterable[Prediction], predictor: Predictor | RayPredictor, total: int) -> int:
    """How many of the predictions are of pictures that could not be read, after taking them all."""
    _console().print(f"{total:,} pictures on {predictor.device}: {predictor.model}")
    failed = sum(bool(row.error) for row in track(rows, "Predicting", total))
    if isinstance(predictor.model, FastClassifier) and predictor.model.failure:
        _console().print(f"warning: not compiled after all ({predictor.model.failure})")
    return failed


def _console() -> Console:
    return Console(stderr=True, highlight=False, markup=False, soft_wrap=True)


def _explained(
    predictor: Predictor, pictures: Iterable[Picture], folder: Path, labels: int
) -> Iterator[Prediction]:
    """The predictions, each after its explanation is written."""
    for prediction, explanation in predictor.stream_explained(pictures, labels=labels):
        if not explanation.error:
            write_explanation(folder, read_image(Path(prediction.image)), explanation)
        yield prediction


def _written(predictions: Iterable[Prediction], file: TextIO) -> Iterator[Prediction]:
    """The predictions, each after its line is written."""
    for prediction in predictions:
        file.write(to_json_line(prediction))
        yield prediction


@contextmanager
def _lines(out: Path | None) -> Iterator[TextIO]:
    """Standard output, or a file that takes its name only once it is whole."""
    if out is None:
        yield sys.stdout
        return
    with written_whole(out) as unfinished, unfinished.open("w", encoding="utf-8") as file:
        yield file
