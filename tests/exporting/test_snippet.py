"""The lines of docs/guide/export.md for plain onnxruntime say what `Predictor` says."""

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.kinds import png16

from lcnet.evaluating.calibrate import calibrate
from lcnet.exporting.onnx_model import OnnxModel
from lcnet.predicting.predictor import Predictor

GUIDE = Path(__file__).parent.parent.parent / "docs" / "guide" / "export.md"
RNG = np.random.default_rng(0)
SMOOTH = Image.fromarray(RNG.integers(0, 255, (9, 14, 3), np.uint8)).resize((140, 90))


@pytest.fixture(scope="module")
def exported(onnx_once, tmp_path_factory):
    """A calibrated model as an ONNX file."""
    run = shutil.copytree(onnx_once.parent / "run", tmp_path_factory.mktemp("snippet") / "run")
    file = shutil.copy(onnx_once, run / "model.onnx")
    calibrate(run, quiet=True)  # which writes it into the file too
    assert OnnxModel(file).info.calibration
    return file


def turned(file: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    SMOOTH.save(file, "JPEG", exif=exif, quality=95)


TAKEN = {
    "plain": lambda file: SMOOTH.save(file, "PNG"),
    "turned": turned,
    "grey": lambda file: SMOOTH.convert("L").save(file, "PNG"),
    "transparent": lambda file: SMOOTH.convert("RGBA").save(file, "PNG"),
    "palette": lambda file: SMOOTH.convert("P").save(file, "GIF"),
    "large": lambda file: SMOOTH.resize((2800, 1800)).save(file, "JPEG", quality=95),
    "cmyk": lambda file: SMOOTH.convert("CMYK").save(file, "JPEG", quality=95),
}
NOT_TAKEN = {
    "grey of 16 bits": lambda file: file.write_bytes(png16(np.full((40, 40), 3000, np.uint16))),
    "colours of 16 bits": lambda file: file.write_bytes(
        png16(np.full((40, 40, 3), 3000, np.uint16))
    ),
    "floats": lambda file: Image.fromarray(np.ones((40, 40), np.float32)).save(file, "TIFF"),
}


def said(folder: Path, onnx: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the lines find in picture.jpg."""
    (folder / "model.onnx").write_bytes(onnx.read_bytes())
    monkeypatch.chdir(folder)
    block = re.search(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    found: dict[str, Any] = {}
    exec(compile(block[1], str(GUIDE), "exec"), found)
    return found


@pytest.mark.parametrize("kind", TAKEN)
def test_the_lines_say_what_the_predictor_says(kind, exported, tmp_path, monkeypatch, capsys):
    TAKEN[kind](tmp_path / "picture.jpg")
    found = said(tmp_path, exported, monkeypatch)
    expected = Predictor(exported)([tmp_path / "picture.jpg"])[0]
    printed = re.findall(r"'(\w+)'", capsys.readouterr().out)
    assert set(printed) == set(expected.labels)
    named = dict(zip(found["info"]["labels"], found["probabilities"], strict=True))
    assert named == pytest.approx(expected.probabilities, abs=2e-3)


@pytest.mark.parametrize("kind", NOT_TAKEN)
def test_the_lines_refuse_what_they_would_read_wrongly(kind, exported, tmp_path, monkeypatch):
    NOT_TAKEN[kind](tmp_path / "picture.jpg")
    with pytest.raises(SystemExit, match="takes pictures of 8 bits"):
        said(tmp_path, exported, monkeypatch)
