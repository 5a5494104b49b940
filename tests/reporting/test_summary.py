"""The first paragraph of a report: it says what the numbers show, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest
from tests.reports import Page, made_report

from lcnet.cli import build_parser
from lcnet.metrics import calibration_scores
from lcnet.metrics.bootstrap import Interval
from lcnet.reporting.report_page import write_report
from lcnet.reporting.summary import Facts, Step, Trust, WeakLabel, first_step, percent, summary
from lcnet.reporting.summary_facts import facts_of, last_gain, taken_for, trust_of

GOOD = Trust(entries=5_000, off=1.2, by_chance=0.8, said=80, held=82)
OFF = Trust(entries=5_000, off=18.0, by_chance=0.8, said=83.1, held=61.4)
JUDGED = (("lamp", 55.0), *((f"label {number}", 60.0) for number in range(19)))
USUAL = Facts(
    name="mine",
    split="test.csv",
    role="test",
    pictures=1_000,
    mean_ap=Interval(61.24, 59.8, 62.5),
    guessing=8.2,
    found=71.6,
    right=80.9,
    unknown=0.0,
    weak=(),
    judged=JUDGED,
    hardly_measured=0,
    measured_labels=20,
    labels=20,
    trust=GOOD,
    is_calibrated=True,
    val="val.csv",
    test="test.csv",
)
SOFA = WeakLabel("sofa", 12.3, in_training=9, is_predicted=True)
VASE = WeakLabel("vase", 31.0, 900, True, taken_for="lamp", mixed_up=14)


def said(**changes) -> str:
    return " ".join(summary(replace(USUAL, **changes)).sentences)


def test_a_usual_model_in_full():
    assert said() == (
        "On the 1,000 pictures of test.csv, mAP is 61.2 (95 % interval 59.8 to 62.5); 100 is "
        "perfect, and guessing would give about 8. At its thresholds the model finds 72 % of the "
        "labels that are there, and 81 % of what it predicts is right. No label is far below the "
        "mean; the lowest is lamp (AP 55.0). Its probabilities can be taken as they are: those of "
        "10 % and more are off by 1.2 points on average."
    )


@pytest.mark.parametrize(
    ("changes", "words", "not_said"),
    [
        ({"mean_ap": Interval(61.0, 50.0, 70.0)}, "too few to say more: the interval is 20", "?"),
        ({"pictures": 40}, "40 pictures are few, so rare faults do not show.", "interval is"),
        ({"pictures": 99, "mean_ap": Interval(9, 9, 9)}, "99 pictures are few", "wide"),
        ({"pictures": 100}, "On the 100 pictures", "are few"),
        ({"mean_ap": None}, "it cannot be measured how good the model is.", "mAP"),
        ({"mean_ap": None}, "cannot be measured", "trust"),
        ({"right": float("nan")}, "the model predicts no label at all", "is right"),
        ({"unknown": 0.34}, "Unknown labels (34 % of the entries) are not counted.", "few"),
        ({"unknown": 0.01}, "mAP", "Unknown"),
        ({"role": "train"}, "from which the model learned, mAP", "picked"),
        ({"role": "val"}, "by which the best epoch was picked, mAP", "learned"),
        ({"role": "val"}, "They were fitted to these pictures", "learned"),
        ({"role": "val", "is_calibrated": False}, "picked", "They were fitted"),
        ({"weak": (SOFA,)}, "The weakest label is sofa (AP 12.3), perhaps because only 9 ", "far"),
        (
            {"weak": (SOFA, VASE)},
            "The weakest labels are sofa (AP 12.3), perhaps because only 9 training pictures show "
            "it; vase (AP 31.0), perhaps because it and lamp are taken for each other (14 "
            "pictures).",
            "never",
        ),
        ({"weak": (replace(SOFA, in_training=0),)}, "no training picture shows it", "only"),
        ({"weak": (replace(SOFA, in_training=1),)}, "only 1 training picture shows it", "show it"),
        ({"weak": (replace(SOFA, in_training=None),)}, "sofa (AP 12.3).", "perhaps"),
        ({"weak": (replace(SOFA, in_training=50),)}, "sofa (AP 12.3).", "perhaps"),
        (
            {"weak": (replace(SOFA, is_predicted=False),)},
            "only 9 training pictures show it and it is never predicted",
            "each other",
        ),
        ({"judged": (), "hardly_measured": 20}, "No label has 10 pictures here", "lowest"),
        ({"judged": (), "hardly_measured": 19}, "No label that can be measured has 10", "lowest"),
        (
            {"judged": JUDGED[:17], "hardly_measured": 3},
            "None of the 17 labels with 10 pictures or more here is far below the mean; the lowest "
            "is lamp (AP 55.0). 3 labels have fewer than 10 pictures here, so",
            "No label",
        ),
        (
            {"judged": JUDGED[:19], "hardly_measured": 1},
            "1 label has fewer than 10 pictures here, so its AP",
            "their",
        ),
        # Most labels have too few pictures: those few that have enough are all that is judged.
        (
            {"judged": (("person", 93.7),), "hardly_measured": 17, "labels": 18},
            "Only person has 10 pictures or more here (AP 93.7); nothing can be said of the other "
            "17.",
            "below the mean",
        ),
        (
            {"judged": (("cat", 21.0), ("person", 93.7)), "hardly_measured": 18},
            "Only cat (AP 21.0) and person (AP 93.7) have 10 pictures or more here; nothing can be "
            "said of the other 18.",
            "so their AP",
        ),
        (
            {"judged": (("sofa", 12.3),), "hardly_measured": 19, "weak": (SOFA,)},
            "the other 19. Far below the mean is sofa (AP 12.3), perhaps because only 9 training",
            "weakest",
        ),
        (
            {"judged": JUDGED[:8], "hardly_measured": 12, "weak": (SOFA,)},
            "Of the 8 labels with 10 pictures or more here, the weakest is sofa (AP 12.3), perhaps",
            "The weakest label is",
        ),
        # Labels that all pictures show have no AP, so they are not judged.
        ({"judged": JUDGED[:19]}, "None of the 19 labels with 10 pictures or more", "No label"),
        ({"measured_labels": 1, "judged": (("lamp", 61.2),), "labels": 1}, "mAP", "lamp"),
        ({"measured_labels": 0, "judged": (), "hardly_measured": 20}, "mAP", "No label"),
        ({"trust": OFF}, "cannot be taken as they are: where it says about 83 %, 61 % are", "off"),
        ({"trust": replace(OFF, off=6.0)}, "roughly right: those of 10 % and more are off", "?"),
        # Few entries are far off by chance alone.
        ({"trust": replace(OFF, entries=120, by_chance=16)}, "can be taken as they are", "cannot"),
        ({"trust": replace(OFF, entries=99)}, "cannot be said: only 99 of them are", "where"),
        ({"protocol": "lcnet"}, "Its probabilities (uncalibrated, as lcnet asks) can be", "fitted"),
        ({"trust": None}, "mAP", "probabilities"),
    ],
)  # fmt: skip
def test_each_fact_has_its_words(changes, words, not_said):
    text = said(**changes)
    assert words in text
    assert not_said not in text
    assert "nan" not in text and "None" not in text.replace("None of the", "")


@pytest.mark.parametrize(
    ("changes", "advice", "command"),
    [
        ({}, "Look at the worst errors", "lcnet predict mine PICTURES --out predictions.jsonl"),
        (
            {"role": "train", "split": "train.csv"},
            "not learned",
            "lcnet report mine --split test.csv",
        ),
        (
            {"role": "train", "split": "train.csv", "test": ""},
            "not learned",
            "lcnet report mine --split val.csv",
        ),
        ({"role": "train", "split": "train.csv", "val": "", "test": ""}, "worst errors", "predict"),
        ({"role": "train", "has_data": False}, "worst errors", "lcnet predict mine"),
        ({"mean_ap": None}, "Mark absent labels with 0", ""),
        ({"trust": OFF, "is_calibrated": False}, "Fit probabilities", "lcnet calibrate mine"),
        ({"trust": OFF}, "worst errors", "lcnet predict"),  # it is fitted already
        ({"trust": OFF, "is_calibrated": False, "val": ""}, "worst errors", "lcnet predict"),
        ({"trust": OFF, "is_calibrated": False, "has_data": False}, "worst errors", "predict"),
        ({"trust": OFF, "is_calibrated": False, "protocol": "asl"}, "worst errors", "predict"),
        (
            {"trust": replace(OFF, entries=50), "is_calibrated": False},
            "worst errors",
            "lcnet predict",
        ),
        (
            {"mean_ap": Interval(61.0, 50.0, 70.0)},
            "Label more pictures",
            "lcnet label mine PICTURES --out labelled.csv",
        ),
        (
            {"epochs": 20, "last_gain": 2.4},
            "still brought 2.4 points",
            "lcnet train --resume mine --train.epochs 40",
        ),
        ({"epochs": 20, "last_gain": 0.4}, "worst errors", "lcnet predict"),
        ({"epochs": 0, "last_gain": 2.4}, "worst errors", "lcnet predict"),
        ({"weak": (SOFA, VASE)}, "that show sofa, and train", "lcnet label mine PICTURES"),
        ({"weak": (VASE,)}, "worst errors", "lcnet predict"),
        ({"role": "val", "split": "val.csv"}, "test pictures", "report mine --split test.csv"),
        ({"role": "val", "split": "val.csv", "test": ""}, "worst errors", "lcnet predict"),
        ({"name": "my run", "role": "val", "test": "the test"}, "test", "'my run' --split 'the t"),
    ],
)  # fmt: skip
def test_what_to_do_first(changes, advice, command):
    step = first_step(replace(USUAL, **changes))
    assert advice in step.advice
    assert command in step.command
    assert bool(step.command) == bool(command)


def test_every_command_is_one_that_the_command_line_takes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "PICTURES").mkdir()
    for changes in (
        {},
        {"role": "val"},
        {"trust": OFF, "is_calibrated": False},
        {"mean_ap": Interval(61.0, 50.0, 70.0)},
        {"epochs": 20, "last_gain": 2.4},
        {"weak": (SOFA,)},
    ):
        program, verb, *words = first_step(replace(USUAL, **changes)).command.split()
        assert program == "lcnet"
        build_parser(verb).parse_args([verb, *words])


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 %"), (0.4, "under 1 %"), (1, "1 %"), (9.4, "9 %"), (99.9, "over 99 %"), (100, "100 %")]
)  # fmt: skip
def test_a_percentage_rounds_nothing_away(value, text):
    assert percent(value) == text


# The facts


def test_two_labels_that_are_exchanged_are_found():
    rng = np.random.default_rng(0)
    targets = (rng.random((200, 4)) < 0.3).astype(np.int8)
    predicted = targets == 1
    swapped = np.flatnonzero((targets[:, 0] == 1) & (targets[:, 1] == 0))[:12]
    predicted[swapped, 0], predicted[swapped, 1] = False, True
    assert taken_for(predicted, targets, 0) == (1, 12)
    assert taken_for(predicted, targets, 1) == (0, 12)
    assert taken_for(predicted, targets, 2) == (None, 0)


def test_mistakes_that_meet_by_chance_are_no_confusion():
    rng = np.random.default_rng(1)
    targets = (rng.random((500, 3)) < 0.5).astype(np.int8)
    predicted = rng.random((500, 3)) < 0.5
    assert taken_for(predicted, targets, 0) == (None, 0)


def test_unknown_entries_make_no_confusion():
    targets = np.full((50, 2), -1, np.int8)
    targets[:, 0] = 1
    predicted = np.zeros((50, 2), bool)
    predicted[:, 1] = True
    assert taken_for(predicted, targets, 0) == (None, 0)


def test_right_probabilities_are_off_by_about_what_chance_gives():
    rng = np.random.default_rng(0)
    probabilities = rng.uniform(0.1, 1, size=(3_000, 2))
    targets = (rng.random((3_000, 2)) < probabilities).astype(np.int8)
    trust = trust_of(calibration_scores(probabilities, targets).reliability)
    assert trust.entries > 5_000
    assert abs(trust.beyond_chance) < 1.5
    half = targets * (rng.random((3_000, 2)) < 0.5)
    halved = trust_of(calibration_scores(probabilities, half).reliability)
    assert halved.beyond_chance > 20
    assert halved.said > halved.held


def test_there_is_nothing_to_trust_without_entries():
    assert trust_of(()) is None
    low = calibration_scores(np.full((20, 2), 0.01), np.eye(20, 2, dtype=np.int8))
    assert trust_of(low.reliability).entries == 0


@pytest.mark.parametrize(
    ("course", "gain"),
    [
        ([10, 20, 30, 40, 50], 10),
        ([10, 20, 30, 40], 0),
        ([10, 50, 30, 40, 45], 0),
        ([10, 20, 30, 40, 44, 46, 47, 48, 49, 52], 4),
        ([10, 20, 30, 40, float("nan"), 50], 10),
    ],
)
def test_the_gain_of_the_last_epochs(course, gain):
    history = [{"epoch": 0.0, "val_mAP": 90.0}]  # the model that it started from
    history += [{"epoch": n + 1.0, "val_mAP": value} for n, value in enumerate(course)]
    assert last_gain(history) == gain


def test_the_facts_of_a_report_are_its_numbers(tmp_path):
    report = made_report(tmp_path, images=200)
    facts = facts_of(report)
    targets, predicted = report.measured.targets, report.predicted
    kept = targets[:, :3]  # the last label has no positive
    assert (facts.split, facts.role, facts.pictures) == ("val.csv", "val", 200)
    assert facts.found == pytest.approx(100 * predicted[:, :3][kept == 1].mean())
    assert facts.right == pytest.approx(100 * (targets[predicted & (targets >= 0)] == 1).mean())
    rates = report.measured.verification.at_threshold
    assert (facts.found, facts.right) == pytest.approx((rates.OR, rates.OP))
    assert facts.unknown == pytest.approx((targets == -1).mean())
    shares = [(column == 1).sum() / (column >= 0).sum() for column in kept.T]
    assert facts.guessing == pytest.approx(100 * np.mean(shares))
    assert facts.mean_ap == report.intervals["mAP"]
    # The last label has no picture at all.
    assert (facts.labels, facts.measured_labels, facts.hardly_measured) == (4, 3, 1)
    aps = [ap for ap in report.measured.verification.ap if ap is not None]
    assert [ap for _, ap in facts.judged] == sorted(aps)
    assert facts.has_data is False


def test_the_page_opens_with_it(tmp_path):
    report = made_report(tmp_path)
    write_report(tmp_path / "report.html", report)
    text, found = Page(tmp_path / "report.html").text, summary(facts_of(report))
    assert " ".join(found.sentences) in text
    assert text.index(found.sentences[0]) < text.index("CF1")
    assert f"First: {found.first.advice}" in text
    assert isinstance(found.first, Step) and found.first.command in text
