"""Every kind of picture: its levels, what a model of other channels gets, and what is refused."""

import io
import sys

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image
from tests.kinds import dicom, png16

from lcnet.data.bands import as_array
from lcnet.data.decoding import PixelForm, read_image, read_pixels, upright_size
from lcnet.data.pixel_form import in_figures
from lcnet.errors import DataError

DEEP = PixelForm(pixel_range=(0, 4095))
RAMP = np.linspace(0, 4095, 6 * 8).reshape(6, 8).round().astype(np.uint16)
LEVELS = (RAMP / 4095 * 255).round().astype(np.uint8)
COLOURS = np.random.default_rng(0).integers(0, 256, size=(6, 8, 5)).astype(np.uint8)


def saved(tmp_path, content, name="it.png"):
    file = tmp_path / name
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        content.save(file)
    return file


def levels(file, form=DEEP):
    return as_array(read_pixels(file, form=form))


# Deep pictures


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [
        (RAMP, 0, 4095),
        (RAMP.astype(np.int32) - 1024, -1024, 3071),
        ((RAMP / 4095).astype(np.float32), 0, 1),
    ],
    ids=["12 bits in 16", "Hounsfield", "floats"],
)
def test_the_range_says_which_values_are_black_and_white(tmp_path, values, low, high):
    file = saved(tmp_path, Image.fromarray(values), "deep.tif")
    found = levels(file, PixelForm(3, (low, high)))
    assert (found == LEVELS).all() and len(found) == 3
    half = levels(file, PixelForm(1, (low, (low + high) / 2)))[0]
    assert half[LEVELS > 128].min() == 255  # clipped, not wrapped
    assert half[0, 0] == 0


def test_no_picture_decides_by_itself(tmp_path):
    bright = saved(tmp_path, Image.fromarray(RAMP), "bright.png")
    dark = saved(tmp_path, Image.fromarray(RAMP // 40), "dark.png")
    assert levels(bright)[0].max() == 255
    assert levels(dark)[0].max() == round(102 / 4095 * 255)


def test_without_a_range_a_deep_picture_is_refused_in_one_line(tmp_path):
    file = saved(tmp_path, Image.fromarray(RAMP))
    with pytest.raises(DataError, match=r"it.png \(listed in t.csv:3\): 16-bit picture, but") as it:
        read_image(file, "t.csv:3")
    assert "--data.pixel_range" in str(it.value) and "model.json" in str(it.value)


def test_numbers_that_are_none_become_black(tmp_path):
    values = np.array([[0.0, 1.0, np.nan, np.inf, -np.inf]], np.float32)
    file = saved(tmp_path, Image.fromarray(values), "f.tif")
    assert levels(file, PixelForm(1, (0, 1)))[0].tolist() == [[0, 255, 0, 255, 0]]


@pytest.mark.parametrize("bands", [2, 3, 4])
def test_png_of_16_bits_keeps_them_in_colour(tmp_path, bands):
    values = np.stack([RAMP, RAMP[::-1], RAMP[:, ::-1], np.full_like(RAMP, 65535)], -1)
    chosen = values[:, :, [0, 3] if bands == 2 else range(bands)]
    found = levels(saved(tmp_path, png16(chosen)))
    expected = [LEVELS] * 3 if bands == 2 else [LEVELS, LEVELS[::-1], LEVELS[:, ::-1]]
    assert (found == np.stack(expected)).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_deep_pictures_are_turned_as_8_bit_ones(tmp_path, orientation):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    wide, form = RAMP[:3], PixelForm(1, (0, 4095))
    plain = saved(tmp_path, Image.fromarray(LEVELS[:3]), "plain.png")
    Image.fromarray(LEVELS[:3]).save(plain, exif=exif)
    Image.fromarray(wide).save(tmp_path / "deep.png", exif=exif)
    Image.fromarray(wide).save(tmp_path / "deep.tif", exif=exif)
    Image.fromarray(LEVELS[:3]).save(tmp_path / "plain.tif", exif=exif)
    with Image.open(plain) as stored:
        stored.save(tmp_path / "plain.jpg", exif=exif, quality=100)
    expected = levels(plain, PixelForm(1))
    assert np.abs(levels(tmp_path / "plain.jpg", form)[0].astype(int) - expected[0]).max() < 20
    for name in ("deep.png", "deep.tif", "plain.tif"):
        found = levels(tmp_path / name, form)
        assert (found == expected).all()
        assert upright_size(tmp_path / name) == (found.shape[2], found.shape[1])


def test_netpbm_of_16_bits_has_the_values_in_the_file(tmp_path):
    values = np.array([[0, 1000, 2000, 4095]])
    stored = b"P5 4 1 4095\n" + values.astype(">u2").tobytes()
    found = levels(saved(tmp_path, stored, "g.pgm"), PixelForm(1, (0, 2000)))
    assert found[0].tolist() == [[0, 128, 255, 255]]
    with pytest.raises(DataError, match="16-bit PNM picture in colour"):
        levels(saved(tmp_path, b"P6 1 1 4095\n" + bytes(6), "c.ppm"))


# TIFF


@pytest.fixture
def tifffile():
    return pytest.importorskip("tifffile")


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", ["u2", "i2", "u4", "i4", "f2", "f4", "f8", "i1"])
def test_tiff_numbers_of_every_type_are_read_as_they_are(tmp_path, tifffile, kind, order):
    values = np.linspace(0, 100, 48).reshape(6, 8).astype(kind)
    tifffile.imwrite(tmp_path / "it.tif", values, byteorder=order)
    found = levels(tmp_path / "it.tif", PixelForm(1, (0, 100)))[0]
    assert (found == np.rint(values.astype(float) * 2.55)).all()


@pytest.mark.parametrize("order", "<>")
def test_large_unsigned_numbers_do_not_become_negative(tmp_path, tifffile, order):
    tifffile.imwrite(tmp_path / "it.tif", np.array([[0, 2**31, 2**32 - 1]], "u4"), byteorder=order)
    found = levels(tmp_path / "it.tif", PixelForm(1, (0, 2**32 - 1)))[0]
    assert found.tolist() == [[0, 128, 255]]


@pytest.mark.parametrize("kind", ["u1", "u2"])
def test_white_can_be_the_lowest_value(tmp_path, tifffile, kind):
    values = LEVELS if kind == "u1" else RAMP
    tifffile.imwrite(tmp_path / "it.tif", values, photometric="miniswhite")
    assert (levels(tmp_path / "it.tif", PixelForm(1, (0, 4095)))[0] == 255 - LEVELS).all()


@pytest.mark.parametrize("layout", ["contig", "separate"])
@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "packbits"])
def test_tiff_bands_are_all_kept(tmp_path, tifffile, layout, compression):
    if compression in ("lzw", "packbits"):
        pytest.importorskip("imagecodecs")
    for values in (COLOURS, COLOURS.astype(np.uint16)):
        stored = np.moveaxis(values, -1, 0) if layout == "separate" else values
        tifffile.imwrite(
            tmp_path / "it.tif",
            stored,
            photometric="minisblack",
            planarconfig=layout,
            compression=compression,
        )
        found = read_pixels(tmp_path / "it.tif", form=PixelForm(5, (0, 255)))
        assert isinstance(found, torch.Tensor)
        assert (found.permute(1, 2, 0).numpy() == COLOURS).all()
        with pytest.raises(DataError, match=r"3 bands.*got 5 .*--model.channels 5"):
            levels(tmp_path / "it.tif")


def test_a_fourth_band_of_a_tiff_is_not_lost(tmp_path, tifffile):
    for extra in ("unspecified", "unassalpha"):
        tifffile.imwrite(
            tmp_path / "it.tif", COLOURS[..., :4], photometric="rgb", extrasamples=[extra]
        )
        assert (
            levels(tmp_path / "it.tif", PixelForm(4)) == COLOURS[..., :4].transpose(2, 0, 1)
        ).all()
        with pytest.raises(DataError, match="4 bands whose last is not transparency"):
            levels(tmp_path / "it.tif")


def test_a_compression_that_is_not_taken_is_named(tmp_path, tifffile):
    pytest.importorskip("imagecodecs")
    tifffile.imwrite(tmp_path / "it.tif", COLOURS, photometric="minisblack", planarconfig="contig",
                     compression="jpegxl")  # fmt: skip
    with pytest.raises(DataError, match="JPEGXL"):
        levels(tmp_path / "it.tif", PixelForm(5))


# Bands


def rgba(alpha):
    return Image.fromarray(np.dstack([COLOURS[..., :3], alpha]).astype(np.uint8), "RGBA")


def test_transparency_is_dropped_and_another_fourth_band_is_not(tmp_path):
    cut_out = np.where(COLOURS[..., 3] > 100, 255, 0)
    for alpha in (np.full((6, 8), 255), np.full((6, 8), 90), cut_out):
        found = levels(saved(tmp_path, rgba(alpha)), PixelForm())
        assert (found == COLOURS[..., :3].transpose(2, 0, 1)).all()
    infrared = saved(tmp_path, rgba(COLOURS[..., 3]))
    assert (levels(infrared, PixelForm(4)) == COLOURS[..., :4].transpose(2, 0, 1)).all()
    for channels in (1, 3):
        with pytest.raises(DataError, match=r"4 bands whose last.*--model.channels 4"):
            levels(infrared, PixelForm(channels))


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "CMYK"])
def test_grey_and_colours_become_each_other_and_nothing_else_does(tmp_path, mode):
    file = saved(tmp_path, Image.fromarray(COLOURS[..., :3]).convert(mode), "it.tif")
    for channels in (1, 3):
        assert levels(file, PixelForm(channels)).shape == (channels, 6, 8)
    with pytest.raises(DataError, match="expected a picture of 4 bands"):
        levels(file, PixelForm(4))


def test_lab_is_refused_by_its_name(tmp_path):
    file = saved(tmp_path, Image.new("LAB", (8, 6)), "it.tif")
    with pytest.raises(DataError, match="LAB picture"):
        read_image(file)


def test_a_channel_a_file(tmp_path):
    paths = []
    for band in range(4):
        paths.append(saved(tmp_path, Image.fromarray(COLOURS[..., band]), f"{band}.png"))
    own = np.zeros((6, 8, 3), np.uint8)
    own[..., 1] = COLOURS[..., 2]  # in colour, but in one alone
    paths[2] = saved(tmp_path, Image.fromarray(own), "2.png")
    for count in (3, 4):
        found = read_pixels(paths[0], channel_files=paths[1:count], form=PixelForm(count))
        assert (as_array(found) == COLOURS[..., :count].transpose(2, 0, 1)).all()
    with pytest.raises(DataError, match=r"expected a picture of 3 bands.*got 4 \(a file each"):
        read_pixels(paths[0], channel_files=paths[1:])
    with pytest.raises(DataError, match=r"5\.png: no such picture"):
        read_pixels(paths[0], channel_files=[tmp_path / "5.png"], form=PixelForm(2))
    colours = saved(tmp_path, Image.fromarray(COLOURS[..., :3]), "c.png")
    with pytest.raises(DataError, match=r"c\.png: expected one channel in the file, got 3"):
        read_pixels(paths[0], channel_files=[colours], form=PixelForm(2))
    small = saved(tmp_path, Image.new("L", (4, 4)), "s.png")
    with pytest.raises(DataError, match="one size of all channels, got 8 x 6, 4 x 4"):
        read_pixels(paths[0], channel_files=[small], form=PixelForm(2))


# Formats


@pytest.mark.parametrize("suffix", [".avif", ".jfif", ".jpe", ".ppm", ".pgm", ".pfm"])
def test_more_suffixes(tmp_path, suffix):
    picture = Image.fromarray(COLOURS[..., :3])
    if suffix == ".pfm":
        picture = picture.convert("F")
    if suffix == ".pgm":
        picture = picture.convert("L")
    kind = {".avif": "AVIF", ".jfif": "JPEG", ".jpe": "JPEG"}.get(suffix, "PPM")
    picture.save(tmp_path / f"it{suffix}", kind)
    assert read_image(tmp_path / f"it{suffix}", form=PixelForm(3, (0, 255))).size == (8, 6)


@pytest.mark.parametrize(
    ("start", "named"),
    [
        (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"\xff\x0a", "JPEG XL"),
        (b"<!DOCTYPE html>", "HTML"),
        (b"version https://git-lfs.github.com/spec/v1", "Git LFS"),
        (b"\x00\x00\x00\x20ftypisom", "video"),
        (b"%!PS-Adobe", "PostScript"),
    ],
)
def test_a_format_that_is_not_taken_is_named(tmp_path, start, named):
    file = saved(tmp_path, start + bytes(100), "it.jpg")
    with pytest.raises(DataError, match=f"it.jpg: not a readable picture: {named}"):
        read_image(file)


def test_heic_needs_an_extra_and_is_read_with_it(tmp_path, monkeypatch):
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    Image.new("RGB", (64, 48), (200, 30, 10)).save(tmp_path / "it.heic")
    picture = read_image(tmp_path / "it.heic")
    assert picture.size == (64, 48)
    assert np.abs(np.asarray(picture).astype(int)[0, 0] - (200, 30, 10)).max() < 8
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(DataError, match=r"HEIC picture: needs .*'lcnet\[heic\]'"):
        read_image(tmp_path / "it.heic")


def test_dicom_has_the_values_of_the_device(tmp_path, monkeypatch):
    pytest.importorskip("pydicom")
    stored = {
        "plain": dicom(RAMP),
        "moved": dicom(RAMP, RescaleSlope=2, RescaleIntercept=-1024),
        "white": dicom(RAMP, PhotometricInterpretation="MONOCHROME1"),
    }
    ranges = {"plain": (0, 4095), "moved": (-1024, 2 * 4095 - 1024), "white": (0, 4095)}
    for name, content in stored.items():
        file = saved(tmp_path, content, f"{name}.dcm")
        found = levels(file, PixelForm(1, ranges[name]))[0]
        assert (found == (255 - LEVELS if name == "white" else LEVELS)).all()
        assert (found == levels_of_bytes(content, PixelForm(1, ranges[name]))).all()
        with pytest.raises(DataError, match="DICOM CT picture, but"):
            read_image(file)
    saved(tmp_path, stored["plain"][:-20], "cut.dcm")
    with pytest.raises(DataError, match=r"cut\.dcm: "):
        levels(tmp_path / "cut.dcm")
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(DataError, match=r"DICOM picture: needs .*'lcnet\[dicom\]'"):
        read_image(tmp_path / "plain.dcm")


def levels_of_bytes(content, form):
    from pathlib import Path

    return as_array(read_pixels(Path("inside"), data=content, form=form))[0]


def test_bytes_are_read_as_files_are(tmp_path):
    for content in (png16(np.dstack([RAMP] * 3)), _encoded(Image.fromarray(RAMP), "TIFF")):
        file = saved(tmp_path, content)
        assert (levels_of_bytes(content, DEEP) == levels(file)[0]).all()


def _encoded(image, kind):
    stored = io.BytesIO()
    image.save(stored, kind)
    return stored.getvalue()


def test_values_in_figures_can_be_typed():
    assert [in_figures(value) for value in (4095.0, -1024, 0.25, 1e-7)] == [
        "4095", "-1024", "0.25", "1e-07"
    ]  # fmt: skip
