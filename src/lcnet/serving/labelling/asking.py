"""Which label to ask first, and which picture: a rule to fill a table, and one to correct it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WORTH = 0.05
"""An answer for a blank cell is worth giving while its probability is this far from 0 and 1."""
DOUBTFUL = 0.9
"""A given label is worth a look from this doubt on: the model gives it 10 % or less."""

Floats = NDArray[np.float32]
States = NDArray[np.int8]
"""What the table says of each label: 1 present, -1 absent, 0 blank."""


@dataclass(frozen=True)
class Asked:
    """What to ask of a picture."""

    questions: list[int]
    """The labels to ask, as places from 0 to L - 1, the one that tells most first."""
    worth: int
    """How many blank cells are uncertain, so that an answer tells something."""
    doubtful: int
    """How many given labels are worth a look."""
    useful: float
    """The picture comes the earlier the larger this is, from 0 on."""


def to_fill(chances: Floats, states: States) -> Asked:
    """Ask the blank cells, the most uncertain one first, by probabilities (L) given what is known.

    The uncertainty is p (1 - p), and a picture's use is its sum. On posters and on Corel5k no rule
    that looks ahead to what an answer would do to the other labels was better after two answers or
    more (docs/guide/label_page.md).
    """
    blank = states == 0
    uncertain = chances * (1 - chances) * blank
    return Asked(_ordered(uncertain, blank), _worth(chances, blank), 0, float(uncertain.sum()))


def to_correct(chances: Floats, states: States, answered: NDArray[np.bool_]) -> Asked:
    """Ask the given labels that the model contradicts, and the blank cells: one order by doubt.

    `chances` are the probabilities (L) of what the picture and the *other* labels say of each.
    `answered` are labels that a person has looked at already. A picture is as useful as the doubt
    of its first question.
    """
    doubt, blank = doubts(chances, states), states == 0
    given = ~blank & ~answered & (doubt >= DOUBTFUL)
    places = _ordered(doubt, blank | given)
    useful = float(doubt[places[0]]) if places else 0.0
    return Asked(places, _worth(chances, blank), int(given.sum()), useful)


def doubts(chances: Floats, states: States) -> Floats:
    """The probability (L, 0 to 1) that a cell is wrong if nobody looks at it.

    1 - p where the label is given as present, p where as absent: 1 minus the self-confidence of
    confident learning (Northcutt, Jiang, Chuang 2021). A blank cell would become what is more
    probable: min(p, 1 - p).
    """
    other = 1 - chances
    return np.where(states > 0, other, np.where(states < 0, chances, np.minimum(chances, other)))


def _ordered(by: Floats, asked: NDArray[np.bool_]) -> list[int]:
    places = np.flatnonzero(asked)
    return places[np.argsort(-by[places], kind="stable")].tolist()


def _worth(chances: Floats, blank: NDArray[np.bool_]) -> int:
    return int(np.sum(blank & (chances >= WORTH) & (chances <= 1 - WORTH)))
