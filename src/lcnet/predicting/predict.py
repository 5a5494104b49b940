"""`lcnet predict`: label pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TextIO

from lcnet.bounds import AtLeast, Within, bounded
from lcnet.config import MOST_WORKERS
from lcnet.errors import ConfigError

if TYPE_CHECKING:
    from lcnet.predicting.job import Predicted


@bounded
def predict(
    model: Path | str,
    paths: Sequence[str] | str,
    out: Path | str | TextIO | None = None,
    *,
    format: Literal["", "jsonl", "csv", "parquet"] = "",
    rows_per_file: Annotated[int, AtLeast(1)] = 1_000,
    shard: str = "",
    batch_size: Annotated[int, AtLeast(1)] = 32,
    workers: Annotated[int, Within(-1, MOST_WORKERS, "-1 (automatic) or 0 to 1,024")] = -1,
    precision: Literal["auto", "fp32", "bf16"] = "auto",
    compile: bool | None = None,
    engine: Literal["local", "ray"] = "local",
    ray_address: str = "",
    ray_workers: Annotated[int, AtLeast(0)] = 0,
    explain: Path | None = None,
    explain_labels: Annotated[int, AtLeast(1)] = 5,
) -> "Predicted":
    """Label pictures, one JSON line each.

    A picture that cannot be read gets a row with the error, and the rest go on.

    Args:
        model: Run or model folder, hf://user/name, or an ONNX file of lcnet export.
        paths: Pictures, folders of pictures, globs, lists (.txt, a path per line), or tar and
            Parquet files with pictures inside.
        out: File to write, or with --format a folder of files; standard output if not given.
        format: For big jobs: --out becomes a folder of such files, and the same command goes on
            where it was stopped.
        rows_per_file: Pictures in each file of --format.
        shard: i/n such as 2/8: every n-th picture, from the i-th on. Each process takes its own.
        batch_size: Pictures at a time.
        workers: Loader processes; -1 chooses by the cores.
        precision: Arithmetic. auto is bf16 where the device multiplies in it, with probabilities
            within 0.01.
        compile: Compile the model first, which takes minutes; from 5,000 pictures on if not given.
        engine: What runs it: this process, or workers of Ray (lcnet[ray]), which may die.
        ray_address: Cluster of --engine ray, such as auto or HOST:6379; this machine alone if not
            given.
        ray_workers: Workers of --engine ray; 0 takes one for each accelerator, or else for each
            core.
        explain: Folder for heat maps: a folder in it for each picture, a PNG for each label.
        explain_labels: Labels that are explained per picture, at most.

    Returns:
        How many pictures there were and could not be read. From Python, without `out`, also the
        predictions themselves.

    Raises:
        DataError: if a path gives no picture.
        CheckpointError: if the model cannot be read.
        ConfigError: for choices that do not go together, and if the folder has the rows of another
            job or another process writes them.
    """
    if engine == "local" and (ray_address or ray_workers):
        raise ConfigError("--ray_address, --ray_workers: go with --engine ray. Add it.")
    from lcnet.predicting.job import predict_all
    from lcnet.predicting.ray_engine import Place
    from lcnet.predicting.sources import Shard

    return predict_all(
        model,
        [paths] if isinstance(paths, str) else paths,
        Path(out) if isinstance(out, str) else out,
        format=format,
        rows_per_file=rows_per_file,
        shard=Shard.parse(shard),
        batch_size=batch_size,
        workers=workers,
        precision=precision,
        compiled=compile,
        ray=Place(ray_address, ray_workers) if engine == "ray" else None,
        explain=explain,
        explain_labels=explain_labels,
    )
