"""`lcnet calibrate --evidence` and `lcnet evaluate --known`."""

import numpy as np
import pytest
import torch

from lcnet.errors import ConfigError, DataError
from lcnet.evaluating import after_training, fitting_evidence
from lcnet.evaluating.calibrate import calibrate, reset_calibration
from lcnet.evaluating.crossfit_evidence import Crossfitted, crossfit, deafen
from lcnet.evaluating.evaluate import evaluate
from lcnet.evaluating.measuring import score
from lcnet.model.evidence import Evidence
from lcnet.model_folder import load_model, read_info, weights_fingerprint
from lcnet.run_folder import RunFolder


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    monkeypatch.setattr("lcnet.evaluating.known_labels.RESAMPLES", 5)


def some_evidence(logits, targets, prior, *, prior_pictures):
    """Labels that tell of each other, where the colours, drawn apart, would tell nothing."""
    evidence = Evidence(3, 3)
    evidence.sources = torch.arange(3).expand(3, 3).clone()
    evidence.weights = torch.tensor([[0.0, 0.8, -0.6], [0.5, 0.0, 0.9], [-0.7, 0.4, 0.0]])
    return Crossfitted(evidence, [(evidence, np.ones(len(logits), np.bool_))])


@pytest.fixture
def found(monkeypatch):
    monkeypatch.setattr(fitting_evidence, "crossfit", some_evidence)


def test_evidence_is_fitted_kept_and_measured(trained, found, capsys, read_json):
    before, alone = weights_fingerprint(trained), score(trained, split="train.csv", quiet=True)
    calibrate(trained, split="train.csv", evidence=True)
    assert "What known labels tell of new pictures" in capsys.readouterr().out
    evidence = load_model(trained).evidence
    assert evidence.weights.shape == (3, 3)
    assert evidence.weights.any()
    assert weights_fingerprint(trained) != before
    again = score(trained, split="train.csv", quiet=True)
    assert (again.logits == alone.logits).all()  # pictures alone are scored as before
    evaluate(trained, split="train.csv", known=[0, 0.5, "one", "others"])
    assert "one present" in capsys.readouterr().out
    rows = read_json(RunFolder(trained).metrics_file)["known_labels"]
    assert [row["known"] for row in rows] == [0, 0.5, "one", "others"]
    assert rows[0]["mAP"] == rows[0]["mAP_ignored"]


def test_the_figures_are_those_of_the_entries_that_are_unknown(trained, found, read_json):
    calibrate(trained, split="train.csv", evidence=True, quiet=True)
    evaluate(trained, split="train.csv", known=["others"], quiet=True)
    [row] = read_json(RunFolder(trained).metrics_file)["known_labels"]
    info, model = read_info(trained), load_model(trained)
    scored = score(trained, split="train.csv", quiet=True)
    columns = []
    for label in range(3):  # each label, with all others known
        states = torch.from_numpy(2 * scored.targets.astype(np.int8) - 1)
        states[:, label] = 0
        columns.append(model.given(torch.from_numpy(scored.logits), states)[:, label].numpy())
    from lcnet.metrics.bootstrap import mean_ap
    from lcnet.metrics.calibration import to_probabilities

    given = to_probabilities(np.stack(columns, axis=1), info.calibration)
    assert row["mAP"] == pytest.approx(mean_ap(given, scored.targets), abs=1e-3)


def test_known_labels_are_measured_with_errors_too(trained, found, capsys, read_json):
    calibrate(trained, split="train.csv", evidence=True, quiet=True)
    capsys.readouterr()
    evaluate(trained, split="train.csv", known=[0.5], known_errors=0.3)
    shown = " ".join(capsys.readouterr().out.split())
    assert "known ones ignored, then used, 30 % of them wrong" in shown
    stored = read_json(RunFolder(trained).metrics_file)
    assert stored["known_errors"] == 0.3
    evaluate(trained, split="train.csv", known=[0.5], quiet=True)
    [right] = read_json(RunFolder(trained).metrics_file)["known_labels"]
    [wrong] = stored["known_labels"]
    assert right["mAP_ignored"] == wrong["mAP_ignored"]  # the same labels are unknown
    assert right["mAP"] != wrong["mAP"]
    with pytest.raises(ConfigError, match="--known_errors: needs --known"):
        evaluate(trained, known_errors=0.3)


def test_a_reset_takes_the_evidence_out(trained, found):
    calibrate(trained, split="train.csv", evidence=True, quiet=True)
    assert load_model(trained).evidence is not None
    reset_calibration(trained)
    assert load_model(trained).evidence is None


def test_a_model_without_evidence_cannot_be_measured_with_known_labels(trained):
    with pytest.raises(ConfigError, match=r"Fit that first: lcnet calibrate .* --evidence"):
        evaluate(trained, known=[0.5], quiet=True)


def test_too_few_pictures_are_refused(trained, monkeypatch):
    monkeypatch.setattr(fitting_evidence, "FOLDS", 7)
    with pytest.raises(DataError, match="expected at least 14 pictures to fit to, got 12"):
        calibrate(trained, evidence=True, quiet=True)
    assert load_model(trained).evidence is None


def drawn_pictures(pictures: int, *, tied: float) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and targets of which the second repeats the first in a share of the pictures."""
    rng = np.random.default_rng(0)
    logits = rng.normal(-0.5, 1, (pictures, 6)).astype(np.float32)
    targets = (rng.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(np.int8)
    same = rng.random(pictures) < tied
    targets[same, 1] = targets[same, 0]
    return logits, targets


def no_prior(rows: slice) -> np.ndarray:
    return np.zeros((rows.stop - rows.start, 6))


def test_labels_that_come_together_move_each_other():
    found = crossfit(*drawn_pictures(600, tied=0.6), no_prior)
    strengths = found.evidence.weights.numpy()
    assert strengths[0, 1] == strengths[1, 0] > 1
    assert np.abs(strengths[2:]).max() < 1
    assert sum(own.sum() for _, own in found.parts) == 600


@pytest.mark.parametrize("pictures", [60, 600, 3000])
def test_where_labels_are_independent_given_the_picture_nothing_is_kept(pictures):
    assert crossfit(*drawn_pictures(pictures, tied=0), no_prior) is None


def test_calibrate_says_so_and_takes_older_evidence_out(trained, found, monkeypatch, capsys):
    calibrate(trained, split="train.csv", evidence=True, quiet=True)
    assert load_model(trained).evidence is not None
    monkeypatch.setattr(fitting_evidence, "crossfit", lambda *_, **__: None)
    calibrate(trained, split="train.csv", evidence=True)
    assert "known labels tell nothing that can be shown" in capsys.readouterr().out
    assert load_model(trained).evidence is None


def test_of_very_many_pictures_some_are_drawn(trained, monkeypatch):
    scored = score(trained, split="train.csv", quiet=True)
    assert fitting_evidence.sampled(scored) is scored
    monkeypatch.setattr(fitting_evidence, "MOST_ENTRIES", 3 * 10)
    some = fitting_evidence.sampled(scored)
    assert some.logits.shape == some.targets.shape == (10, 3)
    places = [np.flatnonzero((scored.logits == row).all(axis=1))[0] for row in some.logits]
    assert (scored.targets[places] == some.targets).all()


def test_with_fewer_pictures_as_prior_edges_are_stronger():
    pictures = drawn_pictures(600, tied=0.6)
    weak, strong = (crossfit(*pictures, no_prior, prior_pictures=n) for n in (1000.0, 1.0))
    assert strong.evidence.weights[0, 1] > 2 * weak.evidence.weights[0, 1] > 0


def test_a_deaf_label_listens_to_nobody():
    part = Evidence(2, 1)
    part.weights = torch.ones(2, 1)
    deafen(part, np.array([True, False]))
    assert part.weights.flatten().tolist() == [0, 1]


@pytest.mark.parametrize(("used", "is_kept"), [(60.0, True), (50.0, False), (float("nan"), False)])
def test_training_ends_with_it_where_it_helps(trained, found, monkeypatch, capsys, used, is_kept):
    monkeypatch.setattr(after_training, "FEWEST_PICTURES", 12)
    monkeypatch.setattr(after_training, "mean_ap_at_half", lambda scored, parts: (50.0, used))
    after_training.fitted_by_itself(score(trained, split="val.csv", quiet=True))
    assert (load_model(trained).evidence is not None) == is_kept
    told = "with half of them known, mAP of the rest 50.0 -> 60.0 on new pictures"
    assert (told in capsys.readouterr().out) == is_kept


def test_training_leaves_it_with_few_pictures(trained):
    before = weights_fingerprint(trained)
    after_training.fitted_by_itself(score(trained, split="val.csv", quiet=True))
    assert weights_fingerprint(trained) == before
