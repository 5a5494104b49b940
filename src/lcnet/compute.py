"""Where models compute, and in which arithmetic."""

import torch

HALVES = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
"""The half precision that a recipe's `precision` mixes with float32, if any."""


def usual_device() -> torch.device:
    """The accelerator if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The context in which a model computes in `precision`: fp32, bf16 or fp16."""
    kind = HALVES[precision]
    return torch.autocast(device.type, kind, enabled=kind is not None)
