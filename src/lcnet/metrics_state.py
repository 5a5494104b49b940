"""Gathers a split's predictions, batch by batch and process by process, for `metrics.verify`."""

from typing import Any

import numpy as np
import torch
import torchmetrics
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics.utilities.data import dim_zero_cat
from torchmetrics.utilities.distributed import gather_all_tensors


class VerificationState(torchmetrics.Metric):
    """All probabilities and targets seen since the last reset; `compute` hands them out as arrays.

    It holds them on the CPU, so that a large split does not fill the accelerator. It keeps whatever
    it is given: images that a distributed sampler repeats to fill its last batch count twice.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    probabilities: list[Tensor]
    targets: list[Tensor]

    def __init__(self) -> None:
        super().__init__(dist_sync_fn=_gather)
        self.add_state("probabilities", default=[], dist_reduce_fx="cat")
        self.add_state("targets", default=[], dist_reduce_fx="cat")

    def update(self, logits: Tensor, targets: Tensor) -> None:
        """Add a batch: logits (B L, any float type) and targets (B L, of 1, 0 and -1)."""
        if logits.shape != targets.shape:
            raise ValueError(
                "VerificationState: expected logits and targets of one shape, "
                f"got {tuple(logits.shape)} and {tuple(targets.shape)}."
            )
        # In float32 also where the model runs in half precision: bfloat16 has 3 significant digits,
        # and the ties it makes would change the average precision.
        self.probabilities.append(logits.detach().float().sigmoid().cpu())
        self.targets.append(targets.detach().to(torch.int8).cpu())

    def compute(self) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
        """The probabilities (N L, float32) and targets (N L, int8) of all batches and processes."""
        return dim_zero_cat(self.probabilities).numpy(), dim_zero_cat(self.targets).numpy()


def _gather(tensor: Tensor, group: Any = None) -> list[Tensor]:
    """The tensor of every process, on the CPU.

    It goes by way of the accelerator where the processes talk over NCCL, which cannot carry CPU
    tensors (torchmetrics' own `compute_on_cpu` fails there).
    """
    nccl = torch.distributed.get_backend(group) == "nccl"
    carried = tensor.cuda() if nccl else tensor
    return [part.cpu() for part in gather_all_tensors(carried, group)]
