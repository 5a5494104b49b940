"""`lcnet label --correct`: given labels that the model contradicts are asked, each once."""

from pathlib import Path

import numpy as np
import pytest
from tests.conftest import with_train
from tests.predicting.test_known import known_table
from tests.serving.labelling.conftest import Page
from tests.serving.labelling.test_answers import cells

from lcnet.data.readers import load_split
from lcnet.predicting.predictor import Predictor
from lcnet.runs.train import train
from lcnet.serving.labelling.desk import WRONG, open_desk
from lcnet.serving.labelling.scores import Score

LABELS = ["red", "green", "blue"]
ROWS = [
    "images/val0.png,1,0,0",
    "images/val1.png,0,0,1",
    "images/val2.png,0,,1",
    "images/val3.png,1,1,0",
]
LOGITS = [[-4.0, -6.0, -6.0], [-6.0, 5.0, 6.0], [-6.0, 0.1, 6.0], [6.0, 6.0, -6.0]]
"""Against the rows: val0 is hardly red, val1 is green, val2's blank cell is open, val3 agrees."""


@pytest.fixture
def filled(colour_table, tmp_path) -> Path:
    return known_table(tmp_path, ROWS)


@pytest.fixture
def correcting(trained, filled, out):
    """Opens the table to correct it once more, with logits that are known."""

    def correcting(rows: list[list[float]] | None = None) -> Page:
        desk = open_desk(trained, filled, out, annotator="", batch_size=2, correct=True)
        desk.predictor.info = desk.predictor.info.__class__(
            **{**vars(desk.predictor.info), "calibration": None}
        )
        for number, row in enumerate(rows or LOGITS):
            desk.scores._found[number] = Score(np.array(row, np.float32))
            desk._summarise(number)
        return Page(desk)

    return correcting


def test_the_worst_contradiction_comes_first_and_blank_cells_come_in_the_same_order(correcting):
    page = correcting()
    found = page.call("next")
    assert (found["picture"], found["questions"]) == (1, [1])
    assert found["states"] == [False, False, True]
    assert found["chances"] == pytest.approx([0.0025, 0.9933, 0.9975], abs=1e-4)
    left = {"pictures": 3, "cells": 1, "doubtful": 2, "unscored": 0, "total": 4}
    assert found["left"].items() >= left.items()
    assert [page.call("next")["picture"] for _ in range(2)] == [0, 2]
    assert page.call("open", picture=2)["questions"] == [1]
    assert page.call("open", picture=3)["questions"] == []


def test_what_was_answered_is_not_asked_again_also_after_a_restart(correcting, out):
    page = correcting()
    confirmed = page.answer(0, "red", True, was=True)
    assert confirmed["questions"] == []
    assert confirmed["answered"] == [True, False, False]
    changed = page.answer(1, "green", True, was=False)
    assert (changed["questions"], changed["left"]["doubtful"]) == ([], 0)
    assert cells(out) == {"val0": "100", "val1": "011", "val2": "0-1", "val3": "110"}
    for opened in (page, correcting()):
        assert opened.call("open", picture=0)["questions"] == []
        assert opened.call("open", picture=1)["questions"] == []
        assert opened.call("next")["picture"] == 2  # the blank cell alone is left
    page.answer(2, "green", False)
    assert page.call("next")["picture"] is None


def test_a_confirmation_that_is_undone_is_asked_again(correcting):
    page = correcting()
    page.answer(0, "red", True, was=True)
    found = page.call("answer", picture=0, changes={"red": [True, True]}, undo=True)
    assert (found["questions"], found["left"]["doubtful"]) == ([0], 2)
    page.answer(0, "red", False, was=True)
    found = page.call("answer", picture=0, changes={"red": [False, True]}, undo=True)
    assert (found["states"], found["questions"]) == ([True, False, False], [0])
    assert page.call("answer", 400, picture=0, changes={"red": [True, True]}, undo=1)["error"]


def test_enter_says_that_the_rest_is_right_as_given(correcting, out):
    page = correcting()
    found = page.call("fill", picture=0)
    assert found["before"] == {"red": True, "green": False, "blue": False}
    assert (found["states"], found["questions"]) == ([True, False, False], [])
    assert found["answered"] == [True, True, True]
    found = page.call("fill", picture=2)  # and blank cells are as predicted
    assert None not in found["states"]
    assert cells(out)["val2"][::2] == "01"
    assert correcting().call("next")["picture"] == 1


def test_another_process_s_answers_are_followed(correcting):
    one, other = correcting(), correcting()
    other.answer(1, "green", False, was=False)
    assert one.call("next")["picture"] == 0


def test_nothing_is_asked_of_pictures_that_nobody_has_looked_at_yet(trained, filled, out):
    filled.write_text("\n".join(["image,red,green,blue", *ROWS[:2]]) + "\n")
    page = Page(open_desk(trained, filled, out, annotator="", batch_size=2, correct=True))
    found = page.call("next")
    assert (found["picture"], found["left"]["unscored"]) == (None, 2)
    page.desk.start()
    page.desk.scores._thread.join()
    assert page.call("left")["left"]["unscored"] == 0


def test_a_given_label_is_judged_by_the_picture_and_the_other_labels(run, filled, out):
    page = Page(open_desk(run, filled, out, annotator="", batch_size=2, correct=True))
    assert page.desk.predictor.evidence.wrong == WRONG
    known = {"red": True, "green": True, "blue": False}
    found = page.call("open", picture=3)["chances"]
    told, picture = Predictor(run, known_errors=WRONG), [page.desk.paths[3]]
    for place, label in enumerate(LABELS):
        others = {name: state for name, state in known.items() if name != label}
        [wanted] = told(picture, known=others)
        assert found[place] == pytest.approx(wanted.probabilities[label], abs=1e-4)
    [alone] = told(picture)
    assert max(abs(np.array(found) - list(alone.probabilities.values()))) > 1e-3


def test_each_picture_of_folds_is_judged_by_the_model_that_has_not_seen_it(
    tiny_config, no_report, out, tmp_path
):
    config = with_train(tiny_config, epochs=1, calibrate=True)
    run = train(config, tmp_path / "folds", folds=2)
    table = Path(config.data.root, config.data.train)
    desk = open_desk(run, table, out, annotator="", batch_size=2, correct=True)
    assert desk.caution.startswith("24 of the 24 pictures were trained on; each is judged by")
    desk.start()
    desk.scores._thread.join()
    for fold in run.folds():
        held_out = load_split(fold.config().data, fold.config().data.val).samples
        pictures = [sample.path.resolve() for sample in held_out]
        pictures = [path for path in pictures if path in desk.paths]
        assert pictures
        member = Predictor(fold.path, precision="auto")
        for path, (_, logits) in zip(pictures, member.stream_logits(pictures), strict=True):
            found = desk.scores.of(desk.paths.index(path)).logits
            assert found == pytest.approx(logits, abs=1e-4)


def test_the_page_says_that_the_model_has_seen_the_labels(trained, filled, out, colour_table):
    (filled.parent / "half.csv").write_text(
        "image,red,green,blue\nimages/train0.png,1,0,0\nimages/val0.png,1,0,0\n"
    )
    page = Page(
        open_desk(
            trained, filled.parent / "half.csv", out, annotator="", batch_size=2, correct=True
        )
    )
    assert "trained on 1 of the 2 pictures" in page.desk.caution
    assert "lcnet train DATA --folds 5" in page.client.get("/").text
    other = open_desk(
        trained, filled, out.with_name("other.csv"), annotator="", batch_size=2, correct=True
    )
    assert other.caution == ""
    plain = open_desk(
        trained / "model", filled, out.with_name("3.csv"), annotator="", batch_size=2, correct=True
    )
    assert plain.caution.startswith("If the model was trained on these pictures")
