"""Pictures in memory get what the same pictures get as files."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from tests.kinds import png16
from tests.tiny import save_tiny_model

from lcnet.data.sources import writable
from lcnet.errors import ConfigError
from lcnet.model_folder import ModelFolder
from lcnet.predicting.predictor import Predictor

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (90, 60, 3), np.uint8)
DEEP = RNG.integers(0, 4096, (40, 30), np.uint16)


def with_range(folder, pixel_range):
    """A predictor of random weights that knows deep pictures of this range."""
    torch.manual_seed(0)
    save_tiny_model(folder, ("red", "green"), (0.4, 0.4))
    model = ModelFolder(folder)
    model.write_info(replace(model.info(), pixel_range=pixel_range))
    return Predictor(folder, batch_size=4)


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    return with_range(tmp_path_factory.mktemp("deep") / "model", (0, 4095))


def agree(predictor, file, *given):
    """Each picture gets what the file gets, and is called by its position."""
    expected, *found = predictor([file, *given])
    assert expected.probabilities, expected.error
    for position, prediction in enumerate(found, start=1):
        assert (prediction.image, prediction.labels) == (str(position), expected.labels)
        assert prediction.probabilities == pytest.approx(expected.probabilities, abs=2e-7)


@pytest.mark.parametrize("shape", [(90, 60), (90, 60, 1), (90, 60, 3)])
def test_arrays_of_8_bits_are_what_their_files_are(predictor, tmp_path, shape):
    array = COLOUR[:, :, : shape[-1]] if len(shape) == 3 else COLOUR[:, :, 0]
    Image.fromarray(array[:, :, 0] if shape[-1] == 1 else array).save(tmp_path / "it.png")
    tensor = torch.from_numpy(array if array.ndim == 2 else array.transpose(2, 0, 1).copy())
    stored = (tmp_path / "it.png").read_bytes()
    agree(predictor, tmp_path / "it.png", array, tensor, stored, io.BytesIO(stored))
    with (tmp_path / "it.png").open("rb") as opened:
        agree(predictor, tmp_path / "it.png", opened, array[::-1][::-1])


def test_a_turned_file_is_turned_in_memory_too(predictor, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(COLOUR).save(tmp_path / "turned.png", exif=exif)
    stored = (tmp_path / "turned.png").read_bytes()
    agree(predictor, tmp_path / "turned.png", stored, np.rot90(COLOUR, -1))
    assert predictor([COLOUR])[0].probabilities != predictor([stored])[0].probabilities


def test_a_large_jpeg_is_shrunk_alike_in_memory(predictor, tmp_path):
    pixels = RNG.integers(0, 256, (70, 90, 3), np.uint8)
    image = Image.fromarray(pixels).resize((1800, 1400))
    image.save(tmp_path / "large.jpg")
    image.save(tmp_path / "large.png")
    agree(predictor, tmp_path / "large.jpg", (tmp_path / "large.jpg").read_bytes())
    agree(predictor, tmp_path / "large.png", np.asarray(image), image)


@pytest.mark.parametrize("dtype", ["<u2", ">u2", "int32", "float32", "float64"])
def test_deep_arrays_are_what_their_files_are(predictor, tmp_path, dtype):
    Image.fromarray(DEEP).save(tmp_path / "deep.png")
    agree(predictor, tmp_path / "deep.png", DEEP.astype(dtype), DEEP.astype(dtype)[:, :, None])


def test_deep_colours_with_transparency_are_what_their_file_is(predictor, tmp_path):
    values = np.stack([DEEP, DEEP[::-1], DEEP[:, ::-1], np.full_like(DEEP, 65535)], -1)
    (tmp_path / "deep.png").write_bytes(png16(values))
    tensor = torch.from_numpy(values.astype(np.int32).transpose(2, 0, 1).copy())
    agree(predictor, tmp_path / "deep.png", values, tensor)


def test_loader_processes_take_pictures_in_memory(predictor, tmp_path):
    several = Predictor(predictor.path, workers=1)
    Image.fromarray(COLOUR).save(tmp_path / "it.png")
    given = [
        COLOUR,
        io.BytesIO((tmp_path / "it.png").read_bytes()),
        torch.from_numpy(COLOUR).permute(2, 0, 1),
    ]
    agree(several, tmp_path / "it.png", *given)


def test_an_array_of_four_dimensions_is_many_pictures(predictor):
    many = np.stack([COLOUR, COLOUR[::-1]])
    assert predictor(many) == predictor(list(many))
    assert len(predictor(many)) == 2


def test_pictures_in_memory_are_explained_in_their_own_size(predictor):
    stored = io.BytesIO()
    Image.fromarray(COLOUR).save(stored, "PNG")
    explained = predictor.explain([COLOUR, stored.getvalue()], labels=1)
    assert [one.size for one in explained] == [(60, 90), (60, 90)]
    assert explained[0].labels[0].peak == explained[1].labels[0].peak


FLOATS = COLOUR / 255.0


@pytest.mark.parametrize(
    ("picture", "says"),
    [
        (np.zeros(7, np.uint8), "expected an array of H W C (or H W), got 7"),
        (np.zeros((0, 4), np.uint8), "expected an array of H W C (or H W), got 0 x 4"),
        (COLOUR[None], "give several pictures one by one"),
        (COLOUR.transpose(2, 0, 1), "3 x 90 x 60, which would be 60 bands"),
        (torch.from_numpy(COLOUR), "give array.permute(2, 0, 1)"),
        (COLOUR > 9, "got bool. Convert it"),
        (torch.zeros(3, 9, 9, dtype=torch.bfloat16), "got torch.bfloat16"),
        (FLOATS[:, :, :2] * 0 + 5000, "100 % of them outside"),
        (FLOATS * 3, "which all become one level"),
        (FLOATS * 4095 * 1.1, "numpy.clip(array, 0, 4095)"),
        (FLOATS * np.nan, "expected an array of finite numbers"),
        (np.zeros((9, 9, 5), np.uint8), "expected a picture of 3 bands"),
        (7, "expected a path, bytes, an open binary file"),
        (None, "got NoneType"),
        (b"no picture", "not a readable picture"),
        (b"", "not a readable picture"),
        (io.BytesIO(), "the open file gave no bytes. If it was read before, call seek(0)"),
        (io.StringIO("text"), "Open it with 'rb'"),
    ],
)
def test_a_bad_picture_is_one_clear_line_and_the_others_go_on(predictor, picture, says):
    bad, good = predictor([picture, COLOUR])
    assert says.casefold() in bad.error.casefold(), bad.error
    assert "\n" not in bad.error and bad.image == "0" and bad.probabilities is None
    assert good.probabilities


def test_closed_pictures_are_one_clear_line(predictor, tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "it.png")
    opened = (tmp_path / "it.png").open("rb")
    opened.close()
    image = Image.open(tmp_path / "it.png")
    image.close()
    first, second = predictor([opened, image])
    assert "closed" in first.error and "closed" in second.error


def test_the_advice_for_floats_is_right(predictor):
    wild = FLOATS[:, :, 0] * 5000
    assert "numpy.clip(array, 0, 4095)" in predictor([wild])[0].error
    clipped, whole = predictor([np.clip(wild, 0, 4095), np.clip(wild, 0, 4095).astype(np.uint16)])
    assert clipped.probabilities == pytest.approx(whole.probabilities, abs=1e-3)


def test_a_model_of_8_bits_says_how_to_give_floats(tmp_path):
    predictor = with_range(tmp_path / "model", None)
    for array in (FLOATS, COLOUR.astype(np.int64), DEEP):
        assert "expected an array of uint8" in predictor([array])[0].error
    plain, scaled = predictor([COLOUR, (FLOATS * 255).round().astype("uint8")])
    assert plain.probabilities == scaled.probabilities


@pytest.mark.parametrize(
    "one",
    ["a.jpg", b"x", COLOUR, torch.zeros(3, 9, 9), io.BytesIO(b"x"), Image.new("L", (9, 9)), 7],
    ids=lambda one: type(one).__name__,
)
def test_one_picture_in_place_of_several_is_refused(predictor, one):
    with pytest.raises(ConfigError, match=r"expected several, got .+\. Give a list: \[PICTURE\]"):
        predictor(one)


def test_a_path_keeps_its_name(predictor, tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "it.png")
    names = [one.image for one in predictor([tmp_path / "it.png", str(tmp_path / "it.png")])]
    assert names == [writable(str(tmp_path / "it.png"))] * 2
