"""Which runtimes were measured for a model on this machine, and which of them to take."""

import json
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, get_args

import torch

from lcnet.compute import MOST_ROUNDING, Precision, Rounding, chosen_precision
from lcnet.errors import CheckpointError
from lcnet.schema import check_fields

Runtime = Literal["torch", "onnxruntime", "openvino"]
"""What can run a model's network."""
Wanted = Literal["auto", "torch", "onnxruntime", "openvino"]
"""A runtime, or the fastest that was measured."""
MOST_LOGIT = 1e-4
"""Largest difference of a float32 logit from torch's with which a runtime is taken by itself."""
MOST_SHARE = 0.9
"""A runtime is taken by itself if it needs at most this share of the time of torch's form."""
LEAST_PICTURES = 100
"""Pictures that must have been compared before another runtime's bfloat16 is taken by itself."""
VERSION = 1
"""Version of the table's file; another one is measured again."""
WORDS: dict[str, str] = {"fp32": "float32", "bf16": "bfloat16"}


@dataclass(frozen=True)
class Row:
    """How one runtime did, against torch in float32 on the same pictures."""

    runtime: str
    precision: str
    share: float
    """Of torch's time in float32: the median over rounds in which all took turns."""
    milliseconds: float
    """A picture's time, the median."""
    logit: float
    """Largest difference of a logit."""
    probability: float
    """Largest difference of a calibrated probability, 0 to 1."""
    relabelled: int
    """Pictures that get other labels."""
    pictures: int
    """How many pictures were compared."""

    @property
    def is_exact(self) -> bool:
        """Whether it gives torch's float32 logits, up to rounding."""
        return self.precision == "fp32" and self.logit <= MOST_LOGIT

    @property
    def is_close(self) -> bool:
        """Whether it is known to change no label, and no probability by more than the bound."""
        enough = self.pictures >= LEAST_PICTURES
        return enough and self.probability <= MOST_ROUNDING and not self.relabelled

    @property
    def name(self) -> str:
        """The runtime and its arithmetic, in words."""
        return f"{self.runtime} in {WORDS[self.precision]}"

    @property
    def apart(self) -> str:
        """How far its answers are from torch's, in words."""
        if self.precision == "fp32":
            return f"logits within {self.logit:.1g} of torch's"
        return (
            f"probabilities within {self.probability:.2g} of torch's float32, other labels for "
            f"{self.relabelled:,} of {self.pictures:,} pictures"
        )


@dataclass(frozen=True)
class EngineTable:
    """What was measured for one model on one machine."""

    machine: str
    """What `this_machine` said then."""
    batch: int
    """Pictures at a time in the measurement of speed."""
    rows: tuple[Row, ...]
    """The first is torch in float32."""
    failed: dict[str, str]
    """Runtimes that cannot run the model, and why."""

    def write(self, file: Path) -> None:
        """Write it as JSON."""
        text = json.dumps({"version": VERSION, **asdict(self)}, indent=1, ensure_ascii=False)
        file.write_text(text, encoding="utf-8")

    @classmethod
    def read(cls, file: Path) -> "EngineTable | None":
        """The table in a file; None if there is none, or none of this version and machine."""
        try:
            stored: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            if stored.pop("version") != VERSION or stored["machine"] != this_machine():
                return None
            rows = tuple(Row(**check_fields(Row, row, "rows")) for row in stored["rows"])
            return cls(stored["machine"], int(stored["batch"]), rows, dict(stored["failed"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def row(self, runtime: str, precision: str) -> Row | None:
        """The row of a runtime in some arithmetic; None if it was not measured."""
        found = (row for row in self.rows if (row.runtime, row.precision) == (runtime, precision))
        return next(found, None)

    def choice(
        self,
        wanted: Wanted,
        precision: Precision | Literal["auto"],
        rounding: Rounding | None,
    ) -> tuple[Runtime, Precision]:
        """The fastest runtime and arithmetic among those that keep the bounds.

        `rounding` is what bfloat16 is known to change in torch. Torch is left only for one that is
        clearly faster than torch's own form, or that is `wanted`. Raises CheckpointError if the
        wanted one does not keep the bounds or cannot run the model.
        """
        usual = chosen_precision(precision, torch.device("cpu"), rounding)
        own = self.row("torch", usual)
        others = [row for row in self.rows if row.runtime != "torch" and _fits(row, precision)]
        allowed = [row for row in others if wanted in ("auto", row.runtime)]
        fastest = min(allowed, key=lambda row: row.share, default=None)
        if wanted not in ("auto", "torch") and fastest is None:
            raise CheckpointError(f"--runtime {wanted}: {self._why_not(wanted)}")
        is_slow = own is None or fastest is None or fastest.share > MOST_SHARE * own.share
        if fastest is None or wanted == "torch" or (wanted == "auto" and is_slow):
            return "torch", usual
        return _runtime(fastest.runtime), "bf16" if fastest.precision == "bf16" else "fp32"

    def _why_not(self, runtime: str) -> str:
        if reason := self.failed.get(runtime):
            return f"cannot run this model ({reason}). Use --runtime torch."
        row = self.row(runtime, "fp32")
        if row is not None and not row.is_exact:
            return (
                f"expected logits within {MOST_LOGIT:g} of torch's, got a difference of "
                f"{row.logit:.2g} when it was measured. Use --runtime torch."
            )
        return "was not measured in this arithmetic. Use --runtime torch."

    def why(self, runtime: str, precision: Precision) -> str:
        """Why `choice` took it, in words."""
        threads = torch.get_num_threads()
        measured = f"measured here with {threads} thread{'s' * (threads != 1)}"
        if runtime != "torch" and (row := self.row(runtime, precision)):
            return f"{row.share:.2f} of torch's time, {row.apart} ({measured})"
        others = [
            f"{row.name} takes {row.share:.2f} of torch's time"
            + ("" if row.is_exact or row.is_close else f", {row.apart}")
            for row in self.rows
            if row.runtime != "torch"
        ]
        return "; ".join([*others, *self._failures()]) + f" ({measured})"

    def _failures(self) -> Iterable[str]:
        return (f"{runtime} cannot run it: {reason}" for runtime, reason in self.failed.items())


def _fits(row: Row, precision: Precision | Literal["auto"]) -> bool:
    if precision == "bf16":  # asked for, whatever it changes
        return row.precision == "bf16"
    return row.is_exact or (precision == "auto" and row.precision == "bf16" and row.is_close)


def _runtime(name: str) -> Runtime:
    return next(known for known in get_args(Runtime) if known == name)


def this_machine() -> str:
    """The processor, the threads in use and the versions, which a measurement holds for."""
    packages = ("lcnet", "torch", "onnxruntime", "openvino")
    versions = (f"{package} {installed(package) or 'absent'}" for package in packages)
    return ", ".join([_processor(), f"{torch.get_num_threads()} threads", *versions])


def installed(package: str) -> str:
    """The version of a package; empty if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
