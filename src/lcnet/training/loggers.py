"""Loggers by name: Fabric's own, and adapters to Weights & Biases and to MLflow."""

from argparse import Namespace
from collections.abc import Callable
from functools import cached_property
from typing import Any

from lightning_fabric.loggers.csv_logs import CSVLogger
from lightning_fabric.loggers.logger import Logger
from lightning_fabric.loggers.tensorboard import TensorBoardLogger
from lightning_fabric.utilities.rank_zero import rank_zero_only

from lcnet.errors import ConfigError
from lcnet.run_folder import RunFolder


def loggers_for(names: tuple[str, ...], run: RunFolder) -> list[Logger]:
    """The loggers of a run. Raises ConfigError if a package is missing."""
    return [LOGGERS[name](run) for name in names]


class WandbLogger(Logger):
    """Writes to Weights & Biases; `wandb login` and its WANDB_ variables say where."""

    name = "wandb"
    version = None

    def __init__(self, run: RunFolder) -> None:
        try:
            import wandb
        except ImportError:
            raise ConfigError.missing("wandb", "wandb", use="train.loggers") from None
        self.package, self.run = wandb, run

    @cached_property
    def experiment(self) -> Any:
        """The run at Weights & Biases; a run of the same folder goes on in the same one."""
        name = self.run.path.resolve().name
        return self.package.init(project="lcnet", name=name, id=name, resume="allow")

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Record values at a step."""
        self.experiment.log(metrics, step=step)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *_: Any, **__: Any) -> None:
        """Record settings."""
        self.experiment.config.update(_plain(params))

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """End the run at Weights & Biases."""
        self.experiment.finish()


class MLflowLogger(Logger):
    """Writes to MLflow; MLFLOW_TRACKING_URI says where, else the folder mlruns."""

    name = "mlflow"
    version = None

    def __init__(self, run: RunFolder) -> None:
        try:
            import mlflow
        except ImportError:
            raise ConfigError.missing("mlflow", "mlflow", use="train.loggers") from None
        self.package, self.run = mlflow, run

    @cached_property
    def experiment(self) -> str:
        """The id of the run at MLflow."""
        self.package.set_experiment("lcnet")
        started = self.package.start_run(run_name=self.run.path.resolve().name)
        return str(started.info.run_id)

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Record values at a step."""
        self.package.log_metrics(metrics, step=step, run_id=self.experiment)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *_: Any, **__: Any) -> None:
        """Record settings."""
        self.package.log_params(_plain(params), run_id=self.experiment)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """End the run at MLflow."""
        self.package.end_run()


def _plain(settings: dict[str, Any] | Namespace) -> dict[str, Any]:
    return vars(settings) if isinstance(settings, Namespace) else settings


LOGGERS: dict[str, Callable[[RunFolder], Logger]] = {
    "tensorboard": lambda run: TensorBoardLogger(run.path, name="", version=run.logs.name),
    "csv": lambda run: CSVLogger(run.path, name="", version=run.logs.name),
    "wandb": WandbLogger,
    "mlflow": MLflowLogger,
}
"""What the recipe's `loggers` may name."""
