"""Facts of a picture's file: whether it can be read, its size, its pixels, its look."""

import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from lcnet.data.bands import as_array, as_shown
from lcnet.data.decoding import read_pixels, upright_pixels
from lcnet.data.opening import open_picture
from lcnet.data.pixel_form import PixelForm
from lcnet.data.values import BYTES, Values
from lcnet.errors import reason_of

LOOK_PX = 32
"""Side of the grey thumbnail that stands for a picture's look."""
FEW = 256
"""Up to this many pictures, no processes are started: reading them takes less time."""

BATCH = 32
"""Pictures that a process reads before it hands over what it has found."""


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """The facts of one picture; without pixels and look if it could not be decoded."""

    fault: Literal["", "missing", "huge", "unreadable"] = ""
    """The fault of the file; empty if it can be read."""
    reason: str = ""
    """The decoder's reason, if it is huge or unreadable."""
    size: tuple[int, int] = (0, 0)
    """Width and height in pixels, upright."""
    range: tuple[int, int] = (0, 255)
    """The lowest and the highest value of its pixels, of all three colours, 0 to 255."""
    pixels: bytes = b""
    """Digest of size and RGB values: equal only for pictures that look the same to a model."""
    look: bytes = b""
    """The picture in grey, LOOK_PX x LOOK_PX bytes."""
    stored: int = 3
    """Bands in the file; 1 for grey, whatever it is shown as."""
    bands: int = 3
    """1 for grey, 3 for colours, 4 if a fourth band is no transparency, or more."""
    kind: str = BYTES
    """What its numbers are, such as 16-bit."""
    frames: int = 1
    """Pictures in the file; lcnet takes the first."""


def picture_facts(
    path: Path,
    pixel_range: tuple[float, float] | None = None,
    channel_files: Sequence[Path] = (),
) -> PictureFacts:
    """The facts of the picture at `path`, read in the same way as in training, with all its bands.

    `pixel_range` are the values of black and white in pictures of more than 8 bits; further files
    are further channels.

    It is decoded to its last byte, so that truncation shows. A picture above Pillow's limit
    (`Image.MAX_IMAGE_PIXELS`, 89 million pixels) is called huge and not decoded.
    """
    if not all(file.is_file() for file in (path, *channel_files)):
        return PictureFacts("missing")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with open_picture(path) as picture:
                width, height = picture.size
                if width * height > (Image.MAX_IMAGE_PIXELS or width * height):
                    raise Image.DecompressionBombWarning(f"{width:,} x {height:,} pixels")
                frames, stored = _frames(picture), _stored(picture)
                kind = picture.kind if isinstance(picture, Values) else BYTES
                form = PixelForm(0, pixel_range)
                if channel_files:
                    pixels = read_pixels(path, form=form, channel_files=channel_files)
                else:
                    pixels = upright_pixels(picture, form)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        return PictureFacts("huge", reason_of(error).partition(", could be")[0])
    except Exception as error:  # Pillow's decoders raise a dozen types on a broken file
        # Pillow's reason names the file, which the finding names already.
        return PictureFacts("unreadable", reason_of(error).replace(f" {str(path)!r}", ""))
    shown = as_shown(pixels)
    values = as_array(pixels)
    digest = blake2b(f"{shown.size}".encode(), digest_size=16)
    digest.update(shown.tobytes() if len(values) in (1, 3) else values.tobytes())
    return PictureFacts(
        size=shown.size,
        range=(int(values.min()), int(values.max())),
        pixels=digest.digest(),
        look=look(shown).tobytes(),
        stored=stored,
        bands=len(values),
        kind=kind,
        frames=frames,
    )


def _stored(picture: Image.Image | Values) -> int:
    """How many bands a file has; a palette counts as colour."""
    if isinstance(picture, Values):
        return picture.bands
    return 1 if picture.mode[:1] in ("1", "L", "I", "F") and picture.mode != "LAB" else 3


def _frames(picture: Image.Image | Values) -> int:
    """How many pictures a file holds; counted before it is decoded, which some formats need."""
    if isinstance(picture, Values):
        return picture.frames
    if picture.format not in ("GIF", "TIFF", "PNG", "WEBP", "AVIF"):
        return 1
    return int(getattr(picture, "n_frames", 1))


def look(picture: Image.Image) -> np.ndarray:
    """The picture as a grey thumbnail: uint8 of shape (LOOK_PX, LOOK_PX)."""
    grey = picture.convert("L").resize((LOOK_PX, LOOK_PX), Image.Resampling.LANCZOS)
    return np.asarray(grey, dtype=np.uint8)


def read_facts(
    paths: Sequence[Path],
    workers: int,
    pixel_range: tuple[float, float] | None = None,
    channel_files: Sequence[Sequence[Path]] = (),
) -> Iterator[PictureFacts]:
    """Each picture's facts, in order, read by `workers` processes; -1: one per core, up to 16."""
    if workers < 0:
        workers = 0 if len(paths) <= FEW else min(16, os.cpu_count() or 1)
    files = _Files(paths, pixel_range, channel_files)
    loader = DataLoader(files, BATCH, num_workers=workers, collate_fn=list[PictureFacts])
    for batch in loader:
        yield from batch


def looks(facts: Sequence[PictureFacts]) -> np.ndarray:
    """The looks of readable pictures: uint8 of shape (pictures, LOOK_PX, LOOK_PX)."""
    joined = b"".join(picture.look for picture in facts)
    return np.frombuffer(joined, np.uint8).reshape(len(facts), LOOK_PX, LOOK_PX)


class _Files(Dataset[PictureFacts]):
    def __init__(
        self,
        paths: Sequence[Path],
        pixel_range: tuple[float, float] | None,
        channel_files: Sequence[Sequence[Path]],
    ) -> None:
        self.paths = paths
        self.channel_files = channel_files
        self.pixel_range = pixel_range

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> PictureFacts:
        further = self.channel_files[index] if self.channel_files else ()
        return picture_facts(self.paths[index], self.pixel_range, further)
