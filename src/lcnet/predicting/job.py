"""A whole `predict`: from paths of pictures to rows in a file or a folder of files."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TextIO

from PIL import Image
from rich.console import Console

from lcnet.compute import Precision
from lcnet.data.decoding import read_image
from lcnet.data.passed_over import in_words
from lcnet.data.sources import Picture, PictureSources, Shard
from lcnet.errors import ConfigError, DataError
from lcnet.exporting.engine_table import Wanted
from lcnet.files import AnyPath, write_text, written_whole
from lcnet.model_folder import local_model, model_fingerprint
from lcnet.predicting.embedding_files import check_embeddings_file, embeddings_file
from lcnet.predicting.known_table import KnownTable
from lcnet.predicting.label_studio import labelling_config, version_of, write_tasks
from lcnet.predicting.out_names import refuse_name
from lcnet.predicting.outcome import Outcome, read_and_not
from lcnet.predicting.outcome import pictures as in_pictures
from lcnet.predicting.output_files import Job, open_shard
from lcnet.predicting.prediction import Prediction
from lcnet.predicting.predictor import Predictor
from lcnet.predicting.ray_engine import RayCluster, RayPredictor
from lcnet.predicting.row_formats import to_json_line
from lcnet.predicting.runtime_choice import Runtime, measured_runtime
from lcnet.predicting.selection import Selection, selection
from lcnet.progress import track

COMPILE_FROM = 5_000
"""From this many pictures on, compiling saves more time than it takes (docs/guide/speed.md)."""


@dataclass(frozen=True)
class Predicted:
    """The outcome of `predict`."""

    pictures: int
    """How many pictures there were."""
    failed: int
    """How many of them could not be read."""
    predictions: tuple[Prediction, ...] = ()
    """One per picture, in order, if they were not written anywhere."""


def predict_all(
    model: AnyPath,
    paths: Sequence[str],
    out: Path | TextIO | None,
    *,
    format: str,
    rows_per_file: int,
    shard: Shard,
    top: int,
    only: str | Sequence[str],
    known: Path | None,
    known_errors: float,
    batch_size: int,
    workers: int,
    precision: Precision | Literal["auto"],
    compiled: bool | None,
    runtime: Runtime,
    ray: RayCluster | None,
    label_studio: str | None,
    explain: Path | None,
    explain_labels: int,
    embeddings: Path | None,
) -> Predicted:
    """Write a row for each picture; the arguments are those of `predict`.

    Without `format`, JSON lines go to the file `out`, which appears once it is complete, or to an
    open file. With `format` (jsonl, csv, parquet), `out` is a folder of files (`output_files`), and
    pictures that have a row there are skipped. Device, precision and form of the model are printed
    on standard error. With `ray`, Ray's processes do the work; rows and files stay the same.
    """
    model = local_model(model)
    sources = PictureSources(paths)
    _refuse(sources, out, explain, format, ray)
    if not format and label_studio is None:
        refuse_name(out)
    if label_studio is not None and (format or not isinstance(out, Path)):
        raise ConfigError("--label_studio: needs --out FILE, and no --format. Name a JSON file.")
    if embeddings is not None:
        _refuse_embeddings(
            embeddings,
            out,
            {
                "format": format,
                "explain": explain,
                "compile": compiled,
                "engine ray": ray,
                f"runtime {runtime}": runtime not in ("auto", "torch"),
            },
        )
    if runtime not in ("auto", "torch") and (ray is not None or compiled):
        other = "--compile" if ray is None else "--engine ray"
        raise ConfigError(f"--runtime {runtime}: does not work with {other}. Leave one out.")
    total = sum(1 for _ in shard.of(sources.names()))
    for name, count in sources.lists.items():
        _console().print(f"{name}: read as a list of {in_pictures(count)}")
    if sources.passed_over:
        _console().print(f"passed over: {in_words(sources.passed_over)}")
    if isinstance(out, Path) and not format and out.exists():
        _console().print(f"{out} is there: replaced when all new rows are written")
    if ray is not None or compiled or embeddings is not None:
        runtime = "torch"
    wanted = measured_runtime(model, runtime, lambda: shard.of(sources), total, batch_size)
    if compiled is None:
        compiled = total >= COMPILE_FROM and embeddings is None
    predictor = _predictor(
        model,
        ray,
        batch_size=batch_size,
        workers=workers,
        precision=precision,
        compiled=compiled,
        known_errors=known_errors,
        runtime=wanted,
    )
    shown = selection(predictor.info.labels, top=top, only=only)
    table = None if known is None else KnownTable(known, predictor.info.labels)
    pictures: Iterable[Picture] = shard.of(sources if ray is None else sources.light())
    if table is not None:
        table.require(shard.of(sources.names()))
        pictures = table.of(pictures)
    predictions: list[Prediction] = []
    outcome = Outcome()
    if format and isinstance(out, Path):
        failed = _into_folder(
            out, predictor, sources, pictures, total, shown, outcome,
            format=format, shard=shard, rows_per_file=rows_per_file,
            known="" if table is None else table.digest + _told_errors(known_errors),
        )  # fmt: skip
    else:
        rows: Iterator[Prediction] = predictor.stream(pictures)
        if explain is not None and isinstance(predictor, Predictor):
            rows = _explained(predictor, pictures, explain, explain_labels)
        if embeddings is not None and isinstance(predictor, Predictor):
            rows = _embedded(predictor, pictures, embeddings)
        rows = map(shown, rows)
        with _lines(out) as file:
            if file is None:
                rows = _kept(rows, predictions)
            elif label_studio is not None:
                rows = write_tasks(rows, file, label_studio, version_of(predictor.path))
            else:
                rows = _written(rows, file)
            on_screen = file is not None and file.isatty()
            failed = _follow(rows, predictor, outcome, total, on_screen=on_screen)
    if isinstance(out, Path):
        detail = read_and_not(total, failed)
        _console().print(f"{in_pictures(total)} -> {out}{': ' * bool(detail)}{detail}")
    if isinstance(out, Path) and label_studio is not None:
        config = out.with_suffix(".xml")
        write_text(config, labelling_config(predictor.info.labels))
        _console().print(f"Label Studio: labelling config of the project -> {config}")
    if embeddings is not None:
        _console().print(f"embeddings of {in_pictures(total - failed)} -> {embeddings}")
    if isinstance(out, Path) and (found := outcome.in_words()):
        _console().print(found)
    return Predicted(total, failed, tuple(predictions))


def _predictor(
    model: Path,
    ray: RayCluster | None,
    *,
    batch_size: int,
    workers: int,
    precision: Precision | Literal["auto"],
    compiled: bool,
    known_errors: float,
    runtime: Wanted,
) -> Predictor | RayPredictor:
    if ray is None:
        return Predictor(
            model,
            batch_size=batch_size,
            workers=workers,
            precision=precision,
            compiled=compiled,
            known_errors=known_errors,
            runtime=runtime,
        )
    return RayPredictor(
        model,
        batch_size=batch_size,
        workers=workers,
        precision=precision,
        compiled=compiled,
        cluster=ray,
        known_errors=known_errors,
    )


def _told_errors(share: float) -> str:
    return f", {share:g} wrong" if share else ""


def _into_folder(
    out: Path,
    predictor: Predictor | RayPredictor,
    sources: PictureSources,
    pictures: Iterable[Picture],
    total: int,
    shown: Selection,
    outcome: Outcome,
    *,
    format: str,
    shard: Shard,
    rows_per_file: int,
    known: str,
) -> int:
    """Write a row of every picture into the folder; return how many could not be read."""
    fingerprint = model_fingerprint(predictor.path)
    job = Job(fingerprint, format, shown.labels, predictor.precision, shard.count, shown.top, known)
    with open_shard(out, job, shard, rows_per_file=rows_per_file) as files:
        done = files.finished()
        ready = _count_finished(shard.of(sources.names()), done.images, out, shard)
        if ready:
            _console().print(f"{ready:,} of {total:,} pictures already have a row in {out}")
        unfinished = (picture for picture in pictures if picture.name not in done.images)
        rows = files.write(map(shown, predictor.stream(unfinished)))
        return done.failed + _follow(rows, predictor, outcome, total - ready)


def _refuse(
    sources: PictureSources,
    out: Path | TextIO | None,
    explain: Path | None,
    format: str,
    ray: RayCluster | None,
) -> None:
    """Raise ConfigError for flags that do not work together."""
    if format and not isinstance(out, Path):
        raise ConfigError("--format: needs --out, a folder for the files. Add it.")
    if format and explain is not None:
        raise ConfigError("--explain: does not work with --format. Leave one of them out.")
    if not format and isinstance(out, Path) and out.is_dir():
        raise ConfigError(
            f"--out {out}: expected a file to write, got a folder. Name a file in it, or add "
            "--format for a folder of files."
        )
    if ray is not None and explain is not None:
        raise ConfigError("--explain: does not work with --engine ray. Leave one of them out.")
    if explain is not None and explain.exists() and not explain.is_dir():
        raise ConfigError(f"--explain {explain}: expected a folder, got a file. Name another.")
    if explain is not None and not sources.are_files:
        raise ConfigError(
            "--explain: expected separate picture files, got a tar or Parquet file. Unpack it."
        )


def _count_finished(names: Iterable[str], finished: Set[str], out: Path, shard: Shard) -> int:
    """How many of the shard's pictures are finished.

    Raises DataError if finished pictures lie outside the shard: the input has changed since, so
    some pictures would be in no shard.
    """
    if not finished:
        return 0
    known = sum(name in finished for name in names)
    if shard.count > 1 and known < len(finished):
        raise DataError(
            f"{out}: {len(finished) - known:,} finished pictures left shard {shard}. So "
            "the input has changed and other pictures would be missed. Give the same input in the "
            "same order, or start all shards again in another folder."
        )
    return known


def _follow(
    rows: Iterable[Prediction],
    predictor: Predictor | RayPredictor,
    outcome: Outcome,
    total: int,
    *,
    on_screen: bool = False,
) -> int:
    """Take all predictions, showing progress; return how many pictures could not be read.

    The rows are counted in `outcome` as they come. Rows that are shown on a terminal
    (`on_screen`) are their own progress, and a bar would stand on the first of them.
    """
    _console().print(f"{in_pictures(total)} on {predictor.device}: {predictor.how}")
    for _ in track(outcome.counted(rows), "Predicting", total, quiet=on_screen):
        pass
    if isinstance(predictor, Predictor) and predictor.views_taken:
        _console().print(f"looked where it mattered: {predictor.views_taken}")
    if predictor.failure:
        _console().print(
            f"warning: predicted without compilation, which failed ({predictor.failure})"
        )
    return outcome.failed


def _console() -> Console:
    return Console(stderr=True, highlight=False, markup=False, soft_wrap=True)


def _explained(
    predictor: Predictor, pictures: Iterable[Picture], folder: Path, labels: int
) -> Iterator[Prediction]:
    """Write the explanation of each picture and pass its prediction on."""
    from lcnet.predicting.heat_pictures import write_explanation

    for prediction, explanation in predictor.stream_explained(pictures, labels=labels):
        if not explanation.error:
            write_explanation(folder, _shown(predictor, prediction), explanation)
        yield prediction


def _refuse_embeddings(
    embeddings: Path, out: Path | TextIO | None, others: Mapping[str, object]
) -> None:
    """Raise ConfigError if the file cannot be written, or for flags that do not work with it."""
    check_embeddings_file(embeddings)
    for flag in (name for name, value in others.items() if value):
        raise ConfigError(
            f"--embeddings: does not work with --{flag}. Leave one of them out; embeddings can be "
            "written by a command of their own."
        )
    if isinstance(out, Path) and out.absolute() == embeddings.absolute():
        raise ConfigError(f"--embeddings {embeddings}: expected another file than --out. Name one.")


def _embedded(
    predictor: Predictor, pictures: Iterable[Picture], file: Path
) -> Iterator[Prediction]:
    """Write the embedding of each picture that can be read, and pass every prediction on."""
    about = {"model": model_fingerprint(predictor.path), "precision": predictor.precision}
    with embeddings_file(file, predictor.embedding_length, about) as add:
        for prediction, embedding in predictor.stream_embedded(pictures):
            if embedding is not None:
                add(prediction.image, embedding)
            yield prediction


def _shown(predictor: Predictor, prediction: Prediction) -> Image.Image:
    return read_image(Path(prediction.image), form=predictor.info.preprocessing.form)


def _written(predictions: Iterable[Prediction], file: TextIO) -> Iterator[Prediction]:
    """Write a line for each prediction and pass it on."""
    for prediction in predictions:
        file.write(to_json_line(prediction))
        yield prediction


def _kept(predictions: Iterable[Prediction], kept: list[Prediction]) -> Iterator[Prediction]:
    """Add each prediction to a list and pass it on."""
    for prediction in predictions:
        kept.append(prediction)
        yield prediction


@contextmanager
def _lines(out: Path | TextIO | None) -> Iterator[TextIO | None]:
    """The file to write to; one named by a path appears once it is complete. None for None."""
    if not isinstance(out, Path):
        yield out
        return
    with written_whole(out) as unfinished, unfinished.open("w", encoding="utf-8") as file:
        yield file
