"""Exported files beside a model: whether they say what the model says, and how they are renewed."""

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lcnet.errors import quoted, reason_of
from lcnet.files import written_whole
from lcnet.model_folder import ModelFolder, ModelInfo, weights_fingerprint
from lcnet.model_folder.exported import KEY, describe, understand, weights_in
from lcnet.model_folder.openvino_core import openvino_core
from lcnet.progress import tell


def outdated(file: Path, info: ModelInfo, weights: str) -> str:
    """Why a file does not say what the model beside it says; empty if it does, or there is none.

    `info` and `weights` are the description and the digest of the weights in the file.
    """
    folder = ModelFolder.find(file.parent)
    if folder is None:
        return ""
    again = f"Export it again with: lcnet export {quoted(file.parent)}"
    if weights and weights != weights_fingerprint(folder.path):
        return f"{file}: made of other weights than those beside it. {again}"
    if info.test_time != folder.info().test_time:
        return f"{file}: made with other test-time augmentation than the model beside it. {again}"
    changed = [name for name, (old, new) in _decisions(info, folder.info()).items() if old != new]
    if changed:
        return f"{file}: has other {' and '.join(changed)} than the model beside it. {again}"
    return ""


def _decisions(*infos: ModelInfo) -> dict[str, tuple[Any, ...]]:
    """What turns logits into labels, of each model."""
    return {
        "labels": tuple(info.labels for info in infos),
        "thresholds": tuple(info.thresholds for info in infos),
        "calibration": tuple(info.calibration for info in infos),
    }


def renew_exports(run: Path) -> None:
    """Write a model's labels, thresholds and calibration into the files exported from it.

    `run` is a run or model folder; files elsewhere are not known. One that was made of other
    weights, or cannot be changed, is left alone and named.
    """
    folder = ModelFolder.at(run)
    weights, info = weights_fingerprint(run), folder.info()
    for file in _exports(run, folder):
        try:
            why_not = _renewed(file, info, weights)
        except Exception as error:  # the runtimes raise dozens of types
            why_not = f"cannot be changed ({reason_of(error)[:120]})"
        if why_not is None:
            tell(f"{file}: has the new thresholds and calibration too")
        elif why_not:
            tell(f"warning: {file}: {why_not}. Export it again with: lcnet export {quoted(run)}")


def _exports(run: Path, folder: ModelFolder) -> Iterator[Path]:
    for place in dict.fromkeys((run, folder.path)):
        yield from sorted(file for file in place.iterdir() if file.suffix in FORMATS)


def _renewed(file: Path, info: ModelInfo, weights: str) -> str | None:
    """None once a file is renewed; else why it is not, empty for a file that is not lcnet's."""
    package, opened = FORMATS[file.suffix]
    if find_spec(package) is None:
        return f"needs {package} to get the new thresholds and calibration"
    text, write = opened(file)
    if not text:
        return ""
    if weights_in(text) != weights:
        return "not made of the weights beside it"
    if understand(text, file).test_time != info.test_time:
        return "made with other test-time augmentation"
    write(describe(info, weights))
    return None


Opened = tuple[str | None, Callable[[str], None]]
"""The text in a file, and what replaces it."""


def _open_onnx(file: Path) -> Opened:
    import onnx

    model = onnx.load(file, load_external_data=False)
    entry = next((each for each in model.metadata_props if each.key == KEY), None)

    def write(text: str) -> None:
        assert entry is not None
        entry.value = text
        with written_whole(file) as unfinished:
            unfinished.write_bytes(model.SerializeToString())

    return entry and entry.value, write


def _open_torch(file: Path) -> Opened:
    import torch

    texts: dict[str, Any] = {KEY: ""}
    with file.open("rb") as stored:
        program = torch.export.load(stored, extra_files=texts)

    def write(text: str) -> None:
        with written_whole(file) as unfinished, unfinished.open("wb") as stored:
            torch.export.save(program, stored, extra_files={KEY: text})

    return texts[KEY], write


def _open_openvino(file: Path) -> Opened:
    import openvino

    model = openvino_core().read_model(file)

    def write(text: str) -> None:
        model.set_rt_info(text, KEY)
        with (
            TemporaryDirectory(dir=file.parent) as folder,
            written_whole(file) as graph,
            written_whole(file.with_suffix(".bin")) as weights,
        ):
            saved = Path(folder) / "model.xml"
            openvino.save_model(model, saved, compress_to_fp16=False)
            saved.replace(graph)
            saved.with_suffix(".bin").replace(weights)

    return model.get_rt_info([KEY]).value if model.has_rt_info([KEY]) else None, write


FORMATS: dict[str, tuple[str, Callable[[Path], Opened]]] = {
    ".onnx": ("onnx", _open_onnx),
    ".pt2": ("torch", _open_torch),
    ".xml": ("openvino", _open_openvino),
}
"""By suffix, the package that opens a file, and how."""
