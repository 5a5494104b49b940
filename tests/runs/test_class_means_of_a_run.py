"""`--train.class_means`: what a run does with it, from training to files."""

import shutil

import numpy as np
import pytest
import torch
from tests.conftest import colours_config, draw_colours, with_train

import lcnet
from lcnet.data.loading import eval_loader
from lcnet.data.pictures import eval_pictures
from lcnet.data.readers import load_split_for
from lcnet.data.transforms import Normalize
from lcnet.evaluating.measuring import score
from lcnet.model.class_means import Moments, pooled
from lcnet.model_folder import load_model, read_info
from lcnet.runs.train import train

pytestmark = pytest.mark.usefixtures("no_report")


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("colours")
    weak = with_train(
        colours_config(draw_colours(folder)), epochs=1, lr=1e-5, class_means=True, flip=False
    )
    return with_train(weak, backbone_lr_factor=0.0, randaugment=0, cutout=0.0)


def test_class_means_are_those_of_the_training_pictures_and_help(config, tmp_path, capsys):
    run = train(config, out=tmp_path / "run")
    said = capsys.readouterr().out
    assert "(class means, times " in said
    model, info = load_model(run.path), read_info(run.path)
    moments = Moments(len(info.labels), model.backbone.channels)
    split = load_split_for(config.data, config.data.train, info.labels)
    pictures = eval_pictures(split, config.data, info.preprocessing)
    with torch.inference_mode():
        for images, targets in eval_loader(pictures, batch_size=8, workers=0):
            maps = model.maps(Normalize(info.preprocessing)(images))
            moments.update(pooled(maps, model.backbone.last_channels), targets)
    expected = moments.class_means(model.backbone.last_channels).weight
    found = model.class_means.weight
    strength = (found.norm() / expected.norm()).item()
    assert strength == pytest.approx(float(said.split("times ")[1].split(")")[0]), rel=1e-3)
    torch.testing.assert_close(found / strength, expected, atol=1e-4, rtol=1e-3)
    without, best = said.split(": validation mAP ")[1].splitlines()[0].split(" -> ")
    assert float(best) > float(without)


def test_they_leave_as_many_labels_above_a_half(config, tmp_path):
    with_means = train(config, out=tmp_path / "with")
    plain = train(with_train(config, class_means=False), out=tmp_path / "plain")
    ours, theirs = (score(run.path, split="val.csv").logits for run in (with_means, plain))
    assert not np.allclose(ours, theirs, atol=0.01)
    assert abs((ours > 0).sum() - (theirs > 0).sum()) <= 1


def test_kept_features_give_the_same(config, tmp_path):
    plain = train(config, out=tmp_path / "plain")
    kept = with_train(config, cache_features=str(tmp_path / "features"))
    cached = train(kept, out=tmp_path / "cached")
    ours, theirs = (load_model(run.path).class_means.weight for run in (cached, plain))
    torch.testing.assert_close(ours / ours.norm(), theirs / theirs.norm(), atol=2e-2, rtol=0)


def test_what_is_said_of_them_is_what_is_measured(config, tmp_path, capsys, read_json):
    kept = with_train(config, cache_features=str(tmp_path / "features"), precision="bf16")
    run = train(kept, out=tmp_path / "run")
    said = " ".join(capsys.readouterr().out.split())
    mAP = read_json(run.metrics_file)["mAP"]
    assert f" -> {mAP:.1f}" in said
    assert f"the kept model, as lcnet evaluate measures it: validation mAP {mAP:.2f} on 12" in said
    assert lcnet.evaluate(run, split="val", quiet=True).mAP == pytest.approx(mAP, abs=0.01)


def test_they_go_with_exports_and_ensembles_and_not_with_training_on(config, tmp_path):
    run = train(config, out=tmp_path / "run").path
    assert lcnet.export(run, limit=4).is_file()  # which proves that its logits are the model's
    both = lcnet.ensemble([run, shutil.copytree(run, tmp_path / "copy")], out=tmp_path / "both")
    assert all(one.class_means is not None for one in load_model(both).singles())
    ours, theirs = (score(one, split="val.csv", data=config.data).logits for one in (run, both))
    assert abs(ours - theirs).max() < 1e-4
    on = train(with_train(config, class_means=False), out=tmp_path / "on", init=run)
    assert load_model(on.path).class_means is None


def test_where_they_do_not_help_nothing_is_written(config, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("lcnet.evaluating.fitting_class_means.STRENGTHS", (-4.0,))
    run = train(config, out=tmp_path / "run")
    assert "each label's mean picture (class means) is left out" in capsys.readouterr().out
    assert load_model(run.path).class_means is None
