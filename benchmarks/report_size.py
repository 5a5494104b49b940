"""Measures how long a report of a large split takes, and how large its file is.

    python -m benchmarks.report_size --out FILE [--images 40504] [--labels 80]

Predictions and label correlations are made up, and there are no pictures to show. So it measures
all that comes after predicting.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from scipy.special import expit

from lcnet.config import Config, Data, Model
from lcnet.data.dataset import Sample, Split
from lcnet.data.statistics import count_labels
from lcnet.evaluating.measuring import Measured
from lcnet.metrics import verify
from lcnet.model.backbone import describe_backbone
from lcnet.model.build import build_model
from lcnet.model_folder import ModelFolder, ModelInfo
from lcnet.reporting.gather_report import report_on


def measured(images: int, labels: int) -> Measured:
    """Labels that come in groups of five, about three to a picture, and fair predictions."""
    rng = np.random.default_rng(0)
    groups = rng.random((images, -(-labels // 5))) < 0.12
    targets = np.repeat(groups, 5, axis=1)[:, :labels] & (rng.random((images, labels)) < 0.35)
    targets = targets.astype(np.int8)
    logits = rng.normal(5.0 * targets - 4, 1.6).astype(np.float32)
    names = tuple(f"label {number}" for number in range(labels))
    samples = tuple(Sample(Path(f"{number}.jpg")) for number in range(images))
    settings = Model(backbone="test_resnet", pretrained=False, view_size=32)
    info = ModelInfo(
        labels=names,
        model=settings,
        backbone=describe_backbone(settings.backbone, settings.view_size),
        thresholds=(0.5,) * labels,
        statistics=count_labels(targets),
    )
    probabilities = expit(logits)
    return Measured(
        info=info,
        data=Data(format="table", train="train", val="val", test="val"),
        samples=Split(names, samples, targets, "val"),
        protocol="",
        calibration=None,
        probabilities=probabilities,
        targets=targets,
        verification=verify(probabilities, targets, names),
    )


def main() -> None:
    """Write the report and print its size and time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--images", type=int, default=40_504)
    parser.add_argument("--labels", type=int, default=80)
    arguments = parser.parse_args()
    measurements = measured(arguments.images, arguments.labels)
    run = arguments.out.parent / f"{arguments.out.stem}_model"
    info = measurements.info
    settings, spec = info.model, info.backbone
    assert info.statistics is not None
    prior = torch.from_numpy(info.statistics.conditional_probability())
    model = build_model(settings, arguments.labels, spec=spec, prior=prior)
    ModelFolder(run / "model").save(model, info)
    Config(model=settings, data=measurements.data).save(run / "config.yaml")
    start = time.perf_counter()
    report_on(run, measurements, arguments.out)
    seconds = time.perf_counter() - start
    print(f"{seconds:.1f} s, {arguments.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
