"""The pictures that a caller gives `Predictor`: paths, bytes, open files, arrays, PIL images."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import repeat
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lcnet.data.sources import Picture, writable
from lcnet.errors import ConfigError, DataError, reason_of
from lcnet.schema import unknown_label

Given = Path | str | bytes | BinaryIO | NDArray[Any] | Tensor | Image.Image | Picture
"""A picture as `Predictor` takes it: a path; a picture's file as bytes or as an open binary file;
its values as an array (NumPy H W or H W C, torch H W or C H W, in RGB); a PIL image; or a source's
`Picture`."""
TAKEN = "a path, bytes, an open binary file, a NumPy array, a torch tensor or a PIL image"


Known = Mapping[str, bool] | Iterable[Mapping[str, bool]]
"""Labels that are known to be present (True) or absent (False): the same for all pictures, or for
each of them."""


def named(
    images: Iterable[Given], known: Known | None = None, labels: Sequence[str] = ()
) -> Iterator[Picture]:
    """The pictures, one at a time, each with its path or else its position as its name.

    With `known` they have the labels that are known; else a `Picture` has its own. Raises
    ConfigError if one picture is given in place of several, if a known label is not one of
    `labels`, or if there is not one of `known` for each picture.
    """
    _refuse_single(images)
    pictures = (
        image if isinstance(image, Picture) else _named(image, str(position))
        for position, image in enumerate(images)
    )
    if known is None:
        yield from pictures
        return
    same = known if isinstance(known, Mapping) else None
    of_each = iter(repeat(same) if same is not None else known)
    missing = object()
    for picture in pictures:
        states = next(of_each, missing)
        if not isinstance(states, Mapping):
            got = "fewer" if states is missing else f"{type(states).__name__}"
            raise ConfigError(
                "known: expected labels with True or False, such as {'dog': True}, for all "
                f"pictures or for each, got {got} at picture {picture.name}."
            )
        check_known(states, labels)
        yield replace(picture, known=dict(states))
    if same is None and next(of_each, missing) is not missing:
        raise ConfigError("known: expected one for each picture, got more. Leave the others out.")


def check_known(known: Mapping[str, bool], labels: Sequence[str]) -> None:
    """Raises ConfigError if a known label is none of the model's, or neither True nor False."""
    for label, state in known.items():
        if label not in labels:
            raise ConfigError(f"known: {unknown_label(str(label), labels)}. Correct the name.")
        if not isinstance(state, bool | np.bool_):
            raise ConfigError(f"known: expected True or False for {label}, got {state!r}.")


def _refuse_single(images: object) -> None:
    is_array = isinstance(images, np.ndarray | Tensor)
    if isinstance(images, str | bytes | PathLike | Image.Image) or hasattr(images, "read"):
        what = type(images).__name__
    elif is_array and images.ndim != 4:  # type: ignore[attr-defined]
        what = f"an array of {images.ndim} dimensions"  # type: ignore[attr-defined]
    elif not hasattr(images, "__iter__"):
        what = type(images).__name__
    else:
        return
    raise ConfigError(f"pictures: expected several, got {what}. Give a list: [PICTURE].")


def _named(image: object, position: str) -> Picture:
    if isinstance(image, str | PathLike):
        path = Path(image)
        return Picture(writable(str(path)), path)
    if isinstance(image, bytes | bytearray | memoryview):
        return Picture(position, bytes(image))
    if hasattr(image, "read"):
        return Picture(position, _content(image))
    if isinstance(image, Image.Image | np.ndarray | Tensor):
        return Picture(position, image)
    return Picture(position, DataError(f"expected {TAKEN}, got {type(image).__name__}."))


def _content(file: Any) -> bytes | DataError:
    """The bytes of an open file from where it stands, or why there are none."""
    try:
        content = file.read()
    except Exception as error:  # any class can be a file
        return DataError(f"the open file cannot be read: {reason_of(error)}.")
    if not isinstance(content, bytes):
        kind = type(content).__name__
        return DataError(f"expected an open file that gives bytes, got {kind}. Open it with 'rb'.")
    if not content:
        return DataError("the open file gave no bytes. If it was read before, call seek(0) first.")
    return content
