"""The device that models compute on, the precision, and the versions of the libraries."""

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

import torch

Precision = Literal["fp32", "bf16"]
"""Precision of inference."""
HALVES = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
"""The half-precision type that each `precision` mixes with float32; None for none."""

PACKAGES = (
    "lcnet",
    "torch",
    "torchvision",
    "timm",
    "lightning-fabric",
    "numpy",
    "pillow",
    "safetensors",
)
"""Packages whose code affects the numbers of a run; their versions are recorded."""


def usual_device() -> torch.device:
    """The accelerator if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The context in which a model computes in `precision`: fp32, bf16 or fp16."""
    half = HALVES[precision]
    return torch.autocast(device.type, half, enabled=half is not None)


def best_precision(device: torch.device) -> Precision:
    """bfloat16 if the device has instructions for it, else float32."""
    # An emulated bfloat16 is slower than float32: docs/log/speed.md.
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if device.type == "cpu" and _multiplies_bf16():
        return "bf16"
    return "fp32"


def _multiplies_bf16() -> bool:
    """Whether the processor has instructions for bfloat16."""
    if hasattr(torch.cpu, "get_capabilities"):
        has = torch.cpu.get_capabilities()
        return bool(has.get("avx512_bf16") or has.get("amx_bf16") or has.get("bf16"))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def surroundings(device: str) -> dict[str, str]:
    """The versions of Python and `PACKAGES`, the platform and the device, by name."""
    versions = {"python": platform.python_version(), **package_versions()}
    return versions | {"platform": platform.platform(), "device": device}


def package_versions() -> dict[str, str]:
    """The installed version of each of `PACKAGES`; "unknown" if it cannot be read."""
    return {package: _version(package) for package in PACKAGES}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
