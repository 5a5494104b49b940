"""Runs on deep pictures, on other numbers of channels and with other fits, from begin to end."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.alike import history_without_clock
from tests.conftest import with_train
from tests.kinds import png16
from tests.marks import marks
from tests.served import served
from tests.tiny import TINY, save_tiny_model

from lcnet.config import Config, Data
from lcnet.data.dataset import ImageLabels, Sample, Split
from lcnet.data.pictures import eval_pictures
from lcnet.data.transforms import eval_transform
from lcnet.errors import ConfigError, DataError
from lcnet.evaluating.evaluate import evaluate
from lcnet.exporting.export import export
from lcnet.model_folder import ModelFolder, read_info
from lcnet.predicting.predict import predict
from lcnet.predicting.predictor import Predictor
from lcnet.runs.train import resume, train
from lcnet.serving.service import Service
from lcnet.serving.uploads import Limits

LIMITS = Limits(megabytes=20.0, pixels=10**6, waiting=8)


def with_data(config: Config, **changes) -> Config:
    return replace(config, data=replace(config.data, **changes))


def with_model(config: Config, **changes) -> Config:
    return replace(config, model=replace(config.model, **changes))


def redrawn(config: Config, change) -> Config:
    """The data set with each picture (H W 3, uint8) replaced by the file that `change` gives."""
    for file in sorted((Path(config.data.root) / "images").iterdir()):
        with Image.open(file) as image:
            pixels = np.asarray(image)
        content = change(pixels)
        if isinstance(content, bytes):
            file.write_bytes(content)
        else:
            content.save(file, "PNG" if content.mode in ("L", "RGB", "RGBA") else "TIFF")
    return config


def deep(pixels: np.ndarray) -> bytes:
    """12 bits in 16: levels times 16."""
    return png16(pixels.astype(np.uint16) * 16)


@pytest.fixture
def quick(tiny_config, no_report):
    return with_train(tiny_config, epochs=1)


def pictures_of(config):
    return sorted((Path(config.data.root) / "images").glob("val*"))


exporting = pytest.mark.parametrize(
    "exports",
    # An export takes longer than all the rest; other channels and deep pictures have theirs.
    [False, pytest.param(True, marks=pytest.mark.slow)],
)


def all_ways(run, files, *, exports=True):
    """What predict, the server and, if the model is exported, ONNX say of the files."""
    predictor = Predictor(run, batch_size=4)
    rows = {"predict": predictor(files)}
    service = Service(predictor, LIMITS)
    rows["serve"] = served(service, files)
    shown = [service.look(file.read_bytes(), str(file), side=64)[0] for file in files]
    rows["page"] = [answer.result().prediction for answer in shown]
    if exports:
        exported = export(run, out=run / "it.onnx", pictures=str(files[0]))
        rows["onnx"] = Predictor(exported)(files)
    return rows


def same(rows, most=1e-4):
    """That every way gives the same labels, and probabilities within rounding."""
    first = rows["predict"]
    assert not any(row.error for row in first), first[0].error
    for way in rows.values():
        for one, other in zip(first, way, strict=True):
            assert one.labels == other.labels
            for name, value in one.probabilities.items():
                assert other.probabilities[name] == pytest.approx(value, abs=most)


def test_deep_pictures_are_the_8_bit_ones_that_they_were(quick, tmp_path, capsys):
    plain = train(quick, tmp_path / "plain").path
    shown = Predictor(plain)(pictures_of(quick))
    assert read_info(plain).pixel_range is None
    redrawn(quick, deep)
    config = with_data(quick, pixel_range=[0, 255 * 16])
    run = train(config, tmp_path / "deep").path
    assert history_without_clock(run) == history_without_clock(plain)
    assert read_info(run).pixel_range == (0, 4080)
    rows = all_ways(run, pictures_of(quick))
    same(rows)
    for one, other in zip(shown, rows["predict"], strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)
    assert evaluate(run, quiet=True).mAP == evaluate(plain, quiet=True, data=config.data).mAP
    with pytest.raises(DataError, match=r"8-bit \(.*t0.png\) and 16-bit \(.*val0"):
        eight_and_deep(quick, tmp_path)
    # A model of 8-bit pictures does not guess.
    (row,) = Predictor(plain)(pictures_of(quick)[:1])
    assert "16-bit picture, but which of its values" in row.error
    with pytest.raises(DataError, match="16-bit picture, but"):
        evaluate(plain, quiet=True)
    with pytest.raises(ConfigError, match=r"expected that of the model, \[0, 4080\], or none"):
        evaluate(run, quiet=True, data=replace(config.data, pixel_range=[0, 9]))


def eight_and_deep(config, tmp_path):
    """A run whose training pictures have 8 bits, and whose validation pictures have 16."""
    root = Path(config.data.root)
    for index in range(24):
        Image.new("RGB", (24, 24), (index, 0, 0)).save(root / "images" / f"flat{index}.png")
    text = (root / "train.csv").read_text()
    (root / "flat.csv").write_text(text.replace("images/train", "images/flat"))
    train(with_data(config, train="flat.csv"), tmp_path / "mixed")


@exporting
def test_the_range_is_found_said_and_kept(quick, tmp_path, capsys, exports):
    config = redrawn(quick, deep)
    run = train(config, tmp_path / "run").path
    said = [line for line in capsys.readouterr().out.splitlines() if "pixel range" in line]
    low, high = read_info(run).pixel_range
    assert said == [
        f"pixel range {low:g} (black) to {high:g} (white), found in 24 16-bit training pictures; "
        "--data.pixel_range sets another"
    ]
    assert (low, high) == (40 * 16, 200 * 16)
    resume(run, epochs=2)
    assert read_info(run).pixel_range == (low, high)
    same(all_ways(run, pictures_of(config), exports=exports))
    # A run that starts from this model keeps its range, and says so.
    capsys.readouterr()
    after = train(config, tmp_path / "after", init=run).path
    assert read_info(after).pixel_range == (low, high)
    assert f"pixel range {low:g} to {high:g}, as in the model" in capsys.readouterr().out
    other = with_data(config, pixel_range=[0, 60_000])
    assert read_info(train(other, tmp_path / "other", init=run).path).pixel_range == (0, 60_000)
    assert "the model before had" in capsys.readouterr().out


def test_a_model_s_description_can_be_given_a_range(quick, tmp_path):
    folder = save_tiny_model(tmp_path / "model", ("a", "b"), (0.5, 0.5))
    redrawn(quick, deep)
    (row,) = Predictor(folder)(pictures_of(quick)[:1])
    assert '"pixel_range": [BLACK, WHITE] under "preprocessing"' in row.error
    file = folder / "model.json"
    fields = json.loads(file.read_text())
    fields["preprocessing"]["pixel_range"] = [0, 4080]
    file.write_text(json.dumps(fields))
    assert not Predictor(folder)(pictures_of(quick)[:1])[0].error
    # One that was written before knows neither.
    for name in ("pixel_range", "fit"):
        del fields["preprocessing"][name]
    del fields["model"]["channels"]
    file.write_text(json.dumps(fields))
    info = read_info(folder)
    assert (info.pixel_range, info.fit, info.model.channels) == (None, "squash", 3)
    for wrong in ({"pixel_range": [5, 5]}, {"fit": "stretch"}, {"pixel_range": "all"}):
        file.write_text(json.dumps({**fields, "preprocessing": wrong}))
        with pytest.raises(Exception, match=f"preprocessing.{next(iter(wrong))}"):
            read_info(folder)


@exporting
@pytest.mark.parametrize("channels", [pytest.param(1, marks=pytest.mark.slow), 4])
def test_other_numbers_of_channels(quick, tmp_path, channels, exports):
    def change(pixels):
        if channels == 1:
            return Image.fromarray(pixels[..., 0])
        return Image.fromarray(np.dstack([pixels, pixels[..., 1] // 2 + 40]), "RGBA")

    config = with_train(redrawn(quick, change), randaugment=0, min_scale=0.5)
    config = with_model(config, channels=channels)
    config = with_data(config, cache_images=str(tmp_path / "kept"))
    run = train(config, tmp_path / "run").path
    info = read_info(run)
    assert len(info.backbone.mean) == channels
    files = pictures_of(config)
    same(all_ways(run, files, exports=exports))
    predict(run, [str(files[0])], out=tmp_path / "rows", explain=tmp_path / "why")
    evaluate(run, quiet=True)
    if channels == 4:
        Image.new("RGB", (24, 24)).save(tmp_path / "colours.png")
        (row,) = Predictor(run)([tmp_path / "colours.png"])
        assert "expected a picture of 4 bands, as the model has channels, got 3" in row.error
        with pytest.raises(DataError, match="4 bands whose last is not transparency"):
            train(with_model(config, channels=3), tmp_path / "three")
        with pytest.raises(ConfigError, match=r"train.randaugment: expected 0 for pictures of 4"):
            with_train(config, randaugment=9)
    else:
        train(with_train(config, randaugment=9), tmp_path / "augmented")


@exporting
@pytest.mark.parametrize("fit", ["pad", pytest.param("crop", marks=pytest.mark.slow)])
def test_a_fit_belongs_to_the_model(quick, tmp_path, fit, capsys, exports):
    def change(pixels):
        return Image.fromarray(np.vstack([pixels, pixels]))

    config = with_data(redrawn(quick, change), fit=fit)
    run = train(config, tmp_path / "run").path
    info = read_info(run)
    assert info.fit == info.preprocessing.fit == fit
    same(all_ways(run, pictures_of(config), exports=exports))
    # Evaluation follows the model, whatever the flags say.
    squashed = replace(config.data, fit="squash")
    assert evaluate(run, quiet=True, data=squashed).mAP == evaluate(run, quiet=True).mAP
    after = train(with_data(config, fit="squash"), tmp_path / "after", init=run)
    assert read_info(after.path).fit == after.config().data.fit == fit
    assert f"fitted by {fit}, as in the model" in capsys.readouterr().out


@pytest.mark.parametrize(
    "form",
    [
        "onnx",
        # Made of the same program; the formats are tested with three channels too.
        pytest.param("torch", marks=pytest.mark.slow),
        pytest.param("openvino", marks=pytest.mark.slow),
    ],
)
def test_every_exported_file_takes_the_channels(tmp_path, form, capsys):
    # A head of few operations, since each one takes its time.
    settings = replace(TINY, channels=5, head="csra", crop_level=0)
    folder = save_tiny_model(tmp_path / "model", ("a", "b"), (0.5, 0.5), settings)
    ModelFolder(folder).write_info(replace(read_info(folder), fit="pad", pixel_range=(-5, 900.5)))
    file = export(folder, format=form)
    assert "drawn pictures are used" in capsys.readouterr().out
    if form == "onnx":
        info = Predictor(file).info
        assert (info.fit, info.pixel_range, info.model.channels) == ("pad", (-5, 900.5), 5)


def test_a_picture_of_several_files(tmp_path):
    rng = np.random.default_rng(0)
    samples, whole = [], []
    for index in range(3):
        pixels = rng.integers(0, 256, (20, 30, 5)).astype(np.uint8)
        paths = [tmp_path / f"{index}_{band}.png" for band in range(5)]
        for band, path in enumerate(paths):
            Image.fromarray(pixels[..., band]).save(path)
        samples.append(Sample(paths[0], (1,), channel_files=tuple(paths[1:])))
        whole.append(torch.from_numpy(pixels).permute(2, 0, 1))
    split = Split(("a",), tuple(samples), marks([[1]] * len(samples)), "train")
    folder = save_tiny_model(tmp_path / "model", ("a",), (0.5,), replace(TINY, channels=5))
    expected = read_info(folder).preprocessing
    transform = eval_transform(expected)
    read = ImageLabels(split, transform)
    data = Data(cache_images=str(tmp_path / "kept"), workers=0)
    kept = eval_pictures(split, data, expected, quiet=True)
    for index, pixels in enumerate(whole):
        assert read[index][0].equal(transform(pixels))
        assert kept[index][0].equal(transform(pixels))
    # Another file of a picture makes other pixels, so they are kept anew.
    Image.new("L", (30, 20), 255).save(samples[0].channel_files[3])
    again = eval_pictures(split, data, expected, quiet=True)
    assert not again[0][0].equal(kept[0][0])
    samples[1].channel_files[0].unlink()
    with pytest.raises(DataError, match=r"1_1\.png: no such picture"):
        read[1]


def test_timm_s_weights_are_adapted_to_the_channels(tmp_path):
    from lcnet.model.backbone import describe_backbone

    grey, rgb, five = (describe_backbone("resnet18.a1_in1k", 64, count) for count in (1, 3, 5))
    assert grey.options == {"in_chans": 1} and rgb.options == {}
    assert grey.mean == pytest.approx([sum(rgb.mean) / 3])
    assert five.mean == (*rgb.mean, *rgb.mean[:2])
    assert five.normalised_by("unit").std == (1.0,) * 5


def test_the_model_says_its_channels_once(tmp_path):
    folder = save_tiny_model(tmp_path / "model", ("a",), (0.5,), replace(TINY, channels=2))
    file = ModelFolder(folder).description_file
    fields = json.loads(file.read_text())
    fields["model"]["channels"] = 3
    file.write_text(json.dumps(fields))
    with pytest.raises(Exception, match=r"model\.channels"):
        read_info(folder)
