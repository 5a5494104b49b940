"""`lcnet report`: all that is known of a run as one HTML page."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

from lcnet.bounds import AtLeast, bounded
from lcnet.config import Data
from lcnet.errors import ConfigError
from lcnet.evaluating.protocols import ProtocolName
from lcnet.files import AnyPath
from lcnet.hub import require_out


@bounded
def report(
    model: AnyPath,
    *,
    split: str = "",
    root: str = "",
    data: Data | AnyPath | None = None,
    protocol: ProtocolName = "",
    batch_size: Annotated[int, AtLeast(1)] | None = None,
    against: AnyPath | None = None,
    out: Path | None = None,
    quiet: bool = False,
) -> Path:
    """Write all that is known of a run as one HTML page.

    The model is measured as by `lcnet evaluate`. The page needs no network.

    Args:
        model: Run folder. Or a model folder or hf://user/name; these need --data flags, and hf://
            needs --out.
        split: Split; the protocol's or data.test if not given.
        root: New folder of the data set, if it has moved; overrides --data.root.
        data: Data set to measure on; the run's if not given. These flags do not change single
            settings of the run's data set: they describe a whole one, and --data.format must be
            among them.
        protocol: Measure as a paper does: the same pictures, threshold and AP formula.
        batch_size: Pictures at a time; as in the run if not given.
        against: Another run, model folder or hf://user/name: write a page that compares the two on
            the same pictures instead. The other flags hold for both.
        out: HTML file to write; MODEL/report.html if not given, with --against
            MODEL/against_OTHER.html.
        quiet: Print nothing.

    Returns:
        The file, which appears only when it is complete.

    Raises:
        CheckpointError, DataError: if the model or the data cannot be read, or the pictures,
            labels or truth of `against` are others.
        ConfigError: for a choice that does not exist, a model folder without data, or `against`
            with another split or trained on these pictures.
    """
    require_out(model, out, "--out FILE.html")
    if out is not None and Path(out).is_dir():
        raise ConfigError(
            f"--out {out}: expected a file to write, got a folder. Name a file in it."
        )
    if against is None:
        from lcnet.reporting.gather_report import report_model

        write: Callable[..., Path] = partial(report_model, model)
    else:
        from lcnet.reporting.gather_comparison import report_against

        write = partial(report_against, model, against)
    return write(
        split=split,
        root=root,
        data=data,
        protocol=protocol,
        batch_size=batch_size,
        out=out,
        quiet=quiet,
    )
