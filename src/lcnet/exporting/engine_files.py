"""A model's network as files of other runtimes, kept in the user's cache folder.

CACHE/engines/DIGEST/
├── network.onnx                   for onnxruntime
├── network.xml and network.bin    for OpenVINO
├── measured.json                  the table of `engine_table`
└── .lock                          held while these are made

DIGEST follows from the weights and all that shapes the network, so a model that changes gets files
of its own. Labels, thresholds and calibration are read from the model folder each time.
"""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from filelock import FileLock
from torch import Tensor
from torch.export import ExportedProgram

from lcnet.compute import Precision
from lcnet.errors import CheckpointError, ConfigError, quoted
from lcnet.exporting.engine_table import EngineTable, Runtime, installed
from lcnet.exporting.formats import FORMATS, openvino_from_onnx, trace, write_onnx
from lcnet.exporting.onnx_model import OnnxModel
from lcnet.exporting.openvino_model import compiled
from lcnet.files import written_whole
from lcnet.model.fast import Engine
from lcnet.model_folder import ModelInfo, load_model, weights_fingerprint
from lcnet.model_folder.exported import LOGITS, describe

CACHE = "LCNET_CACHE"
"""The variable that names another cache folder."""
KEPT = 30 * 24 * 3600.0
"""Seconds after which the files of a model that was not used are deleted."""
SHAPING = ("model", "head_options", "backbone", "members", "test_time", "views")
"""The fields of model.json that shape the network."""
OTHERS: tuple[Runtime, ...] = ("onnxruntime", "openvino")
"""The runtimes besides torch."""


def cache_folder() -> Path:
    """Where lcnet keeps what it can make again."""
    if named := os.environ.get(CACHE):
        return Path(named)
    usual = os.environ.get("XDG_CACHE_HOME")
    return (Path(usual) if usual else Path.home() / ".cache") / "lcnet"


def engine_folder(model: Path, info: ModelInfo) -> Path:
    """The folder for the engine files of a run or model folder; it need not exist."""
    fields = info.to_dict()
    shape = {name: fields.get(name) for name in SHAPING}
    key = [version("lcnet"), weights_fingerprint(model), shape]
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return cache_folder() / "engines" / digest[:32]


def kept_table(model: Path, info: ModelInfo) -> EngineTable | None:
    """What was measured for the model on this machine; None if nothing was."""
    return EngineTable.read(engine_folder(model, info) / "measured.json")


def keep_table(model: Path, info: ModelInfo, table: EngineTable) -> None:
    """Keep what was measured."""
    with written_whole(engine_folder(model, info) / "measured.json") as unfinished:
        table.write(unfinished)


def can_run(runtime: Runtime) -> bool:
    """Whether all packages that make and run its files are installed."""
    return runtime == "torch" or all(map(installed, _packages(runtime)))


def require(runtime: Runtime) -> None:
    """Raise ConfigError if a package that it needs is not installed."""
    if runtime != "torch":
        FORMATS["openvino" if runtime == "openvino" else "onnx"].check()


def _packages(runtime: Runtime) -> Iterator[str]:
    form = FORMATS["openvino" if runtime == "openvino" else "onnx"]
    return (package for package, _ in form.packages)


def require_table(model: Path, info: ModelInfo, runtime: Runtime) -> EngineTable:
    """What was measured for the model on this machine, to run it with this runtime.

    Raises ConfigError if a package is missing or nothing was measured: a runtime is used only after
    its answers were compared with torch's.
    """
    require(runtime)
    if table := kept_table(model, info):
        return table
    raise ConfigError(
        f"--runtime {runtime}: expected one that was compared with torch on this machine for this "
        f"model, got none. First run: lcnet predict {quoted(model)} PICTURES --runtime measure"
    )


def engine(model: Path, info: ModelInfo, runtime: Runtime, precision: Precision) -> Engine | None:
    """The network of a run or model folder in another runtime; None for torch.

    Its files are made if they are not there. Raises ConfigError if a package is missing or the
    runtime lacks the arithmetic, and CheckpointError if the network cannot be exported.
    """
    if runtime == "torch":
        return None
    require(runtime)
    if runtime == "onnxruntime" and precision == "bf16":
        raise ConfigError(
            "--precision bf16: expected fp32 with --runtime onnxruntime, which has no bfloat16 on "
            "the CPU. Use --runtime torch."
        )
    folder = engine_folder(model, info)
    with _held(folder):
        is_new = _make(folder, model, info, runtime)
    try:
        return _opened(folder, runtime, precision)
    except CheckpointError:
        if is_new:
            raise
    with _held(folder):  # the files were damaged
        for file in folder.glob("network.*"):
            file.unlink()
        _make(folder, model, info, runtime)
    return _opened(folder, runtime, precision)


def _opened(folder: Path, runtime: Runtime, precision: Precision) -> Engine:
    if runtime == "onnxruntime":
        return Engine(runtime, installed(runtime), OnnxModel(folder / "network.onnx"))
    return Engine(runtime, installed(runtime), _openvino(folder, precision))


def _openvino(folder: Path, precision: Precision) -> Callable[[Tensor], Tensor]:
    import torch

    network, _ = compiled(folder / "network.xml", folder / "network.bin", precision)
    return lambda images: torch.from_numpy(network([images.numpy()])[LOGITS].copy())


def _make(folder: Path, model: Path, info: ModelInfo, runtime: Runtime) -> bool:
    """Write the files that a runtime needs, if they are not there; return whether they were not."""
    onnx, graph = folder / "network.onnx", folder / "network.xml"
    weights = graph.with_suffix(".bin")
    described = describe(info, weights_fingerprint(model))
    needed = [graph, weights] if runtime == "openvino" else [onnx]
    if all(file.is_file() for file in needed):
        return False
    if not onnx.is_file():
        with written_whole(onnx) as unfinished:
            write_onnx(_program(model, info), described, unfinished)
    if runtime == "openvino":
        with ExitStack() as files:
            parts = [files.enter_context(written_whole(file)) for file in (weights, graph)]
            openvino_from_onnx(onnx, described, parts[1], parts[0])
    return True


def _program(model: Path, info: ModelInfo) -> ExportedProgram:
    network = load_model(model)
    network.evidence = None  # what known labels say is added to the logits afterwards, by torch
    return trace(network, info.preprocessing.size, info.model.channels)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold the folder, so that two processes do not make the same files; old ones are deleted.

    Raises ConfigError if the cache cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder):
            os.utime(folder)
    except OSError as error:
        raise ConfigError(
            f"{folder}: expected a cache folder that can be written, got: {error.strerror}. Name "
            f"another one in {CACHE}, or use --runtime torch."
        ) from None
    with FileLock(folder / ".lock"):
        yield
    for other in folder.parent.iterdir():
        if other != folder and time.time() - other.stat().st_mtime > KEPT:
            shutil.rmtree(other, ignore_errors=True)
