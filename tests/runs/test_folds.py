"""`train --folds`: a run for each fold, and one model of all, calibrated on unseen pictures."""

import csv
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.conftest import one_table, with_train

from lcnet.config import Model
from lcnet.data.folds import joined, write_folds
from lcnet.data.readers import load_split, read_both
from lcnet.data.recognising import data_at
from lcnet.errors import ConfigError
from lcnet.evaluating import after_training, fitting_evidence
from lcnet.evaluating.calibrate import calibrate
from lcnet.evaluating.crossfit_evidence import Crossfitted
from lcnet.evaluating.evaluate import evaluate
from lcnet.evaluating.out_of_fold import NAME, score_out_of_fold
from lcnet.exporting.export import export
from lcnet.metrics.calibration import probabilities
from lcnet.metrics.label_evidence import PICTURES_OUT_OF_FOLD
from lcnet.model.evidence import Evidence
from lcnet.model_folder import load_model, read_info
from lcnet.predicting.predictor import Predictor
from lcnet.reporting.report import report
from lcnet.run_folder import RunFolder
from lcnet.runs import folds as folds_module
from lcnet.runs.train import resume, train


@pytest.fixture
def config(tiny_config, no_report):
    return with_train(tiny_config, epochs=1, calibrate=True)


def rows_of(file):
    with file.open() as opened:
        return {row["picture"]: row["split"] for row in csv.DictReader(opened)}


def pictures(config, number, split):
    data = replace(config.data, folds=str(number[0].folds_file), fold=number[1])
    return {sample.path.name for sample in load_split(data, split).samples}


def test_folds_are_one_model_calibrated_on_unseen_pictures(config, tmp_path, read_json, capsys):
    run = train(config, tmp_path / "run", folds=3)
    shown = capsys.readouterr().out
    assert "36 training and validation pictures in 3 folds: 12, 12, 12" in shown
    held_out = [pictures(config, (run, n), "val.csv") for n in (1, 2, 3)]
    assert sum(map(len, held_out)) == len(set.union(*held_out)) == 36
    for number, held in enumerate(held_out, 1):
        assert not held & pictures(config, (run, number), "train.csv")
        assert len(held | pictures(config, (run, number), "train.csv")) == 36
    info = read_info(run.path)
    assert [member.source for member in info.members] == [str(fold) for fold in run.folds()]
    images = torch.randn(2, 3, 32, 32)
    each = [load_model(fold.path)(images) for fold in run.folds()]
    assert torch.allclose(load_model(run.path)(images), sum(each) / 3, atol=1e-5)

    scored = score_out_of_fold(run.path, quiet=True)
    assert len(scored.samples) == 36
    for fold, held in zip(run.folds(), held_out, strict=True):
        rows = [n for n, one in enumerate(scored.samples.samples) if one.path.name in held]
        samples = scored.samples.chosen(np.array(rows))
        predicted = Predictor(fold.path)([one.path for one in samples.samples])
        plain = np.array([list(row.probabilities.values()) for row in predicted])
        own = read_info(fold.path).calibration
        logits = torch.from_numpy(scored.logits[rows])
        assert probabilities(logits, own).numpy() == pytest.approx(plain, abs=1e-5)
    if info.calibration:
        assert NAME in info.calibration.source

    metrics = read_json(run.metrics_file)
    assert metrics["split"] == "val.csv" and metrics["folds"]["of"] == "the mean of the models"
    means = metrics["folds"]["mean_of_each"]["mAP"]
    assert means == pytest.approx(np.mean(metrics["folds"]["each"]["mAP"]))
    assert f"mAP {means:.2f}" in shown


def test_known_labels_are_fitted_to_all_pictures_by_models_that_have_not_seen_them(
    config, tmp_path, monkeypatch
):
    run, given = train(config, tmp_path / "run", folds=2), []

    def recorded(logits, targets, prior, *, prior_pictures):
        given.append((logits, targets, prior_pictures))
        evidence = Evidence(3, 3)
        return Crossfitted(evidence, [(evidence, np.ones(len(logits), np.bool_))])

    monkeypatch.setattr(fitting_evidence, "crossfit", recorded)
    monkeypatch.setattr(after_training, "FEWEST_PICTURES", 36)
    monkeypatch.setattr(after_training, "mean_ap_at_half", lambda scored, parts: (50.0, 60.0))
    scored = score_out_of_fold(run.path, quiet=True)
    after_training.fitted_by_itself(scored)
    calibrate(run, evidence=True, quiet=True)
    for logits, targets, pictures in given:
        assert np.array_equal(logits, scored.logits) and np.array_equal(targets, scored.targets)
        assert pictures == PICTURES_OUT_OF_FOLD
    assert len(given) == 2
    assert load_model(run.path).evidence is not None
    assert all(load_model(fold.path).evidence is None for fold in run.folds())


def test_every_verb_takes_it(config, tmp_path, capsys):
    run = train(config, tmp_path / "run", folds=2)
    capsys.readouterr()
    evaluate(run, split="train.csv")
    assert "all models of" in capsys.readouterr().out
    calibrate(run, tta="mirror", quiet=True)
    assert NAME in read_info(run.path).calibration.source
    assert read_info(run.path).test_time == ("mirror",)
    assert Predictor(run.path)([]) == []
    assert report(run, quiet=True).is_file()
    with pytest.raises(ConfigError, match="expected no other number for the folds"):
        resume(run, epochs=9)


@pytest.mark.slow  # it is an ensemble, whose export is tested
def test_it_can_be_exported(config, tmp_path):
    run = train(config, tmp_path / "run", folds=2)
    calibrate(run, tta="mirror", quiet=True)
    assert export(run, format="torch", limit=4).is_file()


def test_a_stopped_training_goes_on_where_it_was(config, tmp_path, monkeypatch, capsys):
    begin, begun = folds_module.begin, []

    def stops(*given, **named):
        begun.append(given[1].path.name)
        if begun == ["fold1", "fold2"]:
            raise KeyboardInterrupt
        return begin(*given, **named)

    monkeypatch.setattr(folds_module, "begin", stops)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "run", folds=2)
    run = RunFolder(tmp_path / "run")
    before, weights = rows_of(run.folds_file), load_model(run.path / "fold1").state_dict()
    resume(run)
    assert begun == ["fold1", "fold2", "fold2"] and rows_of(run.folds_file) == before
    after = load_model(run.path / "fold1").state_dict()
    assert all(torch.equal(weights[name], after[name]) for name in weights)
    assert len(read_info(run.path).members) == 2
    capsys.readouterr()
    resume(run)
    assert "already finished" in capsys.readouterr().out


def test_what_cannot_work_leaves_nothing(config, tmp_path):
    out = tmp_path / "run"
    same = replace(config, data=replace(config.data, val="train.csv"))
    for wrong, count, said in (
        (config, 1, "expected 2 to 64"),
        (config, 37, "expected pictures for each fold, got 36"),
        (same, 2, "another validation split"),
        (replace(config, model=Model(backbone="no_such")), 2, "no timm model"),
    ):
        with pytest.raises(ConfigError, match=said):
            train(wrong, out, folds=count)
        assert not out.exists()
    out.mkdir()
    (out / "mine.txt").touch()
    for overwrite in (False, True):
        with pytest.raises(ConfigError, match="already there, and not a folder of folds"):
            train(config, out, folds=2, overwrite=overwrite)
    assert (out / "mine.txt").is_file()


def test_folds_replaced_by_folds_lose_neither_their_splits_nor_anything_of_others(
    tmp_path, tiny_config, no_report
):
    one_table(tmp_path / "whole")
    data = data_at(tmp_path / "whole")
    config = with_train(replace(tiny_config, data=data), epochs=1, calibrate=False)
    run = train(config, tmp_path / "run", folds=2)
    (run.path / "mine.yaml").write_text("mine")
    divided = rows_of(run.splits_file)
    again = replace(config, data=replace(data, splits=str(run.splits_file)))

    for wrong, count, init, said in (
        (again, 64, None, "expected pictures for each fold"),
        (again, 2, run.path / "fold1", "--init .*expected a place outside"),
        (again, 2, run.path / "model", "--init .*expected a place outside"),
    ):
        with pytest.raises(ConfigError, match=said):
            train(wrong, run.path, folds=count, overwrite=True, init=init)
        assert len(run.folds()) == 2 and (run.path / "model").is_dir()
    bad = replace(again, model=Model(backbone="no_such"))
    with pytest.raises(ConfigError, match="no timm model"):
        train(bad, run.path, folds=2, overwrite=True)
    assert rows_of(run.splits_file) == divided and (run.path / "mine.yaml").is_file()

    train(again, run.path, folds=3, overwrite=True)
    assert len(run.folds()) == 3
    assert rows_of(run.splits_file) == divided and (run.path / "mine.yaml").read_text() == "mine"


def test_groups_stay_together(config, tmp_path):
    whole = read_both(config.data)
    grouped = replace(whole, groups=[str(n // 4) for n in range(len(whole))])
    write_folds(tmp_path / "folds.csv", grouped, config.data, 3)
    fold = rows_of(tmp_path / "folds.csv")
    by_group = {}
    for sample, group in zip(grouped.samples, grouped.groups, strict=True):
        by_group.setdefault(group, set()).add(fold[f"images/{sample.path.name}"])
    assert all(len(found) == 1 for found in by_group.values())
    assert set.union(*by_group.values()) == {"fold1", "fold2", "fold3"}


def test_two_splits_as_one_keep_their_order(config):
    first, second = (load_split(config.data, name) for name in ("train.csv", "val.csv"))
    both = joined(first, second, name="both")
    assert len(both) == len(both.samples) == 36
    assert both.samples[30] == second.samples[6] and both.samples[3] == first.samples[3]
    assert np.array_equal(both.targets[24:], second.targets)
