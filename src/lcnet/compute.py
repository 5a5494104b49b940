"""The device that models compute on, the precision, and the versions of the libraries."""

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

import torch

from lcnet.schema import check_fields

Precision = Literal["fp32", "bf16"]
"""Precision of inference."""
MOST_ROUNDING = 0.01
"""Largest change of a probability with which `auto` still takes bfloat16."""
FEWEST_ROUNDED = 100
"""Pictures of which no label may change before `auto` takes bfloat16: fewer say too little."""
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


@dataclass(frozen=True)
class Rounding:
    """How far a model's answers in bfloat16 are from those in float32, as measured."""

    device: str
    """cpu or cuda."""
    split: str
    """The split that the pictures are from."""
    pictures: int
    largest: float
    """Largest change of a calibrated probability, 0 to 1."""
    relabelled: int
    """Pictures that get other labels."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "Rounding":
        """What `to_dict` stored. Raises ValueError for anything else."""
        return cls(**check_fields(cls, stored, "arithmetic.bf16"))

    def is_small(self, device: torch.device) -> bool:
        """Whether `auto` may take bfloat16 on the device: no label changes of enough pictures."""
        is_known = self.device == device.type and self.pictures >= FEWEST_ROUNDED
        return is_known and self.largest <= MOST_ROUNDING and not self.relabelled

    def __str__(self) -> str:
        return (
            f"probabilities differ from those in float32 by at most {self.largest:.2g}, and "
            f"{self.relabelled:,} of {self.pictures:,} pictures would get other labels (measured "
            f"on {self.split}, {self.device})"
        )


def chosen_precision(
    wanted: Precision | Literal["auto"], device: torch.device, rounding: Rounding | None
) -> Precision:
    """The precision to predict in; `auto` is bfloat16 only where it is fast and changes little.

    Without a measured `rounding` it is float32, in which models are measured and calibrated.
    """
    if wanted != "auto":
        return wanted
    is_small = rounding is not None and rounding.is_small(device)
    return best_precision(device) if is_small else "fp32"


def rounding_text(precision: Precision, device: torch.device, rounding: Rounding | None) -> str:
    """What the precision changes in a model's answers, to follow its name; empty for float32."""
    if precision == "fp32":
        return ""
    if best_precision(device) != "bf16":
        return ": emulated here, slower than float32; what it changes is not measured"
    if rounding is None or rounding.device != device.type:
        return ": what bfloat16 changes is not measured here: lcnet calibrate measures it"
    return f": {rounding}"


def usual_device() -> torch.device:
    """A GPU of CUDA if there is one, else the CPU.

    A Mac's GPU is taken only if it is named: float64 is missing there, and nothing was measured.
    """
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
