"""DICOM pictures: their values as the device means them, such as Hounsfield units."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcnet.data.pixel_form import Unfit
from lcnet.data.values import BYTES, Source, Values
from lcnet.errors import reason_of

GREY = ("MONOCHROME1", "MONOCHROME2")
COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT")


def dicom_values(source: Source) -> Values:
    """The first picture of a DICOM file.

    Values are multiplied by the rescale slope and moved by the intercept; MONOCHROME1 has white as
    its lowest value. Raises Unfit if pydicom is missing or the file is not taken.
    """
    try:
        import pydicom
    except ImportError:
        raise Unfit(
            "DICOM picture: needs pydicom. Install it: pip install 'lcnet[dicom]'"
        ) from None
    try:
        header = pydicom.dcmread(source, stop_before_pixels=True)
        colours, width, height = _colours(header), int(header.Columns), int(header.Rows)
        is_bytes = int(header.BitsStored) <= 8 and not _rescaled(header)
        frames = int(header.get("NumberOfFrames", 1) or 1)
    except Unfit:
        raise
    except Exception as error:  # pydicom raises a dozen types on a broken file
        raise Unfit(f"not a readable DICOM picture: {reason_of(error)}. Replace the file") from None

    def read() -> NDArray[Any]:
        return _first_frame(source, frames)

    return Values(
        BYTES if is_bytes else f"DICOM {header.get('Modality', '') or 'of no modality'}",
        (width, height),
        read,
        bands=3 if colours in COLOUR else 1,
        white_is_low=colours == "MONOCHROME1",
        frames=frames,
    )


def _colours(header: Any) -> str:
    colours = str(header.get("PhotometricInterpretation", ""))
    if colours not in (*GREY, *COLOUR):
        raise Unfit(f"DICOM file without a picture that is taken ({colours or 'no pixels'})")
    return colours


def _rescaled(header: Any) -> bool:
    slope, intercept = header.get("RescaleSlope", 1), header.get("RescaleIntercept", 0)
    return (float(1 if slope is None else slope), float(intercept or 0)) != (1.0, 0.0)


def _first_frame(source: Source, frames: int) -> NDArray[Any]:
    import pydicom

    if not hasattr(source, "suffix"):
        source.seek(0)
    file = pydicom.dcmread(source)
    try:
        values = np.asarray(pydicom.pixels.pixel_array(file, index=0 if frames > 1 else None))
    except (RuntimeError, NotImplementedError, AttributeError, ValueError) as error:
        syntax = getattr(file.file_meta.TransferSyntaxUID, "name", "unknown")
        raise Unfit(
            f"DICOM picture that pydicom cannot decode ({syntax}: {reason_of(error)[:120]}). "
            "Save it without compression"
        ) from None
    if not _rescaled(file):
        return values
    return values * float(file.get("RescaleSlope", 1)) + float(file.get("RescaleIntercept", 0))
