"""The examples run, with few pictures, and give what they say."""

import runpy
import sys
from pathlib import Path

import pytest

from lcnet.data.readers.digits import draw_digits
from lcnet.model_folder import load_model
from lcnet.run_folder import RunFolder

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    root = tmp_path_factory.mktemp("digits")
    draw_digits(root, train=32, val=8, test=8)
    return root


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs an example with arguments and gives what it prints; a report has few resamples."""
    monkeypatch.setattr("lcnet.reporting.gather_report.RESAMPLES", 20)
    monkeypatch.setattr("lcnet.reporting.gather_report.FEWEST_RESAMPLES", 20)

    def run(example: str, *arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", [example, *map(str, arguments)])
        runpy.run_path(str(ROOT / "examples" / example), run_name="__main__")
        return capsys.readouterr().out

    return run


def test_a_model_from_an_own_loop_is_a_model_like_any_other(run, scenes, tmp_path):
    out = tmp_path / "run"
    printed = run("own_loop.py", "--out", out, "--data", scenes, "--pictures", 32, "--epochs", 1)
    assert "validation mAP" in printed
    assert RunFolder(out).config().data.root == str(scenes)
    assert load_model(out).graph_matrices() is not None


def test_an_own_backbone(run, scenes, tmp_path):
    given = ("--out", tmp_path / "new", "--data", scenes, "--pictures", 32, "--steps", 1)
    assert "(1, 10, 128, 128)" in run("own_backbone.py", *given)
    assert (tmp_path / "new" / "weights.safetensors").is_file()


def test_predictions_of_another_program(run, tmp_path):
    (tmp_path / "truth.csv").write_text("image,cat,dog\na,1,0\nb,0,\nc,1,1\nd,0,0\n")
    (tmp_path / "said.csv").write_text(
        "image,error,dog,cat\nd,,0.1,0.2\nc,,0.9,0.8\nb,,0.5,0.1\na,,0.95,0.7\n"
    )
    printed = run(
        "own_predictions.py",
        *("--probabilities", tmp_path / "said.csv", "--targets", tmp_path / "truth.csv"),
        *("--resamples", 20),
    )
    assert "AP cat: 100.0\nAP dog: 50.0\n" in printed
    assert printed.startswith("mAP 75.0 (")
    assert "mAP above rounded predictions" in run("own_predictions.py", "--resamples", 5)


def test_a_whole_project(run, scenes, tmp_path):
    out = tmp_path / "run"
    printed = run(
        "whole_project.py", "--out", out, "--data", scenes, "--pictures", 32, "--epochs", 1
    )
    assert "000002.jpg" in printed
    assert "exported: " in printed
    assert RunFolder(out).is_finished


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_the_guide_names_every_example(example):
    assert f"`examples/{example.name}`" in (ROOT / "docs/guide/python.md").read_text()
    assert f"python examples/{example.name}" in example.read_text()
