"""TIFF pictures that Pillow would change: several bands of more than 8 bits, or more than three."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lcnet.data.pixel_form import Unfit
from lcnet.data.values import KINDS, Source, Values, turned, upright_sides
from lcnet.errors import reason_of

BITS, PHOTOMETRIC, BANDS, ORIENTATION, EXTRA, NUMBER = 258, 262, 277, 274, 338, 339
"""Tags."""
WHITE_IS_LOW, SEPARATED = 0, 5
ALPHA = (1, 2)
"""Extra bands that are transparency."""
COMPRESSIONS = {
    1: "none",
    5: "LZW",
    8: "deflate",
    32946: "deflate",
    32773: "PackBits",
    34925: "LZMA",
    50000: "Zstandard",
}
"""The compressions that are taken here; Pillow takes others too for pictures of usual kinds."""


def pillow_changes(image: Image.Image) -> bool:
    """Whether Pillow would drop bits or bands of this TIFF, or misread the sign of its values."""
    tags: Any = image.tag_v2  # type: ignore[attr-defined]
    bits, bands = max(tags.get(BITS, (1,))), tags.get(BANDS, 1)
    if bits <= 8:
        extra = tags.get(EXTRA, ())
        is_signed = 2 in tags.get(NUMBER, ())
        has_all = bands <= 3 or (bands == 4 and (image.mode == "CMYK" or _is_alpha(extra, image)))
        return is_signed or not has_all
    return bool(bands > 1)


def _is_alpha(extra: tuple[int, ...], image: Image.Image) -> bool:
    return image.mode == "RGBA" and len(extra) == 1 and extra[0] in ALPHA


def tiff_values(source: Source) -> Values:
    """The first picture of a TIFF file, whatever its bands and bits.

    Raises Unfit if tifffile is missing, or the file's compression or kind is not taken.
    """
    try:
        import tifffile
    except ImportError:
        raise Unfit(
            "TIFF picture with several bands of more than 8 bits, with more than three bands or "
            "with rare numbers: needs tifffile. Install it: pip install 'lcnet[tiff]'"
        ) from None
    try:
        file = tifffile.TiffFile(source)
    except Exception as error:  # tifffile raises a dozen types on a broken file
        raise Unfit(f"not a readable TIFF picture: {reason_of(error)}. Replace the file") from None
    page = file.pages[0]
    axes, shape, orientation = page.axes, page.shape, _tag(page, ORIENTATION, 1)
    if axes not in ("YX", "YXS", "SYX") or page.dtype is None or page.dtype.str[1:] not in KINDS:
        file.close()
        raise Unfit(f"TIFF picture of an unknown kind (axes {axes}, {page.dtype}). Save it as PNG")
    if page.compression not in COMPRESSIONS or page.photometric == SEPARATED:
        name = getattr(page.compression, "name", page.compression)
        file.close()
        raise Unfit(
            f"TIFF picture in a compression or colours not taken ({name}, "
            f"{getattr(page.photometric, 'name', page.photometric)}). Save it with LZW or deflate"
        )
    sides = dict(zip(axes, shape, strict=True))

    def read() -> NDArray[Any]:
        values: NDArray[Any] = page.asarray()
        return turned(np.moveaxis(values, 0, -1) if axes == "SYX" else values, orientation)

    extra = _tag(page, EXTRA, ())
    return Values(
        KINDS[page.dtype.str[1:]],
        upright_sides(sides["X"], sides["Y"], orientation),
        read,
        bands=sides.get("S", 1),
        has_alpha=tuple(extra)[-1:] in [(kind,) for kind in ALPHA],
        white_is_low=page.photometric == WHITE_IS_LOW,
        frames=len(file.pages),
        close=file.close,
    )


def _tag(page: Any, number: int, default: Any) -> Any:
    tag = page.tags.get(number)
    return default if tag is None else tag.value
