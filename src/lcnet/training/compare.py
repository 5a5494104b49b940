"""`lcnet compare`: heads or settings on equal terms."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from lcnet.bounds import AtLeast, bounded
from lcnet.config import Config

if TYPE_CHECKING:
    from lcnet.training.comparison import Row


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
    """Compare heads or settings on equal terms.

    Each tries every learning rate with the first seed and keeps the one that is best in validation;
    the other seeds use it. The test split is used for the results alone. Finished runs are not
    repeated, and an interrupted one goes on. Results: comparison.md, comparison.json and
    comparison.png.

    Args:
        config: What all have in common.
        out: Folder for runs and results.
        heads: Heads to compare, such as '[lcnet,gap]'. The first is the one that the others are
            measured against.
        variants: YAML file of variants and what each changes: 'no graph: {model.graph: none}'.
            From Python also the same as mappings.
        seeds: Seeds of each.
        lr_factors: Learning rates that each tries in validation, as factors of train.lr.
        jobs: Runs at a time, each on its share of the cores.

    Returns:
        The results of each, in the order given.

    Raises:
        ConfigError: if there is nothing to compare, a setting does not exist, or a folder holds a
            run with other settings.
    """
    from lcnet.training.comparison import compare_all, read_variants

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
