"""The label that is asked first, and how useful a picture is: to fill a table and to correct it."""

import numpy as np
import pytest

from lcnet.serving.labelling.asking import DOUBTFUL, doubts, to_correct, to_fill

CHANCES = np.array([0.9, 0.4, 0.02, 0.35], np.float32)


def states(text: str) -> np.ndarray:
    """`+` present, `-` absent, `.` blank."""
    return np.array([{"+": 1, "-": -1, ".": 0}[cell] for cell in text], np.int8)


def test_to_fill_the_most_uncertain_is_asked_first():
    assert to_fill(CHANCES, states("....")).questions == [1, 3, 0, 2]
    assert to_fill(CHANCES, states(".+..")).questions == [3, 0, 2]


def test_to_fill_only_blank_and_uncertain_labels_are_worth_an_answer():
    asked = to_fill(CHANCES, states("...-"))
    assert (asked.worth, asked.doubtful) == (2, 0)
    assert asked.useful == pytest.approx(0.09 + 0.24 + 0.0196)


def test_a_doubt_is_how_probable_it_is_that_the_cell_is_wrong():
    assert np.allclose(doubts(CHANCES, states("++++")), [0.1, 0.6, 0.98, 0.65])
    assert np.allclose(doubts(CHANCES, states("----")), [0.9, 0.4, 0.02, 0.35])
    assert np.allclose(doubts(CHANCES, states("....")), [0.1, 0.4, 0.02, 0.35])


@pytest.mark.parametrize(
    ("chances", "given", "answered", "questions", "doubtful", "useful"),
    [
        ([0.99, 0.01, 0.5, 0.5], "+-+-", [], [], 0, 0.0),  # the model agrees, or does not know
        ([0.03, 0.01, 0.5, 0.5], "+-+-", [], [0], 1, 0.97),
        ([0.03, 0.99, 0.5, 0.5], "+-+-", [], [1, 0], 2, 0.99),  # the larger doubt first
        ([0.03, 0.99, 0.5, 0.5], "+-+-", [1], [0], 1, 0.97),  # who was asked is not asked again
        ([0.03, 0.99, 0.5, 0.5], "+-+-", [0, 1], [], 0, 0.0),
        ([0.95, 0.5, 0.2, 0.999], "-..-", [], [3, 0, 1, 2], 2, 0.999),  # one order with blanks
        ([0.5, 0.5, 0.2, 0.001], "-..-", [], [1, 2], 0, 0.5),
        ([0.5, 0.5, 0.2, 0.001], "-..-", [1], [1, 2], 0, 0.5),  # made blank again: asked again
        ([0.0, 0.0, 1.0, 1.0], "+++-", [], [0, 1, 3], 3, 1.0),  # equal doubts: the table's order
        ([0.11, 0.89, 0.5, 0.5], "+-+-", [], [], 0, 0.0),  # just below the bound
    ],
)
def test_to_correct_what_the_model_contradicts_is_asked(
    chances, given, answered, questions, doubtful, useful
):
    seen = np.isin(np.arange(4), answered)
    asked = to_correct(np.array(chances, np.float32), states(given), seen)
    assert (asked.questions, asked.doubtful) == (questions, doubtful)
    assert asked.useful == pytest.approx(useful)
    assert DOUBTFUL == 0.9
