"""Reads published checkpoint files: tensors and plain values, never code."""

import argparse
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from lcnet.errors import CheckpointError, reason_of

RELEASED_FILE = "model_best.pth.tar"
STATE_KEYS = ("state_dict", "model_state", "state_dict_ema", "model")
"""Keys under which published checkpoints keep their weights; the first one present counts."""
SETTINGS_KEYS = ("arch", "args")
"""Keys under which they keep the command line they were trained with."""
LFS_POINTER = b"version https://git-lfs"
"""Start of the small file that Git LFS leaves in place of a large one."""
WHOLE = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool)
_HARMLESS = [
    argparse.Namespace,
    np.dtype,
    # Both names of numpy's scalar constructor: files of numpy 1 and 2 differ.
    (np._core.multiarray.scalar, "numpy.core.multiarray.scalar"),  # type: ignore[attr-defined]
    np._core.multiarray.scalar,  # type: ignore[attr-defined]
    *{type(np.dtype(kind)) for kind in "?bBhHiIlLqQefd"},
]
"""What a checkpoint may hold besides tensors and plain values; none of it runs code."""


@dataclass(frozen=True)
class Published:
    """The content of a checkpoint file."""

    file: Path
    tensors: dict[str, Tensor]
    """The weights by name, without a leading `module.`."""
    settings: dict[str, Any]
    """The command line it was trained with (`arch` or `args`); empty if the file has none."""
    others: dict[str, Any]
    """The other entries beside the weights, such as `epoch`; an optimizer's is not looked into."""


def read_published(path: Path) -> Published:
    """The checkpoint at `path`: .pth, .tar, .safetensors, or a folder with `RELEASED_FILE`.

    Raises CheckpointError if it cannot be read, holds code (which is never run), or has no weights.
    """
    file = path / RELEASED_FILE if path.is_dir() else path
    if not file.is_file():
        raise CheckpointError(
            f"{file}: no such checkpoint (expected a .pth, .tar or .safetensors file, or a folder "
            f"with {RELEASED_FILE}). Correct the path."
        )
    content = _load(file)
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f"{file}: expected a dictionary of weights, got {type(content).__name__}. "
            "Give the checkpoint that training saved."
        )
    key = next((key for key in STATE_KEYS if isinstance(content.get(key), Mapping)), None)
    weights = content if key is None else content[key]
    tensors = {
        str(name).removeprefix("module."): value
        for name, value in weights.items()
        if isinstance(value, Tensor)
    }
    if not tensors:
        raise CheckpointError(
            f"{file}: no weights (expected a state_dict, alone or under "
            f"{', '.join(STATE_KEYS)}). Give the checkpoint that training saved."
        )
    for name, tensor in tensors.items():
        if reason := _unfit(tensor, file):
            raise CheckpointError(
                f"{file}: weights {name!r}: {reason}. Give the checkpoint that training saved."
            )
    others = {} if key is None else {name: content[name] for name in content if name != key}
    return Published(file, tensors, _settings(others), others)


def _unfit(tensor: Tensor, file: Path) -> str:
    """Why a tensor cannot be a weight, such as a shape larger than the file; else empty."""
    if tensor.layout is not torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
        return f"expected plain numbers, got {tensor.layout} on {tensor.device}"
    if max(tensor.nbytes, tensor.untyped_storage().nbytes()) > file.stat().st_size:
        return f"expected as many numbers as the file has, got a shape of {tuple(tensor.shape)}"
    if not (tensor.is_floating_point() or tensor.dtype in WHOLE):
        return f"expected real numbers, got {tensor.dtype}"
    return ""


def _settings(others: dict[str, Any]) -> dict[str, Any]:
    """Take the command line out of the other entries; empty if there is none."""
    for name in SETTINGS_KEYS:
        arguments = others.get(name)
        if isinstance(arguments, argparse.Namespace):
            arguments = vars(arguments)
        if isinstance(arguments, Mapping):
            del others[name]
            return dict(arguments)
    return {}


def _load(file: Path) -> Any:
    try:
        with file.open("rb") as start:
            pointer = start.read(len(LFS_POINTER)) == LFS_POINTER
        if pointer:
            raise CheckpointError(
                f"{file}: a Git LFS pointer, not the checkpoint itself. Fetch it with: git lfs pull"
            )
        if file.suffix == ".safetensors":
            return load_file(file)
        with torch.serialization.safe_globals(_HARMLESS), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols it may not know
            return torch.load(
                file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file)
            )
    except CheckpointError:
        raise
    except pickle.UnpicklingError as error:
        wanted = re.search(r"GLOBAL ([\w.]+)", str(error))
        if wanted:
            raise CheckpointError(
                f"{file}: refused, it holds {wanted[1]!r}, which could run code (expected tensors "
                "and plain values). If you trust it, save its state_dict alone and give that."
            ) from None
        raise CheckpointError(
            f"{file}: not a checkpoint of tensors and plain values; nothing in it was run. "
            "Fetch the file again; or, if you trust it, save its state_dict alone and give that."
        ) from None
    except Exception as error:  # torch and safetensors raise a dozen types
        raise CheckpointError(
            f"{file}: not a whole checkpoint ({reason_of(error).partition('. ')[0]}). "
            "Fetch the file again."
        ) from None
