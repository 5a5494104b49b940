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

from lcnet.data.decoding import PICTURE_FORMATS, upright_rgb
from lcnet.errors import reason_of

LOOK_PX = 32
"""Side of the grey thumbnail that stands for a picture's look."""
FEW = 256
"""Up to this many pictures, no processes are started: reading them takes less time."""


@dataclass(frozen=True)
class PictureFacts:
    """The facts of one picture; without pixels and look if it could not be decoded."""

    fault: Literal["", "missing", "huge", "unreadable"] = ""
    """The fault of the file; empty if it can be read."""
    reason: str = ""
    """The decoder's reason, if it is huge or unreadable."""
    size: tuple[int, int] = (0, 0)
    """Width and height in pixels, upright."""
    mode: str = ""
    """Pillow's name of how the file stores a pixel, such as RGB or I;16."""
    range: tuple[int, int] = (0, 255)
    """The lowest and the highest value of its pixels, of all three colours, 0 to 255."""
    pixels: bytes = b""
    """Digest of size and RGB values: equal only for pictures that look the same to a model."""
    look: bytes = b""
    """The picture in grey, LOOK_PX x LOOK_PX bytes."""


def picture_facts(path: Path) -> PictureFacts:
    """The facts of the picture at `path`, read in the same way as in training.

    It is decoded to its last byte, so that truncation shows. A picture above Pillow's limit
    (`Image.MAX_IMAGE_PIXELS`, 89 million pixels) is called huge and not decoded.
    """
    if not path.is_file():
        return PictureFacts("missing")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=PICTURE_FORMATS) as image:
                mode = image.mode
                rgb = upright_rgb(image)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        return PictureFacts("huge", reason_of(error).partition(", could be")[0])
    except Exception as error:  # Pillow's decoders raise a dozen types on a broken file
        # Pillow's reason names the file, which the finding names already.
        return PictureFacts("unreadable", reason_of(error).replace(f" {str(path)!r}", ""))
    digest = blake2b(f"{rgb.size}".encode(), digest_size=16)
    digest.update(rgb.tobytes())
    lows, highs = zip(*np.reshape(rgb.getextrema(), (-1, 2)).tolist(), strict=True)
    return PictureFacts(
        size=rgb.size,
        mode=mode,
        range=(min(lows), max(highs)),
        pixels=digest.digest(),
        look=look(rgb).tobytes(),
    )


def look(picture: Image.Image) -> np.ndarray:
    """The picture as a grey thumbnail: uint8 of shape (LOOK_PX, LOOK_PX)."""
    grey = picture.convert("L").resize((LOOK_PX, LOOK_PX), Image.Resampling.LANCZOS)
    return np.asarray(grey, dtype=np.uint8)


def read_facts(paths: Sequence[Path], workers: int) -> Iterator[PictureFacts]:
    """Each picture's facts, in order, read by `workers` processes; -1: one per core, up to 16."""
    if workers < 0:
        workers = 0 if len(paths) <= FEW else min(16, os.cpu_count() or 1)
    loader = DataLoader(_Files(paths), 32, num_workers=workers, collate_fn=list[PictureFacts])
    for batch in loader:
        yield from batch


def looks(facts: Sequence[PictureFacts]) -> np.ndarray:
    """The looks of readable pictures: uint8 of shape (pictures, LOOK_PX, LOOK_PX)."""
    joined = b"".join(picture.look for picture in facts)
    return np.frombuffer(joined, np.uint8).reshape(len(facts), LOOK_PX, LOOK_PX)


class _Files(Dataset[PictureFacts]):
    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> PictureFacts:
        return picture_facts(self.paths[index])
