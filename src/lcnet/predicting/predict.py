"""`lcnet predict`: label pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TextIO

from lcnet.bounds import AtLeast, Within, bounded
from lcnet.config import MOST_WORKERS
from lcnet.config.known_errors import WrongShare
from lcnet.errors import ConfigError
from lcnet.files import AnyPath
from lcnet.hub import is_shared

if TYPE_CHECKING:
    from lcnet.predicting.job import Predicted


@bounded
def predict(
    model: AnyPath,
    paths: Sequence[str] | str,
    out: Path | str | TextIO | None = None,
    *,
    format: Literal["", "jsonl", "csv", "parquet"] = "",
    rows_per_file: Annotated[int, AtLeast(1)] = 1_000,
    shard: str = "",
    top: Annotated[int, AtLeast(0)] = 0,
    only: str | Sequence[str] = "",
    known: Path | None = None,
    known_errors: WrongShare = 0.0,
    batch_size: Annotated[int, AtLeast(1)] = 32,
    workers: Annotated[int, Within(-1, MOST_WORKERS, "-1 (automatic) or 0 to 1,024")] = -1,
    precision: Literal["auto", "fp32", "bf16"] = "auto",
    compile: bool | None = None,
    runtime: Literal["auto", "measure", "torch", "onnxruntime", "openvino"] = "auto",
    engine: Literal["local", "ray"] = "local",
    ray_address: str = "",
    ray_workers: Annotated[int, AtLeast(0)] = 0,
    label_studio: str | None = None,
    explain: Path | None = None,
    explain_labels: Annotated[int, AtLeast(1)] = 5,
    embeddings: Path | None = None,
) -> "Predicted":
    """Label pictures, one JSON line each.

    A picture gets the labels whose probability is above their threshold. A picture that cannot be
    read gets a row with the error; the others are labelled.

    Args:
        model: Run or model folder, hf://user/name, or an ONNX or OpenVINO (.xml) file of lcnet
            export.
        paths: Pictures, folders of pictures, globs, lists (.txt, a path per line), or tar and
            Parquet files with pictures inside.
        out: File to write, or with --format a folder for many files; standard output if not given.
        format: For big jobs: write many files of this format into the folder --out. The same
            command continues a job that was stopped. Cannot be combined with
            --explain.
        rows_per_file: Pictures in each file, with --format.
        shard: Part of the job for this process, as i/n such as 2/8: every n-th picture, starting
            with the i-th.
        top: Labels in a row: the most probable ones, with their probabilities; 0 for all. A label
            above its threshold that is not among them is left out too.
        only: Labels in a row, joined by commas, or a file with a label a line; all if not given.
        known: Label table, of any layout that lcnet reads, with what is known of the pictures
            already; blank cells say nothing. Known labels keep what it says, and move the others if
            the model was given that (lcnet calibrate --evidence).
        known_errors: Share of the known labels that are wrong, such as 0.02. Where the picture
            speaks against one, it then moves the others less.
        batch_size: Pictures at a time.
        workers: Loader processes; -1 chooses by the number of cores.
        precision: Arithmetic. Models are measured and calibrated in fp32. auto: bf16 where the
            device is fast in it and the model folder says that it changes no label and no
            probability by more than 0.01, else fp32.
        compile: Compile the model first, which takes minutes. If not given: yes for 5,000 pictures
            or more, in torch.
        runtime: What runs the network of a folder on the CPU. auto: the fastest that was measured
            for this model on this machine and gives torch's logits within 0.0001, or in bfloat16
            changes no label and no probability by more than 0.01; torch if nothing was measured. It
            measures by itself where torch would need minutes. measure: compare torch, onnxruntime
            and openvino on the first pictures, and keep what was found.
        engine: What does the work: this process, or workers of Ray (lcnet[ray]); a worker that dies
            is replaced.
        ray_address: Cluster of --engine ray, such as auto or HOST:6379; Ray on this machine alone
            if not given.
        ray_workers: Workers of --engine ray; 0 is one per accelerator, or one per core if there is
            none.
        label_studio: Write tasks for Label Studio to --out, one JSON list to import, each with its
            prediction; and beside it a labelling config (.xml) for the project. This text stands
            before each picture's path, such as '/data/local-files/?d='; empty for no text.
        explain: Folder for heat maps; each picture gets a folder in it, with a PNG for each label.
        explain_labels: Labels to explain per picture, at most.
        embeddings: File (.npz or .parquet) for each picture's embedding: the mean of the backbone's
            last feature map. Cannot be combined with --format, --explain, --compile or --engine
            ray.

    Returns:
        How many pictures there were, and how many could not be read. From Python, without `out`,
        also the predictions.

    Raises:
        DataError: if a path gives no picture.
        CheckpointError: if the model cannot be read.
        ConfigError: if options do not work together, if the folder holds the rows of another job,
            or if another process writes them.
    """
    if engine == "local" and (ray_address or ray_workers):
        raise ConfigError("--ray_address, --ray_workers: need --engine ray. Add it.")
    if known_errors and known is None:
        raise ConfigError("--known_errors: needs --known TABLE. Add it.")
    from lcnet.data.sources import PictureSources, Shard
    from lcnet.predicting.out_names import refuse_name

    # What is wrong at a glance is refused before torch is imported, which takes seconds.
    if not is_shared(model):
        PictureSources([paths] if isinstance(paths, str) else paths).require()
    out = Path(out) if isinstance(out, str) else out
    if not format and label_studio is None:
        refuse_name(out)
    from lcnet.predicting.job import predict_all
    from lcnet.predicting.ray_engine import RayCluster

    return predict_all(
        model,
        [paths] if isinstance(paths, str) else paths,
        out,
        format=format,
        rows_per_file=rows_per_file,
        shard=Shard.parse(shard),
        top=top,
        only=only,
        known=None if known is None else Path(known),
        known_errors=known_errors,
        batch_size=batch_size,
        workers=workers,
        precision=precision,
        compiled=compile,
        runtime=runtime,
        ray=RayCluster(ray_address, ray_workers) if engine == "ray" else None,
        label_studio=label_studio,
        explain=explain,
        explain_labels=explain_labels,
        embeddings=None if embeddings is None else Path(embeddings),
    )
