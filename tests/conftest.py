"""Fixtures of all tests. It imports no torch: the process that starts the workers reads it too."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from jsonargparse import ArgumentParser
from PIL import Image
from tests.tiny import TINY

from lcnet.cli import build_parser
from lcnet.config import Config, Data, Train
from lcnet.freed_memory import keep_freed_memory

keep_freed_memory()

COLOURS = {"red": (200, 40, 40), "green": (40, 180, 60), "blue": (40, 60, 200)}


@pytest.fixture
def colour_table(tmp_path: Path) -> Path:
    """A table of 24 px pictures; quarters of them are red, green and blue, or none."""
    return draw_colours(tmp_path / "colours")


def draw_colours(root: Path) -> Path:
    """What `colour_table` is, in a folder of one's own."""
    rng = np.random.default_rng(0)
    (root / "images").mkdir(parents=True)
    for split, count in (("train", 24), ("val", 12)):
        rows = ["image,red,green,blue"]
        for index in range(count):
            shown = [int(value) for value in rng.random(3) < 0.5]
            pixels = rng.integers(90, 110, size=(24, 24, 3)).astype(np.uint8)
            for corner, (colour, present) in enumerate(zip(COLOURS.values(), shown, strict=True)):
                if present:
                    top, left = 12 * (corner // 2), 12 * (corner % 2)
                    pixels[top : top + 12, left : left + 12] = colour
            name = f"images/{split}{index}.png"
            Image.fromarray(pixels).save(root / name)
            rows.append(",".join([name, *map(str, shown)]))
        (root / f"{split}.csv").write_text("\n".join(rows) + "\n")
    return root


def one_table(root: Path) -> Path:
    """The pictures of `draw_colours` as a person lists them: one table, filename;labels."""
    draw_colours(root)
    rows = ["filename;labels"]
    for table in (root / "train.csv", root / "val.csv"):
        for line in table.read_text().splitlines()[1:]:
            name, *shown = line.split(",")
            present = [colour for colour, is_in in zip(COLOURS, shown, strict=True) if int(is_in)]
            rows.append(f"{name};{','.join(present)}")
        table.unlink()
    (root / "labels.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture
def tiny_config(colour_table: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """A run of seconds on the colours: two epochs of a random test_resnet on 32 px views.

    The intervals of its report are from few resamples.
    """
    few_resamples(monkeypatch)
    return colours_config(colour_table)


def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a report's intervals be from 20 resamples."""
    monkeypatch.setattr("lcnet.reporting.gather_report.RESAMPLES", 20)
    monkeypatch.setattr("lcnet.reporting.gather_report.FEWEST_RESAMPLES", 20)


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `colours` and `run`, the run that `tiny_config` trains: only to be copied."""
    from lcnet.runs.train import train

    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        few_resamples(patch)
        train(colours_config(draw_colours(folder / "colours")), folder / "run")
    return folder


@pytest.fixture(scope="session")
def onnx_once(trained_once: Path) -> Path:
    """`trained_once`'s run as ONNX, beside it: only to be copied."""
    from lcnet.exporting.export import export

    return export(trained_once / "run", out=trained_once / "model.onnx", limit=4)


@pytest.fixture
def trained(trained_once: Path, tiny_config: Config, tmp_path: Path) -> Path:
    """A run of one's own, as `train(tiny_config, tmp_path / "run")` leaves it, trained once."""
    run = shutil.copytree(trained_once / "run", tmp_path / "run")
    for name in ("config.yaml", "metrics.json", "report.html"):
        text = (run / name).read_text(encoding="utf-8")
        text = text.replace(str(trained_once / "colours"), tiny_config.data.root)
        (run / name).write_text(text, encoding="utf-8")
    return run


@pytest.fixture
def exported(onnx_once: Path, trained: Path) -> Path:
    """`trained`'s `model.onnx`, as `export` leaves it there, exported once."""
    return shutil.copy(onnx_once, trained / "model.onnx")


def colours_config(root: Path) -> Config:
    """What `tiny_config` is, of a folder that `draw_colours` has filled."""
    return Config(
        model=TINY,
        data=Data(
            format="table",
            root=str(root),
            train="train.csv",
            val="val.csv",
            test="val.csv",
            workers=0,
        ),
        train=Train(epochs=2, batch_size=8, lr=2e-3, ema_decay=0.9, calibrate=False),
    )


@pytest.fixture(scope="session")
def parser() -> ArgumentParser:
    """The parser of all verbs, which takes most of a second to build: only to parse with."""
    return build_parser()


@pytest.fixture
def read_json():
    """Reads a JSON file."""
    return lambda path: json.loads(Path(path).read_text(encoding="utf-8"))


def with_train(config: Config, **changes: object) -> Config:
    """The config with other settings of its recipe."""
    return replace(config, train=replace(config.train, **changes))


@pytest.fixture
def no_report(monkeypatch):
    """Writes no charts in a run's report, since they take longer than a small run."""
    monkeypatch.setattr(
        "lcnet.reporting.gather_report.report_on",
        lambda run, measured, file: file.write_text("report"),
    )
