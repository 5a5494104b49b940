"""`lcnet predict`: labels for pictures, from Python or into a file of JSON lines."""

import glob
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TextIO

import torch
from PIL import Image
from rich.console import Console
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lcnet.calibration import probabilities
from lcnet.checkpoint import load_model, read_info
from lcnet.compute import usual_device
from lcnet.data.dataset import PICTURE_SUFFIXES, read_image, upright_rgb, upright_size
from lcnet.data.loading import chosen_workers, stack_images
from lcnet.data.transforms import Normalize, Transform, eval_transform
from lcnet.errors import ConfigError, DataError
from lcnet.explain import PictureExplanation, explain_picture
from lcnet.files import written_whole
from lcnet.heat_pictures import write_explanation
from lcnet.model.classifier import Classifier
from lcnet.model.fast import FastClassifier, Precision, best_precision
from lcnet.onnx_model import SUFFIX, OnnxModel
from lcnet.progress import track

COMPILE_FROM = 5_000
"""Pictures from which the minutes that compilation takes come back (docs/performance.md)."""


@dataclass(frozen=True)
class Prediction:
    """What a model says of one picture."""

    image: str
    """The picture's path, or its place in the input where it came as a picture."""
    labels: tuple[str, ...] = ()
    """The labels above their thresholds, the most probable first."""
    probabilities: dict[str, float] | None = None
    """The probability of every label, 0 to 1; none if the picture could not be read."""
    error: str = ""
    """Why the picture could not be read; empty if it could."""

    def to_dict(self) -> dict[str, Any]:
        """The fields of the prediction's JSON line."""
        if self.error:
            return {"image": self.image, "error": self.error}
        assert self.probabilities is not None
        rounded = {label: round(value, 6) for label, value in self.probabilities.items()}
        return {"image": self.image, "labels": list(self.labels), "probabilities": rounded}


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
        self.normalize = Normalize(self.info.preprocessing).to(self.device)
        self.batch_size = batch_size
        self.workers = chosen_workers(workers)

    def __call__(self, images: Sequence[Path | str | Image.Image]) -> list[Prediction]:
        """One prediction per picture (a path or a PIL image of any mode and size), in order.

        A picture that cannot be read gives a prediction with `error`.
        """
        return list(self.stream(images))

    def stream(self, images: Sequence[Path | str | Image.Image]) -> Iterator[Prediction]:
        """The same, one at a time as they are ready."""
        for _, prediction in self._predicted(images):
            yield prediction

    def explain(
        self, images: Sequence[Path | str | Image.Image], *, labels: int = 5
    ) -> list[PictureExplanation]:
        """Why each picture got its labels: heat maps and the labels that moved the scores.

        At most `labels` labels a picture, the most probable. A picture that cannot be read gives an
        explanation with `error`. One backward pass of the model for each label.
        """
        return [found for _, found in self.stream_explained(images, labels=labels)]

    def stream_explained(
        self, images: Sequence[Path | str | Image.Image], *, labels: int = 5
    ) -> Iterator[tuple[Prediction, PictureExplanation]]:
        """Predictions and their explanations, one picture at a time as they are ready.

        Raises ConfigError for an ONNX file, which gives logits and nothing to explain them by.
        """
        if labels < 1:
            raise ConfigError(f"--explain_labels: expected at least 1, got {labels}.")
        self.classifier  # noqa: B018 -- said before the first picture is read
        for picture, prediction in self._predicted(images):
            yield prediction, self._explain(picture, prediction, labels)

    @property
    def explains(self) -> bool:
        """Whether it can explain; an ONNX file gives logits and nothing to explain them by."""
        return not isinstance(self.model, OnnxModel)

    @cached_property
    def classifier(self) -> Classifier:
        """The model in the form that explains, read when it is first asked for.

        Raises ConfigError for an ONNX file.
        """
        if not self.explains:
            raise ConfigError(
                f"{self.path}: expected a run or model folder to explain with, got an exported "
                "file. Give the folder that it was exported from."
            )
        return load_model(self.path).to(self.device)

    def predict_pixels(self, names: Sequence[str], pixels: Sequence[Tensor]) -> list[Prediction]:
        """One prediction per picture that `eval_transform` has made (3 H W, uint8), in order.

        They go through the model together, whatever the batch size.
        """
        pictures = [_Picture(*known) for known in zip(names, pixels, strict=True)]
        return list(self._predict(pictures))

    def explain_predicted(
        self, image: Image.Image, prediction: Prediction, labels: int
    ) -> PictureExplanation:
        """Why an RGB picture, upright, got a prediction that is known; as `explain` otherwise."""
        pixels = eval_transform(self.info.preprocessing)(image)
        picture = _Picture(prediction.image, pixels, size=image.size)
        return self._explain(picture, prediction, labels)

    def _explain(
        self, picture: "_Picture", prediction: Prediction, most: int
    ) -> PictureExplanation:
        if picture.tensor is None or prediction.probabilities is None:
            return PictureExplanation(picture.name, (0, 0), error=picture.error)
        size = picture.size or upright_size(Path(picture.name))
        labels, left_out = explain_picture(
            self.classifier,
            self.normalize(picture.tensor[None])[0],
            size,
            names=self.info.labels,
            probabilities=list(prediction.probabilities.values()),
            thresholds=self.info.thresholds,
            most=most,
        )
        has_graph = self.classifier.adjacency() is not None
        return PictureExplanation(picture.name, size, labels, left_out, has_graph)

    def _predicted(
        self, images: Sequence[Path | str | Image.Image]
    ) -> "Iterator[tuple[_Picture, Prediction]]":
        pictures = _Pictures(images, eval_transform(self.info.preprocessing))
        loader = DataLoader(
            pictures, self.batch_size, num_workers=self.workers, collate_fn=list[_Picture]
        )
        for batch in loader:
            yield from zip(batch, self._predict(batch), strict=True)

    def _predict(self, batch: "list[_Picture]") -> Iterator[Prediction]:
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
class _Picture:
    name: str
    tensor: Tensor | None
    error: str = ""
    size: tuple[int, int] | None = None
    """Width and height of one that came as a picture; a file may be decoded smaller than it is."""


class _Pictures(Dataset[_Picture]):
    """Pictures as tensors; one that cannot be read is an item too, so that the rest go on."""

    def __init__(self, images: Sequence[Path | str | Image.Image], transform: Transform) -> None:
        self.images = images
        self.transform = transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> _Picture:
        image = self.images[index]
        if isinstance(image, Image.Image):
            upright = upright_rgb(image)
            return _Picture(str(index), self.transform(upright), size=upright.size)
        try:
            upright = read_image(Path(image), size=self.transform.decode_size)
        except DataError as error:
            return _Picture(str(image), None, str(error))
        return _Picture(str(image), self.transform(upright))


def predict(
    model: Path,
    paths: Iterable[str],
    out: Path | None = None,
    *,
    batch_size: int,
    workers: int,
    precision: Precision | Literal["auto"] = "auto",
    compiled: bool | None = None,
    explain: Path | None = None,
    explain_labels: int = 5,
) -> int:
    """The number of pictures that could not be read, after writing one JSON line per picture.

    `paths` are pictures, folders (searched through) and globs. Lines go to `out`, which appears
    when all are written, or to standard output. Precision and compilation are chosen by machine
    and number of pictures unless given, and said on standard error. With `explain`, a folder in it
    for each picture says why it got its labels (`heat_pictures.write_explanation`), at most
    `explain_labels` each.
    Raises DataError if a path gives no picture, CheckpointError if the model cannot be read.
    """
    images = find_images(paths)
    if out is not None and out.is_dir():
        raise ConfigError(
            f"--out {out}: expected a file to write, got a folder. Name a file in it."
        )
    if explain is not None and explain.exists() and not explain.is_dir():
        raise ConfigError(f"--explain {explain}: expected a folder, got a file. Name another.")
    if explain_labels < 1:
        raise ConfigError(f"--explain_labels: expected at least 1, got {explain_labels}.")
    predictor = Predictor(
        model,
        batch_size=batch_size,
        workers=workers,
        precision=precision,
        compiled=len(images) >= COMPILE_FROM if compiled is None else compiled,
    )
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    console.print(f"{len(images):,} pictures on {predictor.device}: {predictor.model}")
    predictions = (
        predictor.stream(images)
        if explain is None
        else _explained(predictor, images, explain, explain_labels)
    )
    failed = 0
    with _lines(out) as file:
        for prediction in track(predictions, "Predicting", len(images)):
            failed += bool(prediction.error)
            file.write(json.dumps(prediction.to_dict(), ensure_ascii=False) + "\n")
    if isinstance(predictor.model, FastClassifier) and predictor.model.failure:
        console.print(f"warning: not compiled after all ({predictor.model.failure})")
    if out is not None:
        console.print(f"{len(images):,} pictures -> {out}")
    return failed


def _explained(
    predictor: Predictor, images: Sequence[Path], folder: Path, labels: int
) -> Iterator[Prediction]:
    """The predictions, each after its explanation is written."""
    for prediction, explanation in predictor.stream_explained(images, labels=labels):
        if not explanation.error:
            write_explanation(folder, read_image(Path(prediction.image)), explanation)
        yield prediction


def find_images(paths: Iterable[str]) -> list[Path]:
    """The pictures that files, folders and globs name, each once, in the order given.

    Raises DataError if one of them gives none.
    """
    found: dict[Path, None] = {}
    for path in paths:
        images = _images_of(path)
        if not images:
            raise DataError(
                f"{path}: no picture (expected a picture, a folder that holds some, or a glob; "
                f"{', '.join(sorted(PICTURE_SUFFIXES))}). Correct the path."
            )
        found.update(dict.fromkeys(images))
    return list(found)


def _images_of(path: str) -> list[Path]:
    place = Path(path)
    if place.is_dir():
        return sorted(file for file in place.rglob("*") if file.suffix.lower() in PICTURE_SUFFIXES)
    if place.is_file():
        return [place]
    # Path.glob takes no absolute patterns.
    names = glob.glob(path, recursive=True)  # noqa: PTH207
    return sorted(Path(name) for name in names if Path(name).is_file())


@contextmanager
def _lines(out: Path | None) -> Iterator[TextIO]:
    """Standard output, or a file that takes its name only once it is whole."""
    if out is None:
        yield sys.stdout
        return
    with written_whole(out) as unfinished, unfinished.open("w", encoding="utf-8") as file:
        yield file
