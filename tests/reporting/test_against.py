"""`lcnet report --against`: two models on the same pictures."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import yaml
from tests.reports import Page
from tests.tiny import TINY, save_tiny_model

from lcnet.cli import main
from lcnet.errors import ConfigError, DataError
from lcnet.evaluating.measuring import measure
from lcnet.metrics.bootstrap import Interval, ap_differences, mean_ap, paired_difference
from lcnet.reporting.comparison_words import ComparisonFacts, LabelDifference, comparison_words
from lcnet.reporting.gather_comparison import compare_measured
from lcnet.reporting.report import report

LABELS = ("red", "green", "blue")


@pytest.fixture
def rival(trained, tmp_path):
    """A run like `trained`, with random weights and another learning rate."""
    run = shutil.copytree(trained, tmp_path / "rival")
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["train"]["lr"], config["model"]["width"] = 0.123, 16
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    shutil.rmtree(run / "model")
    save_tiny_model(run / "model", LABELS, [0.5] * 3, replace(TINY, width=16))
    return run


def change(run, **data) -> None:
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["data"] |= data
    (run / "config.yaml").write_text(yaml.safe_dump(config))


def test_the_page_shows_both_and_what_differs(trained, rival, capsys):
    with pytest.raises(SystemExit) as left:
        main(["report", str(trained), "--against", str(rival)])
    assert left.value.code == 0
    file = trained / "against_rival.html"
    said, page = " ".join(capsys.readouterr().out.split()), Page(file)
    ours, theirs = (measure(run, quiet=True) for run in (trained, rival))
    figures = [one.verification.mAP for one in (ours, theirs)]
    assert "mAP {:.2f} and {:.2f} on val.csv, difference".format(*figures) in said
    assert "run has mAP {:.1f} and rival {:.1f}.".format(*figures) in page.text
    headline, labels, cost, settings, _ = page.tables
    assert headline[1][1:3] == [f"{value:.1f}" for value in figures]
    rows = {row[0]: row[2:4] for row in labels[1:]}
    for label, *aps in zip(LABELS, ours.verification.ap, theirs.verification.ap, strict=True):
        assert rows[label] == [f"{ap:.1f}" for ap in aps]
    assert [row[0] for row in settings[1:]] == ["model.width", "train.lr"]
    assert ["train.lr", "0.002", "0.123"] in settings
    assert {row[0] for row in cost} >= {"milliseconds a picture", "weights", "epochs"}
    assert "val.csv is the split by which the best epoch of run and rival was picked" in page.text
    assert "lcnet report run --against rival --split val.csv" in page.text
    assert str(trained.parent) not in file.read_text()


def test_the_interval_is_that_of_the_difference(trained, rival):
    ours, theirs = (measure(run, quiet=True) for run in (trained, rival))
    found = compare_measured((trained, rival), ("run", "rival"), (ours, theirs)).differences.mean_ap
    wanted = paired_difference(
        [ours.probabilities], [theirs.probabilities], ours.targets, resamples=20
    )
    assert (found.value, found.low, found.high) == pytest.approx(
        (wanted.value, wanted.low, wanted.high)
    )


def test_labels_and_pictures_in_another_order_are_put_in_ours(trained, rival, colour_table):
    plain = report(trained, against=rival, quiet=True)
    before = [table[1:] for table in Page(plain).tables[:2]]
    description = json.loads((rival / "model" / "model.json").read_text())
    head, *rows = (colour_table / "val.csv").read_text().splitlines()
    turned = [row.split(",") for row in [head, *reversed(rows)]]
    lines = [",".join([name, blue, red, green]) for name, red, green, blue in turned]
    (colour_table / "turned").mkdir()
    shutil.copytree(colour_table / "images", colour_table / "turned" / "images")
    (colour_table / "turned" / "val.csv").write_text("\n".join(lines) + "\n")
    assert description["labels"] == list(LABELS)
    change(rival, root=str(colour_table / "turned"))
    assert [table[1:] for table in Page(report(trained, against=rival, quiet=True)).tables[:2]] == (
        before
    )


def test_a_model_folder_is_measured_on_the_run_s_data(trained, tmp_path):
    other = save_tiny_model(tmp_path / "alone", LABELS, [0.5] * 3, TINY)
    for one, another in ((trained, other), (other, trained)):
        page = Page(report(one, against=another, out=tmp_path / "it.html", quiet=True))
        assert "only the settings of the model are compared" in page.text
        assert "not known" in page.text


def test_two_folders_of_one_name_are_told_apart(trained, rival, tmp_path):
    (tmp_path / "b").mkdir()
    other = rival.rename(tmp_path / "b" / "run")
    page = Page(report(trained, against=other, out=tmp_path / "it.html", quiet=True))
    assert "b/run" in page.text
    assert f"{tmp_path.name}/run against b/run" in page.text


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda table, rival: rival.rename(rival.with_name("run2")), None, ""),
        (
            lambda table, rival: change(rival, test="train.csv"),
            ConfigError,
            "--split: expected one split for both, got val.csv and train.csv",
        ),
        (
            lambda table, rival: change(rival, train="val.csv", val="train.csv"),
            ConfigError,
            "got the training split of rival",
        ),
        (
            lambda table, rival: _other_table(table, rival, lambda rows: rows[:-1]),
            DataError,
            "expected the same pictures, got 12 and 11, of which 1 are in one of the two alone",
        ),
        (
            lambda table, rival: _other_table(table, rival, _flipped),
            DataError,
            "expected the same truth, got other targets for 1 pictures",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(trained, rival, colour_table, spoil, error, message):
    spoil(colour_table, rival)
    if error is None:
        return
    with pytest.raises(error, match=message):
        report(trained, against=rival, quiet=True)
    assert not list(trained.glob("against_*"))


def _other_table(table, rival, changed) -> None:
    """Give the rival a data set of its own, with changed rows of val.csv."""
    other = shutil.copytree(table, table.with_name("other"))
    head, *rows = (other / "val.csv").read_text().splitlines()
    (other / "val.csv").write_text("\n".join([head, *changed(rows)]) + "\n")
    change(rival, root=str(other))


def _flipped(rows: list[str]) -> list[str]:
    first, *others = rows
    return [first[:-1] + ("0" if first[-1] == "1" else "1"), *others]


def test_other_labels_and_the_same_model_are_refused(trained, tmp_path):
    with pytest.raises(ConfigError, match="expected another model, got the same"):
        report(trained, against=trained.parent / "run", quiet=True)
    other = save_tiny_model(tmp_path / "other", (*LABELS[:2], "pink"), [0.5] * 3, TINY)
    with pytest.raises((ConfigError, DataError), match=r"pink|blue"):
        report(trained, against=other, quiet=True)
    with pytest.raises(ConfigError, match=r"--out .*: expected a file to write, got a folder"):
        report(trained, against=other, out=tmp_path, quiet=True)


# The differences by label


def test_a_label_s_difference_has_an_interval_of_its_own():
    rng = np.random.default_rng(0)
    targets = (rng.random((300, 4)) < 0.3).astype(np.int8)
    targets[:, 3] = 0
    ours = 0.3 * targets + 0.7 * rng.random(targets.shape)
    theirs = 0.3 * targets + 0.7 * rng.random(targets.shape)
    theirs[:, 0] = rng.random(300)  # it guesses the first label
    found = ap_differences(ours, theirs, targets, resamples=100)
    whole = paired_difference([ours], [theirs], targets, resamples=100)
    assert [found.mean_ap.value, found.mean_ap.low, found.mean_ap.high] == pytest.approx(
        [whole.value, whole.low, whole.high]
    )
    assert found.by_label[3] is None
    first, second, _ = found.by_label[:3]
    assert 0 < first.low < first.value < first.high
    assert second.low < 0 < second.high
    kept = [mean_ap(model[:, :1], targets[:, :1]) for model in (ours, theirs)]
    assert first.value == pytest.approx(kept[0] - kept[1])


def test_nothing_to_rank_is_an_error():
    with pytest.raises(DataError, match="nothing can be compared"):
        ap_differences(np.ones((3, 1)), np.ones((3, 1)), np.ones((3, 1), np.int8))


# The words

FACTS = ComparisonFacts(
    ours="new",
    theirs="old",
    split="test.csv",
    pictures=1_000,
    our_ap=61.24,
    their_ap=58.9,
    difference=Interval(2.34, 0.8, 3.7),
    labels=[LabelDifference("cat", Interval(1.0, -2.0, 3.0), 90)],
    our_milliseconds=20,
    their_milliseconds=19,
    our_operations=1e9,
    their_operations=1e9,
)
CAT = LabelDifference("cat", Interval(12.0, 4.0, 18.0), 90)
DOG = LabelDifference("dog", Interval(-8.0, -12.0, -1.0), 90)


@pytest.mark.parametrize(
    ("changes", "words", "not_said"),
    [
        ({}, "On the 1,000 pictures of test.csv, new has mAP 61.2 and old 58.9.", "which"),
        ({}, "new is better, by 2.3 points (95 % interval over the same pictures +0.8", "old is"),
        ({"difference": Interval(-2.34, -3.7, -0.8)}, "old is better, by 2.3 points", "new is"),
        (
            {"difference": Interval(0.4, -0.9, 1.6)},
            "These pictures do not show which is better: the difference is +0.4 points",
            "is better, by",
        ),
        ({"difference": Interval(0.0, 0.0, 0.0)}, "do not show which is better", "is better, by"),
        ({}, "No single label differs by more", "is better at"),
        ({"labels": [CAT, DOG]}, "better at cat (+12.0). old is better at dog (-8.0).", "No"),
        ({"labels": [DOG]}, "old is better at dog", "new is better at"),
        ({"labels": [CAT] * 5}, "cat (+12.0) and 2 more labels.", "chance"),
        ({"labels": [CAT] * 4}, "cat (+12.0) and 1 more label.", "labels."),
        ({"labels": [CAT] * 80}, "Of 80 labels, about 4 would seem so by chance.", "No single"),
        # Nine pictures of a label are too few, whatever its interval.
        ({"labels": [replace(CAT, positives=9)]}, "No single label", "better at"),
        (
            {"our_milliseconds": 38, "our_operations": 2e9},
            "new takes 2.0 times as long for a picture here.",
            "old takes",
        ),
        ({"their_milliseconds": 60, "their_operations": 3e9}, "old takes 3.0 times", "new takes"),
        # The same work in another time is noise of the machine, and so is more work in less time.
        ({"our_milliseconds": 53, "our_operations": 1.2e9}, "new is better", "takes"),
        ({"our_milliseconds": 38, "their_operations": 2e9}, "new is better", "takes"),
        ({"our_operations": 2e9}, "new is better", "takes"),
        ({}, "another seed moves mAP too", "takes"),
    ],
)  # fmt: skip
def test_each_fact_has_its_words(changes, words, not_said):
    text = " ".join(comparison_words(replace(FACTS, **changes)))
    assert words in text
    assert not_said not in text
