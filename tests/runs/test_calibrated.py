"""A trained model is calibrated without another command."""

from dataclasses import replace

import numpy as np
import pytest
from tests.conftest import with_train

from lcnet.evaluating.calibrate import calibrate, set_thresholds
from lcnet.evaluating.evaluate import evaluate
from lcnet.evaluating.fitting import fit_scores
from lcnet.evaluating.measuring import score
from lcnet.metrics.calibration import to_probabilities
from lcnet.metrics.thresholds import Goal
from lcnet.model_folder import model_fingerprint, read_info
from lcnet.runs.train import resume, train


def test_training_ends_with_what_calibrate_would_fit(tiny_config, tmp_path, read_json, capsys):
    run = train(with_train(tiny_config, calibrate=True, epochs=6), tmp_path / "run").path
    shown = capsys.readouterr().out
    assert "│ new pictures" in shown
    info = read_info(run)
    assert "best F1 on val.csv (12 pictures)" in info.calibration.source
    made = model_fingerprint(run)
    assert read_json(run / "metrics.json")["model"] == made
    assert read_json(run / "calibration.json")["model"] == made
    report = (run / "report.html").read_text()
    assert "New pictures: what to expect" in report

    method = "none" if "probabilities as they are" in info.calibration.source else "platt"
    calibrate(run, method=method, quiet=True)
    assert read_info(run) == info


def test_it_can_be_left_out(tiny_config, tmp_path, no_report):
    run = train(with_train(tiny_config, calibrate=False), tmp_path / "run").path
    info = read_info(run)
    assert info.calibration is None
    assert set(info.thresholds) == {0.5}
    assert not (run / "calibration.json").exists()


def test_a_run_that_goes_on_is_calibrated_anew(tiny_config, tmp_path, no_report, read_json):
    config = with_train(tiny_config, calibrate=True, epochs=6)
    run = train(config, tmp_path / "run").path
    resume(run, epochs=9)
    made = model_fingerprint(run)
    assert read_json(run / "calibration.json")["model"] == made
    assert read_json(run / "metrics.json")["model"] == made


def test_too_few_pictures_change_nothing(trained, capsys):
    scored = score(trained, split="val.csv", quiet=True)
    # Probabilities that are right and sure already, so that no fit makes them better.
    sure = replace(scored, logits=np.where(scored.targets == 1, 30.0, -30.0).astype(np.float32))
    before = (trained / "model/model.json").read_bytes()
    fit_scores(
        sure, read_info(trained), goal=Goal(), method="platt", shrinkage=1.0, only_if_better=True
    )
    assert "not applied" in capsys.readouterr().out
    assert (trained / "model/model.json").read_bytes() == before
    fit_scores(sure, read_info(trained), goal=Goal(), method="platt", shrinkage=1.0, quiet=True)
    assert (trained / "model/model.json").read_bytes() != before


def test_labels_stay_where_fitted_thresholds_do_not_help_though_probabilities_do(
    trained, capsys, read_json
):
    """Labels are right at 0.5, and probabilities surer than they are right."""
    scored = score(trained, split="val.csv", quiet=True)
    logits = np.where(scored.targets == 1, 6.0, -6.0).astype(np.float32)
    logits[:3] *= np.float32(-1)
    sure = replace(scored, logits=logits)
    fit_scores(
        sure, read_info(trained), goal=Goal(), method="platt", shrinkage=1.0, only_if_better=True
    )
    shown = " ".join(capsys.readouterr().out.split())
    assert "labels stay as at 0.5, since fitted thresholds would not improve" in shown
    assert "thresholds (pictures" not in shown
    info = read_info(trained)
    assert info.calibration
    labels = to_probabilities(logits, info.calibration) > np.array(info.thresholds)
    assert (labels == (logits > 0)).all()
    assert "positives" not in read_json(trained / "calibration.json")
    fit_scores(sure, read_info(trained), goal=Goal(), method="platt", shrinkage=1.0)
    assert "--reset" in capsys.readouterr().out


def test_evaluate_says_what_calibrating_would_gain(tiny_config, tmp_path, no_report, capsys):
    run = train(with_train(tiny_config, epochs=6), tmp_path / "run").path
    plain = evaluate(run)
    shown = " ".join(capsys.readouterr().out.split())
    assert f"not calibrated: lcnet calibrate {run} would bring ECE from" in shown
    assert f"from {plain.calibration.ECE:.1f} to about" in shown
    evaluate(run, threshold=0.4)
    evaluate(run, protocol="lcnet")
    calibrate(run, quiet=True)
    capsys.readouterr()
    evaluate(run)
    assert "not calibrated" not in capsys.readouterr().out


def test_thresholds_by_hand_leave_all_else(tiny_config, tmp_path, no_report, capsys):
    run = train(with_train(tiny_config, calibrate=True), tmp_path / "run").path
    before = read_info(run)
    capsys.readouterr()
    set_thresholds(run, {"green": 0.8})
    assert "green: threshold 0.8, was" in capsys.readouterr().out
    after = read_info(run)
    assert after.thresholds == (before.thresholds[0], 0.8, before.thresholds[2])
    assert (after.calibration, after.by_hand) == (before.calibration, ("green",))
    evaluate(run)
    assert "threshold set by hand: green" in " ".join(capsys.readouterr().out.split())
    calibrate(run)
    assert "replaced a threshold that was set by hand: green" in capsys.readouterr().out
    assert read_info(run).by_hand == ()


@pytest.mark.parametrize(
    ("given", "message"),
    [({"gren": 0.5}, "Did you mean green?"), ({"red": 1.5}, "expected a threshold of 0 to 1")],
)
def test_wrong_thresholds_by_hand_change_nothing(trained, given, message):
    before = (trained / "model/model.json").read_bytes()
    with pytest.raises(Exception, match=message.replace("?", r"\?")):
        set_thresholds(trained, given)
    assert (trained / "model/model.json").read_bytes() == before
