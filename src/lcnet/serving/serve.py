"""`lcnet serve`: a model as a page and an API."""

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp

from lcnet.errors import ConfigError
from lcnet.predicting.predictor import Predictor
from lcnet.progress import tell


def serve(
    model: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 7860,
    batch_size: int = 16,
    batch_ms: float = 5.0,
    max_megabytes: float = 20.0,
    max_pixels: int = 40_000_000,
    max_waiting: int = 64,
) -> None:
    """Serve a run or model folder, or an exported ONNX file, until SIGINT or SIGTERM.

    Port 0 takes a free one. Requests that come within `batch_ms` milliseconds go through the model
    together, `batch_size` at most. What is in work when the signal comes is finished.
    Raises ConfigError if a package is missing, a bound is wrong or the address cannot be had,
    CheckpointError if the model cannot be read.
    """
    for package in ("gradio", "prometheus_client"):
        if find_spec(package) is None:
            raise ConfigError.missing(package, "serve")
    if not 0 <= batch_ms <= 1000:
        raise ConfigError(f"--batch_ms: expected 0 to 1000, got {batch_ms:g}.")
    from lcnet.serving.service import Service
    from lcnet.serving.uploads import Limits

    limits = Limits(max_megabytes, max_pixels, max_waiting)
    with _listening(host, port) as listening, _uploads() as uploads:
        predictor = Predictor(model, batch_size=batch_size, precision="auto")
        from lcnet.serving.server import run  # gradio reads the environment that stands now

        shown = f"[{host}]" if ":" in host else host
        address = f"http://{shown}:{listening.getsockname()[1]}"
        tell(f"{model} on {predictor.device}: {predictor.model}")
        run(
            Service(predictor, limits, seconds=batch_ms / 1000),
            listening,
            uploads,
            lambda: tell(f"page {address}, API {address}/predict; Ctrl+C stops"),
        )
    tell("stopped")


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket at the address, taken before the model is loaded."""
    if not 0 <= port <= 65535:
        raise ConfigError(f"--port: expected 0 to 65535, got {port}.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=256)
    except OSError as error:
        raise ConfigError(
            f"--host {host} --port {port}: cannot be listened at ({error.strerror}). "
            "Choose another; port 0 takes a free one."
        ) from None
    with listening:
        yield listening


@contextmanager
def _uploads() -> Iterator[Path]:
    """A folder for what is uploaded, which is gone afterwards, and gradio told to use it.

    gradio is told not to call home either, before it is imported.
    """
    folder = Path(mkdtemp(prefix="lcnet-serve-"))
    os.environ |= {
        "GRADIO_TEMP_DIR": str(folder),
        "GRADIO_ANALYTICS_ENABLED": "False",
        "HF_HUB_OFFLINE": "1",
    }
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
