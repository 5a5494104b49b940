"""Where models compute, in which arithmetic, and with which versions."""

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

import torch

Precision = Literal["fp32", "bf16"]
"""The arithmetic of inference."""
HALVES = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
"""The half precision that a recipe's `precision` mixes with float32, if any."""

PACKAGES = (
    "lcnet",
    "torch",
    "torchvision",
    "timm",
    "lightning",
    "numpy",
    "pillow",
    "safetensors",
)
"""Those whose code the numbers of a run depend on."""


def usual_device() -> torch.device:
    """The accelerator if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The context in which a model computes in `precision`: fp32, bf16 or fp16."""
    kind = HALVES[precision]
    return torch.autocast(device.type, kind, enabled=kind is not None)


def best_precision(device: torch.device) -> Precision:
    """bfloat16 where the device multiplies in it, float32 elsewhere."""
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if device.type == "cpu" and _multiplies_bf16():
        return "bf16"
    return "fp32"


def _multiplies_bf16() -> bool:
    """Whether the processor has instructions for bfloat16; torch would emulate them slowly."""
    if hasattr(torch.cpu, "get_capabilities"):
        known = torch.cpu.get_capabilities()
        return bool(known.get("avx512_bf16") or known.get("amx_bf16") or known.get("bf16"))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def surroundings(device: str) -> dict[str, str]:
    """The versions of Python and `PACKAGES`, the platform and the device, by name."""
    versions = {"python": platform.python_version(), **package_versions()}
    return versions | {"platform": platform.platform(), "device": device}


def package_versions() -> dict[str, str]:
    """The installed version of each of `PACKAGES`; "unknown" for one without."""
    return {package: _version(package) for package in PACKAGES}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
