"""A trained model from pictures to labels, for Python and for all verbs that predict."""

import io
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lcnet.compute import Precision, chosen_precision, rounding_text, usual_device
from lcnet.config import MOST_WORKERS
from lcnet.data.array_pictures import pixels_of_array
from lcnet.data.containers import ParquetRow, Slice
from lcnet.data.decoding import Pixels, Unfit, as_shown, read_pixels, upright_pixels, upright_size
from lcnet.data.loading import available_cores, chosen_workers, stack_images
from lcnet.data.sources import Picture, writable
from lcnet.data.transforms import Normalize, Transform, eval_transform
from lcnet.errors import ConfigError, DataError, reason_of
from lcnet.exporting.engine_files import engine, kept_table, require_table
from lcnet.exporting.engine_table import EngineTable, Wanted
from lcnet.exporting.onnx_model import SUFFIX as ONNX
from lcnet.exporting.onnx_model import OnnxModel
from lcnet.exporting.openvino_model import SUFFIX as OPENVINO
from lcnet.exporting.openvino_model import OpenVinoModel
from lcnet.files import AnyPath
from lcnet.metrics.calibration import probabilities
from lcnet.model.classifier import Classifier
from lcnet.model.evidence import Evidence
from lcnet.model.fast import FastClassifier
from lcnet.model_folder import ModelInfo, load_model, local_model, read_info, require_single
from lcnet.model_folder.joined import join
from lcnet.model_folder.known_errors import set_known_errors
from lcnet.predicting.embedding_files import Embedding
from lcnet.predicting.given import Given, Known, check_known, named
from lcnet.predicting.picture_explanation import PictureExplanation, explain_picture
from lcnet.predicting.prediction import Prediction
from lcnet.predicting.selection import selection

Run = Callable[[Tensor], Tensor]
"""Normalised images (B C size size) to the logits (B L) of what they alone show."""


TOLD, MOST_TOLD = 0.1, 3
"""Least change of a calibrated logit for which a known label is named, and how many of a label."""


class Predictor:
    """A trained model that takes pictures and returns their labels."""

    def __init__(
        self,
        model: AnyPath | Sequence[AnyPath],
        *,
        batch_size: int = 32,
        workers: int = 0,
        device: str = "",
        precision: Precision | Literal["auto"] = "fp32",
        compiled: bool = False,
        known_errors: float = 0.0,
        runtime: Wanted = "torch",
    ) -> None:
        """Load a run or model folder, hf://user/name, or a file that `lcnet export` wrote.

        The file is ONNX or OpenVINO's .xml.

        Several folders in a list are one model, the mean of their logits; it is not calibrated, and
        they must have the same labels and preprocessing (ConfigError).

        `device` is by default cuda if there is one, else cpu; for an ONNX file it is cpu. `workers`
        are loader processes; -1 chooses by the number of cores. A folder's model runs in its
        fastest form: in fp32 with equal results, in bf16, or with `auto` in bf16 if the device is
        fast in it and the folder says that it changes little. `compiled` takes minutes at first.
        `known_errors` is the share of known labels that are wrong, such as 0.02; it needs a folder
        with evidence.
        `runtime` runs a folder's network: torch, or on the CPU another one that `lcnet predict
        --runtime measure` compared with torch here, or the fastest of them (auto; torch if nothing
        was measured); only torch's form is compiled. Raises CheckpointError if the folder or file
        cannot be read.
        """
        if batch_size < 1 or not -1 <= workers <= MOST_WORKERS:
            raise ConfigError(
                f"--batch_size, --workers: expected at least 1 and -1 to {MOST_WORKERS:,}, "
                f"got {batch_size} and {workers}."
            )
        loaded = None
        if isinstance(model, str | os.PathLike):
            self.path = local_model(model)
        else:
            if known_errors:
                raise ConfigError(
                    "--known_errors: expected one model that says what known labels tell of the "
                    "others, got several. Make them one with lcnet ensemble, and fit that with "
                    "lcnet calibrate --evidence."
                )
            joined = join([local_model(one) for one in model])
            self.path = Path(" + ".join(map(str, model)))
            self.info, loaded = joined.info, joined.load()
        self.model: FastClassifier | OnnxModel | OpenVinoModel
        """Normalised images (B C size size) to logits (B L)."""
        self.measured: EngineTable | None = None
        """What was measured of the runtimes on this machine; None if nothing was, or needed."""
        if loaded is None and is_exported(self.path):
            if known_errors:
                raise ConfigError(
                    f"--known_errors {known_errors:g}: expected a run or model folder, got "
                    f"{self.path}, an exported file, which takes each known label as right. Give "
                    "the folder that it was exported from."
                )
            self.model = _exported(self.path, device or "cpu", runtime)
            self.info, self.device = self.model.info, torch.device("cpu")
        else:
            is_folder = loaded is None
            if loaded is None:
                self.info, loaded = read_info(self.path), load_model(self.path)
            self.device = torch.device(device) if device else usual_device()
            arithmetic, other = chosen_precision(precision, self.device, self.info.rounding), None
            if self._may_leave_torch(runtime, is_folder=is_folder):
                self.measured = self._table(runtime)
            if self.measured is not None:
                chosen, arithmetic = self.measured.choice(runtime, precision, self.info.rounding)
                other = engine(self.path, self.info, chosen, arithmetic)
            self.model = FastClassifier(
                set_known_errors(loaded, known_errors, self.path).to(self.device),
                precision=arithmetic,
                compiled=compiled and other is None,
                engine=other,
            )
        rules = self.info.rules
        self.rules = rules.on(self.info.labels) if rules else None
        """Rules between labels, by their places, which decisions keep."""
        self.precision = self.model.precision
        self.normalize = Normalize(self.info.preprocessing).to(self.device)
        self.batch_size = batch_size
        self.workers = chosen_workers(workers)

    def _may_leave_torch(self, runtime: Wanted, *, is_folder: bool) -> bool:
        """Whether another runtime may run the network. Raises ConfigError if a named one cannot."""
        if runtime == "torch":
            return False
        reasons = {
            "one model's folder, got several": not is_folder,
            f"the CPU, got {self.device}": self.device.type != "cpu",
        }
        for reason, applies in reasons.items():
            if applies and runtime != "auto":
                raise ConfigError(f"--runtime {runtime}: expected {reason}. Use --runtime torch.")
        return not any(reasons.values())

    def _table(self, runtime: Wanted) -> EngineTable | None:
        if runtime == "auto":
            return kept_table(self.path, self.info)
        return require_table(self.path, self.info, runtime)

    def __call__(
        self,
        images: Iterable[Given],
        *,
        known: Known | None = None,
        top: int = 0,
        only: str | Sequence[str] = (),
    ) -> list[Prediction]:
        """One prediction per picture, in order: a path, bytes, an open file, an array, a PIL image.

        Arrays are H W or H W C in NumPy, H W or C H W in torch, in RGB: uint8, or other values in
        the model's pixel range. An open file is binary and read from where it stands; a path's name
        is its `image`, else the position in the input. A picture that cannot be read gives a
        prediction with `error`. With `top`, a prediction has that many labels, the most probable
        first; with `only`, these labels.

        `known` are labels that are known to be present or absent, such as `{"dog": True}`, for all
        pictures or one for each. Their probability is 1 or 0, and they move the others if the model
        was given that (`lcnet calibrate --evidence`). Raises ConfigError for one picture in place
        of several, or for a name that is no label.
        """
        return list(self.stream(images, known=known, top=top, only=only))

    def stream(
        self,
        images: Iterable[Given],
        *,
        known: Known | None = None,
        top: int = 0,
        only: str | Sequence[str] = (),
    ) -> Iterator[Prediction]:
        """The same predictions, one at a time as they are ready."""
        shown = selection(self.info.labels, top=top, only=only)
        for _, prediction in self._predicted(images, known=known):
            yield shown(prediction)

    def embed(self, images: Iterable[Given]) -> Embedding:
        """The embedding of each picture: N C, float32, in order; pictures as in `__call__`.

        It is the mean of the backbone's last feature map (C channels) over all places of all views,
        not normalised, in the model's arithmetic. Raises DataError for a picture that cannot be
        read, and ConfigError for an ensemble and an ONNX file, which gives logits alone.
        """
        rows = [np.empty((0, self.embedding_length), np.float32)]
        for prediction, embedding in self.stream_embedded(images):
            if embedding is None:
                raise DataError(f"picture {prediction.image}: {prediction.error}")
            rows.append(embedding[None])
        return np.concatenate(rows)

    @property
    def embedding_length(self) -> int:
        """How many numbers an embedding has; raises ConfigError as `embed` does."""
        return self._embedding_model().embedding_length

    def stream_embedded(
        self, images: Iterable[Given]
    ) -> Iterator[tuple[Prediction, Embedding | None]]:
        """Predictions and embeddings (C, float32) from one pass of the model, as they are ready.

        A picture that cannot be read has None. Raises ConfigError as `embed` does.
        """
        model, made = self._embedding_model(), deque[Embedding]()

        def logits(batch: Tensor) -> Tensor:
            scores, embeddings = model.with_embeddings(batch)
            made.extend(embeddings.cpu().numpy())
            return scores

        for _, prediction in self._predicted(images, run=logits):
            yield prediction, None if prediction.error else made.popleft()

    def stream_logits(
        self, images: Iterable[Given]
    ) -> Iterator[tuple[Prediction, NDArray[np.float32] | None]]:
        """Predictions and what the pictures alone gave: logits (L, float32), as they are ready.

        `given` makes other predictions of the logits without looking at the picture again. A
        picture that cannot be read has None. Raises ConfigError for an ONNX file, in which known
        labels and pictures go through the same graph.
        """
        made = deque[NDArray[np.float32]]()
        for _, prediction in self._predicted(images, run=_keeping(self._in_parts(), made)):
            yield prediction, None if prediction.error else made.popleft()

    def given(
        self, logits: NDArray[np.float32], known: Mapping[str, bool], *, name: str = ""
    ) -> Prediction:
        """The prediction of a picture of which `stream_logits` gave the logits, given known labels.

        It is that of `__call__` with `known`, but costs no pass of the network. Raises ConfigError
        as `stream_logits` does, and for a name that is no label.
        """
        check_known(known, self.info.labels)
        states, moved = self._states([known]), torch.from_numpy(logits)[None].to(self.device)
        told: dict[str, dict[str, float]] = {}
        if states is not None:
            model = self._in_parts()
            told = next(self._told(moved, states), {})
            moved = model.given(moved, states)
        [row] = probabilities(moved, self.info.calibration).tolist()
        return replace(self._describe(name, row, known), told=told)

    def judged(self, logits: NDArray[np.float32], known: Mapping[str, bool]) -> NDArray[np.float32]:
        """What the picture and the *other* known labels say of each label: probabilities (L).

        A known label is judged as if it were blank, where `given` has 1 or 0; so a wrong one shows.
        The rest is as from `given`. Arguments and errors are those of `given`.
        """
        check_known(known, self.info.labels)
        states, alone = self._states([known]), torch.from_numpy(logits)[None].to(self.device)
        evidence = self.evidence
        if states is not None and evidence is not None:
            with torch.inference_mode():
                alone = evidence.moved(alone, states)
        found: NDArray[np.float32] = probabilities(alone, self.info.calibration)[0].cpu().numpy()
        return found

    @property
    def evidence(self) -> Evidence | None:
        """What known labels say of the others, as `lcnet calibrate --evidence` fitted it.

        None if it was not fitted. Raises ConfigError as `stream_logits` does.
        """
        return self._in_parts().classifier.evidence

    @property
    def takes_known(self) -> bool:
        """Whether known labels move the others; else they come back as given, and that is all."""
        if isinstance(self.model, FastClassifier):
            return self.evidence is not None
        return self.model.takes_known

    def _in_parts(self) -> FastClassifier:
        """The model, whose network and evidence can be run one without the other."""
        if isinstance(self.model, FastClassifier):
            return self.model
        raise ConfigError(
            f"{self.path}: expected a run or model folder, got an exported file, which cannot "
            "take known labels without the picture. Give the folder that it was exported from."
        )

    def _embedding_model(self) -> FastClassifier:
        require_single(self.info, self.path, "embeddings")
        if isinstance(self.model, FastClassifier):
            return self.model
        raise ConfigError(
            f"{self.path}: expected a run or model folder to make embeddings with, got an exported "
            "file, which gives logits alone. Give the folder that it was exported from."
        )

    def explain(self, images: Iterable[Given], *, labels: int = 5) -> list[PictureExplanation]:
        """Why each picture got its labels: heat maps and the labels that moved the scores.

        At most `labels` labels per picture, the most probable. A picture that cannot be read gives
        an explanation with `error`. Each label takes one backward pass of the model.
        """
        return [explanation for _, explanation in self.stream_explained(images, labels=labels)]

    def stream_explained(
        self, images: Iterable[Given], *, labels: int = 5
    ) -> Iterator[tuple[Prediction, PictureExplanation]]:
        """Predictions and their explanations, one picture at a time as they are ready.

        Raises ConfigError for an ONNX file, which gives logits alone, and for an ensemble.
        """
        if labels < 1:
            raise ConfigError(f"--explain_labels: expected at least 1, got {labels}.")
        self.classifier  # noqa: B018 -- fails before the first picture is read
        for picture, prediction in self._predicted(images, measured=True):
            yield prediction, self._explain(picture, prediction, labels)

    @property
    def explains(self) -> bool:
        """Whether it can explain; an ONNX file and an ensemble cannot."""
        return self.model.explains

    @property
    def how(self) -> str:
        """How it computes, in words: what bfloat16 changes, and why it takes this runtime."""
        rounding = rounding_text(self.precision, self.device, self.info.rounding)
        if self.measured is None or not isinstance(self.model, FastClassifier):
            return f"{self.model}{rounding}"
        if self.model.engine is None:
            return f"{self.model}{rounding}; {self.measured.why('torch', self.precision)}"
        return f"{self.model}: {self.measured.why(self.model.engine.runtime, self.precision)}"

    @property
    def views_taken(self) -> str:
        """How many views a picture took so far, in words.

        Empty if the model looks at all of them, or if another runtime than torch does.
        """
        return self.model.views_taken if isinstance(self.model, FastClassifier) else ""

    @property
    def failure(self) -> str:
        """Why compilation failed; empty if it did not, or before the first prediction."""
        return self.model.failure

    @cached_property
    def classifier(self) -> Classifier:
        """The model in the form that can explain; loaded on first use.

        Raises ConfigError for an ONNX file or an ensemble.
        """
        require_single(self.info, self.path, "explanations")
        if not self.explains:
            raise ConfigError(
                f"{self.path}: expected a run or model folder to explain with, got an exported "
                "file. Give the folder that it was exported from."
            )
        return load_model(self.path).to(self.device)

    def score_pixels(
        self,
        names: Sequence[str],
        pixels: Sequence[Tensor],
        known: Sequence[Mapping[str, bool]] = (),
    ) -> list[tuple[Prediction, NDArray[np.float32] | None]]:
        """A prediction per picture that `eval_transform` returned (C H W, uint8), and its logits.

        They go through the model together, whatever the batch size. `known` are labels that are
        known to be present or absent, of each picture. The logits (L) are those of the picture
        alone, from which `given` makes other predictions; None for an exported file.
        """
        pictures = [
            _Sample(name, tensor, known=of_picture)
            for name, tensor, of_picture in zip(
                names, pixels, known or [{}] * len(names), strict=True
            )
        ]
        if not isinstance(self.model, FastClassifier):
            return [(prediction, None) for prediction in self._predict(pictures)]
        made = deque[NDArray[np.float32]]()
        predicted = list(self._predict(pictures, _keeping(self.model, made)))
        return list(zip(predicted, made, strict=True))

    def explain_predicted(
        self, image: Pixels, prediction: Prediction, labels: int
    ) -> PictureExplanation:
        """The explanation of a known prediction for `read_pixels`'s picture; else as `explain`."""
        pixels = eval_transform(self.info.preprocessing)(image)
        picture = _Sample(prediction.image, pixels, size=as_shown(image).size)
        return self._explain(picture, prediction, labels)

    def _explain(self, picture: "_Sample", prediction: Prediction, most: int) -> PictureExplanation:
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
            decided=prediction.labels,
            most=most,
            fit=self.info.fit,
        )
        has_graph = self.classifier.label_graph() is not None
        return PictureExplanation(picture.name, size, labels, left_out, has_graph)

    def _predicted(
        self,
        images: Iterable[Given],
        *,
        known: Known | None = None,
        measured: bool = False,
        run: Run | None = None,
    ) -> "Iterator[tuple[_Sample, Prediction]]":
        decoded = _Decoded(eval_transform(self.info.preprocessing), measured=measured)
        pictures = named(images, known, self.info.labels)
        for batch in self._batches(decoded, pictures):
            yield from zip(batch, self._predict(batch, run), strict=True)

    def _batches(
        self, decoded: "_Decoded", pictures: "Iterable[Picture]"
    ) -> "Iterator[list[_Sample]]":
        """The pictures in batches; only those being worked on are in memory."""
        if self.workers:
            yield from DataLoader(
                decoded,
                self.batch_size,
                sampler=pictures,
                num_workers=self.workers,
                collate_fn=list[_Sample],
            )
            return
        # A batch is decoded on all cores, and then goes through the model on all cores. Decoding
        # the next one meanwhile would take cores from the model, whose threads wait for each other.
        waiting = iter(pictures)
        with ThreadPoolExecutor(min(torch.get_num_threads(), available_cores())) as threads:
            while batch := list(islice(waiting, self.batch_size)):
                yield list(threads.map(decoded.__getitem__, batch))

    def _predict(self, batch: "list[_Sample]", run: Run | None = None) -> Iterator[Prediction]:
        tensors = [picture.tensor for picture in batch if picture.tensor is not None]
        rows: Iterator[list[float]] = iter(())
        told: Iterator[dict[str, dict[str, float]]] = iter(())
        if tensors:
            states = self._states([each.known for each in batch if each.tensor is not None])
            with torch.inference_mode():
                images = self.normalize(stack_images(tensors))
                if isinstance(self.model, FastClassifier):
                    logits = (run or self.model)(images)
                    if states is not None:
                        told = self._told(logits, states)
                        logits = self.model.given(logits, states)
                else:
                    logits = self.model(images, states)
            rows = iter(probabilities(logits, self.info.calibration).tolist())
        for picture in batch:
            if picture.tensor is None:
                yield Prediction(picture.name, error=picture.error)
            else:
                described = self._describe(picture.name, next(rows), picture.known)
                yield replace(described, told=next(told, {})) if picture.known else described

    def _states(self, known: Sequence[Mapping[str, bool]]) -> Tensor | None:
        """What is known of each picture (B L: 1, -1 and 0); None if nothing is."""
        if not any(known):
            return None
        place = {label: number for number, label in enumerate(self.info.labels)}
        states = torch.zeros(len(known), len(place), dtype=torch.int8)
        for row, of_picture in enumerate(known):
            for label, is_present in of_picture.items():
                states[row, place[label]] = 1 if is_present else -1
        return states.to(self.device)

    def _told(self, alone: Tensor, states: Tensor) -> Iterator[dict[str, dict[str, float]]]:
        """What known labels add to others, for each picture of which something is known."""
        found = self._in_parts().told(alone, states)
        if found is None:
            return
        labels, (moves, sources) = self.info.labels, found
        for picture in torch.nonzero((states != 0).any(dim=1)).flatten().tolist():
            told: dict[str, dict[str, float]] = {}
            loud = (moves[picture].abs() >= TOLD) & (states[picture] == 0)[:, None]
            for label, place in torch.nonzero(loud).tolist():
                of_label = told.setdefault(labels[label], {})
                of_label[labels[sources[label, place]]] = float(moves[picture, label, place])
            yield {label: _strongest(of, MOST_TOLD) for label, of in told.items()}

    def _describe(self, name: str, row: list[float], known: Mapping[str, bool]) -> Prediction:
        # In float32, as the rates are measured: see `predict_at`.
        thresholds, labels = np.array(self.info.thresholds, np.float32).tolist(), self.info.labels
        shown = [place for place, value in enumerate(row) if value > thresholds[place]]
        if self.rules is not None:
            shown = self.rules.keep(shown, row)
        ranked = sorted(shown, key=lambda place: -row[place])
        probabilities = dict(zip(labels, row, strict=True))
        names = tuple(labels[place] for place in ranked)
        return Prediction(name, names, probabilities, known=dict(known))


def _keeping(model: FastClassifier, made: "deque[NDArray[np.float32]]") -> Run:
    """The model, which also adds each picture's logits (L, float32) to `made`."""

    def run(batch: Tensor) -> Tensor:
        logits = model(batch)
        made.extend(logits.float().cpu().numpy())
        return logits

    return run


def is_exported(model: Path) -> bool:
    """Whether a model is a file that `lcnet export` wrote, not a folder."""
    return model.suffix in (ONNX, OPENVINO) or model.is_file()


def _exported(file: Path, device: str, runtime: Wanted) -> OnnxModel | OpenVinoModel:
    own: Wanted = "openvino" if file.suffix == OPENVINO else "onnxruntime"
    if runtime not in ("auto", "torch", own):
        raise ConfigError(
            f"--runtime {runtime}: expected {own} for {file}. Leave --runtime out, or give the "
            "folder that the file was exported from."
        )
    if own == "onnxruntime":
        return OnnxModel(file, device=device)
    if torch.device(device).type != "cpu":
        raise ConfigError(f"device: expected cpu for {file}, got {device}. Leave it out.")
    return OpenVinoModel(file)


def readable(pictures: Iterable[Picture], info: ModelInfo, most: int) -> list[Tensor]:
    """The pixels (C size size, uint8) of the first `most` pictures that can be read."""
    decode = _Decoded(eval_transform(info.preprocessing))
    samples = (decode[picture].tensor for picture in pictures)
    return list(islice((one for one in samples if one is not None), most))


def _strongest(changes: dict[str, float], most: int) -> dict[str, float]:
    return dict(sorted(changes.items(), key=lambda one: -abs(one[1]))[:most])


@dataclass(frozen=True)
class _Sample:
    name: str
    tensor: Tensor | None
    error: str = ""
    size: tuple[int, int] | None = None
    """Width and height of a picture in memory; None for a file, which may be decoded smaller."""
    known: Mapping[str, bool] = field(default_factory=dict)


class _Decoded(Dataset[_Sample]):
    """Pictures to tensors; one that cannot be read is an item too, so that it stops no other."""

    def __init__(self, transform: Transform, *, measured: bool = False) -> None:
        """With `measured`, pictures that are no files of their own have their size."""
        self.transform = transform
        self.measured = measured

    def __getitem__(self, picture: Picture) -> _Sample:
        try:
            upright, whole = self._upright(picture)
        except (DataError, OSError, Unfit) as error:
            return _Sample(picture.name, None, writable(str(error)))
        return _Sample(picture.name, self.transform(upright), size=whole, known=picture.known)

    def _upright(self, picture: Picture) -> tuple[Pixels, tuple[int, int] | None]:
        """The picture's pixels, and its whole size if it is in memory."""
        content, size, form = picture.content, self.transform.decode_size, self.transform.form
        if isinstance(content, DataError):
            raise content
        if isinstance(content, Path):
            return read_pixels(content, size=size, form=form), None
        if isinstance(content, np.ndarray | Tensor):
            upright = pixels_of_array(content, form)
            return upright, as_shown(upright).size
        if isinstance(content, Image.Image):
            try:
                upright = upright_pixels(content, form)
            except ValueError as error:  # it was closed
                raise DataError(f"{reason_of(error)}.") from None
            return upright, as_shown(upright).size
        data = content.read() if isinstance(content, Slice | ParquetRow) else content
        upright = read_pixels(Path(picture.name), size=size, data=data, form=form)
        return upright, upright_size(io.BytesIO(data)) if self.measured else None
