"""`lcnet predict`: labels for pictures, from Python, into a file or a folder of files."""

import sys
from collections.abc import Iterable, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TextIO

import torch
from PIL import Image
from rich.console import Console
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lcnet.calibration import probabilities
from lcnet.checkpoint import load_model, read_info
from lcnet.compute import usual_device
from lcnet.data.dataset import read_image, upright_rgb, upright_size
from lcnet.data.loading import chosen_workers, stack_images
from lcnet.data.transforms import Normalize, Transform, eval_transform
from lcnet.errors import ConfigError, DataError
from lcnet.explain import PictureExplanation, explain_picture
from lcnet.files import written_whole
from lcnet.heat_pictures import write_explanation
from lcnet.model.classifier import Classifier
from lcnet.model.fast import FastClassifier, Precision, best_precision
from lcnet.onnx_model import SUFFIX, OnnxModel
from lcnet.picture_sources import Picture, PictureSources, Shard, Slice, writable
from lcnet.prediction import Prediction
from lcnet.prediction_files import Job, fingerprint, open_shard
from lcnet.prediction_formats import to_json_line
from lcnet.progress import track

Given = Path | str | Image.Image | Picture
"""A picture as `Predictor` takes it: its path, itself, or what a source found."""
WHOLE = Shard()
COMPILE_FROM = 5_000
"""Pictures from which the minutes that compilation takes come back (docs/performance.md)."""


class Predictor:
    """A trained model that takes pictures and gives labels."""

    def __init__(
        self,
        model: Path | str,
        *,
        batch_size: int = 32,
        workers: int = 0,
        device: str = "",
        precision: Precision | Literal["auto"] = "fp32",
        compiled: bool = False,
    ) -> None:
        """Load a run or model folder, or an ONNX file that `lcnet export` wrote.

        `device` is cuda if there is one, else cpu, unless given; an ONNX file runs on the cpu
        unless it is given. -1 `workers` suit the machine. A folder's model runs in its fastest
        form, in float32 with equal results, in bf16, or as `auto` in bf16 where the device
        multiplies in it; `compiled` takes minutes at first. Raises CheckpointError if the folder or
        file cannot be read.
        """
        if batch_size < 1 or workers < -1:
            raise ConfigError(
                "--batch_size, --workers: expected at least 1 and at least -1, "
                f"got {batch_size} and {workers}."
            )
        self.path = Path(model)
        self.model: FastClassifier | OnnxModel
        """Normalised images (B 3 size size) to logits (B L)."""
        if self.path.suffix == SUFFIX or self.path.is_file():
            self.model = OnnxModel(self.path, device=device or "cpu")
            self.info, self.device = self.model.info, torch.device("cpu")
        else:
            self.info = read_info(self.path)
            self.device = torch.device(device) if device else usual_device()
            self.model = FastClassifier(
                load_model(self.path).to(self.device),
                precision=best_precision(self.device) if precision == "auto" else precision,
                compiled=compiled,
            )
        self.precision = "fp32" if isinstance(self.model, OnnxModel) else self.model.precision
        self.normalize = Normalize(self.info.preprocessing).to(self.device)
        self.batch_size = batch_size
        self.workers = chosen_workers(workers)

    def __call__(self, images: Iterable[Given]) -> list[Prediction]:
        """One prediction per picture (a path or a PIL image of any mode and size), in order.

        A picture that cannot be read gives a prediction with `error`.
        """
        return list(self.stream(images))

    def stream(self, images: Iterable[Given]) -> Iterator[Prediction]:
        """The same, one at a time as they are ready."""
        for _, prediction in self._predicted(images):
            yield prediction

    def explain(self, images: Iterable[Given], *, labels: int = 5) -> list[PictureExplanation]:
        """Why each picture got its labels: heat maps and the labels that moved the scores.

        At most `labels` labels a picture, the most probable. A picture that cannot be read gives an
        explanation with `error`. One backward pass of the model for each label.
        """
        return [found for _, found in self.stream_explained(images, labels=labels)]

    def stream_explained(
        self, images: Iterable[Given], *, labels: int = 5
    ) -> Iterator[tuple[Prediction, PictureExplanation]]:
        """Predictions and their explanations, one picture at a time as they are ready.

        Raises ConfigError for an ONNX file, which gives logits and nothing to explain them by.
        """
        if labels < 1:
            raise ConfigError(f"--explain_labels: expected at least 1, got {labels}.")
        if isinstance(self.model, OnnxModel):
            raise ConfigError(
                f"{self.path}: expected a run or model folder to explain with, got an exported "
                "file. Give the folder that it was exported from."
            )
        model = load_model(self.path).to(self.device)
        for picture, prediction in self._predicted(images):
            yield prediction, self._explain(model, picture, prediction, labels)

    def _explain(
        self, model: Classifier, picture: "_Sample", prediction: Prediction, most: int
    ) -> PictureExplanation:
        if picture.tensor is None or prediction.probabilities is None:
            return PictureExplanation(picture.name, (0, 0), error=picture.error)
        size = picture.size or upright_size(Path(picture.name))
        labels, left_out = explain_picture(
            model,
            self.normalize(picture.tensor[None])[0],
            size,
            names=self.info.labels,
            probabilities=list(prediction.probabilities.values()),
            thresholds=self.info.thresholds,
            most=most,
        )
        has_graph = model.adjacency() is not None
        return PictureExplanation(picture.name, size, labels, left_out, has_graph)

    def _predicted(self, images: Iterable[Given]) -> "Iterator[tuple[_Sample, Prediction]]":
        # The pictures are drawn as the loader's sampler, so that only those at work are in memory.
        loader = DataLoader(
            _Decoded(eval_transform(self.info.preprocessing)),
            self.batch_size,
            sampler=_named(images),
            num_workers=self.workers,
            collate_fn=list[_Sample],
        )
        for batch in loader:
            yield from zip(batch, self._predict(batch), strict=True)

    def _predict(self, batch: "list[_Sample]") -> Iterator[Prediction]:
        tensors = [picture.tensor for picture in batch if picture.tensor is not None]
        rows: Iterator[list[float]] = iter(())
        if tensors:
            with torch.inference_mode():
                logits = self.model(self.normalize(stack_images(tensors)))
            rows = iter(probabilities(logits, self.info.calibration).tolist())
        for picture in batch:
            if picture.tensor is None:
                yield Prediction(picture.name, error=picture.error)
            else:
                yield self._describe(picture.name, next(rows))

    def _describe(self, name: str, row: list[float]) -> Prediction:
        probabilities = dict(zip(self.info.labels, row, strict=True))
        thresholds = dict(zip(self.info.labels, self.info.thresholds, strict=True))
        shown = [label for label, value in probabilities.items() if value > thresholds[label]]
        ranked = sorted(shown, key=lambda label: -probabilities[label])
        return Prediction(name, tuple(ranked), probabilities)


@dataclass(frozen=True)
class _Sample:
    name: str
    tensor: Tensor | None
    error: str = ""
    size: tuple[int, int] | None = None
    """Width and height of one that came as a picture; a file may be decoded smaller than it is."""


class _Decoded(Dataset[_Sample]):
    """Pictures to tensors; one that cannot be read is an item too, so that the rest go on."""

    def __init__(self, transform: Transform) -> None:
        self.transform = transform

    def __getitem__(self, picture: Picture) -> _Sample:
        content, size = picture.content, self.transform.decode_size
        if isinstance(content, Image.Image):
            upright = upright_rgb(content)
            return _Sample(picture.name, self.transform(upright), size=upright.size)
        try:
            if isinstance(content, Path):
                upright = read_image(content, size=size)
            else:
                data = content.read() if isinstance(content, Slice) else content
                upright = read_image(Path(picture.name), size=size, data=data)
        except (DataError, OSError) as error:
            return _Sample(picture.name, None, writable(str(error)))
        return _Sample(picture.name, self.transform(upright))


def _named(images: Iterable[Given]) -> Iterator[Picture]:
    for place, image in enumerate(images):
        if isinstance(image, Picture):
            yield image
        elif isinstance(image, Image.Image):
            yield Picture(str(place), image)
        else:
            yield Picture(writable(str(image)), Path(image))


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
) -> int:
    """The number of pictures that could not be read, after writing a row for each picture.

    `paths` are as `PictureSources` takes them. JSON lines go to the file `out`, which appears when
    all are written, or to standard output. With `format` (jsonl, csv, parquet) `out` is a folder of
    files, as `prediction_files` has it: pictures whose rows are there are not done again. Precision
    and compilation are chosen by machine and number of pictures unless given, and said on standard
    error. With `explain`, a folder in it for each picture says why it got its labels
    (`heat_pictures.write_explanation`), at most `explain_labels` each.
    Raises DataError if a path gives no picture, CheckpointError if the model cannot be read,
    ConfigError if the folder has the rows of another job or another process writes them.
    """
    sources = PictureSources(paths)
    _refuse(sources, out, explain, explain_labels, format)
    total = sum(1 for _ in shard.of(sources.names()))
    predictor = Predictor(
        model,
        batch_size=batch_size,
        workers=workers,
        precision=precision,
        compiled=total >= COMPILE_FROM if compiled is None else compiled,
    )
    pictures = shard.of(sources)
    if format and out is not None:
        job = Job(
            fingerprint(model), format, predictor.info.labels, predictor.precision, shard.count
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
                if explain is None
                else _explained(predictor, pictures, explain, explain_labels)
            )
            rows = _written(predictions, file)
            failed = _follow(rows, predictor, total)
    if out is not None:
        _console().print(f"{total:,} pictures -> {out}")
    return failed


def _refuse(
    sources: PictureSources, out: Path | None, explain: Path | None, labels: int, format: str
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


def _follow(rows: Iterable[Prediction], predictor: Predictor, total: int) -> int:
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
