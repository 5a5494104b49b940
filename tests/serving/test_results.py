"""A picture's card on the page."""

from dataclasses import replace

import numpy as np
from PIL import Image
from tests.tiny import save_tiny_model

from lcnet.metrics.label_rules import LabelRules
from lcnet.model_folder import read_info
from lcnet.predicting.prediction import Prediction
from lcnet.serving.results import MOST_BARS, picture_card

LABELS = tuple(f"label {number}" for number in range(1_000))


def test_a_long_list_of_labels_is_cut_and_rules_are_said(tmp_path):
    info = read_info(save_tiny_model(tmp_path / "model", LABELS, (0.5,) * len(LABELS)))
    values = np.random.default_rng(0).random(len(LABELS)) / 2
    values[[7, 8]] = 0.9
    known = dict(zip(LABELS, values.tolist(), strict=True))
    prediction = Prediction("a.png", ("label 7", "label 8"), known)
    picture = Image.new("RGB", (9, 9))
    card = picture_card(prediction, info, None, picture)
    assert card.count("lc-track") == MOST_BARS
    assert f"and {len(LABELS) - MOST_BARS} less probable ones" in card
    assert "label rules" not in card
    rules = LabelRules.from_dict({"exclusive": [["label 7", "label 9"]]}, LABELS)
    ruled = picture_card(prediction, replace(info, rules=rules), None, picture)
    assert "as label rules leave them" in ruled
    few = replace(prediction, probabilities={name: known[name] for name in LABELS[:20]})
    assert "less probable ones" not in picture_card(few, info, None, picture)
