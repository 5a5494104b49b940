"""Gathers a split's predictions, batch by batch and process by process, for `metrics.verify`."""

from typing import Any

import numpy as np
import torch
import torchmetrics
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics.utilities.data import dim_zero_cat
from torchmetrics.utilities.distributed import gather_all_tensors

from lcnet.metrics.calibration import probabilities


class VerificationState(torchmetrics.Metric):
    """All probabilities and targets seen since the last reset; `compute` returns them as arrays.

    They are kept on the CPU, so that a large split does not fill the accelerator. If places are
    given, each image counts once, however often a distributed sampler repeats it to fill the last
    batch.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    probabilities: list[Tensor]
    targets: list[Tensor]
    places: list[Tensor]

    def __init__(self) -> None:
        super().__init__(dist_sync_fn=_gather)
        self.add_state("probabilities", default=[], dist_reduce_fx="cat")
        self.add_state("targets", default=[], dist_reduce_fx="cat")
        self.add_state("places", default=[], dist_reduce_fx="cat")

    def update(self, logits: Tensor, targets: Tensor, places: Tensor | None = None) -> None:
        """Add a batch: logits (B L, any float type) and targets (B L, of 1, 0 and -1).

        `places` (B, integers) are the images' positions in the split. Give them with every batch
        or with none.
        """
        if logits.shape != targets.shape:
            raise ValueError(
                "VerificationState: expected logits and targets of one shape, "
                f"got {tuple(logits.shape)} and {tuple(targets.shape)}."
            )
        self.probabilities.append(probabilities(logits.detach()).cpu())
        self.targets.append(targets.detach().to(torch.int8).cpu())
        if places is not None:
            self.places.append(places.cpu())

    def compute(self) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
        """The probabilities (N L, float32) and targets (N L, int8) of all batches and processes.

        With places, each image is there once, in the order of the split.
        """
        gathered = dim_zero_cat(self.probabilities).numpy(), dim_zero_cat(self.targets).numpy()
        # Gathering over processes turns an empty list into a tensor without elements.
        places = dim_zero_cat(self.places) if len(self.places) else torch.empty(0)
        if not places.numel():
            return gathered
        _, first = np.unique(places.numpy(), return_index=True)
        return gathered[0][first], gathered[1][first]


def _gather(tensor: Tensor, group: Any = None) -> list[Tensor]:
    """The tensor of every process, on the CPU.

    With NCCL, which cannot carry CPU tensors, it goes through the accelerator. (torchmetrics' own
    `compute_on_cpu` fails there.)
    """
    nccl = torch.distributed.get_backend(group) == "nccl"
    carried = tensor.cuda() if nccl else tensor
    return [part.cpu() for part in gather_all_tensors(carried, group)]
