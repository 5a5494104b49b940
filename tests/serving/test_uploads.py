import io
from dataclasses import replace

import pytest
from PIL import Image
from tests.serving.conftest import picture_bytes

from lcnet.data.decoding import read_image
from lcnet.errors import DataError
from lcnet.serving.uploads import Limits, UploadTooLarge, read_upload, shown_name

USUAL = Limits(megabytes=20.0, pixels=40_000_000, waiting=64)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"])
def test_a_picture_is_what_read_image_makes_of_its_file(tmp_path, kind):
    stored = picture_bytes(size=(300, 200), kind=kind)
    (tmp_path / "it").write_bytes(stored)
    expected = read_image(tmp_path / "it", size=64)
    for source in (stored, tmp_path / "it"):
        found = read_upload(source, "it", USUAL, size=64)
        assert (found.mode, found.size) == ("RGB", expected.size)
        assert found.tobytes() == expected.tobytes()


def test_too_much_is_refused_before_it_is_decoded():
    stored = picture_bytes(size=(50, 40))
    with pytest.raises(UploadTooLarge, match=r"^a\.png: expected at most 0.001 MB, got 0.0"):
        read_upload(stored, "a.png", replace(USUAL, megabytes=0.001), size=32)
    # A header alone: to decode it would fail, so it was not tried.
    with pytest.raises(UploadTooLarge, match=r"at most 1,999 pixels, got 50 x 40\. Shrink"):
        read_upload(stored[:60], "a.png", replace(USUAL, pixels=1999), size=32)
    bomb = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(bomb, "PNG")
    with pytest.raises(UploadTooLarge, match="pixels"):
        read_upload(bomb.getvalue(), "bomb.png", USUAL, size=32)


@pytest.mark.parametrize(
    "stored", [b"", b"no picture", picture_bytes()[:200], b"%!PS-Adobe-3.0 EPSF-3.0\n"]
)
def test_what_is_no_picture_is_said_in_one_line(stored):
    with pytest.raises(DataError, match=r"^b\.jpg: not a readable picture: .+\. Send a JPEG") as it:
        read_upload(stored, "b.jpg", USUAL, size=32)
    assert "0x" not in str(it.value) and "\n" not in str(it.value)


def test_names_lose_folders_controls_and_length():
    assert shown_name("../../etc/passwd") == "passwd"
    assert shown_name("C:\\x\\a\nb.jpg") == "ab.jpg"
    assert len(shown_name("x" * 1000)) == 200
    assert shown_name(None) == shown_name("folder/") == "picture"
