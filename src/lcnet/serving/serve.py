"""`lcnet serve`: a model as a web page and an HTTP API."""

from importlib.util import find_spec
from pathlib import Path
from socket import socket
from typing import Annotated, Literal

from lcnet.bounds import Above, AtLeast, Within, bounded
from lcnet.errors import ConfigError
from lcnet.files import AnyPath
from lcnet.hub import is_shared
from lcnet.serving.listening import address_of, listening_at

Wanted = Literal["auto", "torch", "onnxruntime", "openvino"]


@bounded
def serve(
    model: AnyPath,
    *,
    host: str = "127.0.0.1",
    port: Annotated[int, Within(0, 65_535)] = 7860,
    batch_size: Annotated[int, AtLeast(1)] = 16,
    batch_ms: Annotated[float, Within(0, 1000)] = 5.0,
    max_megabytes: Annotated[float, Above(0)] = 20.0,
    max_pixels: Annotated[int, Above(0)] = 40_000_000,
    max_waiting: Annotated[int, Above(0)] = 64,
    runtime: Wanted = "auto",
    label_studio: str = "",
    label_studio_files: Path | None = None,
) -> None:
    """Label pictures on a web page and over HTTP.

    Runs until SIGINT or SIGTERM, then finishes the requests in work.

    Args:
        model: Run or model folder, hf://user/name, or an ONNX or OpenVINO (.xml) file of lcnet
            export.
        host: Address to listen on; the default answers only this machine.
        port: Port; 0 takes a free one.
        batch_size: Pictures that go through the model together, at most.
        batch_ms: Milliseconds to wait for a batch to fill up, at most.
        max_megabytes: Size of a picture's file, at most; of all files of a request together.
        max_pixels: Width times height of a picture, at most; of all pictures of a request together.
        max_waiting: Requests in work at a time; further ones are refused.
        runtime: What runs the network of a folder on the CPU. auto: the fastest that lcnet predict
            --runtime measure found for this model on this machine; torch if nothing was measured.
        label_studio: Address of a Label Studio, such as http://localhost:8080: be its ML backend
            too. Its pictures are fetched with the access token in LABEL_STUDIO_API_KEY.
        label_studio_files: Folder of its local files, if tasks name pictures in there.

    Raises:
        ConfigError: if a package is missing or the address cannot be used.
        CheckpointError: if the model cannot be read.
    """
    for package in ("fastapi", "httpx", "prometheus_client", "python_multipart", "uvicorn"):
        if find_spec(package) is None:
            raise ConfigError.missing(package, "serve")
    from lcnet.progress import tell

    with listening_at(host, port) as listening:
        # torch and the model take seconds, so a word comes before they are imported.
        tell(f"loading {model}; the page's address comes when it answers, in some seconds")
        _serve_at(
            listening,
            model,
            host,
            batch_size=batch_size,
            seconds=batch_ms / 1000,
            bounds=(max_megabytes, max_pixels, max_waiting),
            runtime=runtime,
            label_studio=label_studio,
            label_studio_files=label_studio_files,
        )
    tell("stopped")


def _serve_at(
    listening: socket,
    model: AnyPath,
    host: str,
    *,
    batch_size: int,
    seconds: float,
    bounds: tuple[float, int, int],
    runtime: Wanted,
    label_studio: str,
    label_studio_files: Path | None,
) -> None:
    """Load the model and serve it at the socket; arguments and errors are those of `serve`."""
    from lcnet.predicting.predictor import Predictor
    from lcnet.progress import tell
    from lcnet.serving.known_advice import advice_on_known
    from lcnet.serving.server import run
    from lcnet.serving.service import Service
    from lcnet.serving.uploads import Limits

    studio = None
    if label_studio or label_studio_files:
        from lcnet.serving.label_studio import LabelStudio

        studio = LabelStudio(label_studio, label_studio_files)
    predictor = Predictor(model, batch_size=batch_size, precision="auto", runtime=runtime)
    address = address_of(host, listening)
    tell(f"{model} on {predictor.device}: {predictor.how}")
    run(
        Service(predictor, Limits(*bounds), seconds=seconds),
        listening,
        host,
        lambda: tell(_started(address, label_studio)),
        studio,
        advice=advice_on_known(model, predictor, "serve"),
        name=_name_of(model),
    )


def _name_of(model: AnyPath) -> str:
    """What the page calls the model: its folder's or file's name, no path of this machine."""
    return str(model) if is_shared(model) else Path(model).resolve().name


def _started(address: str, label_studio: str) -> str:
    backend = f", ML backend of {label_studio} {address}" if label_studio else ""
    return f"page {address}, API {address}/predict{backend}; Ctrl+C stops"
