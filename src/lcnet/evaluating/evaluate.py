"""`lcnet evaluate`: the metrics of a model on a split."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from lcnet.bounds import AtLeast, Share, bounded
from lcnet.config import Data
from lcnet.evaluating.protocols import ProtocolName
from lcnet.files import AnyPath
from lcnet.hub import require_out
from lcnet.run_folder import RunFolder

if TYPE_CHECKING:
    from lcnet.metrics import Verification


@bounded
def evaluate(
    model: AnyPath,
    *,
    split: str = "",
    protocol: ProtocolName = "",
    threshold: Annotated[float, Share()] | None = None,
    intervals: bool = False,
    root: str = "",
    data: Data | AnyPath | None = None,
    batch_size: Annotated[int, AtLeast(1)] | None = None,
    out: Path | None = None,
    quiet: bool = False,
) -> "Verification":
    """Measure a model on a split.

    Args:
        model: Run folder. Or a model folder or hf://user/name; these need --data flags, and hf://
            needs --out.
        split: Split to measure on; the protocol's or data.test if not given.
        protocol: Measure as a paper does: the same pictures, threshold and AP formula. See
            docs/reference/metrics.md.
        threshold: One threshold for all labels; the protocol's or the model's own if not given.
        intervals: Add 95 % intervals of mAP, CF1 and OF1, from 1,000 resamples of the images.
        root: New folder of the data set, if it has moved; overrides --data.root.
        data: Data set to measure on, or its folder or label file; the run's if not given. These
            flags do not change single settings of the run's data set: they describe a whole one.
        batch_size: Pictures per batch; the run's if not given.
        out: JSON file to write; MODEL/metrics.json if not given.
        quiet: Print nothing.

    Returns:
        All metrics of the split.

    Raises:
        CheckpointError, DataError: if the model or the data cannot be read.
        ConfigError: for an unknown protocol, or a model folder without data.
    """
    require_out(model, out, "--out FILE.json")
    from lcnet.evaluating.measuring import measure
    from lcnet.evaluating.metrics_file import write_metrics
    from lcnet.evaluating.metrics_table import print_metrics
    from lcnet.evaluating.uncalibrated import gain_of_calibrating
    from lcnet.model_folder import local_model
    from lcnet.progress import tell

    folder = local_model(model)
    measured = measure(
        folder,
        split=split,
        root=root,
        threshold=threshold,
        data=data,
        protocol=protocol,
        batch_size=batch_size,
        quiet=quiet,
    )
    ranges = measured.intervals() if intervals else {}
    write_metrics(out or RunFolder(folder).metrics_file, measured, ranges)
    if not quiet:
        print_metrics(measured, ranges)
        if threshold is None and (gain := gain_of_calibrating(measured, model)):
            tell(gain)
    return measured.verification
