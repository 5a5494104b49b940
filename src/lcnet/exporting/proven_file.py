"""A model as a file for another runtime, which is kept only if it proves to be the same."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from lcnet.config import Data
from lcnet.data.sources import find_images
from lcnet.errors import CheckpointError, ConfigError, DataError
from lcnet.evaluating.measuring import data_set
from lcnet.exporting.formats import FORMATS, Format, Scorer, load_onnx, trace, write_onnx
from lcnet.exporting.proof import (
    BATCH_SIZES,
    Pictures,
    Proof,
    drawn_pictures,
    pictures_of_split,
    prove,
    race,
)
from lcnet.exporting.quantize import quantize as quantize_onnx
from lcnet.files import AnyPath, written_whole
from lcnet.metrics.array_checks import with_both
from lcnet.model_folder import ModelInfo, load_model, local_model, read_info, weights_fingerprint
from lcnet.model_folder.exported import describe
from lcnet.progress import tell


@dataclass(frozen=True)
class ExportChoices:
    """How a file is made and checked."""

    tolerance: float
    """Largest allowed difference of the float32 file's logits from the model's."""
    quantize: str
    """`int8`, or empty for float32."""
    most_loss: float
    """Points of mAP that int8 may cost."""
    calibration_pictures: int
    """Training pictures that give the scales of int8."""
    pictures: str
    """What to check with: a split, a picture, a folder or a glob; empty as `export` says."""
    limit: int
    """Pictures to check with, at most."""
    root: str
    """Folder of the data set, if it has moved."""
    data: Data | None
    """The data set; None is the run's."""


def export_model(model: AnyPath, form: str, out: Path | None, choices: ExportChoices) -> Path:
    """Write the file, check that it is the same model, and return its path.

    `form` is one of `FORMATS`. Without `choices.pictures`, the check uses the validation or test
    split of the run, or drawn pictures if neither can be read. Raises the errors of `export`.
    """
    run = local_model(model)
    if choices.quantize and form != "onnx":
        raise ConfigError(
            f"--quantize {choices.quantize}: needs --format onnx, got {form}. Leave one out."
        )
    chosen = FORMATS[form]
    chosen.check()
    info = read_info(run)
    files = _files(run, out, chosen, choices.quantize)
    pictures = _pictures(run, info, choices)
    calibration = _calibration_pictures(run, info, choices) if choices.quantize else None
    network, described = load_model(run), describe(info, weights_fingerprint(run))
    program = trace(load_model(run), info.preprocessing.size, info.model.channels)
    with ExitStack() as open_files:
        unfinished = [open_files.enter_context(written_whole(file)) for file in files]
        if calibration is not None:
            _make_int8(
                program, described, unfinished[0], network, info, pictures, calibration, choices
            )
        else:
            chosen.write(program, described, *unfinished)
            scorer, info = chosen.load(*unfinished)
            _check(chosen.runs_with, network, scorer, pictures, info, choices)
    sizes = " and ".join(f"{file} ({file.stat().st_size / 1e6:.1f} MB)" for file in files)
    tell(f"{sizes} written")
    if rules := info.rules:
        tell(
            f"the model's label rules ({rules}) are in the file's description. Predictor, predict "
            "and serve keep them; other programs that read the file must do it themselves"
        )
    return files[0]


# Float32


def _check(
    runtime: str,
    model: Scorer,
    other: Scorer,
    pictures: Pictures,
    info: ModelInfo,
    choices: ExportChoices,
) -> None:
    """Print how close the file comes; raise CheckpointError if it is not close enough."""
    proof = prove(model, other, pictures, info)
    small, large = BATCH_SIZES
    tell(f"checked with {runtime}: {pictures.source}, {small} and {large} at a time")
    tell(
        "scores before the sigmoid (logits) differ from the model's by at most "
        f"{proof.largest:.2g}; {choices.tolerance:g} is allowed"
    )
    tell(_mean_ap(proof))
    if not proof.largest <= choices.tolerance:  # also NaN
        raise CheckpointError(
            f"export: expected logits within {choices.tolerance:g} of the model's, got a "
            f"difference of {proof.largest:.2g}. Nothing was written; try another --format."
        )


def _mean_ap(proof: Proof) -> str:
    if proof.gained is None:
        return "mAP: unknown, since no label has both present and absent pictures here"
    return f"mAP {proof.mAP:.2f}, of the file {proof.other_mAP:.2f} ({proof.gained:+.4f})"


# 8 bits


def _make_int8(
    program: torch.export.ExportedProgram,
    described: str,
    target: Path,
    model: Scorer,
    info: ModelInfo,
    pictures: Pictures,
    calibration: Pictures,
    choices: ExportChoices,
) -> None:
    """Write the int8 file; check it and the float32 file that it is made from."""
    if pictures.targets is None or not with_both(pictures.targets).any():
        raise ConfigError(
            "--quantize int8: expected a split with present and absent labels to check with, since "
            f"the loss is measured as mAP, got {pictures.source}. Set --root, --pictures SPLIT or "
            "the --data flags."
        )
    with TemporaryDirectory(dir=target.parent) as folder:
        source = Path(folder) / "float32.onnx"
        write_onnx(program, described, source)
        exact, info = load_onnx(source)
        runtime = FORMATS["onnx"].runs_with
        _check(f"{runtime}, float32", model, exact, pictures, info, choices)
        quantize_onnx(source, target, calibration.batches(info.preprocessing, (1,)))
        small, info = load_onnx(target)
        megabytes = [path.stat().st_size / 1e6 for path in (source, target)]
    tell(
        f"int8, scales from {calibration.source}: {megabytes[1]:.1f} MB instead of "
        f"{megabytes[0]:.1f}"
    )
    proof = prove(exact, small, pictures, info)
    tell(f"logits differ from those in float32 by at most {proof.largest:.2g}")
    tell(f"{_mean_ap(proof)}, allowed to lose {choices.most_loss:g}")
    for size in BATCH_SIZES:
        images = next(pictures.batches(info.preprocessing, (size,)))
        speed = race(exact, small, images)
        tell(
            f"speed, taking turns, threads {torch.get_num_threads()}, {speed.batch_size} at a "
            f"time: float32 {speed.first:.2f} ms a picture, int8 {speed.second:.2f}, "
            f"{speed.first / speed.second:.2f} times as fast"
        )
    if proof.gained is None or proof.gained < -choices.most_loss:
        raise CheckpointError(
            f"export: expected int8 to lose at most {choices.most_loss:g} mAP, got "
            f"{proof.gained:+.2f}. Nothing was written; try more --calibration_pictures."
        )


# Files and pictures


def _files(run: Path, out: Path | None, chosen: Format, quantize: str) -> list[Path]:
    """The files to write, the one that the user names first."""
    first, *others = chosen.suffixes
    name = f"model.{quantize}{first}" if quantize else f"model{first}"
    file = run / name if out is None else out
    if file.suffix != first or file.is_dir():
        raise ConfigError(f"--out {file}: expected a file name that ends in {first}. Correct it.")
    return [file, *(file.with_suffix(suffix) for suffix in others)]


def _pictures(run: Path, info: ModelInfo, choices: ExportChoices) -> Pictures:
    """What to check with: the named pictures, the run's splits, or drawn pictures."""
    wanted = choices.pictures
    if wanted and (Path(wanted).exists() or any(sign in wanted for sign in "*?[")):
        images = find_images([wanted])[: choices.limit]
        return Pictures(images, None, f"{len(images):,} pictures of {wanted}")
    try:
        data, _ = data_set(run, choices.data, choices.root)
    except ConfigError:
        if wanted or choices.root:
            raise
        tell("no --pictures and no run with a data set to check with: drawn pictures are used")
        return drawn_pictures()
    if wanted:
        return pictures_of_split(data, wanted, info, choices.limit)
    reason = "data.val and data.test are empty"
    for split in filter(None, (data.val, data.test)):
        try:
            return pictures_of_split(data, split, info, choices.limit)
        except DataError as error:
            reason = str(error)
    if choices.data is not None or choices.root:
        raise DataError(reason)
    tell(f"the run's pictures cannot be read, so drawn ones are used: {reason}")
    return drawn_pictures()


def _calibration_pictures(run: Path, info: ModelInfo, choices: ExportChoices) -> Pictures:
    """Training pictures, spread evenly over the split."""
    data, _ = data_set(run, choices.data, choices.root)
    return pictures_of_split(data, data.train, info, choices.calibration_pictures)
