import numpy as np
import pytest
import torch
from PIL import ExifTags, Image
from tests.marks import marks

from lcnet.data.dataset import Draw, ImageLabels, Sample, Split
from lcnet.data.decoding import PixelForm, read_image
from lcnet.data.transforms import Transform
from lcnet.errors import DataError


@pytest.fixture
def split(tmp_path):
    for index in range(3):
        Image.new("RGB", (8, 8), (index, 0, 0)).save(tmp_path / f"{index}.png")
    samples = [Sample(tmp_path / f"{i}.png", f"list.csv:{i + 2}") for i in range(3)]
    return Split(("a", "b", "c"), tuple(samples), marks([[1, 0, -1]] * 3), "list.csv")


def test_targets_of_a_split_have_a_row_for_each_picture_and_a_column_for_each_label(split):
    for targets in (split.targets[:2], split.targets[:, :2], split.targets.astype(int)):
        with pytest.raises(ValueError, match="expected int8 targets"):
            Split(split.labels, split.samples, targets)


def test_some_pictures_of_a_split_keep_their_targets(split):
    targets = marks([[1, 0, -1], [0, 1, 1], [-1, -1, 0]])
    whole = Split(split.labels, split.samples, targets, "list.csv")
    for rows in (np.array([False, True, True]), np.array([1, 2])):
        some = whole.chosen(rows)
        assert some.samples == whole.samples[1:]
        assert some.targets.tolist() == targets[1:].tolist()
        assert (some.labels, some.name) == (whole.labels, "list.csv")


def test_items_are_pictures_with_their_targets(split):
    data = ImageLabels(split, Transform(lambda image: torch.tensor(np.asarray(image)[0, 0]), 0))
    image, targets = data[2]
    assert image.tolist() == [2, 0, 0]
    assert targets.tolist() == [1, 0, -1]


def test_a_draw_fixes_the_augmentation_and_leaves_other_random_numbers_alone(split):
    data = ImageLabels(split, Transform(lambda image: torch.rand(4), 0))
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first, again, other = (data[Draw(0, seed)][0] for seed in (5, 5, 6))
    assert first.equal(again)
    assert not first.equal(other)
    assert torch.get_rng_state().equal(before)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no such picture"), (b"", "not a readable picture"), (b"GIF89a", "not a readable")],
)
def test_a_picture_that_cannot_be_read_is_named_with_its_row(tmp_path, content, message):
    path = tmp_path / "x.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        read_image(path, "train.csv:17")
    assert "x.jpg" in str(error.value)
    assert "train.csv:17" in str(error.value)
    assert "\n" not in str(error.value)


def test_sixteen_bits_a_pixel_keep_their_shades(tmp_path):
    shades = np.array([[0, 20000, 40000, 65535]], dtype=np.uint16)
    Image.fromarray(shades).save(tmp_path / "deep.png")
    form = PixelForm(pixel_range=(0, 65535))
    shown = read_image(tmp_path / "deep.png", form=form)
    assert np.asarray(shown)[0, :, 0].tolist() == [0, 78, 156, 255]


def test_a_loader_process_s_traceback_becomes_one_line():
    text = (
        "Caught DataError in DataLoader worker process 0.\nOriginal Traceback (most recent call "
        "last):\n  File ...\nlcnet.errors.DataError: x.jpg: no such picture\n"
    )
    assert str(DataError(text)) == "x.jpg: no such picture"


def test_a_truncated_picture_is_refused(tmp_path):
    path = tmp_path / "x.jpg"
    Image.effect_noise((200, 200), 50).save(path)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DataError, match="truncated"):
        read_image(path)


def smooth(width, height):
    """A picture of soft gradients."""
    across, down = np.meshgrid(np.linspace(0, 3, width), np.linspace(0, 2, height))
    waves = [np.sin(across + down), np.cos(2 * across), np.sin(across * down)]
    return Image.fromarray((127 + 100 * np.stack(waves, axis=-1)).astype(np.uint8))


@pytest.mark.parametrize(
    ("stored", "size", "decoded"),
    [
        ((640, 480), 448, (640, 480)),
        ((640, 480), 240, (320, 240)),
        ((640, 480), 241, (640, 480)),
        ((1600, 900), 224, (400, 225)),
        ((1601, 901), 100, (201, 113)),
        ((640, 480), 10, (80, 60)),
        ((640, 480), 0, (640, 480)),
    ],
)
def test_a_jpeg_is_decoded_at_the_smallest_scale_that_suffices(tmp_path, stored, size, decoded):
    picture = smooth(*stored)
    picture.save(tmp_path / "x.jpg", quality=95)
    picture.save(tmp_path / "x.png")
    small = read_image(tmp_path / "x.jpg", size=size)
    assert small.size == decoded
    assert read_image(tmp_path / "x.png", size=size).size == stored
    usual = read_image(tmp_path / "x.jpg").resize(decoded, Image.Resampling.BOX)
    apart = np.abs(np.asarray(small).astype(int) - np.asarray(usual))
    assert apart.max() <= 6
    assert apart.mean() < 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_jpeg_is_decoded_small_and_upright(tmp_path, orientation):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    smooth(640, 200).save(tmp_path / "x.jpg", exif=exif, quality=95)
    small, whole = (read_image(tmp_path / "x.jpg", size=size) for size in (100, 0))
    assert small.size == ((320, 100) if orientation < 5 else (100, 320))
    usual = whole.resize(small.size, Image.Resampling.BOX)
    assert np.abs(np.asarray(small).astype(int) - np.asarray(usual)).max() <= 3


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGB"])
def test_a_small_jpeg_is_rgb_and_decodable_whatever_it_was(tmp_path, mode):
    smooth(64, 64).convert(mode).save(tmp_path / "x.jpg")
    image = read_image(tmp_path / "x.jpg", size=16)
    assert (image.mode, image.size) == ("RGB", (16, 16))


def test_items_are_read_no_larger_than_the_transform_needs(tmp_path):
    smooth(64, 48).save(tmp_path / "x.jpg")
    split = Split(("a",), (Sample(tmp_path / "x.jpg"),), marks([[1]]))
    for needed, found in ((24, [24, 32]), (25, [48, 64])):
        shape = Transform(lambda image: torch.tensor(np.asarray(image).shape[:2]), needed)
        assert ImageLabels(split, shape)[0][0].tolist() == found


def test_a_truncated_picture_is_refused_at_any_scale(tmp_path):
    path = tmp_path / "x.jpg"
    smooth(400, 400).save(path)
    path.write_bytes(path.read_bytes()[:2500])
    with pytest.raises(DataError, match="truncated"):
        read_image(path, size=50)
