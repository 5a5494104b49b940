from argparse import Namespace
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import timm
import torch
from PIL import Image
from tests.alike import assert_alike, history
from tests.conftest import colours_config, draw_colours, with_train
from tests.published import layouts
from tests.reports import Page

from lcnet.config import Config, Model
from lcnet.data.dataset import ImageLabels
from lcnet.errors import CheckpointError, ConfigError, DataError
from lcnet.evaluating.calibrate import calibrate
from lcnet.evaluating.evaluate import evaluate
from lcnet.model.classifier import Classifier
from lcnet.model_folder import load_model, read_info
from lcnet.predicting.predictor import Predictor
from lcnet.published.choices import ImportChoices
from lcnet.published.importing import read_model
from lcnet.reporting.push import push
from lcnet.reporting.report import report
from lcnet.run_folder import RunFolder
from lcnet.runs.run import begin
from lcnet.runs.train import resume, train
from lcnet.training.averaging import Average
from lcnet.training.loop import Loop

FROZEN = {"backbone_lr_factor": 0.0, "randaugment": 0, "cutout": 0.0}


@pytest.fixture
def finished(trained):
    return trained


def test_a_run_folder_holds_what_the_documents_say(finished, tiny_config, read_json):
    assert Config.load(finished / "config.yaml") == tiny_config
    rows = history(finished)
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert float(rows[-1]["best_mAP"]) == max(float(row["val_mAP"]) for row in rows)
    assert all(0 < float(row["data_wait"]) < 1 for row in rows)
    assert read_json(finished / "model" / "model.json")["labels"] == ["red", "green", "blue"]
    assert (finished / "checkpoints" / "last.ckpt").is_file()
    assert list((finished / "logs").glob("events.out.tfevents.*"))
    assert not list(finished.rglob("*.part"))


def test_the_chosen_mean_and_std_reach_the_model_folder_and_the_measured_model(
    tiny_config, tmp_path, read_json
):
    model = replace(tiny_config.model, pixel_statistics="imagenet")
    run = train(replace(with_train(tiny_config, epochs=1), model=model), tmp_path / "run").path
    stored = read_json(run / "model" / "model.json")
    for part in ("backbone", "preprocessing"):
        assert stored[part]["mean"] == [0.485, 0.456, 0.406]
        assert stored[part]["std"] == [0.229, 0.224, 0.225]
    assert stored["model"]["pixel_statistics"] == "imagenet"
    best = max(float(row["val_mAP"]) for row in history(run))
    assert evaluate(run, split="val.csv", quiet=True).mAP == pytest.approx(best, abs=1e-3)
    still = replace(with_train(tiny_config, **STILL), model=model)
    on = train(still, tmp_path / "on", init=run).path
    assert read_info(on).preprocessing == read_info(run).preprocessing


def test_the_kept_model_is_the_one_that_was_validated(finished):
    best = max(float(row["val_mAP"]) for row in history(finished))
    assert evaluate(finished, split="val.csv", quiet=True).mAP == pytest.approx(best, abs=1e-3)


class Stop(Exception):
    pass


@pytest.fixture
def assert_resumed_is_whole(tmp_path, monkeypatch):
    """Trains a config twice, once in one go and once stopped before epoch 2 and resumed."""

    def check(config: Config, **start: Path) -> None:
        whole = train(config, tmp_path / "whole", **start).path

        def stop(self, original=Loop.train_epoch):
            if self.state.epochs == 2:
                raise Stop
            original(self)

        monkeypatch.setattr(Loop, "train_epoch", stop)
        with pytest.raises(Stop):
            train(config, tmp_path / "cut", **start)
        monkeypatch.undo()
        resumed = resume(tmp_path / "cut").path

        assert_alike(whole, resumed)

    return check


def test_a_resumed_run_ends_with_the_same_weights(tiny_config, assert_resumed_is_whole):
    assert_resumed_is_whole(
        with_train(tiny_config, epochs=3, accumulate=2, randaugment=9, cutout=0.5)
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"mixup": 0.4, "cutmix": 1.0, "splicemix": 0.25, "rotation": 20.0, "vertical_flip": True},
        # What is left out depends on the epoch alone, and smoothing on nothing.
        pytest.param(
            {"unknown": "reject_large_losses", "reject_growth": 20.0, "label_smoothing": 0.1},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_resumed_run_mixes_smooths_and_rejects_as_the_whole_one(
    tiny_config, assert_resumed_is_whole, settings
):
    known_in_part(Path(tiny_config.data.root))
    assert_resumed_is_whole(with_train(tiny_config, epochs=3, accumulate=2, **settings))


def known_in_part(root: Path) -> None:
    """Leave the first six cells of blue empty in the training table."""
    table = (root / "train.csv").read_text().splitlines()
    table[1:7] = [line.rpartition(",")[0] + "," for line in table[1:7]]
    (root / "train.csv").write_text("\n".join(table) + "\n")


@pytest.fixture(scope="module")
def learned_as_usual(tmp_path_factory):
    """The weights of the tiny run on the partly known colours, by its setting of unknown."""
    folder = tmp_path_factory.mktemp("usual")
    config = colours_config(draw_colours(folder / "colours"))
    known_in_part(folder / "colours")

    @cache
    def weights(unknown: str) -> dict[str, torch.Tensor]:
        run = train(with_train(config, unknown=unknown), folder / unknown).path
        return load_model(run).state_dict()

    return weights


@pytest.mark.parametrize(
    "settings",
    [
        {"label_smoothing": 0.0},  # what it is in any case, so that the others say something
        {"mixup": 0.4},
        {"cutmix": 1.0},
        {"splicemix": 0.25},
        {"vertical_flip": True},
        {"rotation": 20.0},
        {"label_smoothing": 0.1},
        {"unknown": "reject_large_losses", "reject_growth": 50.0},
    ],
)
def test_each_flag_changes_what_is_learned(
    tiny_config, tmp_path, no_report, learned_as_usual, settings
):
    known_in_part(Path(tiny_config.data.root))
    usual = learned_as_usual("negative" if "unknown" in settings else tiny_config.train.unknown)
    changed = load_model(train(with_train(tiny_config, **settings), tmp_path / "changed").path)
    is_other = any(not one.equal(usual[name]) for name, one in changed.state_dict().items())
    assert is_other is (settings != {"label_smoothing": 0.0})


def test_the_same_seed_gives_the_same_model_with_any_number_of_workers(tiny_config, tmp_path):
    ends = []
    for workers in (0, 2):
        config = replace(tiny_config, data=replace(tiny_config.data, workers=workers))
        run = train(with_train(config, epochs=1), tmp_path / str(workers)).path
        ends.append(load_model(run).state_dict())
    assert all(tensor.equal(ends[1][name]) for name, tensor in ends[0].items())


@pytest.mark.slow  # 50 epochs
def test_eight_pictures_are_learnt_by_heart(tiny_config, tmp_path):
    root = tmp_path / "colours"
    lines = (root / "train.csv").read_text().splitlines()
    (root / "eight.csv").write_text("\n".join(lines[:9]) + "\n")
    config = replace(
        tiny_config, data=replace(tiny_config.data, train="eight.csv", val="eight.csv")
    )
    config = with_train(
        config,
        epochs=50,
        batch_size=4,
        lr=4e-3,
        gamma_neg=0.0,
        loss_clip=0.0,
        flip=False,
        randaugment=0,
        cutout=0.0,
    )
    run = train(config, tmp_path / "run").path
    assert evaluate(run, split="eight.csv", quiet=True).mAP > 99
    for line, prediction in zip(
        lines[1:9], Predictor(run)([root / line.split(",")[0] for line in lines[1:9]]), strict=True
    ):
        shown = dict(zip(("red", "green", "blue"), line.split(",")[1:], strict=True))
        assert set(prediction.labels) == {name for name, value in shown.items() if value == "1"}


@pytest.mark.parametrize("kept", ["", "kept"])
def test_a_frozen_backbone_keeps_its_weights_and_statistics(
    tiny_config, tmp_path, monkeypatch, kept
):
    starts, heads = [], []
    original = Loop.train

    def noted(self):
        features = self.state.objective.model.backbone.features
        starts.append({name: tensor.clone() for name, tensor in features.state_dict().items()})
        heads.append(self.state.objective.model.mapping.weight.detach().clone())
        return original(self)

    monkeypatch.setattr(Loop, "train", noted)
    config = with_train(tiny_config, **FROZEN, cache_features=kept and str(tmp_path / kept))
    run = train(config, tmp_path / "run").path
    ends = [
        load_model(run).state_dict(),
        torch.load(run / "checkpoints" / "last.ckpt")["weights"],
    ]
    for end in ends:
        assert all(
            tensor.equal(end[f"backbone.features.{name}"]) for name, tensor in starts[0].items()
        )
        assert not end["mapping.weight"].equal(heads[0])


@pytest.mark.parametrize(
    ("head", "precision"),
    [
        ("lcnet", "fp32"),
        ("gap", "bf16"),
        # Heads and precisions do not depend on each other.
        pytest.param("lcnet", "bf16", marks=pytest.mark.slow),
        pytest.param("gap", "fp32", marks=pytest.mark.slow),
    ],
)
def test_kept_features_train_the_model_that_pictures_train(tiny_config, tmp_path, head, precision):
    config = replace(tiny_config, model=replace(tiny_config.model, head=head, crop_level=2))
    # One epoch: which of two equally good ones is kept would hang on the last digit.
    config = with_train(config, **FROZEN, flip=False, precision=precision, epochs=1)
    pictures = train(config, tmp_path / "pictures").path
    kept = train(
        with_train(config, cache_features=str(tmp_path / "kept")), tmp_path / "features"
    ).path
    # Training, validation, and in half precision validation as it is measured.
    assert len(list((tmp_path / "kept").glob("*.safetensors"))) == (2 if precision == "fp32" else 3)
    # Half precision of the features is all that differs.
    for wanted, row in zip(history(pictures), history(kept), strict=True):
        assert float(row["train_loss"]) == pytest.approx(float(wanted["train_loss"]), rel=2e-4)
        assert float(row["val_mAP"]) == pytest.approx(float(wanted["val_mAP"]), abs=5)
    shown = sorted((tmp_path / "colours" / "images").iterdir())
    probabilities = [
        torch.tensor([list(one.probabilities.values()) for one in Predictor(run)(shown)])
        for run in (pictures, kept)
    ]
    assert probabilities[0].std() > 1e-3
    torch.testing.assert_close(*probabilities, atol=1e-3, rtol=0)


def test_kept_features_are_mirrored_as_pictures_are(tiny_config, tmp_path):
    config = with_train(tiny_config, **FROZEN, epochs=1, cache_features=str(tmp_path / "kept"))
    train(with_train(config, flip=False), tmp_path / "as it is")
    assert len(list((tmp_path / "kept").glob("*.safetensors"))) == 2
    train(config, tmp_path / "mirrored")
    assert (
        len(list((tmp_path / "kept").glob("*.safetensors"))) == 3
    )  # and the training pictures mirrored
    losses = [history(tmp_path / name)[0]["train_loss"] for name in ("as it is", "mirrored")]
    assert losses[0] != losses[1]


def test_a_run_on_kept_features_looks_at_each_picture_once(tiny_config, tmp_path, monkeypatch):
    looked = []
    original = ImageLabels.__getitem__

    def counted(self, draw):
        looked.append(draw)
        return original(self, draw)

    monkeypatch.setattr(ImageLabels, "__getitem__", counted)
    config = with_train(tiny_config, **FROZEN, cache_features=str(tmp_path / "kept"))
    train(config, tmp_path / "first")
    assert len(looked) == 24 + 24 + 12  # as they are, mirrored, and for validation
    train(with_train(config, lr=1e-3), tmp_path / "second")
    assert len(looked) == 24 + 24 + 12


def test_a_resumed_run_on_kept_features_ends_with_the_same_weights(
    tiny_config, tmp_path, assert_resumed_is_whole
):
    config = with_train(tiny_config, **FROZEN, epochs=3, cache_features=str(tmp_path / "kept"))
    assert_resumed_is_whole(config)
    assert len(list((tmp_path / "kept").glob("*.safetensors"))) == 3


@pytest.mark.parametrize("settings", [{"precision": "bf16"}, {"ema_decay": 0.0}, {"early_stop": 1}])
def test_other_recipes_run(tiny_config, tmp_path, settings):
    run = train(with_train(tiny_config, **settings), tmp_path / "run").path
    assert load_model(run)(torch.randn(1, 3, 32, 32)).isfinite().all()


@pytest.mark.parametrize(
    ("warmup", "steps", "moved"),
    [(True, 0, 1), (True, 1, 1 - 2 / 11), (True, 10**6, 1e-3), (False, 0, 1e-3)],
)
def test_averaged_weights_follow_the_current_ones_quickly_at_first(warmup, steps, moved):
    module = torch.nn.BatchNorm1d(1)  # weights, and statistics of two types
    average = Average(module, 0.999, warmup=warmup)
    average.steps = steps
    for tensor in module.state_dict().values():
        tensor.add_(1)
    average.update(module)
    before = torch.nn.BatchNorm1d(1).state_dict()
    for name, tensor in average.module.state_dict().items():
        if tensor.is_floating_point():
            assert (tensor - before[name]).item() == pytest.approx(moved, rel=1e-3), name


def test_a_frozen_part_is_not_averaged_until_it_learns():
    frozen = torch.nn.BatchNorm1d(3).requires_grad_(False).eval()
    module = torch.nn.ModuleList([torch.nn.Linear(3, 3), frozen])
    average = Average(module, 0.9, warmup=False)
    kept, learning = average.module[1], average.module[0]
    with torch.no_grad():
        for tensor in (kept.weight, kept.running_mean):
            tensor.add_(1)  # as if it had been averaged otherwise
        module[0].weight.add_(1)
    before = learning.weight.clone()
    average.update(module)
    assert kept.weight.eq(2).all() and kept.running_mean.eq(1).all()
    torch.testing.assert_close(learning.weight, before + 0.1)
    frozen.requires_grad_(True).train()
    average.update(module)
    torch.testing.assert_close(kept.weight, torch.full((3,), 1.9))
    torch.testing.assert_close(kept.running_mean, torch.full((3,), 0.9))


def test_nothing_is_written_when_the_data_or_the_folder_is_wrong(tiny_config, tmp_path):
    broken = replace(tiny_config, data=replace(tiny_config.data, val="none.csv"))
    with pytest.raises(DataError, match=r"none\.csv"):
        train(broken, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="already there"):
        train(tiny_config, tmp_path / "kept")
    with pytest.raises(ConfigError, match=r"without config\.yaml"):
        train(tiny_config, tmp_path / "kept", overwrite=True)
    unknown = replace(tiny_config, model=replace(tiny_config.model, backbone="resnet5O"))
    with pytest.raises(ConfigError, match="resnet5O"):
        train(unknown, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert (tmp_path / "kept" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_picture_stops_training_with_its_name(tiny_config, tmp_path, workers):
    (tmp_path / "colours" / "images" / "train3.png").write_bytes(b"\x89PNG broken")
    config = replace(tiny_config, data=replace(tiny_config.data, workers=workers))
    with pytest.raises(DataError, match=r"train3\.png.*train\.csv:5") as error:
        train(config, tmp_path / "run")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_a_validation_split_without_a_positive_is_refused_at_once(tiny_config, tmp_path):
    file = tmp_path / "colours" / "val.csv"
    file.write_text(file.read_text().replace(",1", ",0"))
    with pytest.raises(DataError, match="no label is present"):
        train(tiny_config, tmp_path / "run")


@pytest.mark.parametrize("epochs", [1, 5])
def test_a_schedule_of_any_few_steps_runs(tiny_config, tmp_path, epochs):
    config = with_train(tiny_config, epochs=epochs, batch_size=24)  # one step an epoch
    assert len(history(train(config, tmp_path / "run").path)) == epochs


def test_early_stopping_ends_a_run_that_no_longer_improves(tiny_config, tmp_path, capsys):
    config = with_train(tiny_config, epochs=9, early_stop=1, lr=1e-12, ema_decay=0.0)
    run = train(with_train(config, backbone_lr_factor=0.0), tmp_path / "run").path
    assert len(history(run)) == 2
    before = (run / "metrics.json").read_text()
    capsys.readouterr()
    resume(run)
    assert "already finished" in capsys.readouterr().out
    assert (run / "metrics.json").read_text() == before


def test_a_damaged_checkpoint_is_named(finished):
    for checkpoint in (finished / "checkpoints").iterdir():
        checkpoint.write_bytes(checkpoint.read_bytes()[:500])
    with pytest.raises(CheckpointError, match=r"previous\.ckpt: not a checkpoint"):
        resume(finished)


def test_a_label_with_unknown_targets_is_trained_on_what_is_known(tiny_config, tmp_path):
    file = tmp_path / "colours" / "train.csv"
    header, *rows = file.read_text().splitlines()
    rows = [",".join([*row.split(",")[:3], ""]) if i % 2 else row for i, row in enumerate(rows)]
    file.write_text("\n".join([header, *rows]))
    run = train(tiny_config, tmp_path / "run").path
    assert load_model(run)(torch.randn(1, 3, 32, 32)).isfinite().all()


def test_label_vectors_from_a_file_reach_the_graph(tiny_config, tmp_path):
    (tmp_path / "vectors.txt").write_text("red 1 0 0.5\ngreen 0 1 0.5\nblue 0.3 0.3 -1\n")
    config = replace(
        tiny_config,
        model=replace(tiny_config.model, label_vectors=str(tmp_path / "vectors.txt")),
    )
    run = train(with_train(config, epochs=1), tmp_path / "run").path
    (tmp_path / "vectors.txt").unlink()
    assert load_model(run).graph.vectors.tolist()[2] == pytest.approx([0.3, 0.3, -1])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"graph": "none"}, "a model without a label graph.* --model.graph learned"),
        ({"head": "csra"}, "the head csra.* --model.head lcnet or ml_gcn"),
    ],
)
def test_label_vectors_that_nothing_would_use_are_refused(tiny_config, tmp_path, settings, words):
    (tmp_path / "vectors.txt").write_text("red 1 0\ngreen 0 1\nblue 1 1\n")
    model = replace(tiny_config.model, label_vectors=str(tmp_path / "vectors.txt"), **settings)
    with pytest.raises(ConfigError, match=f"model.label_vectors: expected none with {words}"):
        train(replace(tiny_config, model=model), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_pictures_of_every_mode_can_be_trained_on(tiny_config, tmp_path):
    images = tmp_path / "colours" / "images"
    for index, mode in enumerate(["L", "RGBA", "P", "CMYK", "I", "1"]):
        suffix = "tif" if mode in ("CMYK", "I") else "png"
        picture = Image.new("RGB", (30 + index, 20), "red").convert(mode)
        (images / f"train{index}.png").unlink()
        picture.save(images / f"other{index}.{suffix}")
        file = tmp_path / "colours" / "train.csv"
        file.write_text(file.read_text().replace(f"train{index}.png", f"other{index}.{suffix}"))
    config = with_train(tiny_config, epochs=1)
    with pytest.raises(
        DataError, match=r"8-bit \(.*other0.png\) and 32-bit integer \(.*other4.tif"
    ):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    train(replace(config, data=replace(config.data, pixel_range=[0, 255])), tmp_path / "run")
    assert read_info(tmp_path / "run").pixel_range == (0, 255)


# Training on from a model that is there.

STILL = {"epochs": 1, "lr": 1e-9, "backbone_lr_factor": 0.0, "ema_decay": 0.0}
"""A recipe that hardly moves a weight."""


def logits(model: Classifier, side: int = 32) -> torch.Tensor:
    with torch.inference_mode():
        generator = torch.Generator().manual_seed(0)
        return model(torch.randn(4, 3, side, side, generator=generator))


def published(folder: Path, weights: dict[str, torch.Tensor]) -> Path:
    """A checkpoint file of the release, made for small pictures."""
    torch.save(
        {"state_dict": weights, "arch": Namespace(img_size=32, CropLevels=1)}, folder / "it.pth"
    )
    return folder / "it.pth"


@pytest.mark.parametrize("place", ["", "model"])
def test_training_on_starts_from_a_run_s_model(finished, tiny_config, tmp_path, place):
    other = replace(tiny_config, model=Model())  # another architecture, which does not count
    run = train(with_train(other, **STILL), tmp_path / "on", init=finished / place).path
    assert read_info(run).model == tiny_config.model
    assert Config.load(run / "config.yaml").model == tiny_config.model
    before, after = load_model(finished), load_model(run)
    assert logits(before).std() > 0.02
    torch.testing.assert_close(logits(after), logits(before), atol=1e-4, rtol=0)
    assert not after.mapping.weight.equal(before.mapping.weight)


def test_training_on_moves_the_weights_of_every_part(finished, tiny_config, tmp_path):
    run = train(with_train(tiny_config, epochs=1), tmp_path / "on", init=finished).path
    before = load_model(finished).state_dict()
    after = torch.load(run / "checkpoints" / "last.ckpt")["weights"]
    for name in ("backbone.features.conv1.0.weight", "graph.nodes", "mapping.bias"):
        assert not after[name].equal(before[name]), name


def test_training_on_can_be_resumed(finished, tiny_config, assert_resumed_is_whole):
    assert_resumed_is_whole(with_train(tiny_config, epochs=3), init=finished)


def test_training_on_from_the_released_layout_keeps_it(tiny_config, tmp_path, capsys):
    weights = layouts.by_rule(layouts.released(3))
    file = published(tmp_path, weights)
    before = read_model(file, ImportChoices()).model
    own = replace(with_train(tiny_config, **STILL), model=Model())
    run = train(own, tmp_path / "on", init=file).path
    assert "LCNet as released, 3 labels" in capsys.readouterr().out
    info, after = read_info(run), load_model(run)
    assert (info.model.released.layer, info.model.graph, info.model.released.label_tokens) == (
        "released",
        "released",
        "frozen",
    )
    assert info.backbone.options == {"layers": [1, 1, 1, 1], "width_factor": 0.125}
    assert info.labels == ("red", "green", "blue")  # it had no names of its own
    assert info.statistics is not None
    assert after.label_tokens.tokens.equal(weights["query_embed.weight"])
    assert not after.mapping.bias.equal(before.mapping.bias)
    torch.testing.assert_close(logits(after), logits(before), atol=1e-3, rtol=1e-4)


def test_training_on_from_a_rival_s_layout_keeps_its_sizes(tiny_config, tmp_path):
    weights = layouts.by_rule(layouts.ml_decoder(3, groups=2))
    torch.save({"model": weights}, tmp_path / "it.pth")
    made = read_model(tmp_path / "it.pth", ImportChoices(view_size=32))
    before = logits(made.model)
    run = begin(
        with_train(tiny_config, **STILL), RunFolder(tmp_path / "on"), overwrite=False, init=made
    ).path
    info = read_info(run)
    assert info.head_options["groups"] == 2
    assert info.labels == ("red", "green", "blue")
    torch.testing.assert_close(logits(load_model(run)), before, atol=1e-3, rtol=1e-4)


def test_training_on_keeps_the_order_of_the_model_s_labels(finished, tiny_config, tmp_path):
    for split in ("train.csv", "val.csv"):
        file = tmp_path / "colours" / split
        rows = [line.split(",") for line in file.read_text().splitlines()]
        file.write_text("\n".join(",".join([row[0], row[3], row[1], row[2]]) for row in rows))
    run = train(with_train(tiny_config, **STILL), tmp_path / "on", init=finished).path
    assert read_info(run).labels == ("red", "green", "blue")
    best = max(float(row["val_mAP"]) for row in history(finished))
    assert float(history(run)[0]["val_mAP"]) == pytest.approx(best, abs=0.1)


def test_labels_without_names_in_another_number_cannot_be_matched(tiny_config, tmp_path):
    labels = "label_1,label_2,label_3,label_4"
    file = published(tmp_path, layouts.by_rule(layouts.released(4)))
    made = read_model(file, ImportChoices(labels=labels))
    with pytest.raises(DataError, match="expected 4 labels") as error:
        begin(tiny_config, RunFolder(tmp_path / "on"), overwrite=False, init=made)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "on").exists()


def test_a_start_that_is_not_there_is_named(tiny_config, tmp_path):
    with pytest.raises(CheckpointError, match="no such checkpoint") as error:
        train(tiny_config, tmp_path / "on", init=tmp_path / "nowhere")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "on").exists()


def test_a_backbone_starts_from_a_file_of_weights(tiny_config, tmp_path):
    torch.manual_seed(5)
    features = timm.create_model("test_resnet")  # with its classifier
    torch.save(features.state_dict(), tmp_path / "weights.pth")
    file = str(tmp_path / "weights.pth")
    settings = replace(tiny_config.model, backbone_weights=file, pretrained=True)
    config = with_train(replace(tiny_config, model=settings), **STILL)
    run = train(config, tmp_path / "run").path
    (tmp_path / "weights.pth").unlink()
    for name, weight in load_model(run).backbone.features.state_dict().items():
        assert weight.equal(features.state_dict()[name]), name


# Unknown labels, and labels that are rare


def hide(table: Path, cell: str, *, columns: tuple[int, ...] = (1, 2, 3)) -> None:
    """Leave the cells of the columns empty where they hold `cell`."""
    header, *rows = (line.split(",") for line in table.read_text().splitlines())
    for row in rows:
        row[:] = [
            "" if place in columns and value == cell else value for place, value in enumerate(row)
        ]
    table.write_text("\n".join(",".join(row) for row in (header, *rows)))


def test_only_positives_known_is_refused_unless_unknown_counts_as_absent(
    tiny_config, tmp_path, capsys
):
    hide(tmp_path / "colours" / "train.csv", "0")
    with pytest.raises(DataError, match=r"Set --train\.unknown weighted") as error:
        train(tiny_config, tmp_path / "run")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()
    for unknown in ("weighted", "negative"):
        run = train(with_train(tiny_config, unknown=unknown, epochs=1), tmp_path / unknown).path
        assert float(history(run)[0]["train_loss"]) > 0


def test_a_label_nowhere_known_to_be_absent_is_said(tiny_config, tmp_path, capsys):
    hide(tmp_path / "colours" / "train.csv", "0", columns=(2,))
    run = train(with_train(tiny_config, epochs=1), tmp_path / "run").path
    printed = " ".join(capsys.readouterr().out.split())
    assert (
        "warning: train.csv: never known to be absent, so the model will always predict it: green"
    ) in printed
    hide(tmp_path / "colours" / "val.csv", "0", columns=(1, 2))
    assert evaluate(run, intervals=True).without_absent == ("red", "green")
    assert "2 without a picture that is known not to show it, left out of all numbers: red" in (
        " ".join(capsys.readouterr().out.split())
    )


def test_the_card_says_of_which_labels_nothing_was_measured(tiny_config, tmp_path):
    run = train(with_train(tiny_config, epochs=1), tmp_path / "run").path
    hide(tmp_path / "colours" / "val.csv", "0", columns=(2,))
    evaluate(run, intervals=True, quiet=True)
    push(run, "somebody/model", dry_run=tmp_path / "card")
    card = (tmp_path / "card" / "README.md").read_text()
    assert "No picture of val.csv is known not to show green: nothing was measured" in card
    assert "| green | none |" in card


def test_validation_without_absent_labels_is_refused_and_measures_nothing(
    tiny_config, tmp_path, capsys, read_json
):
    run = train(with_train(tiny_config, epochs=1), tmp_path / "run").path
    hide(tmp_path / "colours" / "val.csv", "0")
    for unknown in ("ignore", "weighted", "negative"):
        with pytest.raises(DataError, match="no label has both present and absent pict") as one:
            train(with_train(tiny_config, unknown=unknown), tmp_path / "other")
        assert "\n" not in str(one.value)
    capsys.readouterr()
    evaluate(run, intervals=True)
    printed = capsys.readouterr().out
    assert "mAP: none, since no label has both present and absent pictures" in printed
    assert "100.0" not in printed
    metrics = read_json(run / "metrics.json")
    assert (metrics["mAP"], metrics["ECE"], metrics["OF1"]) == (None, None, None)
    assert metrics["labels_without_absent"] == ["red", "green", "blue"]
    assert "intervals" not in metrics
    with pytest.raises(DataError, match="no label has both present and absent"):
        calibrate(run)
    with pytest.raises(DataError, match=r"metrics\.json: expected a mAP, got none"):
        push(run, "somebody/model", dry_run=tmp_path / "dry")
    report(run)
    assert "mAP: none" in capsys.readouterr().out
    page = Page(run / "report.html").text
    assert "none mAP how well pictures are ranked cannot be measured" in " ".join(page.split())
    assert "No label has both present and absent pictures in val.csv" in page


def test_unknown_labels_change_training_as_the_setting_says(tiny_config, tmp_path):
    table = tmp_path / "colours" / "train.csv"
    hide(table, "0", columns=(1,))
    table.write_text(table.read_text().replace(",,", ",0,", 1))
    one_epoch = with_train(tiny_config, epochs=1, ema_decay=0.0)
    losses = {
        unknown: float(
            history(train(with_train(one_epoch, unknown=unknown), tmp_path / unknown))[0][
                "train_loss"
            ]
        )
        for unknown in ("ignore", "weighted", "negative")
    }
    assert len(set(losses.values())) == 3


def test_rare_labels_are_weighed_and_shown_more(tiny_config, tmp_path):
    table = tmp_path / "colours" / "train.csv"
    header, *rows = (line.split(",") for line in table.read_text().splitlines())
    for number, row in enumerate(rows):
        row[1] = str(int(number < 2))
    table.write_text("\n".join(",".join(row) for row in (header, *rows)))
    one_epoch = with_train(tiny_config, epochs=1)
    losses = [
        history(train(with_train(one_epoch, **changes), tmp_path / str(number)))[0]["train_loss"]
        for number, changes in enumerate(
            ({}, {"positive_weight": 1.0}, {"repeat_rare": 0.9}, {"positive_weight": 0.5})
        )
    ]
    assert len(set(losses)) == 4


def test_batch_size_auto_becomes_a_number_that_the_run_keeps(tiny_config, tmp_path, monkeypatch):
    monkeypatch.setattr("lcnet.runs.memory.USUAL_BATCH", 12)
    monkeypatch.setattr("lcnet.runs.memory.Memory.largest_batch", lambda memory: 7)
    recipe = replace(tiny_config.train, batch_size="auto")
    run = train(replace(tiny_config, train=recipe), tmp_path / "run").path
    kept = Config.load(run / "config.yaml").train
    assert (kept.batch_size, kept.accumulate) == (6, 2)


@pytest.mark.parametrize("best", ["bf16", "fp32"])
def test_precision_auto_becomes_the_machine_s_own_that_the_run_keeps(
    tiny_config, tmp_path, monkeypatch, capsys, best
):
    monkeypatch.setattr("lcnet.runs.start.best_precision", lambda device: best)
    run = train(with_train(tiny_config, precision="auto", epochs=1), tmp_path / "run").path
    assert Config.load(run / "config.yaml").train.precision == best
    assert f"precision {best}\n" in capsys.readouterr().out


def test_compiling_compiles_each_part_of_the_model(tiny_config, tmp_path, monkeypatch):
    compiled = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda part: compiled.append(type(part)))
    train(
        replace(tiny_config, train=replace(tiny_config.train, epochs=1, compile=True)),
        tmp_path / "run",
    )
    assert {"Backbone", "Decoder", "Pooling"} <= {kind.__name__ for kind in compiled}
