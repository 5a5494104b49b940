"""Exported files: the same logits, all that is needed to use them, and nothing after a failure."""

import json
import shlex
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.export import ExportedProgram

from lcnet import config
from lcnet.cli import build_parser, main
from lcnet.errors import CheckpointError, ConfigError
from lcnet.exporting.export import export
from lcnet.exporting.formats import FORMATS, trace, write_onnx
from lcnet.exporting.onnx_model import OnnxModel
from lcnet.metrics.calibration import Calibration
from lcnet.model.backbone import describe_backbone
from lcnet.model.build import build_model
from lcnet.model.crops import Crops
from lcnet.model.exportable import ConstantCrops
from lcnet.model_folder import ModelFolder, ModelInfo, load_model, weights_fingerprint
from lcnet.model_folder.exported import IMAGES, KEY, LOGITS, describe, understand
from lcnet.predicting.predictor import Predictor

LABELS = ("red", "green", "blue")


def a_model(folder: Path, backbone: str, level: int, head: str) -> Path:
    """A model folder with random weights, none of them trivial, and a calibration."""
    torch.manual_seed(0)
    settings = config.Model(
        backbone=backbone,
        pretrained=False,
        crop_level=level,
        view_size=32,
        view_chunk=1,
        width=24,
        mlp_width=32,
        head=head,
    )
    spec = describe_backbone(backbone, 32)
    model = build_model(settings, 3, spec=spec, prior=torch.rand(3, 3), shares=torch.rand(3))
    for name, statistic in model.named_buffers():
        if name.endswith("running_var"):
            statistic.uniform_(0.5, 1.5)
    for name, weight in model.named_parameters():
        if not weight.any():
            torch.nn.init.normal_(weight, mean=0.5, std=0.1)
        elif weight.ndim > 1 and not name.startswith("backbone."):
            # Larger than heads start, whose logits are nearly alike for all pictures.
            torch.nn.init.normal_(weight, std=2 * weight.shape[-1] ** -0.5)
    info = ModelInfo(
        LABELS,
        settings,
        spec,
        thresholds=(0.4, 0.5, 0.6),
        calibration=Calibration((1.0, 0.9, 1.1), (0.0, 0.1, -0.1), "a test"),
    )
    ModelFolder(folder).save(model.eval(), info)
    return folder


@dataclass(frozen=True)
class Run:
    folder: Path
    pictures: list[Path]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run folder of a random model and 24 pictures with labels."""
    root = tmp_path_factory.mktemp("export")
    rng = np.random.default_rng(0)
    rows, pictures = ["image,red,green,blue"], []
    for index in range(24):
        pictures.append(root / f"{index}.png")
        shown = rng.random(3) < 0.5
        pixels = rng.integers(0, 60, size=(40, 50, 3)) + 150 * shown
        Image.fromarray(pixels.astype(np.uint8)).save(pictures[-1])
        rows.append(",".join([pictures[-1].name, *(str(int(value)) for value in shown)]))
    (root / "all.csv").write_text("\n".join(rows) + "\n")
    data = config.Data("table", str(root), "all.csv", "all.csv", "all.csv", workers=0)
    a_model(root / "run" / "model", "test_resnet", 2, "lcnet")
    settings = config.Model(backbone="test_resnet", crop_level=2, view_size=32)
    config.Config(settings, data).save(root / "run" / "config.yaml")
    return Run(root / "run", pictures)


@pytest.fixture(scope="module")
def program(run: Run) -> ExportedProgram:
    """The run's model as torch.export follows it, which takes a second."""
    return trace(load_model(run.folder), 64)


@pytest.fixture
def traced(program: ExportedProgram, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spares following the model again."""
    monkeypatch.setattr("lcnet.exporting.proven_file.trace", lambda *_: program)


@pytest.fixture(scope="module")
def onnx_file(run: Run, program: ExportedProgram) -> Path:
    """The run as ONNX."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("lcnet.exporting.proven_file.trace", lambda *_: program)
        return export(run.folder)


@pytest.fixture
def converted(onnx_file: Path, traced: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spares the conversion to float32 ONNX, which takes seconds, where it is not the subject."""

    def write(program: ExportedProgram, description: str, file: Path) -> None:
        file.write_bytes(onnx_file.read_bytes())

    monkeypatch.setattr("lcnet.exporting.proven_file.write_onnx", write)


def command(line: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(shlex.split(line))
    return int(stopped.value.code or 0)


# The same model


@pytest.mark.parametrize(("level", "antialias"), [(0, True), (1, True), (2, True), (3, False)])
def test_constant_crops_are_the_crops(level, antialias):
    size = 32 * max(1, level)
    crops, images = Crops(level, 32, antialias=antialias), torch.randn(2, 3, size, size)
    torch.testing.assert_close(ConstantCrops(crops, size)(images), crops(images))


@pytest.mark.parametrize(
    ("backbone", "level", "head", "forms"),
    [
        ("test_resnet", 0, "query2label", ("torch",)),
        # The test below has this of another backbone.
        pytest.param("test_vit", 1, "lcnet", ("torch", "onnx"), marks=pytest.mark.slow),
    ],
)
def test_files_give_the_models_logits(tmp_path, backbone, level, head, forms):
    folder = a_model(tmp_path / "model", backbone, level, head)
    program = trace(load_model(folder), 32 * max(1, level))
    for form in forms:
        assert_same_logits(form, folder, program, tmp_path)


def test_onnx_and_openvino_give_the_models_logits(run, program, onnx_file, tmp_path, monkeypatch):
    pytest.importorskip("openvino", reason="openvino is not installed")

    def write(program: ExportedProgram, description: str, file: Path, **options: bool) -> None:
        file.write_bytes(onnx_file.read_bytes())  # as converted before

    monkeypatch.setattr("lcnet.exporting.formats.write_onnx", write)
    monkeypatch.setitem(FORMATS, "onnx", replace(FORMATS["onnx"], write=write))
    for form in ("onnx", "openvino"):
        assert_same_logits(form, run.folder / "model", program, tmp_path)


def assert_same_logits(form: str, folder: Path, program: ExportedProgram, place: Path) -> None:
    """One image and five, through a file of that format, as through the model in the folder."""
    model, size = load_model(folder), stored_info(folder).preprocessing.size
    images = torch.randn(5, 3, size, size) + 2 * torch.randn(5, 3, 1, 1)
    expected = model(images)
    assert expected.std(dim=0).mean() > 0.05  # pictures that are all alike would prove nothing
    files = [place / f"any{suffix}.part" for suffix in FORMATS[form].suffixes]
    FORMATS[form].write(program, describe(stored_info(folder)), *files)
    scorer, info = FORMATS[form].load(*files)
    assert info == stored_info(folder)
    with torch.inference_mode():
        for count in (1, 5):
            torch.testing.assert_close(scorer(images[:count]), expected[:count], atol=1e-4, rtol=0)


def stored_info(folder: Path) -> ModelInfo:
    return understand((folder / "model.json").read_text(encoding="utf-8"), folder)


def test_the_command_proves_the_file(run, capsys):
    out = run.folder / "by command" / "it.pt2"
    assert command(f"export {run.folder} --format torch --out '{out}'") == 0
    printed = capsys.readouterr().out
    assert "24 pictures of all.csv, 1 and 5 at a time" in printed
    assert "; 0.001 is allowed" in printed
    assert "(+0.0000)" in printed
    assert str(out) in printed
    assert [path.name for path in out.parent.iterdir()] == ["it.pt2"]


def test_the_flags_are_the_usual_choices():
    flags = build_parser().parse_args(["export", "x"]).export
    assert (flags.tolerance, flags.most_loss) == (1e-3, 1)
    assert (flags.limit, flags.calibration_pictures) == (500, 200)


# What the file says


def test_plain_onnxruntime_can_use_the_file(run, onnx_file):
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    session = onnxruntime.InferenceSession(onnx_file, providers=["CPUExecutionProvider"])
    assert [value.name for value in session.get_inputs()] == [IMAGES]
    assert [value.name for value in session.get_outputs()] == [LOGITS]
    assert session.get_inputs()[0].shape[1:] == [3, 64, 64]
    said = json.loads(session.get_modelmeta().custom_metadata_map[KEY])
    stored = json.loads((run.folder / "model" / "model.json").read_text())
    assert said.pop("lcnet_version")
    assert said.pop("weights") == weights_fingerprint(run.folder)
    assert said == stored
    assert said["preprocessing"]["size"] == 64


def test_the_predictor_says_the_same_from_the_file(run, onnx_file, capsys, read_json):
    paths = [*run.pictures[:7], run.folder / "config.yaml"]
    ours, theirs = Predictor(run.folder)(paths), Predictor(onnx_file, batch_size=3)(paths)
    assert {len(one.labels) for one in ours} > {0}
    for one, other in zip(ours, theirs, strict=True):
        assert (one.image, one.labels, one.error) == (other.image, other.labels, other.error)
        assert (one.probabilities or {}) == pytest.approx(other.probabilities or {}, abs=1e-4)
    assert command(f"predict {onnx_file} {run.pictures[0]}") == 0
    line = json.loads(capsys.readouterr().out)
    assert line["labels"] == list(ours[0].labels)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"no model", "not an ONNX file that onnxruntime can run"),
        ("plain", "expected a file that lcnet export wrote"),
        (
            '{"format": 9, "lcnet_version": "9.0"}',
            "expected format 1 or 2, got format 9 of lcnet 9.0",
        ),
        ('{"format": 1}', "cannot be used (no 'labels')"),
    ],
)
def test_a_file_of_another_kind_is_one_line(onnx_file, tmp_path, capsys, content, message):
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    file = tmp_path / "other.onnx"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content:
        model = onnx.load(onnx_file)
        del model.metadata_props[:]
        if content != "plain":
            model.metadata_props.add(key=KEY, value=content)
        onnx.save(model, file)
    Image.new("RGB", (8, 8)).save(tmp_path / "it.png")
    assert command(f"predict {file} {tmp_path}/it.png") == 1
    error = capsys.readouterr().err
    assert (error.count("\n"), message in error) == (1, True), error


# Failures


def test_a_file_that_differs_is_not_left(run, traced, tmp_path, monkeypatch, capsys):
    write = FORMATS["torch"].write

    def wrong(program, description, *files):
        program.state_dict["model.mapping.bias"].add_(0.02)  # half of it, as two ways are averaged
        write(program, description, *files)
        program.state_dict["model.mapping.bias"].sub_(0.02)

    monkeypatch.setitem(FORMATS, "torch", replace(FORMATS["torch"], write=wrong))
    out = tmp_path / "made" / "it.pt2"
    line = f"export {run.folder} --format torch --out {out} --limit 6"
    assert command(line) == 1
    assert "within 0.001 of the model's, got a difference of 0.01" in capsys.readouterr().err
    assert list(out.parent.iterdir()) == []
    assert command(f"{line} --tolerance 0.02") == 0
    assert out.is_file()


@pytest.mark.parametrize("logit", [0.0, float("nan")])
def test_neither_of_two_files_is_left(run, traced, tmp_path, monkeypatch, logit):
    def write(program, description, *files):
        for file in files:
            file.write_bytes(b"something")

    def load(*files):
        return lambda images: torch.full((len(images), 3), logit), stored_info(run.folder / "model")

    form = replace(FORMATS["openvino"], packages=(), runtime="torch", write=write, load=load)
    monkeypatch.setitem(FORMATS, "openvino", form)
    out = tmp_path / "made" / "it.xml"
    with pytest.raises(CheckpointError, match=r"within 0.001 of the model's, got"):
        export(run.folder, format="openvino", out=out, limit=3)
    assert list(out.parent.iterdir()) == []
    if logit == 0:
        export(run.folder, format="openvino", out=out, limit=3, tolerance=1e3)
        assert sorted(file.name for file in out.parent.iterdir()) == ["it.bin", "it.xml"]


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        ("--format tflite", 2, "tflite"),
        ("--out it.pt2", 2, "--out it.pt2: expected a file name that ends in .onnx"),
        ("--tolerance=-1", 2, "--tolerance: expected 0 or more, got -1"),
        ("--limit 0", 2, "--limit: expected at least 1, got 0"),
        ("--quantize int4", 2, "--quantize: expected int8, got int4"),
        ("--quantize int8 --format torch", 2, "needs --format onnx, got torch"),
        ("--pictures nothing.csv", 1, "nothing.csv"),
        ("--root nowhere", 1, "nowhere"),
    ],
)
def test_a_mistake_gives_one_line_and_no_file(
    run, tmp_path, monkeypatch, capsys, flags, code, message
):
    monkeypatch.chdir(tmp_path)
    assert command(f"export {run.folder} {flags}") == code
    error = capsys.readouterr().err
    assert (error.count("\n"), message in error) == (1, True), error
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_said(run, monkeypatch):
    form = replace(FORMATS["onnx"], packages=(("no_such_package", "export"),))
    monkeypatch.setitem(FORMATS, "onnx", form)
    with pytest.raises(ConfigError, match=r"pip install 'lcnet\[export\]'"):
        export(run.folder)


def test_weights_that_no_onnx_file_can_hold_are_refused(program, tmp_path, monkeypatch):
    monkeypatch.setattr("lcnet.exporting.formats.MOST_BYTES", 1000)
    with pytest.raises(ConfigError, match="at most 2 GiB of weights"):
        write_onnx(program, "", tmp_path / "it.onnx")


def test_without_a_data_set_the_pictures_are_drawn_or_those_named(run, traced, monkeypatch, capsys):
    folder = run.folder / "model"

    def write(program, description, file):
        file.write_bytes(b"something")

    def load(file):
        return load_model(folder), stored_info(folder)

    monkeypatch.setitem(FORMATS, "torch", replace(FORMATS["torch"], write=write, load=load))
    export(folder, format="torch")
    assert "12 drawn pictures" in capsys.readouterr().out
    export(folder, format="torch", pictures=str(run.folder.parent), limit=4)
    printed = capsys.readouterr().out
    assert f"4 pictures of {run.folder.parent}" in printed
    assert "mAP: unknown" in printed


# 8 bits


def test_int8_is_smaller_and_near(run, onnx_file, converted, capsys):
    assert command(f"export {run.folder} --quantize int8 --most_loss 5") == 0
    printed = capsys.readouterr().out
    assert "scales from 24 pictures of all.csv" in printed
    assert "1 at a time: float32" in printed
    assert "allowed to lose 5" in printed
    file = run.folder / "model.int8.onnx"
    images = torch.randn(4, 3, 64, 64)
    expected, got = OnnxModel(onnx_file)(images), OnnxModel(file)(images)
    assert file.stat().st_size < onnx_file.stat().st_size
    difference = (expected - got).abs().max()
    assert 1e-5 < difference < 0.2 * expected.std() + 0.2
    assert Predictor(file)(run.pictures[:1])[0].probabilities


def test_int8_that_loses_too_much_is_not_left(run, converted, tmp_path, monkeypatch):
    def spoilt(source, target, batches):
        import onnx

        model = onnx.load(source)
        for weight in model.graph.initializer:
            values = onnx.numpy_helper.to_array(weight)
            if values.dtype == np.float32 and values.ndim == 2:
                weight.CopyFrom(onnx.numpy_helper.from_array(0 * values, weight.name))
        onnx.save(model, target)

    monkeypatch.setattr("lcnet.exporting.proven_file.quantize_onnx", spoilt)
    out = tmp_path / "made" / "it.onnx"
    with pytest.raises(CheckpointError, match="expected int8 to lose at most 0 mAP"):
        export(run.folder, format="onnx", out=out, quantize="int8", most_loss=0)
    assert list(out.parent.iterdir()) == []


def test_int8_needs_a_data_set(run):
    with pytest.raises(ConfigError, match="expected a run folder, or --data flags"):
        export(run.folder / "model", quantize="int8")
