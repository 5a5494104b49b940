"""A report made by hand for several test files: no model, no training."""

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
from PIL import Image

from lcnet.config import Config, Data, Model
from lcnet.data.dataset import Sample, Split
from lcnet.data.statistics import count_labels
from lcnet.evaluating.measuring import Measured
from lcnet.metrics import verify
from lcnet.metrics.bootstrap import intervals
from lcnet.model.backbone import BackboneSpec
from lcnet.model.graph_matrices import GraphMatrices
from lcnet.model_folder import ModelInfo
from lcnet.reporting.run_report import RunReport

LABELS = ("cat", "dog", "sofa", "lamp")


def made_report(root: Path, labels: tuple[str, ...] = LABELS, images: int = 40) -> RunReport:
    """Labels of 40 small pictures; some entries are unknown, and the last label has no positive."""
    rng = np.random.default_rng(0)
    targets = rng.choice(np.array([1, 0, -1], np.int8), (images, len(labels)), p=[0.4, 0.5, 0.1])
    targets[:, -1] = np.minimum(targets[:, -1], 0)
    probabilities = np.clip(rng.normal(0.3 + 0.4 * (targets == 1), 0.2), 0, 1).astype(np.float32)
    samples = []
    for number in range(images):
        path = root / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(256, size=(8, 8, 3), dtype=np.uint8)).save(path)
        samples.append(Sample(path, f"val.csv:{number + 2}"))
    model = Model(backbone="test_resnet", pretrained=False, view_size=32)
    statistics = count_labels(targets)
    data = Data(format="table", root=str(root), train="train.csv", val="val.csv", test="")
    thresholds = np.linspace(0.4, 0.6, len(labels))
    measured = Measured(
        info=ModelInfo(labels, model, BACKBONE, tuple(thresholds), statistics),
        data=data,
        samples=Split(labels, tuple(samples), targets, "val.csv"),
        protocol="",
        calibration=None,
        probabilities=probabilities,
        targets=targets,
        verification=verify(probabilities, targets, labels, threshold=thresholds),
    )
    prior = statistics.conditional_probability()
    prior /= prior.sum(axis=1, keepdims=True)
    return RunReport(
        name="run",
        folder="run",
        measured=measured,
        intervals=intervals(probabilities, targets, threshold=thresholds, resamples=20),
        resamples=20,
        statistics={"training": statistics, "val.csv": statistics},
        history=[
            {
                "epoch": n,
                "train_loss": 1 / (n + 1),
                "val_mAP": 50 + n,
                "best_mAP": 50 + n,
                "lr": 0.1,
            }
            for n in range(3)
        ],
        config=Config(model=model, data=data),
        graph=GraphMatrices(prior, np.roll(prior, 1, axis=0), is_comparable=True),
        cautions=("a caution",),
        notes=(),
        environment={"written": "today"},
    )


BACKBONE = BackboneSpec.from_dict(
    {
        "architecture": "test_resnet",
        "options": {},
        "mean": [0.5] * 3,
        "std": [0.5] * 3,
        "interpolation": "bilinear",
        "leaky_slope": None,
    }
)


def renamed(report: RunReport, labels: tuple[str, ...]) -> RunReport:
    """The same report with other label names."""
    measured = report.measured
    return replace(
        report,
        measured=replace(
            measured,
            samples=replace(measured.samples, labels=labels),
            verification=replace(measured.verification, labels=labels),
        ),
    )


class Page(HTMLParser):
    """What stands in an HTML file: its tags with their attributes, its text, its tables."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.is_in_cell = False
        self.feed(file.read_text(encoding="utf-8"))

    @property
    def text(self) -> str:
        """All of it, with one space between words."""
        return " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        match tag:
            case "table":
                self.tables.append([])
            case "tr":
                self.tables[-1].append([])
            case "td" | "th":
                self.tables[-1][-1].append("")
                self.is_in_cell = True

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.is_in_cell = False

    def handle_data(self, data):
        self.words.append(data)
        if self.is_in_cell:
            self.tables[-1][-1][-1] = (self.tables[-1][-1][-1] + data).strip()
