import numpy as np
import pytest
from PIL import Image
from tests.kinds import png16
from tests.marks import marks

from lcnet.config import Data
from lcnet.data.dataset import Sample, Split
from lcnet.data.pixel_range import pixel_kinds
from lcnet.errors import ConfigError, DataError


def split_of(folder, *pictures):
    """A split with these arrays as its pictures."""
    samples = []
    for index, values in enumerate(pictures):
        deep_colours = values.ndim == 3 and values.dtype == np.uint16
        suffix = "tif" if values.dtype in (np.float32, np.int32) else "png"
        path = folder / f"{index}.{suffix}"
        if deep_colours:
            path.write_bytes(png16(values))
        else:
            Image.fromarray(values).save(path)
        samples.append(Sample(path))
    return Split(("a",), tuple(samples), marks([[1]] * len(samples)), "train")


def ramp(low, high, kind):
    return np.linspace(low, high, 24).reshape(4, 6).astype(kind)


def test_eight_bits_need_no_range(tmp_path):
    kinds = pixel_kinds(split_of(tmp_path, ramp(0, 255, np.uint8), ramp(9, 99, np.uint8)))
    assert kinds.checked() is None
    assert list(kinds.lines()) == []


@pytest.mark.parametrize("kind", [np.uint16, np.float32, np.int32])
def test_the_range_is_from_the_least_to_the_largest_value_of_all(tmp_path, kind, capsys):
    low = -500 if kind != np.uint16 else 3
    split = split_of(tmp_path, ramp(low, 50, kind), ramp(20, 3071, kind))
    kinds = pixel_kinds(split)
    assert kinds.checked() == (low, 3071)
    (line,) = kinds.lines()
    assert line.startswith(f"pixel range {low} (black) to 3071 (white), found in 2 ")
    assert "--data.pixel_range" in line
    assert "Pixel range of train: 2" in capsys.readouterr().err


def test_kinds_that_cannot_be_compared_are_named_with_an_example_each(tmp_path):
    deep, floats = ramp(0, 4095, np.uint16), ramp(0, 1, np.float32)
    for other, words in ((floats, "floating-point"), (ramp(0, 255, np.uint8), "8-bit")):
        folder = tmp_path / words
        folder.mkdir()
        with pytest.raises(DataError, match="cannot be compared") as it:
            pixel_kinds(split_of(folder, deep, other, deep)).checked()
        message = str(it.value)
        assert f"16-bit ({folder / '0.png'})" in message
        assert f"{words} ({folder / '1.'}" in message
        assert "--data.pixel_range '[BLACK, WHITE]'" in message


def test_dropped_transparency_is_not_in_the_range(tmp_path):
    colours = np.dstack([ramp(5, 900, np.uint16)] * 3 + [np.full((4, 6), 65535, np.uint16)])
    split = split_of(tmp_path, colours)
    assert pixel_kinds(split).checked() == (5, 900)
    assert pixel_kinds(split, channels=4).checked() == (5, 65535)


def test_numbers_that_are_none_are_left_out_and_stray_ones_are_said(tmp_path):
    values = np.tile(np.linspace(0, 1, 100, dtype=np.float32), (100, 1))
    values[0, :3] = [np.nan, np.inf, -9999]
    kinds = pixel_kinds(split_of(tmp_path, values))
    assert kinds.checked() == (-9999, 1)
    warning = list(kinds.lines())[1]
    assert warning.startswith("warning: nearly all of their values are from 0.0")
    assert "--data.pixel_range '[0.0" in warning


def test_equal_values_everywhere_are_refused(tmp_path):
    with pytest.raises(DataError, match="got 7 everywhere"):
        pixel_kinds(split_of(tmp_path, np.full((4, 4), 7, np.uint16))).checked()
    nothing = np.full((4, 4), np.nan, np.float32)
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="expected numbers"):
        pixel_kinds(split_of(tmp_path / "none", nothing)).checked()


def test_broken_pictures_are_left_to_the_loader(tmp_path):
    split = split_of(tmp_path, ramp(0, 900, np.uint16), ramp(0, 9, np.uint16))
    split.samples[1].path.write_bytes(b"broken")
    assert pixel_kinds(split).checked() == (0, 900)


@pytest.mark.parametrize("values", [[1], [1, 1], [2, 1], [0, float("inf")], [0, 1, 2]])
def test_a_range_is_two_numbers(values):
    with pytest.raises(ConfigError, match=r"data\.pixel_range: expected two numbers"):
        Data(pixel_range=values)
