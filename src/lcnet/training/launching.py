"""Several processes: torch's elastic launcher starts them, watches them, and ends all together."""

import logging
import os
import signal
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from tempfile import TemporaryDirectory
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
from lcnet.errors import ConfigError, LCNetError, ProcessError, Stopped
from lcnet.progress import tell
from lcnet.run_folder import RunFolder

Result = TypeVar("Result")

LAUNCHERS = (TorchElasticEnvironment, SLURMEnvironment, LSFEnvironment, MPIEnvironment)
"""What may have started the processes already, in the order in which Fabric looks."""
BEAT_S = 5
"""Seconds between two signs of life of a process."""
SILENT_BEATS = 7
"""Signs of life that are missing when a process is killed, as it must be hanging."""
HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
"""Signals that torch's launcher passes on to the processes."""
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
    started = int(os.environ.get("WORLD_SIZE", "1")) if TorchElasticEnvironment.detect() else 1
    if recipe.processes == 1:
        if started > 1:
            raise ConfigError(
                f"train.devices: expected {started} processes, which torchrun has started, got 1. "
                "Set --train.devices to the devices of a machine and --train.nodes to the machines."
            )
        return work()
    if any(launcher.detect() for launcher in LAUNCHERS):
        if TorchElasticEnvironment.detect() and started != recipe.processes:
            raise ConfigError(
                f"train.devices: expected {started} processes in all, as were started, got "
                f"{recipe.devices} x {recipe.nodes} (train.nodes). Make them agree."
            )
        is_restart = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0 and run.is_run
        return again() if is_restart else work()
    if recipe.nodes > 1:
        raise ConfigError(
            f"train.nodes: expected torchrun or srun to start a training on {recipe.nodes} machines"
            ", got neither. docs/guide/scaling.md has the commands."
        )
    for restart in range(recipe.restarts + 1):
        try:
            return _launch(recipe, run, again if restart and run.is_run else work)
        except ProcessError as error:
            if restart == recipe.restarts:
                raise
            tell(f"warning: {error.args[0].partition(',')[0]}. Restart {restart + 1}.")
    raise AssertionError  # the last restart returns or raises


def _launch(recipe: Train, run: RunFolder, work: Callable[[], Result]) -> Result:
    """Start the processes on this machine, and wait for them."""
    for name in ("torch.distributed.elastic", "torch.multiprocessing"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # they print pages where a line will do
    handlers = {number: signal.getsignal(number) for number in HANDLED}
    kept, errors = dict(os.environ), get_context("spawn").SimpleQueue()
    os.environ["TORCH_ELASTIC_SHUTDOWN_TIMEOUT"] = str(STOP_S)
    launcher = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=recipe.devices,
        run_id="lcnet",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,  # a restart here can tell an error, which it would repeat, from a death
    )
    over = threading.Event()
    try:
        with TemporaryDirectory(prefix="lcnet-") as alive:
            threading.Thread(target=_watch, args=(Path(alive), over), daemon=True).start()
            processes = elastic_launch(launcher, _work)
            result: Result = processes(recipe, errors, Path(alive), work)[0]
        return result
    except ChildFailedError as failed:
        _, failure = failed.get_first_failure()
        has_died = failure.exitcode < 0
        if not has_died and not errors.empty():
            raise errors.get() from None
        said = failure.error_file_data["message"]
        said = said["message"] if isinstance(said, dict) else said
        how = f"was ended by {failure.signal_name()}" if has_died else f"failed: {said}"
        raise _lost(run, f"process {failure.local_rank + 1} of {recipe.devices} {how}") from None
    except SignalException as received:
        if not errors.empty():
            raise errors.get() from None
        stopped = f"stopped by {received.sigval.name}. {run.continuation}"
        raise Stopped(stopped, received.sigval) from None
    finally:
        over.set()
        os.environ.clear()
        os.environ.update(kept)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _work(
    recipe: Train,
    errors: "SimpleQueue[BaseException]",
    alive: Path,
    work: Callable[[], Result],
) -> Result:
    """Do the work in a process that was started here, and report its error."""
    if not torch.cuda.is_available() and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, torch.get_num_threads() // recipe.devices))
    sign, over = alive / str(os.getpid()), threading.Event()
    threading.Thread(target=_give_signs, args=(sign, over), daemon=True).start()
    try:
        return work()
    except (LCNetError, Stopped) as error:
        errors.put(error)
        raise
    except Exception as error:
        if not is_connection_error(error):
            traceback.print_exc()
        raise
    finally:
        over.set()


def _give_signs(sign: Path, over: threading.Event) -> None:
    """Touch a file again and again, as a sign that this process runs."""
    sign.touch()
    while not over.wait(BEAT_S):
        sign.touch()
    sign.unlink(missing_ok=True)


def _watch(alive: Path, over: threading.Event) -> None:
    """Kill a process that gives no signs any more, so that torch's launcher ends the others."""
    silent: dict[Path, tuple[float, int]] = {}
    while not over.wait(BEAT_S):
        for sign in alive.iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):
                last, beats = silent.get(sign, (0.0, 0))
                now = sign.stat().st_mtime
                silent[sign] = now, beats + 1 if now == last else 0
                if silent[sign][1] >= SILENT_BEATS:
                    os.kill(int(sign.name), signal.SIGKILL)


def is_connection_error(error: BaseException) -> bool:
    """Whether an error says that the processes cannot reach each other."""
    if isinstance(error, dist.DistError):
        return True
    return isinstance(error, RuntimeError) and "gloo" in str(error).lower()


def _lost(run: RunFolder, reason: str) -> ProcessError:
    """The error for a process that is gone, with the next step for the user."""
    then = (
        f"Continue from its last checkpoint with: lcnet train --resume {run}"
        if run.has_checkpoint
        else f"There is no checkpoint yet: start again with --out {run} --overwrite."
    )
    reason = " ".join(reason.split())[:200]
    return ProcessError(
        f"{run}: a process of this training has died or hangs ({reason}), so all of them end. "
        f"{then}"
    )
