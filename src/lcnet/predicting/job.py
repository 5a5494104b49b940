"""Labels for pictures, from paths to rows in a file or a folder of files."""

from collections.abc import Iterable, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TextIO

from rich.console import Console

from lcnet.compute import Precision
from lcnet.data.dataset import read_image
from lcnet.errors import ConfigError, DataError
from lcnet.files import written_whole
from lcnet.model_folder import local_model, model_fingerprint
from lcnet.predicting.output_files import Job, open_shard
from lcnet.predicting.prediction import Prediction
from lcnet.predicting.predictor import Predictor
from lcnet.predicting.ray_engine import Place, RayPredictor
from lcnet.predicting.row_formats import to_json_line
from lcnet.predicting.sources import Picture, PictureSources, Shard
from lcnet.progress import track

COMPILE_FROM = 5_000
"""Pictures from which the minutes that compilation takes come back (docs/guide/speed.md)."""


@dataclass(frozen=True)
class Predicted:
    """What came of a job."""

    pictures: int
    """How many pictures there were."""
    failed: int
    """How many of them could not be read."""
    predictions: tuple[Prediction, ...] = ()
    """One per picture, in order, where they were written nowhere else."""


def predict_all(
    model: Path | str,
    paths: Sequence[str],
    out: Path | TextIO | None,
    *,
    format: str,
    rows_per_file: int,
    shard: Shard,
    batch_size: int,
    workers: int,
    precision: Precision | Literal["auto"],
    compiled: bool | None,
    ray: Place | None,
    explain: Path | None,
    explain_labels: int,
) -> Predicted:
    """Write a row for each picture, as `predict` says.

    JSON lines go to the file `out`, which appears when all are written, or to an open one. With
    `format` (jsonl, csv, parquet) `out` is a folder of files, as `output_files` has it: pictures
    with a row there are not done again. What precision and compilation were chosen is said on
    standard error. With `ray`, processes of Ray do the work; rows, files and resuming are the same.
    """
    model = local_model(model)
    sources = PictureSources(paths)
    _refuse(sources, out, explain, format, ray)
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
    predictions: list[Prediction] = []
    if format and isinstance(out, Path):
        failed = _into_folder(
            out, predictor, sources, pictures, total,
            format=format, shard=shard, rows_per_file=rows_per_file,
        )  # fmt: skip
    else:
        rows = (
            predictor.stream(pictures)
            if explain is None or isinstance(predictor, RayPredictor)
            else _explained(predictor, pictures, explain, explain_labels)
        )
        with _lines(out) as file:
            rows = _kept(rows, predictions) if file is None else _written(rows, file)
            failed = _follow(rows, predictor, total)
    if isinstance(out, Path):
        _console().print(f"{total:,} pictures -> {out}")
    return Predicted(total, failed, tuple(predictions))


def _into_folder(
    out: Path,
    predictor: Predictor | RayPredictor,
    sources: PictureSources,
    pictures: Iterable[Picture],
    total: int,
    *,
    format: str,
    shard: Shard,
    rows_per_file: int,
) -> int:
    """How many pictures could not be read, after the folder has a row of every one."""
    info = predictor.info
    fingerprint = model_fingerprint(predictor.path)
    job = Job(fingerprint, format, info.labels, predictor.precision, shard.count)
    with open_shard(out, job, shard, rows_per_file=rows_per_file) as files:
        done = files.finished()
        ready = _count_finished(shard.of(sources.names()), done.images, out, shard)
        _console().print(f"{ready:,} of {total:,} pictures have their row in {out}")
        unfinished = (picture for picture in pictures if picture.name not in done.images)
        rows = files.write(predictor.stream(unfinished))
        return done.failed + _follow(rows, predictor, total - ready)


def _refuse(
    sources: PictureSources,
    out: Path | TextIO | None,
    explain: Path | None,
    format: str,
    ray: Place | None,
) -> None:
    """Raise ConfigError for flags that do not go together."""
    if format and not isinstance(out, Path):
        raise ConfigError("--format: expected --out with it, a folder for the files. Add it.")
    if format and explain is not None:
        raise ConfigError("--explain: goes without --format. Leave one of them out.")
    if not format and isinstance(out, Path) and out.is_dir():
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
    if predictor.failure:
        _console().print(f"warning: not compiled after all ({predictor.failure})")
    return failed


def _console() -> Console:
    return Console(stderr=True, highlight=False, markup=False, soft_wrap=True)


def _explained(
    predictor: Predictor, pictures: Iterable[Picture], folder: Path, labels: int
) -> Iterator[Prediction]:
    """The predictions, each after its explanation is written."""
    from lcnet.predicting.heat_pictures import write_explanation

    for prediction, explanation in predictor.stream_explained(pictures, labels=labels):
        if not explanation.error:
            write_explanation(folder, read_image(Path(prediction.image)), explanation)
        yield prediction


def _written(predictions: Iterable[Prediction], file: TextIO) -> Iterator[Prediction]:
    """The predictions, each after its line is written."""
    for prediction in predictions:
        file.write(to_json_line(prediction))
        yield prediction


def _kept(predictions: Iterable[Prediction], kept: list[Prediction]) -> Iterator[Prediction]:
    """The predictions, each after it is added to a list."""
    for prediction in predictions:
        kept.append(prediction)
        yield prediction


@contextmanager
def _lines(out: Path | TextIO | None) -> Iterator[TextIO | None]:
    """An open file as it is, or a file that takes its name only once it is whole; none for None."""
    if not isinstance(out, Path):
        yield out
        return
    with written_whole(out) as unfinished, unfinished.open("w", encoding="utf-8") as file:
        yield file
