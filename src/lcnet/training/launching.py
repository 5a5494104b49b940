"""Several processes: torch's elastic launcher starts them, watches them, and ends all together."""

import logging
import os
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import TypeVar

import torch
import torch.distributed as dist
from lightning_fabric.plugins.environments.lsf import LSFEnvironment
from lightning_fabric.plugins.environments.mpi import MPIEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from lcnet.config import Train
from lcnet.errors import ConfigError, LCNetError, ProcessError, Stopped, TrainingError, reason_of
from lcnet.progress import tell
from lcnet.run_folder import RunFolder
from lcnet.training.signs_of_life import giving_signs, watched

Result = TypeVar("Result")

LAUNCHERS = (TorchElasticEnvironment, SLURMEnvironment, LSFEnvironment, MPIEnvironment)
"""What may have started the processes already, in the order in which Fabric looks."""
STOP_S = 300
"""Seconds that processes have for saving after a signal, before they are killed."""


def launched(
    recipe: Train, run: RunFolder, work: Callable[[], Result], again: Callable[[], Result]
) -> Result:
    """What `work` returns in the first of the processes that the recipe asks for.

    A launcher such as torchrun may have started them; this process is one of them then. If not,
    they are started here, on this machine. An error of `work` in any of them ends all and is raised
    here. If one dies or hangs, all end with a ProcessError, or are started anew with `again` as
    often as the recipe's `restarts` says.
    """
    launcher = next((kind for kind in LAUNCHERS if kind.detect()), None)
    has_torchrun = launcher is TorchElasticEnvironment
    started = int(os.environ["WORLD_SIZE"]) if has_torchrun else recipe.processes
    if started != recipe.processes:
        raise ConfigError(
            f"train.devices: expected {started} processes in all, as torchrun has started, got "
            f"{recipe.devices} x {recipe.nodes} (train.nodes). Make them agree."
        )
    if launcher or recipe.processes == 1:
        is_restart = has_torchrun and os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"
        return again() if is_restart and run.is_run else work()
    if recipe.nodes > 1:
        raise ConfigError(
            f"train.nodes: expected torchrun or srun to start a training on {recipe.nodes} machines"
            ", got neither. docs/guide/scaling.md has the commands."
        )
    before = run.record()
    for restart in range(1, recipe.restarts + 1):
        try:
            return _launch(recipe, run, again if run.record() != before else work)
        except ProcessError as error:
            tell(f"warning: {error.reason}. Restart {restart} of {recipe.restarts}.")
    return _launch(recipe, run, again if run.record() != before else work)


def _launch(recipe: Train, run: RunFolder, work: Callable[[], Result]) -> Result:
    """Start the processes on this machine, and wait for them."""
    for name in ("torch.distributed.elastic", "torch.multiprocessing"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # they print pages where a line will do
    errors = get_context("spawn").SimpleQueue()
    with _as_before(), watched() as signs:
        os.environ["TORCH_ELASTIC_SHUTDOWN_TIMEOUT"] = str(STOP_S)
        launcher = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=recipe.devices,
            run_id="lcnet",
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            local_addr="localhost",
            max_restarts=0,  # `launched` can tell an error, which it would repeat, from a death
        )
        try:
            result: Result = elastic_launch(launcher, _work)(recipe, errors, signs, work)[0]
            return result
        except ChildFailedError as failed:
            _, failure = failed.get_first_failure()
            if failure.exitcode >= 0 and not errors.empty():
                raise errors.get() from None
            how = failure.signal_name() if failure.exitcode < 0 else "a lost connection"
            reason = f"process {failure.local_rank + 1} of {recipe.devices} was ended by {how}"
            raise ProcessError.of(run.path, reason, go_on=run.has_checkpoint) from None
        except SignalException as received:
            if not errors.empty():
                raise errors.get() from None
            stopped = f"stopped by {received.sigval.name}. {run.continuation}"
            raise Stopped(stopped, received.sigval) from None


@contextmanager
def _as_before() -> Iterator[None]:
    """Put environment and signal handlers back, which torch's launcher changes."""
    numbers = [number for number in signal.valid_signals() if signal.getsignal(number)]
    kept, handlers = dict(os.environ), {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(kept)
        for number, handler in handlers.items():
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)


def _work(
    recipe: Train, errors: "SimpleQueue[BaseException]", signs: Path, work: Callable[[], Result]
) -> Result:
    """Do the work in a process that was started here, and report its error."""
    if not torch.cuda.is_available() and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, torch.get_num_threads() // recipe.devices))
    with giving_signs(signs):
        try:
            return work()
        except (LCNetError, Stopped) as error:
            errors.put(error)
            raise
        except Exception as error:
            # A lost connection is no cause: the process at its other end has the cause.
            is_lost = isinstance(error, dist.DistError) or "gloo" in str(error).lower()
            if not is_lost:
                traceback.print_exc()
                errors.put(TrainingError(f"{type(error).__name__}: {reason_of(error)}."))
            raise
