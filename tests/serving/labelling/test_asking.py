"""The label that is asked first, and how useful a picture is."""

import numpy as np

from lcnet.serving.labelling.asking import questions, uncertainty, worth_asking

CHANCES = np.array([0.9, 0.4, 0.02, 0.35], np.float32)


def test_the_most_uncertain_is_asked_first():
    assert questions(CHANCES, np.ones(4, bool)) == [1, 3, 0, 2]
    assert questions(CHANCES, np.array([1, 0, 1, 1], bool)) == [3, 0, 2]


def test_only_unknown_and_uncertain_labels_are_worth_an_answer():
    unknown = np.array([1, 1, 1, 0], bool)
    assert worth_asking(CHANCES, unknown) == 2
    assert np.allclose(uncertainty(CHANCES, unknown), [0.09, 0.24, 0.0196, 0])
