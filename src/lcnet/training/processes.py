"""The processes of one training: how they start and meet, and what happens when one of them dies.

Every process runs the whole command on a device of its own. Lightning trains in all of them; the
first alone writes and speaks.
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
"""What may have started the processes, in the order in which Lightning looks."""
SILENT_SECONDS = 30.0
"""A process that gives no sign of life for so long counts as dead."""
GRACE_SECONDS = 5.0
"""What a process has, once the training has ended, to end by itself."""


def rank() -> int:
    """This process's number, 0 for the first and where there is but one."""
    if _meeting is not None:
        return _meeting.rank
    return dist.get_rank() if dist.is_initialized() else 0


def number() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_first() -> bool:
    """Whether this is the process that writes and speaks."""
    return rank() == 0


def mean_over_processes(value: Tensor) -> Tensor:
    """The mean of a tensor over all processes, which each have one of its shape."""
    if number() == 1:
        return value
    total = value.clone()
    dist.all_reduce(total)
    return total / number()


def everyones(value: Result) -> list[Result]:
    """What each process gives, by rank; all have to give something."""
    if number() == 1:
        return [value]
    values: list[Any] = [None] * number()
    dist.all_gather_object(values, value)
    return values


def together(
    plan: Callable[..., tuple[Train, RunFolder]],
) -> Callable[[Callable[Arguments, Result]], Callable[Arguments, Result]]:
    """Make a training run in as many processes as its recipe says.

    `plan` gives the recipe and the run folder from the training's own arguments. On one machine the
    other processes are started here, as copies of this process's command; under torchrun, SLURM,
    LSF and MPI they are there already. The training ends in all of them or in none: an error of one
    is told once, and a process that dies or hangs ends the others with a ProcessError.
    """

    def wrap(training: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
        @functools.wraps(training)
        def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
            recipe, folder = plan(*args, **kwargs)
            with _joined(recipe, folder):
                return training(*args, **kwargs)

        return run

    return wrap


# What the processes say to each other, over a store of small texts that the first one holds.


_meeting: "_Meeting | None" = None


def wait_turn() -> None:
    """Let the first process prepare everything by itself; the others wait here until it has."""
    if _meeting is not None and not is_first():
        while not _meeting.store.check(["turn"]):
            if _meeting.watch.reason:
                raise _meeting.lost(_meeting.watch.reason)
            time.sleep(0.1)


def pass_turn(text: str = "") -> str:
    """Let the others prepare what the first has prepared; gives all of them its text."""
    if _meeting is None:
        return text
    if is_first():
        _meeting.store.set("turn", text)
    return str(_meeting.store.get("turn").decode())


def part() -> None:
    """Wait for all processes and leave each to itself: nothing is done together any more."""
    if _meeting is not None:
        dist.barrier()
        _meeting.end()


class _Meeting:
    """The store, and a watch over those who share it."""

    def __init__(self, rank: int, number: int, run: RunFolder, limit: timedelta) -> None:
        self.rank, self.number, self.run = rank, number, run
        # Each thread has a connection of its own: a wait on one would keep the other from it.
        self.store = _connect(rank, number, limit)
        self.watch = _Watch(self, _connect_again())
        self.has_ended = False
        self.children: list[subprocess.Popen[bytes]] = []
        """Those that this process has started, if they are all the others."""

    def claim(self, code: int) -> bool:
        """Whether this process is the first to say that and why the training has ended.

        Those that are stuck then end with its exit code.
        """
        try:
            if int(self.store.add("ended", 1)) > 1:
                return False
            self.store.set("code", str(code))
            return True
        except RuntimeError:  # whoever held the store is gone, and with it what was said
            return True

    def code_of_end(self) -> int:
        """The exit code of the process that said why the training has ended."""
        try:
            self.store.wait(["code"], timedelta(seconds=1))
            return int(self.store.get("code"))
        except RuntimeError:
            return ProcessError.exit_code

    def end(self, *, failed: bool = False) -> None:
        """Leave; whoever holds the store stays until all others have left, or for a while."""
        if self.has_ended:
            return
        self.has_ended = True
        if failed:
            self.watch.stop()
        # NCCL would wait for what is still on its way, which after an error never comes.
        if dist.is_initialized() and not (failed and dist.get_backend() == "nccl"):
            dist.destroy_process_group()
        try:
            left = self.store.add("left", 1)
            until = time.monotonic() + 2 * GRACE_SECONDS
            while self.rank == 0 and left < self.number and time.monotonic() < until:
                if self.children and all(child.poll() is not None for child in self.children):
                    break  # not all have left, but all are gone
                time.sleep(0.05)
                left = self.store.add("left", 0)
        except RuntimeError:
            pass
        self.watch.stop()

    def lost(self, reason: str) -> ProcessError:
        """The error for a process that is gone, with what to do."""
        then = (
            f"Continue from its last checkpoint with: lcnet train --resume {self.run}"
            if self.run.has_checkpoint
            else f"It has no checkpoint yet; start it anew with --out {self.run} --overwrite."
        )
        return ProcessError(
            f"{self.run}: a process of this training has died or hangs ({reason}), so that all of "
            f"them end. {then}"
        )


class _Watch(threading.Thread):
    """Ends this process if another is gone, also while this one waits for it inside a library.

    Each process gives a sign of life every second. The first looks after all others, and they after
    the first; whoever misses one says so, and all end.
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
        # A process that hangs leaves those who ask it without an answer, hence a thread to ask.
        threading.Thread(target=self._ask, daemon=True).start()
        mute = False
        while not self.over.wait(1.0) and not self.reason:
            if time.monotonic() - self.answered > SILENT_SECONDS:
                mute, self.reason = True, "the first one is silent"
        # If the training's own thread is not stuck, it ends by itself and says why.
        if self.reason and not self.over.wait(GRACE_SECONDS):
            if mute or self.meeting.claim(self.code):
                print(f"lcnet: {self.meeting.lost(self.reason)}", file=sys.stderr, flush=True)
            os._exit(self.code)

    def _ask(self) -> None:
        """Give signs of life and take those of others, until one is missing."""
        others = range(1, self.meeting.number) if self.meeting.rank == 0 else (0,)
        heard = {other: (0, time.monotonic()) for other in others}
        while not self.over.wait(1.0) and not self.reason:
            try:
                self.store.add(f"alive/{self.meeting.rank}", 1)
                code = self.store.get("code") if self.store.check(["code"]) else b""
                signs = {other: int(self.store.add(f"alive/{other}", 0)) for other in others}
            except RuntimeError as error:
                self.reason = f"the first one cannot be reached: {str(error).splitlines()[0][:80]}"
                return
            now = self.answered = time.monotonic()
            for other, sign in signs.items():
                if sign != heard[other][0]:
                    heard[other] = sign, now
                elif now - heard[other][1] > SILENT_SECONDS:
                    self.reason = f"process {other + 1} of {self.meeting.number} is silent"
            if code:
                self.reason, self.code = "another one has ended it", int(code)


# How they start


@contextmanager
def _joined(recipe: Train, run: RunFolder) -> Iterator[None]:
    """A process group around a training, if there is to be more than one process."""
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
    """Raise what one process is to say of the end of the training; the others leave in silence."""
    code = error.exit_code if isinstance(error, LCNetError) else 1
    if isinstance(error, KeyboardInterrupt):
        code = 130
    elif isinstance(error, SystemExit) and isinstance(error.code, int):
        code = error.code
    gone = is_of_group(error)
    if gone:
        time.sleep(1.0)  # whose connection broke may have had something to say first
    if not meeting.claim(code):
        sys.exit(meeting.code_of_end() if gone else code)
    if gone:
        raise meeting.lost(" ".join(str(error).split())[-80:]) from error
    raise error


def is_of_group(error: BaseException) -> bool:
    """Whether an error comes of processes that cannot reach each other."""
    if isinstance(error, dist.DistError):
        return True
    return isinstance(error, RuntimeError) and "gloo" in str(error).lower()


def _check_alone() -> None:
    """Raises ConfigError where torchrun has started several processes for a training in one."""
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if TorchElasticEnvironment.detect() and started > 1:
        raise ConfigError(
            f"train.devices: torchrun has started {started} processes, and this training wants one."
            " Set --train.devices to those of a machine and --train.nodes to the machines."
        )


def _check(recipe: Train, environment: ClusterEnvironment) -> None:
    """Raises ConfigError if what is there is not what the recipe wants."""
    there = torch.cuda.device_count()
    if there and there < recipe.devices:
        raise ConfigError(
            f"train.devices: expected at most {there}, which this machine has, got "
            f"{recipe.devices}. Set --train.devices {there}."
        )
    wanted = recipe.processes
    outside = environment.creates_processes_externally
    started = environment.world_size() if isinstance(environment, MANAGED) else wanted
    if outside and started != wanted:
        raise ConfigError(
            f"train.devices: expected {started} processes in all, as were started, got "
            f"{recipe.devices} x {recipe.nodes} (train.nodes). Set both alike."
        )
    if recipe.nodes > 1 and not outside and "NODE_RANK" not in os.environ:
        raise ConfigError(
            f"train.nodes: expected torchrun or srun to start a training on {recipe.nodes} machines"
            ", got neither. docs/guide/scaling.md has the commands."
        )
    try:
        environment.validate_settings(recipe.devices, recipe.nodes)
    except ValueError as error:
        raise ConfigError(f"train.devices: {' '.join(str(error).split())}") from None


def _start_others(environment: ClusterEnvironment, devices: int) -> list[subprocess.Popen[bytes]]:
    """Start the other processes of this machine, as copies of this one's command."""
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
    """Let the processes that were started here end, or end them."""
    until = time.monotonic() + 3 * GRACE_SECONDS
    for child in children:
        try:
            child.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()


def _connect(rank: int, number: int, limit: timedelta) -> Store:
    """The store, which the first process (or torchrun) holds at the address in the environment."""
    store, _, _ = next(rendezvous("env://", rank, number, timeout=limit))
    return _of_this_start(store)


def _connect_again() -> Store:
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    return _of_this_start(TCPStore(address, port, is_master=False, wait_for_workers=False))


def _of_this_start(store: Store) -> Store:
    # torchrun may start the processes again, with what the last ones said still in its store.
    return PrefixStore(f"lcnet/{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", store)
