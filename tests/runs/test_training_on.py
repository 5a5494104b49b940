"""Runs that start from a model: with other labels, other sizes, and what is said of it."""

import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.alike import history
from tests.conftest import colours_config, draw_colours, with_train
from tests.tiny import TINY

from lcnet.config import Config, Model, by_name
from lcnet.errors import ConfigError
from lcnet.evaluating.calibrate import calibrate
from lcnet.evaluating.evaluate import evaluate
from lcnet.model.backbone import describe_backbone
from lcnet.model.build import build_model
from lcnet.model_folder import ModelFolder, ModelInfo, load_model, read_info
from lcnet.runs.start import prepare
from lcnet.runs.train import train
from lcnet.runs.training_on import ALL, CHANGEABLE, changed_settings

pytestmark = pytest.mark.usefixtures("no_report")
STILL = {"epochs": 1, "lr": 1e-9, "backbone_lr_factor": 0.0, "ema_decay": 0.0}


@pytest.fixture(scope="module")
def learnt(tmp_path_factory) -> Path:
    """A model that has learnt the colours, calibrated; the folder also holds their pictures."""
    folder = tmp_path_factory.mktemp("learnt")
    config = with_train(
        colours_config(draw_colours(folder / "colours")), epochs=8, lr=4e-3, randaugment=0, cutout=0
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(
            "lcnet.reporting.gather_report.report_on", lambda *given: given[2].write_text("report")
        )
        train(config, folder / "run")
    calibrate(folder / "run", quiet=True)
    return folder


def with_columns(learnt: Path, to: Path, *names: str) -> Config:
    """The colours with some of their labels; `dark` is where no green is, `Red` is red."""
    root = to / "data"
    shutil.copytree(learnt / "colours", root)
    for split in ("train.csv", "val.csv"):
        head, *rows = [line.split(",") for line in (root / split).read_text().splitlines()]
        lines = [",".join(["image", *names])]
        for row in rows:
            shown = dict(zip(head, row, strict=True))
            shown["dark"] = str(1 - int(shown["green"]))
            shown["Red"] = shown["red"]
            lines.append(",".join([row[0], *(shown[name] for name in names)]))
        (root / split).write_text("\n".join(lines) + "\n")
    return with_train(replace(colours_config(root), model=Model()), **STILL)


def ap_of(run: Path, data: Config | None = None) -> dict[str, float | None]:
    measured = evaluate(
        run, split="val.csv", data=data and data.data, out=run.parent / "m.json", quiet=True
    )
    return dict(zip(measured.labels, measured.ap, strict=True))


def test_labels_are_matched_by_name_and_the_start_is_the_old_model(learnt, tmp_path, capsys):
    config = with_columns(learnt, tmp_path, "dark", "blue", "red")
    run = train(config, tmp_path / "on", init=learnt / "run").path
    printed = capsys.readouterr().out
    assert "labels: 2 kept, 1 new (dark), 1 dropped (green)" in printed
    assert "not carried over: calibration and thresholds, as the weights change; " in printed
    assert "epoch 0/1  val mAP" in printed
    info = read_info(run)
    assert info.labels == ("red", "blue", "dark")  # the model's own come first, in its order
    assert info.calibration is None and info.thresholds == (0.5, 0.5, 0.5)
    assert len(info.statistics.positives) == 3
    before, after = ap_of(learnt / "run"), ap_of(run)
    for label in ("red", "blue"):
        assert after[label] == pytest.approx(before[label], abs=0.1)
    start = history(run)[0]
    assert (start["epoch"], float(start["val_mAP"])) == (
        "0",
        pytest.approx(np.mean(list(after.values())), abs=2),
    )


def test_a_model_without_a_label_in_common_gives_what_is_shared(learnt, tmp_path, capsys):
    config = with_columns(learnt, tmp_path, "Red", "dark")
    start = prepare(config, learnt / "run")
    printed = capsys.readouterr().out
    assert "labels: none kept, 2 new (Red, dark), 3 dropped (red, green, blue); the back" in printed
    assert "labels that differ in spelling alone: 'red' and 'Red'" in printed
    old, new = load_model(learnt / "run").state_dict(), start.model.state_dict()
    for name in ("backbone.features.conv1.0.weight", "graph.first_hop.weight"):
        assert new[name].equal(old[name])
    assert new["mapping.weight"].shape == (2, old["mapping.weight"].shape[1])
    assert not new["mapping.bias"].any()  # as a new classifier starts


def test_the_start_stays_the_best_until_it_is_beaten(learnt, tmp_path, capsys):
    config = with_columns(learnt, tmp_path, "red", "green", "blue", "dark")
    spoils = with_train(config, epochs=4, lr=5.0, early_stop=2, optimizer="sgd", clip_norm=0.0)
    run = train(spoils, tmp_path / "on", init=learnt / "run").path
    rows = history(run)
    best = max(rows, key=lambda row: float(row["val_mAP"]))
    assert best["epoch"] == "0"
    assert len(rows) == 3  # the start, and two epochs that were no better
    assert {row["best_mAP"] for row in rows} == {best["val_mAP"]}
    assert f"best validation mAP {float(best['val_mAP']):.1f}, epoch 0" in capsys.readouterr().out
    kept = evaluate(run, split="val.csv", out=tmp_path / "m.json", quiet=True).mAP
    assert kept == pytest.approx(float(best["val_mAP"]), abs=1e-3)


def test_a_run_trains_on_by_its_own_config(learnt, tmp_path, capsys):
    config = with_train(Config.load(learnt / "run" / "config.yaml"), **STILL)
    start = prepare(config, learnt / "run", given=ALL)
    assert start.info.model == read_info(learnt / "run").model
    assert "labels: 3 kept\n" in capsys.readouterr().out


def test_sizes_and_crop_level_of_a_convolutional_model_can_change(learnt, tmp_path, capsys):
    own = Config.load(learnt / "run" / "config.yaml")
    larger = replace(own, model=replace(own.model, view_size=48, crop_level=2, dropout=0.3))
    run = train(with_train(larger, **STILL), tmp_path / "on", init=learnt / "run").path
    printed = capsys.readouterr().out
    assert "but crop_level 2 (was 1), view_size 48 (was 32), dropout 0.3 (was 0.1)" in printed
    info = read_info(run)
    assert (info.model.image_size, info.preprocessing.size) == (96, 96)
    assert Config.load(run / "config.yaml").model == larger.model
    old, new = load_model(learnt / "run"), load_model(run)
    assert new.crops.views == 5
    assert new.graph.nodes.allclose(old.graph.nodes, atol=1e-6)


def vit(folder: Path, size: int) -> Path:
    """A ViT of random weights, which is built for one size."""
    settings = replace(TINY, backbone="test_vit", view_size=size, crop_level=0)
    spec = describe_backbone(settings.backbone, size)
    model = build_model(settings, 3, spec=spec)
    names = ("red", "green", "blue")
    ModelFolder(folder).save(model, ModelInfo(names, settings, spec, (0.5,) * 3))
    return folder


def test_positions_of_a_vit_are_resampled_for_another_size(tiny_config, tmp_path):
    folder = vit(tmp_path / "vit", 64)
    wanted = replace(tiny_config, model=replace(read_info(folder).model, view_size=96))
    start = prepare(wanted, folder, given=ALL)
    assert start.info.backbone.options["img_size"] == 96
    before, after = (
        model.backbone.features.pos_embed for model in (load_model(folder), start.model)
    )
    assert after.shape[1] > before.shape[1]
    ModelFolder(tmp_path / "larger").save(start.model, start.info)
    assert load_model(tmp_path / "larger")(torch.zeros(1, 3, 96, 96)).isfinite().all()


def test_a_size_that_a_backbone_cannot_have_is_one_line(tiny_config, tmp_path):
    folder = vit(tmp_path / "vit", 64)
    wanted = replace(tiny_config, model=replace(read_info(folder).model, view_size=8))
    with pytest.raises(ConfigError, match=r"model\.view_size: expected 64, .*, got 8\.") as error:
        prepare(wanted, folder, given=ALL)
    assert "\n" not in str(error.value)


OWN = replace(TINY, read="tokens")  # which every other setting goes with
OTHERS = {
    "pixel_statistics": "unit",
    "crop_level": 2,
    "view_size": 48,
    "view_chunk": 1,
    "dropout": 0.5,
    "attended": 0.4,
    "decoder_gradient": 0.5,
    "position": True,
    "released.label_tokens": "frozen",
    "released.antialias": False,
}


def changed(own: Model, name: str, value: object) -> Model:
    return Config(model=own).changed({f"model.{name}": value}).model


@pytest.mark.parametrize("name", CHANGEABLE)
def test_a_setting_that_can_change_leaves_every_weight_its_shape(name):
    spec = describe_backbone(TINY.backbone, TINY.view_size)
    before, after = (
        {name: weight.shape for name, weight in build_model(one, 3, spec=spec).state_dict().items()}
        for one in (OWN, changed(OWN, name, OTHERS[name]))
    )
    assert before == after


FIXED = {
    "backbone": "test_vit",
    "backbone_weights": "it.pth",
    "earlier_stages": True,
    "channels": 1,
    "head": "gap",
    "width": 48,
    "heads": 2,
    "depth": 1,
    "read": "scores",
    "mlp_width": 64,
    "share_layers": True,
    "graph": "none",
    "graph_prior": "uniform",
    "graph_edges": 2,
    "label_vectors": "it.txt",
    "pooling": "none",
    "released.layer": "released",
    "released.graph_tokens": "feature",
    "released.graph_width": 16,
    "released.graph_low": 0.4,
    "released.shared_bias": True,
}


@pytest.mark.parametrize("name", FIXED)
def test_a_setting_that_cannot_change_is_named_with_both_values(name):
    wanted = changed(OWN, name, FIXED[name])
    with pytest.raises(ConfigError, match=f"model.{name}: expected ") as error:
        changed_settings(OWN, wanted, ALL)
    assert f"got {FIXED[name]}" in str(error.value)
    assert "\n" not in str(error.value)
    assert changed_settings(OWN, wanted, ()) == OWN  # it was not asked for


def test_every_setting_either_can_change_or_cannot():
    names = set(by_name(asdict(Model())))
    assert names == {*CHANGEABLE, *FIXED, "pretrained"}


def test_tiles_with_a_classifier_of_their_own_need_a_crop_level():
    own = replace(TINY, pooling="two_classifiers")
    with pytest.raises(ConfigError, match=r"model\.crop_level: expected 1 or more, .*, got 0\."):
        changed_settings(own, replace(own, crop_level=0), ALL)
    assert changed_settings(own, replace(own, crop_level=3), ALL).crop_level == 3


def with_vectors(learnt: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A model with label vectors, and the file that they were read from."""
    file = tmp_path / "vectors.txt"
    file.write_text("red 1 0 0 0\ngreen 0 1 0 0\nblue 0 0 1 0\ndark 0 0 0 1\n")
    settings = replace(TINY, label_vectors=str(file))
    spec = describe_backbone(settings.backbone, settings.view_size)
    model = build_model(settings, 3, spec=spec, vectors=torch.eye(3, 4))
    info = ModelInfo(("red", "green", "blue"), settings, spec, (0.5,) * 3)
    ModelFolder(tmp_path / "vectors").save(model, info)
    return tmp_path / "vectors", file


def test_new_labels_get_their_vectors_from_the_file(learnt, tmp_path):
    model, file = with_vectors(learnt, tmp_path)
    config = with_columns(learnt, tmp_path, "dark", "blue", "red")
    start = prepare(config, model)
    assert start.model.graph.vectors.equal(torch.eye(4)[[0, 2, 3]])
    file.unlink()
    with pytest.raises(
        ConfigError, match=r"vectors of the new labels \(dark\), .* no file"
    ) as error:
        prepare(config, model)
    assert "\n" not in str(error.value)
