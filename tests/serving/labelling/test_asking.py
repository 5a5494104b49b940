"""The label that is asked first, and how useful a picture is."""

import numpy as np

from lcnet.serving.labelling.asking import Edges, questions, uncertainty, worth_asking

CHANCES = np.array([0.9, 0.4, 0.02, 0.35], np.float32)


def test_without_edges_the_most_uncertain_is_asked_first():
    assert questions(CHANCES, np.ones(4, bool), None) == [1, 3, 0, 2]
    assert questions(CHANCES, np.array([1, 0, 1, 1], bool), None) == [3, 0, 2]


def test_a_label_to_which_uncertain_ones_listen_is_asked_before():
    # 0 and 1 listen to 3; 2 listens to 1, but is nearly certain.
    edges = Edges(np.array([[3], [3], [1], [0]]), np.array([[1], [-2], [3], [0]], np.float32))
    unknown = np.ones(4, bool)
    variance = CHANCES * (1 - CHANCES)
    wanted = variance * [1, 1 + 3 * variance[2], 1, 1 + variance[0] + 2 * variance[1]]
    assert questions(CHANCES, unknown, edges) == np.argsort(-wanted).tolist() == [3, 1, 0, 2]
    unknown[[0, 1]] = False  # who is known listens no more
    assert questions(CHANCES, unknown, edges) == [3, 2]


def test_only_unknown_and_uncertain_labels_are_worth_an_answer():
    unknown = np.array([1, 1, 1, 0], bool)
    assert worth_asking(CHANCES, unknown) == 2
    assert np.allclose(uncertainty(CHANCES, unknown), [0.09, 0.24, 0.0196, 0])
