import pytest
import torch

from lcnet.model.evidence import SURE, Evidence, as_given

LABELS = 5


def evidence() -> Evidence:
    """Evidence in which each label listens to two others."""
    torch.manual_seed(0)
    part = Evidence(LABELS, 2)
    part.slope = torch.rand(LABELS) + 0.5
    part.bias = torch.randn(LABELS)
    part.sources = torch.tensor([[(k + 1) % LABELS, (k + 3) % LABELS] for k in range(LABELS)])
    part.weights, part.scales = torch.randn(LABELS, 2), torch.tensor([0.5, 1.3])
    return part


LOGITS = torch.randn(7, LABELS, generator=torch.Generator().manual_seed(1))


def by_formula(part: Evidence, logits: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """The docstring's formula, entry by entry."""
    moved = logits.clone()
    alone = torch.sigmoid(part.slope * logits + part.bias)
    for row in range(len(logits)):
        for label in range(LABELS):
            for place, source in enumerate(part.sources[label].tolist()):
                if known[row, source] > 0:
                    change = 1.3 * part.weights[label, place] * (1 - alone[row, source])
                elif known[row, source] < 0:
                    change = -0.5 * part.weights[label, place] * alone[row, source]
                else:
                    continue
                moved[row, label] += change / part.slope[label]
    return moved


def test_known_labels_move_the_others_as_the_formula_says():
    part, known = evidence(), torch.randint(-1, 2, (7, LABELS))
    moved = by_formula(part, LOGITS, known)
    torch.testing.assert_close(part.moved(LOGITS, known), moved)
    given = part(LOGITS, known)
    torch.testing.assert_close(given[known == 0], moved[known == 0])


def test_where_nothing_is_known_the_logits_are_the_same_bit_for_bit():
    assert evidence()(LOGITS, torch.zeros(7, LABELS, dtype=torch.int8)).equal(LOGITS)


@pytest.mark.parametrize("dtype", [torch.int8, torch.int64, torch.float32])
def test_a_known_label_is_sure(dtype):
    known = torch.zeros(7, LABELS, dtype=dtype)
    known[:, 1], known[:, 2] = 1, -1
    probabilities = evidence()(LOGITS, known).sigmoid()
    assert (probabilities[:, 1] == 1).all()
    assert (probabilities[:, 2] == 0).all()
    assert as_given(LOGITS, known)[0, 1] == SURE


@pytest.mark.parametrize("wrong", [0.001, 0.02, 0.3])
def test_labels_that_may_be_wrong_move_as_far_as_bayes_rule_believes_them(wrong):
    part, known = evidence(), torch.randint(-1, 2, (7, LABELS))
    part.wrong = wrong
    p = torch.sigmoid(part.slope * LOGITS + part.bias)
    said_present = p * (1 - wrong) / (p * (1 - wrong) + (1 - p) * wrong)
    said_absent = p * wrong / (p * wrong + (1 - p) * (1 - wrong))
    right = torch.where(known > 0, said_present, said_absent)
    surprise = (known != 0) * (right * 1.3 * (1 - p) - (1 - right) * 0.5 * p)
    wanted = LOGITS + (surprise[:, part.sources] * part.weights).sum(-1) / part.slope
    torch.testing.assert_close(part.moved(LOGITS, known), wanted)
    nothing = torch.zeros(7, LABELS, dtype=torch.int8)
    assert part(LOGITS, nothing).equal(LOGITS)


def test_a_label_that_the_picture_speaks_against_moves_less_if_it_may_be_wrong():
    part, known = evidence(), torch.zeros(1, LABELS)
    known[0, 0] = 1
    against = torch.full((1, LABELS), -6.0)
    sure = (part.moved(against, known) - against).abs().sum()
    part.wrong = 0.02
    assert (part.moved(against, known) - against).abs().sum() < 0.5 * sure


def test_a_picture_s_logits_do_not_depend_on_its_neighbours():
    part, known = evidence(), torch.randint(-1, 2, (7, LABELS))
    together = part(LOGITS, known)
    alone = torch.cat([part(LOGITS[row : row + 1], known[row : row + 1]) for row in range(7)])
    torch.testing.assert_close(together, alone)


def test_a_label_that_the_picture_shows_already_moves_nothing():
    part, sure = evidence(), torch.full((1, LABELS), 60.0)
    known = torch.ones(1, LABELS)
    torch.testing.assert_close(part.moved(sure, known), sure)
