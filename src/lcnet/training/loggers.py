"""Loggers by name: Fabric's own, and adapters to Weights & Biases and to MLflow."""

from argparse import Namespace
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from lightning_fabric.loggers.csv_logs import CSVLogger
from lightning_fabric.loggers.logger import Logger
from lightning_fabric.loggers.tensorboard import TensorBoardLogger
from lightning_fabric.utilities.rank_zero import rank_zero_only

from lcnet.errors import ConfigError, reason_of
from lcnet.files import write_text
from lcnet.progress import tell
from lcnet.run_folder import RunFolder


def loggers_for(names: tuple[str, ...], run: RunFolder) -> list[Logger]:
    """The loggers of a run. Raises ConfigError if a package is missing."""
    return [LOGGERS[name](run) for name in names]


class Tracker(Logger):
    """A service that records runs. If it fails within a run, a line says so and the run goes on."""

    name = ""
    version = None

    def __init__(self, run: RunFolder) -> None:
        """Log the run in `run`. Raises ConfigError if the service's package is missing."""
        try:
            self.package = import_module(self.name)
        except ImportError:
            raise ConfigError.missing(self.name, self.name, use="train.loggers") from None
        self.run = run
        self.is_open = self.has_failed = False

    def open(self, settings: Mapping[str, Any]) -> str:
        """Begin, or go on, a run at the service, and record its settings.

        Returns the address of the run's page there; empty if it has none.
        """
        raise NotImplementedError

    def send(self, values: dict[str, float], step: int | None) -> None:
        """Record values at a step."""
        raise NotImplementedError

    def close(self) -> None:
        """End the run at the service."""
        raise NotImplementedError

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *_: Any, **__: Any) -> None:
        """Begin with a run's settings. Raises ConfigError if the service cannot be used."""
        try:
            page = self.open(vars(params) if isinstance(params, Namespace) else params)
            self.is_open = True
        except Exception as error:  # a service can raise anything
            raise ConfigError(
                f"train.loggers: {self.name} cannot be used ({reason_of(error)}). Mend that, or "
                f"leave {self.name} out."
            ) from error
        if page:
            write_text(self.run.tracker_file(self.name), page)

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Record values at a step; the first failure is printed as a warning."""
        try:
            self.send(metrics, step)
        except Exception as error:
            if not self.has_failed:
                tell(f"warning: {self.name} did not record step {step} ({reason_of(error)})")
            self.has_failed = True

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """End the run at the service."""
        if self.is_open:
            self.close()


class WandbLogger(Tracker):
    """Writes to Weights & Biases; `wandb login` and its WANDB_ variables say where."""

    name = "wandb"

    def open(self, settings: Mapping[str, Any]) -> str:
        """Begin a run, or go on with that of the same folder."""
        name = self.run.path.resolve().name
        folder = {"project": "lcnet", "name": name, "id": name, "resume": "allow"}
        self.experiment = self.package.init(**folder, config=dict(settings))
        return str(getattr(self.experiment, "url", None) or "")

    def send(self, values: dict[str, float], step: int | None) -> None:
        """Record values at a step."""
        self.experiment.log(values, step=step)

    def close(self) -> None:
        """Send what is left."""
        self.experiment.finish()


class MLflowLogger(Tracker):
    """Writes to MLflow; its MLFLOW_ variables say where."""

    name = "mlflow"

    def open(self, settings: Mapping[str, Any]) -> str:
        """Begin a run, or go on with that of the same folder."""
        known = self.run.logs / "mlflow_run_id"
        self.package.set_experiment("lcnet")
        started = self.package.start_run(
            run_id=known.read_text(encoding="utf-8") if known.is_file() else None,
            run_name=self.run.path.resolve().name,
        )
        if not known.is_file():
            self.package.log_params(dict(settings))
            write_text(known, started.info.run_id)
        place, info = str(self.package.get_tracking_uri()), started.info
        if not place.startswith("http"):
            return ""  # a folder or a database: `mlflow ui` shows it
        return f"{place.rstrip('/')}/#/experiments/{info.experiment_id}/runs/{info.run_id}"

    def send(self, values: dict[str, float], step: int | None) -> None:
        """Record values at a step."""
        self.package.log_metrics(values, step=step)

    def close(self) -> None:
        """Mark the run as ended."""
        self.package.end_run()


LOGGERS: dict[str, Callable[[RunFolder], Logger]] = {
    "tensorboard": lambda run: TensorBoardLogger(run.path, name="", version=run.logs.name),
    "csv": lambda run: CSVLogger(run.path, name=run.logs.name),  # a folder for each resumption
    "wandb": WandbLogger,
    "mlflow": MLflowLogger,
}
"""What the recipe's `loggers` may name."""
