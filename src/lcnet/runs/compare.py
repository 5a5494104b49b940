"""`lcnet compare`: train heads or settings on equal terms and compare them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from lcnet.bounds import AtLeast, bounded
from lcnet.config import Config

if TYPE_CHECKING:
    from lcnet.runs.comparison import Row


@bounded
def compare(
    config: Config,
    out: Path | str,
    *,
    heads: Sequence[str] = (),
    variants: Path | Mapping[str, Mapping[str, Any]] | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    lr_factors: Sequence[float] = (1 / 3, 1.0, 3.0),
    jobs: Annotated[int, AtLeast(1)] = 1,
) -> "list[Row]":
    """Compare heads or settings, each at its own best learning rate.

    Each tries every learning rate with the first seed; the other seeds use the rate that is best in
    validation. The test split is used only for the results. Finished runs are not repeated, and
    interrupted ones continue. Results: comparison.md, comparison.json and comparison.png.

    Args:
        config: Settings that all have in common. data.test is needed.
        out: Folder for runs and results.
        heads: Heads to compare, such as '[lcnet,gap]'. Each is compared with the first one.
        variants: YAML file of variants and the settings that each changes, such as
            'no graph: {model.graph: none}', one per line.
        seeds: Seeds of the runs. The first tries all learning rates, the others use the best one.
        lr_factors: Learning rates that the first seed tries, as factors of train.lr.
        jobs: Number of runs at a time, each on its share of the cores.

    Returns:
        A row of results for each, in the given order.

    Raises:
        ConfigError: if there is nothing to compare, a setting does not exist, or a folder holds a
            run with other settings.
    """
    from lcnet.runs.comparison import compare_all, read_variants

    contestants = {head: {"model.head": head} for head in heads}
    changes = read_variants(variants) if isinstance(variants, Path) else variants or {}
    return compare_all(
        config,
        {**contestants, **changes},
        seeds,
        Path(out),
        lr_factors=lr_factors,
        jobs=jobs,
    )
