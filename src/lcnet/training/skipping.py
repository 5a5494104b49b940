"""Skips steps whose loss or gradient is not finite; too many in a row end the run."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from lcnet.errors import TrainingError
from lcnet.progress import tell
from lcnet.training.engine import Engine
from lcnet.training.optimizers import learning_rate
from lcnet.training.state import State

NAMED = 3
"""Pictures of a bad batch that a message names, at most."""
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


class Guard:
    """Finds steps that would spoil the weights, and undoes what their forward passes have changed.

    A skipped step leaves weights, averages, optimizer and the running statistics of batch norm as
    they were; the schedule of the learning rate goes on. With float16, gradients that are not
    finite are left to the loss scaling, which skips such a step too and lowers its scale.
    """

    def __init__(
        self,
        engine: Engine,
        limit: int,
        pictures_of: Callable[[int], Sequence[str]],
        *,
        advice: str,
    ) -> None:
        """Raise after `limit` skipped steps in a row, with `advice` at the end of the message.

        `pictures_of(batch)` returns the files of a batch of this process.
        """
        self.engine = engine
        self.limit = limit
        self.pictures_of = pictures_of
        self.advice = advice
        self._is_finite: Tensor | bool = True
        self._kept: list[Tensor] = []

    def begin_step(self, module: nn.Module) -> None:
        """Keep a copy of the running statistics before the first batch of a step."""
        self._is_finite = True
        self._kept = [buffer.clone() for buffer in _statistics(module)]

    def see(self, loss: Tensor) -> None:
        """Note whether the loss of a batch of the step is finite."""
        self._is_finite = self._is_finite & loss.isfinite()

    def is_bad(self, norm: Tensor | None) -> bool:
        """Whether, by this process's losses and the gradients' norm, the step must be skipped."""
        is_finite = self._is_finite
        if norm is not None:
            is_finite = is_finite & norm.isfinite()
        return not bool(is_finite)

    def skip(self, state: State) -> None:
        """Undo a step and count it. Raises TrainingError if too many were skipped in a row."""
        for buffer, kept in zip(_statistics(state.objective), self._kept, strict=True):
            buffer.copy_(kept)
        state.epoch.skipped += 1
        state.skipped_in_a_row += 1
        batch = state.epoch.batches
        where = (
            f"epoch {state.epochs + 1}, batch {batch}, "
            f"learning rate {learning_rate(state.optimizer):.3g}"
        )
        # Processes with a loss that is not finite name their pictures; if there are none, all do.
        pictures = list(self.pictures_of(batch - 1))
        of_all = self.engine.from_all((bool(self._is_finite), pictures))
        to_blame = [files for is_finite, files in of_all if not is_finite]
        names = [name for files in to_blame or [files for _, files in of_all] for name in files]
        shown = f"{', '.join(names[:NAMED])}{', ...' * (len(names) > NAMED)}"
        if state.skipped_in_a_row >= self.limit:
            raise TrainingError(
                f"{where}: the loss or its gradient was not finite in {state.skipped_in_a_row} "
                f"steps in a row, the last with {shown}. {self.advice}"
            )
        if state.epoch.skipped == 1:
            tell(
                f"warning: {where}: step skipped, since the loss or its gradient is not finite "
                f"({shown})."
            )


def _statistics(module: nn.Module) -> list[Tensor]:
    """The running statistics of the batch norms that a forward pass in training changes."""
    return [
        buffer
        for norm in module.modules()
        if isinstance(norm, NORMS) and norm.training
        for buffer in norm.buffers(recurse=False)
    ]
