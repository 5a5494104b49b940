"""`lcnet complete`: fill the blank cells of a half-filled label table."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from lcnet.bounds import AtLeast, Within, bounded
from lcnet.config import MOST_WORKERS
from lcnet.config.known_errors import WrongShare
from lcnet.files import AnyPath

if TYPE_CHECKING:
    from lcnet.predicting.completing import Completed


@bounded
def complete(
    model: AnyPath,
    table: Path,
    out: Path,
    *,
    sure: Annotated[float, Within(0.5, 1, "0.5 to 1")] | None = None,
    known_errors: WrongShare = 0.0,
    batch_size: Annotated[int, AtLeast(1)] = 32,
    workers: Annotated[int, Within(-1, MOST_WORKERS, "-1 (automatic) or 0 to 1,024")] = -1,
    quiet: bool = False,
) -> "Completed":
    """Fill the blank cells of a label table: from its pictures, and from the cells that are filled.

    Writes a CSV table with a row per picture and a column per label. Filled cells stay as they are.
    A blank cell gets the probability that the label is present, from 0 to 1; or with --sure a 1 or
    a 0 where the model is that sure, and stays blank elsewhere.

    Args:
        model: Run or model folder, hf://user/name, or an ONNX file of lcnet export. Known labels
            move the others if the model was given that (lcnet calibrate --evidence).
        table: Label table of any layout that lcnet reads, with blank cells. Its labels are some of
            the model's.
        out: CSV file to write.
        sure: Probability from which on a label is written as present, and 1 minus which up to
            which it is written as absent, such as 0.95. It is as true as the model is calibrated.
        known_errors: Share of the filled cells that are wrong, such as 0.02. Where the picture
            speaks against one, it then moves the others less.
        batch_size: Pictures at a time.
        workers: Loader processes; -1 chooses by the number of cores.
        quiet: Print nothing.

    Returns:
        How many cells were filled, and how many are blank still.

    Raises:
        DataError: if the table cannot be read.
        CheckpointError: if the model cannot be read.
        ConfigError: if the table has other labels than the model, or no blank cell, or if
            known_errors is given for a model that lets known labels move nothing.
    """
    from lcnet.predicting.completing import complete_table

    return complete_table(
        model,
        Path(table),
        Path(out),
        sure=sure,
        known_errors=known_errors,
        batch_size=batch_size,
        workers=workers,
        quiet=quiet,
    )
