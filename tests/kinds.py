"""Small pictures of kinds that Pillow cannot write."""

import struct
import zlib

import numpy as np


def png16(values: np.ndarray) -> bytes:
    """A PNG of 16 bits: H W, or H W and 2 to 4 bands."""
    height, width = values.shape[:2]
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[1 if values.ndim == 2 else values.shape[2]]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)

    def chunk(kind: bytes, content: bytes) -> bytes:
        whole = kind + content
        return struct.pack(">I", len(content)) + whole + struct.pack(">I", zlib.crc32(whole))

    head = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def dicom(values: np.ndarray, **tags: object) -> bytes:
    """An uncompressed DICOM file of one grey picture (H W, signed or unsigned 16 bits)."""
    import io

    import pydicom
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    file.Rows, file.Columns = values.shape
    file.SamplesPerPixel = 1
    file.BitsAllocated, file.BitsStored, file.HighBit = 16, 12, 11
    file.PixelRepresentation = int(values.dtype.kind == "i")
    file.PhotometricInterpretation = "MONOCHROME2"
    file.Modality = "CT"
    for name, value in tags.items():
        setattr(file, name, value)
    file.PixelData = values.tobytes()
    stored = io.BytesIO()
    pydicom.dcmwrite(stored, file, enforce_file_format=True)
    return stored.getvalue()
