"""The processes of one training: how they start and connect, and what happens if one of them dies.

Every process runs the whole command, each on its own device. Lightning trains in all of them; only
the first writes and prints.
"""

import functools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import rich
import torch
import torch.distributed as dist
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.lsf import LSFEnvironment
from lightning.fabric.plugins.environments.mpi import MPIEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from torch import Tensor
from torch.distributed import PrefixStore, Store, TCPStore  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous

from lcnet.config import Train
from lcnet.errors import ConfigError, LCNetError, ProcessError
from lcnet.run_folder import RunFolder

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

MANAGED = (TorchElasticEnvironment, SLURMEnvironment, LSFEnvironment, MPIEnvironment)
"""Launchers that may have started the processes, in the order in which Lightning looks."""
SILENT_SECONDS = 30.0
"""A process without a sign of life for this long counts as dead."""
GRACE_SECONDS = 5.0
"""Seconds in which a process must end by itself once the training has ended."""


def rank() -> int:
    """The number of this process, from 0."""
    if _meeting is not None:
        return _meeting.rank
    return dist.get_rank() if dist.is_initialized() else 0


def process_count() -> int:
    """The number of processes that train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_first() -> bool:
    """Whether this is the process that writes and prints."""
    return rank() == 0


def mean_over_processes(value: Tensor) -> Tensor:
    """The mean of a tensor over all processes; all must call this, with tensors of one shape."""
    if process_count() == 1:
        return value
    total = value.clone()
    dist.all_reduce(total)
    return total / process_count()


def from_all_processes(value: Result) -> list[Result]:
    """The values of all processes, by rank; all must call this."""
    if process_count() == 1:
        return [value]
    values: list[Any] = [None] * process_count()
    dist.all_gather_object(values, value)
    return values


def together(
    plan: Callable[..., tuple[Train, RunFolder]],
) -> Callable[[Callable[Arguments, Result]], Callable[Arguments, Result]]:
    """A decorator: the training runs in the number of processes that its recipe asks for.

    `plan` returns the recipe and the run folder for the training's arguments. On one machine this
    process starts the others with its own command; torchrun, SLURM, LSF and MPI have started them
    already. If one process fails, all end, and one of them reports the error. If one dies or hangs,
    the others end with a ProcessError.
    """

    def wrap(training: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
        @functools.wraps(training)
        def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
            recipe, folder = plan(*args, **kwargs)
            with _joined(recipe, folder):
                return training(*args, **kwargs)

        return run

    return wrap


# Messages between the processes, in a key-value store that the first process holds


_meeting: "_Meeting | None" = None


def wait_turn() -> None:
    """Wait here, in all processes but the first, until the first has called `pass_turn`."""
    if _meeting is not None and not is_first():
        while not _meeting.store.check(["turn"]):
            if _meeting.watch.reason:
                raise _meeting.lost(_meeting.watch.reason)
            time.sleep(0.1)


def pass_turn(text: str = "") -> str:
    """Let the processes in `wait_turn` go on; returns the first one's text in all of them."""
    if _meeting is None:
        return text
    if is_first():
        _meeting.store.set("turn", text)
    return str(_meeting.store.get("turn").decode())


def disband() -> None:
    """Wait for all processes, then end the group: from here on each goes on alone."""
    if _meeting is not None:
        dist.barrier()
        _meeting.end()


class _Meeting:
    """The store that the processes share, and the thread that watches over them."""

    def __init__(self, rank: int, number: int, run: RunFolder, limit: timedelta) -> None:
        self.rank, self.number, self.run = rank, number, run
        # A connection per thread: while one thread waits on a connection, no other can use it.
        self.store = _connect(rank, number, limit)
        self.watch = _Watch(self, _connect_again())
        self.has_ended = False
        self.children: list[subprocess.Popen[bytes]] = []
        """The processes that this one has started, if those are all the others."""

    def claim(self, code: int) -> bool:
        """Whether this process is the first to report the end of the training.

        Its `code` is then the exit code of all others, also of those that are stuck.
        """
        try:
            if int(self.store.add("ended", 1)) > 1:
                return False
            self.store.set("code", str(code))
            return True
        except RuntimeError:  # the store is gone with its process, so nobody has reported
            return True

    def code_of_end(self) -> int:
        """The exit code of the process that reported the end of the training."""
        try:
            self.store.wait(["code"], timedelta(seconds=1))
            return int(self.store.get("code"))
        except RuntimeError:
            return ProcessError.exit_code

    def end(self, *, failed: bool = False) -> None:
        """Leave the group; the process with the store first waits a while for the others."""
        if self.has_ended:
            return
        self.has_ended = True
        if failed:
            self.watch.stop()
        # After an error NCCL would wait for messages that never come.
        if dist.is_initialized() and not (failed and dist.get_backend() == "nccl"):
            dist.destroy_process_group()
        try:
            left = self.store.add("left", 1)
            until = time.monotonic() + 2 * GRACE_SECONDS
            while self.rank == 0 and left < self.number and time.monotonic() < until:
                if self.children and all(child.poll() is not None for child in self.children):
                    break  # some ended without leaving, but none is left
                time.sleep(0.05)
                left = self.store.add("left", 0)
        except RuntimeError:
            pass
        self.watch.stop()

    def lost(self, reason: str) -> ProcessError:
        """The error for a process that is gone, with the next step for the user."""
        then = (
            f"Continue from its last checkpoint with: lcnet train --resume {self.run}"
            if self.run.has_checkpoint
            else f"There is no checkpoint yet: start again with --out {self.run} --overwrite."
        )
        return ProcessError(
            f"{self.run}: a process of this training has died or hangs ({reason}), so all of them "
            f"end. {then}"
        )


class _Watch(threading.Thread):
    """A thread that ends this process if another one is gone.

    Each process gives a sign of life every second. The first watches all others, and they watch the
    first. A thread is needed, since the training itself may be stuck in a library, waiting for the
    process that is gone.
    """

    def __init__(self, meeting: _Meeting, store: Store) -> None:
        super().__init__(daemon=True, name="lcnet-watch")
        self.meeting, self.store = meeting, store
        self.over = threading.Event()
        self.answered = time.monotonic()
        self.reason, self.code = "", ProcessError.exit_code

    def stop(self) -> None:
        """Stop watching."""
        self.over.set()

    def run(self) -> None:
        """Watch until it is over."""
        self.answered = time.monotonic()
        # If the first process hangs, requests to its store never return; so another thread asks.
        threading.Thread(target=self._ask, daemon=True).start()
        first_is_silent = False
        while not self.over.wait(1.0) and not self.reason:
            if time.monotonic() - self.answered > SILENT_SECONDS:
                first_is_silent, self.reason = True, "the first process is silent"
        # A training that is not stuck ends by itself and reports why; a stuck one is ended here.
        if self.reason and not self.over.wait(GRACE_SECONDS):
            if first_is_silent or self.meeting.claim(self.code):
                print(f"lcnet: {self.meeting.lost(self.reason)}", file=sys.stderr, flush=True)
            os._exit(self.code)

    def _ask(self) -> None:
        """Give signs of life and look for those of the others, until one is missing."""
        others = range(1, self.meeting.number) if self.meeting.rank == 0 else (0,)
        last_signs = {other: (0, time.monotonic()) for other in others}
        while not self.over.wait(1.0) and not self.reason:
            try:
                self.store.add(f"alive/{self.meeting.rank}", 1)
                code = self.store.get("code") if self.store.check(["code"]) else b""
                signs = {other: int(self.store.add(f"alive/{other}", 0)) for other in others}
            except RuntimeError as error:
                self.reason = (
                    f"the first process cannot be reached: {str(error).splitlines()[0][:80]}"
                )
                return
            now = self.answered = time.monotonic()
            for other, sign in signs.items():
                if sign != last_signs[other][0]:
                    last_signs[other] = sign, now
                elif now - last_signs[other][1] > SILENT_SECONDS:
                    self.reason = f"process {other + 1} of {self.meeting.number} is silent"
            if code:
                self.reason, self.code = "another process has ended it", int(code)


# How the processes start


@contextmanager
def _joined(recipe: Train, run: RunFolder) -> Iterator[None]:
    """A process group around a training, if it has more than one process."""
    global _meeting
    wanted = recipe.processes
    if wanted == 1:
        _check_alone()
        yield
        return
    environment = next((kind() for kind in MANAGED if kind.detect()), LightningEnvironment())
    _check(recipe, environment)
    kept = dict(os.environ)
    children = []
    if not environment.creates_processes_externally:
        children = _start_others(environment, recipe.devices)
    own = environment.node_rank() * recipe.devices + environment.local_rank()
    if isinstance(environment, MANAGED):
        own = environment.global_rank()
    os.environ["MASTER_ADDR"] = environment.main_address
    os.environ["MASTER_PORT"] = str(environment.main_port)
    device = None
    if torch.cuda.is_available():
        device = torch.device("cuda", environment.local_rank())
        torch.cuda.set_device(device)
    elif "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, torch.get_num_threads() // recipe.devices))
    rich.get_console().quiet = own != 0
    limit = timedelta(seconds=recipe.timeout_s)
    try:
        meeting = _meeting = _Meeting(own, wanted, run, limit)
        meeting.children = children if recipe.nodes == 1 else []
        dist.init_process_group(
            "gloo" if device is None else "nccl",
            store=PrefixStore("group", _connect_again()),
            rank=own,
            world_size=wanted,
            timeout=limit,
            device_id=device,
        )
        meeting.watch.start()
        try:
            yield
        except BaseException as error:
            try:
                _end_all(meeting, error)
            finally:
                meeting.end(failed=True)
        meeting.end()
    finally:
        _meeting = None
        _wait_for(children)
        os.environ.clear()
        os.environ.update(kept)


def _end_all(meeting: _Meeting, error: BaseException) -> None:
    """End this process after an error; only the first to report it raises, the others exit."""
    code = error.exit_code if isinstance(error, LCNetError) else 1
    if isinstance(error, KeyboardInterrupt):
        code = 130
    elif isinstance(error, SystemExit) and isinstance(error.code, int):
        code = error.code
    gone = is_connection_error(error)
    if gone:
        time.sleep(1.0)  # the process at the other end may be about to report the real error
    if not meeting.claim(code):
        sys.exit(meeting.code_of_end() if gone else code)
    if gone:
        raise meeting.lost(" ".join(str(error).split())[-80:]) from error
    raise error


def is_connection_error(error: BaseException) -> bool:
    """Whether an error says that the processes cannot reach each other."""
    if isinstance(error, dist.DistError):
        return True
    return isinstance(error, RuntimeError) and "gloo" in str(error).lower()


def _check_alone() -> None:
    """Raises ConfigError if torchrun has started several processes for a training in one."""
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if TorchElasticEnvironment.detect() and started > 1:
        raise ConfigError(
            f"train.devices: expected {started} processes, which torchrun has started, got 1. Set "
            "--train.devices to the devices of a machine and --train.nodes to the machines."
        )


def _check(recipe: Train, environment: ClusterEnvironment) -> None:
    """Raises ConfigError if devices, machines or started processes are not those of the recipe."""
    available = torch.cuda.device_count()
    if available and available < recipe.devices:
        raise ConfigError(
            f"train.devices: expected at most {available}, which this machine has, got "
            f"{recipe.devices}. Set --train.devices {available}."
        )
    wanted = recipe.processes
    has_launcher = environment.creates_processes_externally
    started = environment.world_size() if isinstance(environment, MANAGED) else wanted
    if has_launcher and started != wanted:
        raise ConfigError(
            f"train.devices: expected {started} processes in all, as were started, got "
            f"{recipe.devices} x {recipe.nodes} (train.nodes). Make them agree."
        )
    if recipe.nodes > 1 and not has_launcher and "NODE_RANK" not in os.environ:
        raise ConfigError(
            f"train.nodes: expected torchrun or srun to start a training on {recipe.nodes} machines"
            ", got neither. docs/guide/scaling.md has the commands."
        )
    try:
        environment.validate_settings(recipe.devices, recipe.nodes)
    except ValueError as error:
        raise ConfigError(f"train.devices: {' '.join(str(error).split())}") from None


def _start_others(environment: ClusterEnvironment, devices: int) -> list[subprocess.Popen[bytes]]:
    """Start the other processes of this machine, with the command of this one."""
    os.environ["MASTER_ADDR"] = environment.main_address
    os.environ["MASTER_PORT"] = str(environment.main_port)
    os.environ["NODE_RANK"] = str(environment.node_rank())
    os.environ["LOCAL_RANK"] = "0"
    import __main__

    spec = getattr(__main__, "__spec__", None)
    start = ["-m", spec.name] if spec else [str(Path(sys.argv[0]).absolute())]
    command = [sys.executable, *start, *sys.argv[1:]]
    return [
        subprocess.Popen(command, env={**os.environ, "LOCAL_RANK": str(local)})
        for local in range(1, devices)
    ]


def _wait_for(children: list[subprocess.Popen[bytes]]) -> None:
    """Wait until the processes that were started here have ended; kill those that do not."""
    until = time.monotonic() + 3 * GRACE_SECONDS
    for child in children:
        try:
            child.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()


def _connect(rank: int, number: int, limit: timedelta) -> Store:
    """The store; the first process (or torchrun) holds it at the address in the environment."""
    store, _, _ = next(rendezvous("env://", rank, number, timeout=limit))
    return _of_this_start(store)


def _connect_again() -> Store:
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    return _of_this_start(TCPStore(address, port, is_master=False, wait_for_workers=False))


def _of_this_start(store: Store) -> Store:
    # After a restart torchrun's store still has the keys of the processes before.
    return PrefixStore(f"lcnet/{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", store)
