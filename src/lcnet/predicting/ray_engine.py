"""Predicting on Ray Data: the same Predictor in many processes, on one machine or a cluster.

Workers get lists of pictures and return their rows; only the process that the user started writes
files. So a worker that dies loses nothing: its list goes to another worker, and since Ray passes on
the rows of each list once, no row is lost or doubled.
"""

import logging
import os
import pickle
import platform
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal

import torch

from lcnet.compute import Precision, chosen_precision, rounding_text, usual_device
from lcnet.data.containers import ParquetRow
from lcnet.data.sources import Picture
from lcnet.errors import CheckpointError, ConfigError, DataError, LCNetError, reason_of
from lcnet.files import AnyPath
from lcnet.model_folder import ModelInfo, local_model, model_fingerprint, read_info
from lcnet.predicting.prediction import Prediction
from lcnet.predicting.predictor import Predictor

OBJECT_STORE = 200 * 2**20
"""Bytes of shared memory for Ray on this machine. Only lists of names and rows go through it."""
RETRIES = 5
"""Retries for a list whose worker died; after that the pictures are blamed."""
RESTARTS = 1_000
"""How often a worker that died is started again."""
BATCHES = 4
"""Batches in a list of pictures for a worker without loader processes."""
BATCHES_WITH_LOADERS = 64
"""Many more with them, since loader processes start again for each list."""


@dataclass(frozen=True)
class RayCluster:
    """Where Ray runs, and how many workers it gets there."""

    address: str = ""
    """Address of a cluster; auto is the one this machine is in; empty starts Ray here alone."""
    workers: int = 0
    """Processes with a model each; 0 is one per accelerator, or one per core if there is none."""


class RayPredictor:
    """`Predictor` for streams of pictures, in many processes."""

    def __init__(
        self,
        model: AnyPath,
        *,
        batch_size: int,
        workers: int,
        precision: Precision | Literal["auto"],
        compiled: bool,
        cluster: RayCluster,
        known_errors: float = 0.0,
    ) -> None:
        """Read the model's description; Ray starts with the first picture.

        `workers` are loader processes of each Ray worker. This machine decides what `auto`
        precision is. Raises ConfigError if Ray is not installed or a number is wrong.
        """
        if batch_size < 1 or workers < -1 or cluster.workers < 0:
            raise ConfigError(
                "--batch_size, --workers, --ray_workers: expected at least 1, -1 and 0, "
                f"got {batch_size}, {workers} and {cluster.workers}."
            )
        _ray()
        self.path = local_model(model).absolute()
        self.info: ModelInfo
        self.precision: Precision = "fp32"
        if self.path.is_file():
            self.info = Predictor(self.path, known_errors=known_errors).info
        else:
            self.info = read_info(self.path)
            self.precision = chosen_precision(precision, usual_device(), self.info.rounding)
        self.batch_size, self.workers, self.compiled = batch_size, workers, compiled
        self.cluster, self.known_errors = cluster, known_errors
        self.device = f"Ray at {cluster.address}" if cluster.address else "Ray on this machine"
        changes = rounding_text(self.precision, usual_device(), self.info.rounding)
        self.how = {"fp32": "float32", "bf16": "bfloat16"}[self.precision] + changes
        self.failure = ""
        """Always empty: compilation happens in the workers, which do not report it."""

    def stream(self, pictures: Iterable[Picture]) -> Iterator[Prediction]:
        """A prediction for each picture, in their order, as they are ready.

        Pictures are files, or parts of files, that every machine sees under the same paths. Raises
        DataError if workers keep dying on the same pictures.
        """
        ray = _ray()
        waiting = iter(pictures)
        first = next(waiting, None)
        if first is None:  # no need to start Ray
            return
        with _running(self.cluster.address):
            share = _share(ray.cluster_resources(), self.workers, self.cluster.workers)
            batches = BATCHES_WITH_LOADERS if share.loaders else BATCHES
            size = self.batch_size * batches
            lists = list(_lists(chain([first], waiting), size))
            expected = [picture.name for group in lists for picture in group]
            items = [{"pictures": pickle.dumps(group)} for group in lists]
            with warnings.catch_warnings():
                # Ray calls these options deprecated, but has no other limit yet to the retries of a
                # list that kills its worker.
                warnings.simplefilter("ignore", DeprecationWarning)
                rows = ray.data.from_items(items, override_num_blocks=len(items)).map(
                    _Worker,
                    fn_constructor_kwargs={"job": self._job(share.loaders, share.threads)},
                    compute=ray.data.ActorPoolStrategy(size=min(share.count, len(items))),
                    num_cpus=share.cores,
                    num_gpus=share.accelerators,
                    max_restarts=RESTARTS,
                    max_task_retries=RETRIES,
                )
            yield from _once(_predictions(rows), expected)

    def _job(self, loaders: int, threads: int) -> "_Job":
        return _Job(
            self.path,
            model_fingerprint(self.path),
            Path.cwd(),
            self.batch_size,
            loaders,
            threads,
            self.precision,
            self.compiled,
            self.known_errors,
        )


def _lists(pictures: Iterable[Picture], size: int) -> Iterator[list[Picture]]:
    waiting = iter(pictures)
    while group := list(islice(waiting, size)):
        yield group


@dataclass(frozen=True)
class _Share:
    """How a cluster is divided among workers."""

    count: int
    cores: int
    accelerators: int
    loaders: int
    """Loader processes of each."""
    threads: int
    """Threads that each computes with."""


def _share(resources: dict[str, float], loaders: int, wanted: int) -> _Share:
    """`wanted` workers, or if 0 one per accelerator, or one per core if there is none."""
    cores = max(1, int(resources.get("CPU", 1)))
    accelerators = int(resources.get("GPU", 0))
    count = wanted or accelerators or cores
    each = max(1, cores // count)
    if loaders < 0:
        loaders = min(8, each - 1) if accelerators else 0
    return _Share(count, each, 1 if accelerators else 0, loaders, each)


@dataclass(frozen=True)
class _Job:
    """What a worker is made from."""

    model: Path
    fingerprint: str
    folder: Path
    """Where the command was given, from which relative paths start."""
    batch_size: int
    loaders: int
    threads: int
    precision: Precision
    compiled: bool
    known_errors: float


class _Worker:
    """A Predictor in one of Ray's processes: lists of pictures to their rows."""

    def __init__(self, job: _Job) -> None:
        if job.folder.is_dir():
            os.chdir(job.folder)
        machine = platform.node()
        if not job.model.exists():
            raise CheckpointError(
                f"{job.model}: not there on {machine}. Put it where every machine of the cluster "
                "sees it under this path."
            )
        if model_fingerprint(job.model) != job.fingerprint:
            raise CheckpointError(
                f"{job.model}: expected the same model on every machine, got another on {machine}. "
                "Copy it there."
            )
        torch.set_num_threads(job.threads)
        self.predictor = Predictor(
            job.model,
            batch_size=job.batch_size,
            workers=job.loaders,
            precision=job.precision,
            compiled=job.compiled,
            known_errors=job.known_errors,
        )

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        pictures: Sequence[Picture] = pickle.loads(row["pictures"])
        # Outside the Predictor, which turns errors into rows: a damaged Parquet file stops the job,
        # as it does without Ray.
        loaded = [
            replace(picture, content=picture.content.read())
            if isinstance(picture.content, ParquetRow)
            else picture
            for picture in pictures
        ]
        return {"predictions": pickle.dumps(list(self.predictor.stream(loaded)))}


def _predictions(rows: Any) -> Iterator[Prediction]:
    """The predictions in Ray's rows; raises what went wrong in a worker as an LCNetError."""
    from ray.exceptions import RayError

    try:
        for row in rows.iter_rows():
            yield from pickle.loads(row["predictions"])
    except RayError as error:
        cause = _cause(error)
        if isinstance(cause, LCNetError):
            raise cause from None
        raise DataError(
            f"Ray: a worker failed for good ({type(cause).__name__}: {reason_of(cause)}). Finished "
            "rows stay; give the same command to continue. If it fails at once, memory may be "
            "short: lower --batch_size or --ray_workers."
        ) from None


def _cause(error: BaseException) -> Exception:
    """The error that a worker's code raised, taken out of the errors that Ray puts around it."""
    inner = error
    while not isinstance(inner, LCNetError):
        deeper = getattr(inner, "cause", None) or inner.__cause__
        if not isinstance(deeper, BaseException):
            break
        inner = deeper
    return inner if isinstance(inner, Exception) else RuntimeError(str(error))


def _once(predictions: Iterable[Prediction], expected: Sequence[str]) -> Iterator[Prediction]:
    """The predictions; raises DataError unless they are of the expected pictures, in order.

    Ray promises that, but without this check nobody would notice a lost or doubled row.
    """
    waiting = iter(expected)
    for prediction in predictions:
        wanted = next(waiting, None)
        if prediction.image != wanted:
            raise DataError(
                f"Ray: expected the row of {wanted or 'no other picture'}, got that of "
                f"{prediction.image}. Give the same command again."
            )
        yield prediction
    left = sum(1 for _ in waiting)
    if left:
        raise DataError(f"Ray: {left:,} pictures got no row. Give the same command again.")


@contextmanager
def _running(address: str) -> Iterator[None]:
    """Connect to a cluster or start Ray here, without usage statistics or dashboard."""
    # Ray reads these when it starts.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    ray = _ray()
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if address:
            ray.init(address=address, **quiet)
        else:
            ray.init(
                address="local",
                include_dashboard=False,
                object_store_memory=OBJECT_STORE,
                **quiet,
            )
    except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
        raise ConfigError(
            f"--ray_address {address or 'none'}: Ray does not start or answer "
            f"({reason_of(error)}). Correct the address, or check that the cluster runs."
        ) from None
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.execution_options.preserve_order = True
    try:
        yield
    finally:
        ray.shutdown()


def _ray() -> Any:
    """Ray with its data sets; raises ConfigError if it is not installed."""
    try:
        import ray
        import ray.data
    except ImportError:
        raise ConfigError.missing("ray", "ray", use="--engine ray") from None
    return ray
