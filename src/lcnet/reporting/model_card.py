"""The page of a shared model, in Markdown: its measurements, its limits and its cost."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from itertools import repeat
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from lcnet.errors import quoted
from lcnet.metrics.bootstrap import LEVEL
from lcnet.model.backbone import short_name
from lcnet.model_folder import ModelInfo
from lcnet.reporting.cost import Cost
from lcnet.reporting.html_page import render

FEW = 10
"""With fewer positives than this, a label's AP depends on single pictures; the card says so."""
SHOWN = 20
"""The most labels that a sentence names; the rest are counted."""
NUMBERS = {
    "mAP": 1,
    "CF1": 1,
    "OF1": 1,
    "CP": 1,
    "CR": 1,
    "OP": 1,
    "OR": 1,
    "mean_label_F1": 1,
    "example_F1": 1,
    "hamming_loss": 2,
    "ranking_loss": 2,
    "coverage_error": 2,
    "ECE": 2,
    "Brier": 4,
}
"""The numbers of metrics.json that the table shows, and their digits after the point."""


@dataclass(frozen=True)
class Card:
    """What a model card is made of; `text` is the whole file."""

    name: str
    """user/name of the repository."""
    revision: str
    """Its branch, or empty."""
    info: ModelInfo
    metrics: Mapping[str, Any]
    """The content of metrics.json, with intervals."""
    cost: Cost
    megabytes: float
    """The size of the weights' file."""
    dataset: str
    """The name of the data set."""
    license: str = ""
    """An identifier such as apache-2.0; empty if none was stated."""

    def text(self) -> str:
        """README.md of the repository: YAML between dashes, then the page."""
        return f"---\n{self._metadata().to_yaml().strip()}\n---\n\n{self._page()}\n"

    def _metadata(self) -> ModelCardData:
        """License, tags and numbers (a model-index), in the form that the hub reads."""
        intervals = self.metrics["intervals"]
        kinds = {"mAP": "mean_average_precision", "CF1": "f1", "OF1": "f1"}
        results = [
            EvalResult(
                task_type="image-classification",
                task_name="Multi-label image classification",
                dataset_type=re.sub(r"\W+", "-", self.dataset.lower()).strip("-"),
                dataset_name=self.dataset,
                dataset_split=self.metrics["split"],
                metric_type=kinds[name],
                metric_name=f"{name} ({LEVEL} % interval {low:.1f} to {high:.1f})",
                metric_value=round(self.metrics[name], 2),
            )
            for name, (low, high) in intervals.items()
        ]
        return ModelCardData(
            license=self.license or None,
            library_name="lcnet",
            pipeline_tag="image-classification",
            tags=["lcnet", "multi-label-image-classification", "image-classification"],
            metrics=sorted(set(kinds.values())),
            model_name=self.name.rpartition("/")[2],
            eval_results=results,
        )

    def _page(self) -> str:
        thresholds = set(self.info.thresholds)
        return render(
            "model_card.md",
            title=plain(self.name.rpartition("/")[2]),
            address=f"hf://{self.name}" + (f"@{self.revision}" if self.revision else ""),
            info=self.info,
            network=_network(self.info),
            version=version("lcnet"),
            training=self.info.statistics,
            dataset=plain(self.dataset),
            metrics=self.metrics,
            numbers=list(self._numbers()),
            labels=list(self._labels()),
            one_threshold=thresholds.pop() if len(thresholds) == 1 else None,
            limits=list(self._limits()),
            cost=self.cost,
            megabytes=self.megabytes,
            license=plain(self.license),
            plain=plain,
            quoted=quoted,
        )

    def _numbers(self) -> Iterator[tuple[str, str, str]]:
        """Name, value and interval of each metric."""
        for name, digits in NUMBERS.items():
            value, interval = self.metrics[name], self.metrics["intervals"].get(name)
            shown = f"{interval[0]:.1f} to {interval[1]:.1f}" if interval else ""
            yield name, "none" if value is None else f"{value:.{digits}f}", shown

    def _labels(self) -> Iterator[dict[str, str]]:
        """A row for each label, in the model's order."""
        statistics = self.info.statistics
        trained = statistics.positives if statistics else repeat(None)
        # The names of the measured data set: the model may know none of its own.
        measured = self.metrics["AP"].items()
        rows = zip(measured, self.info.thresholds, trained, strict=statistics is not None)
        for (name, ap), threshold, positives in rows:
            yield {
                "name": plain(name),
                "ap": "none" if ap is None else f"{ap:.1f}",
                "threshold": f"{threshold:.3g}",
                "tested": f"{self.metrics['positives'][name]:,}",
                "trained": "unknown" if positives is None else f"{positives:,}",
            }

    def _limits(self) -> Iterator[str]:
        """What the numbers do not say, a sentence or two each."""
        metrics, split = self.metrics, plain(self.metrics["split"])
        yield (
            f"The numbers come from {metrics['images']:,} pictures of one data set. Nothing was "
            "measured on pictures from other cameras, places or times: measure the model on your "
            "own with `lcnet evaluate` before you rely on it."
        )
        yield (
            "The intervals show how much the numbers depend on which pictures were measured. They "
            "do not show how much another training with another seed would differ."
        )
        yield from self._split_limits(split)
        counts = metrics["positives"]
        few = [name for name, count in counts.items() if 0 < count < FEW]
        if metrics["labels_without_positive"]:
            yield (
                f"No picture of {split} shows {_names(metrics['labels_without_positive'])}: "
                "nothing was measured of them, and they are left out of every mean over labels."
            )
        if without_absent := metrics.get("labels_without_absent"):
            yield (
                f"No picture of {split} is known not to show {_names(without_absent)}: nothing was "
                "measured of them, and they are left out of every number."
            )
        if few:
            yield (
                f"Fewer than {FEW} pictures of {split} show {_names(few)}: their AP depends "
                "on single pictures."
            )
        if statistics := self.info.statistics:
            rare = zip(self.info.labels, statistics.positives, strict=True)
            unseen = [name for name, positives in rare if positives == 0]
            if unseen:
                yield f"No picture of training shows {_names(unseen)}: it cannot be learned."
        yield (
            "The model never predicts a label that is not in the table, whatever the picture "
            "shows. Mistakes were not examined by groups of people, places or kinds of pictures."
        )

    def _split_limits(self, split: str) -> Iterator[str]:
        """What the choice of the measured split means for its numbers."""
        role = self.metrics["role"]
        if role == "train":
            yield (
                f"The model was trained on {split}. It knows these pictures, so expect less on "
                "others."
            )
        elif role == "val":
            yield f"The best epoch was picked on {split}: expect a little less on other pictures."
        given, own = self.metrics["threshold"], self.info.thresholds
        if (tuple(given) if isinstance(given, list) else (given,) * len(own)) != own:
            yield (
                "The rates above were not measured at the model's own thresholds (in the table of "
                "labels), so its predictions have other rates."
            )
        calibration = self.info.calibration
        if calibration and f" on {self.metrics['split']} (" in calibration.source:
            yield (
                f"Thresholds and probabilities were fitted on {split} too, so its rates at the "
                "threshold, ECE and Brier score are better than other pictures will give."
            )
        if calibration and not self.metrics["calibration"]:
            yield (
                f"The protocol {self.metrics['protocol']} takes uncalibrated probabilities. The "
                "model's own are calibrated, so it has other rates, ECE and Brier score."
            )


def plain(text: str) -> str:
    """The text as one line of Markdown, with all special characters escaped."""
    return re.sub(r"([\\`*_\[\]<>|#&])", r"\\\1", " ".join(text.split()))


def _names(labels: list[str]) -> str:
    """The labels as a list within a sentence."""
    shown = ", ".join(plain(label) for label in labels[:SHOWN])
    more = len(labels) - SHOWN
    return f"{shown} and {more:,} more labels" if more > 0 else shown


def _network(info: ModelInfo) -> str:
    """Head and backbone, or those of each model of an ensemble, each kind once."""
    models = [member.model for member in info.members] or [info.model]
    kinds = dict.fromkeys(f"{one.head} on\n{plain(short_name(one.backbone))}" for one in models)
    mean = f"The mean of {len(models)} models: " if info.members else ""
    return mean + "; ".join(kinds)
