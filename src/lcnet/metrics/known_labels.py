"""Which labels of which pictures count as known, where it is measured what known labels tell.

A state is 1 (known to be present), -1 (known to be absent) or 0 (nothing is known).
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lcnet.errors import ConfigError
from lcnet.metrics.array_checks import Targets

States = NDArray[np.int8]
Known = float | Literal["one", "others"]
"""A share of the labels, from 0 to below 1; `one` present label of each picture; or all `others`
than the label that is measured."""


def states_of(targets: Targets) -> States:
    """What targets (1, 0, and -1 for unknown) say is known, of the same shape."""
    return (np.sign(2 * np.asarray(targets, np.int8) - 1) * (targets >= 0)).astype(np.int8)


def parse_known(values: Sequence[str | float]) -> list[Known]:
    """The kinds that `--known` names. Raises ConfigError for anything else."""
    kinds: list[Known] = []
    for value in values:
        if value in ("one", "others"):
            kinds.append(value)  # type: ignore[arg-type]
            continue
        try:
            share = float(value)
        except ValueError:
            share = -1.0
        if not 0 <= share < 1:
            raise ConfigError(
                f"--known: expected shares from 0 to below 1, one and others, got {value}, as in "
                "--known '[0, 0.5, one, others]'."
            )
        kinds.append(share)
    return kinds


def with_errors(states: States, share: float, seed: int) -> States:
    """The states, a share of the known ones turned to their opposite, at random."""
    wrong = np.random.default_rng(seed).random(states.shape) < share
    return np.where(wrong, -states, states).astype(np.int8)


def drawn(targets: Targets, known: Known, seed: int) -> States:
    """The states (N x L) of one draw, from the targets that are not unknown.

    A share: so many of all labels, to the next whole number, at random in each picture. `one`: one
    of the present labels of each picture that has any. `others`: all labels; whoever measures a
    label leaves its own state out.
    """
    rng = np.random.default_rng(seed)
    states = states_of(targets)
    if known == "others":
        return states
    order = rng.random(targets.shape)
    if known == "one":
        order[targets != 1] = 2
        chosen = (order <= order.min(axis=1, keepdims=True)) & (targets == 1)
    else:
        rank = order.argsort(axis=1).argsort(axis=1)
        chosen = rank < round(float(known) * targets.shape[1])
    return np.where(chosen, states, np.int8(0))
