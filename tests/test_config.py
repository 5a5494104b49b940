import inspect
from dataclasses import asdict, fields
from pathlib import Path

import pytest

from lcnet.config import MOVED, SECTIONS, Config, Model, Released, Train, by_name, parse_config
from lcnet.errors import ConfigError

CONFIGS = sorted((Path(__file__).parent.parent / "configs").glob("*.yaml"))


def test_a_saved_config_is_loaded_as_it_was(tmp_path):
    config = Config(model=Model(backbone="resnet18", crop_level=3), train=Train(lr=1e-5))
    config.save(tmp_path / "config.yaml")
    assert Config.load(tmp_path / "config.yaml") == config


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_shipped_configs_parse_and_say_how_to_run_them(path):
    config = Config.load(path)
    assert config.data.format in ("digits", "coco", "voc", "table", "rope")
    assert f"--config configs/{path.name}" in path.read_text()


def frozen(**changes: object) -> dict[str, dict[str, object]]:
    """Settings that keep features, but for the changes."""
    needed = {"backbone_lr_factor": 0, "randaugment": 0, "cutout": 0}
    return {"train": {"cache_features": "kept", **needed, **changes}}


def test_features_can_be_kept_with_or_without_mirror_images():
    for flip in (False, True):
        assert parse_config(frozen(flip=flip), "here.yaml").train.cache_features == "kept"


def test_settings_with_their_former_names_are_read_from_files(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text(
        "model: {width: 128, antialias: false, layer: released, graph_tokens: feature, "
        "graph_width: 20, graph_low: 0.4, label_tokens: frozen, shared_bias: true}"
    )
    released = Released("released", "feature", 20, 0.4, "frozen", True, False)
    assert Config.load(file) == Config(model=Model(width=128, read="tokens", released=released))
    partly = {"model": {"layer": "released", "released": {"graph_low": 0.4}}}
    assert parse_config(partly, "here.yaml").model.released == Released("released", graph_low=0.4)


def test_former_names_lead_to_settings_that_are_there():
    names = by_name(asdict(Config()))
    assert names.keys() >= set(MOVED.values())
    assert names.keys().isdisjoint(MOVED)


def test_a_changed_config_differs_in_what_is_named_by_either_name():
    changes = {
        "model.read": "tokens",
        "model.layer": "released",
        "model.released.shared_bias": True,
        "train.lr": 1e-4,
    }
    changed = Config().changed(changes, "variant")
    assert changed == Config(
        model=Model(read="tokens", released=Released("released", shared_bias=True)),
        train=Train(lr=1e-4),
    )
    with pytest.raises(ConfigError, match=r"variant: no setting is called model\.wdth\. Did you"):
        Config().changed({"model.wdth": 3}, "variant")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": {"widht": 3}}, "no setting is called model.widht. Did you mean model.width?"),
        ({"modle": {}}, "no setting is called modle. Did you mean model?"),
        ({"model": 3}, "model: expected settings, got 3"),
        ({"model": {"width": "x"}}, "model.width"),
        ({"model": {"width": 30}}, "a multiple of model.heads (4), got 30"),
        ({"model": {"crop_level": -1}}, "model.crop_level: expected 0 to 32, got -1"),
        ({"model": {"graph": "some"}}, "model.graph: expected one of learned, prior, released,"),
        ({"model": {"released": 3}}, "model.released: expected settings, got 3"),
        ({"model": {"released": {"lyer": 1}}}, "Did you mean model.released.layer?"),
        ({"model": {"released": {"graph_low": 1}}}, "model.released.graph_low: expected from 0 to"),
        ({"model": {"layer": "odd"}}, "model.released.layer: expected one of exchange_first"),
        (
            {"model": {"layer": "released", "released": {"layer": "released"}}},
            "no setting is called model.layer",
        ),
        ({"train": {"batch_size": 0}}, "train.batch_size: expected at least 1, or auto, got 0"),
        ({"train": {"batch_size": "many"}}, "expected at least 1, or auto, got many"),
        ({"train": {"lr": float("nan")}}, "train.lr: expected a finite number, got nan"),
        ({"train": {"precision": "64"}}, "train.precision"),
        ({"train": {"lr": 0}}, "train.lr: expected above 0, got 0"),
        ({"train": {"epochs": 0}}, "train.epochs: expected at least 1, got 0"),
        ({"train": {"seed": -1}}, "train.seed: expected 0 to 4,294,967,295"),
        ({"train": {"devices": 10**7}}, "train.devices: expected 1 to 1,024, got 10000000"),
        ({"train": {"nodes": 0}}, "train.nodes: expected 1 to 65,536, got 0"),
        ({"train": {"timeout_s": 1e9}}, "train.timeout_s: expected above 0, at most 604,800"),
        ({"train": {"ema_decay": None}}, "train.ema_decay"),
        (frozen(backbone_lr_factor=0.1), "got train.backbone_lr_factor 0.1. Set --train.backbone_"),
        (frozen(randaugment=9), "got train.randaugment 9. Set --train.randaugment 0; or leave"),
        (frozen(min_scale=0.5, flip=True), "got train.min_scale 0.5. Set --train.min_scale 1; or"),
        (frozen(vertical_flip=True), "train.vertical_flip true. Set --train.vertical_flip false;"),
        (
            {"train": {"cache_features": "kept"}},
            "Set --train.backbone_lr_factor 0 --train.randaugment 0 --train.cutout 0; or leave",
        ),
        ({"train": {"unknown": "absent"}}, "train.unknown"),
        (
            {"train": {"unknown": "weighted", "unknown_weight": 2}},
            "train.unknown_weight: expected from 0 to 1, got 2",
        ),
        (
            {"train": {"unknown_weight": 0.5}},
            "train.unknown_weight: expected 0 unless train.unknown is weighted, got 0.5",
        ),
        ({"train": {"positive_weight": -1}}, "train.positive_weight: expected 0 or more, got -1"),
        ({"train": {"repeat_rare": 1}}, "train.repeat_rare: expected from 0 to below 1, got 1"),
        ({"data": {"test": None}}, "data.test"),
        ({"data": {"strip": -2}}, "data.strip"),
        ({"data": {"table": {"sure": 0}}}, "data.table.sure"),
        (["model"], "expected the keys model, data and train"),
    ],
)
def test_a_wrong_setting_is_named_in_one_line(settings, message):
    with pytest.raises(ConfigError) as error:
        parse_config(settings, "here.yaml")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no such config file"), ("a: [", "not a YAML file"), ("\x00", "not a YAML file")],
)
def test_a_config_file_that_cannot_be_read_is_named(tmp_path, content, message):
    file = tmp_path / "run.yaml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError, match=message) as error:
        Config.load(file)
    assert str(file) in str(error.value)


@pytest.mark.parametrize("section", [*SECTIONS.values(), Released])
def test_every_setting_says_what_it_means(section):
    source = inspect.getsource(section).splitlines()
    lines = {line.split(":")[0].strip(): number for number, line in enumerate(source)}
    for setting in fields(section):
        assert source[lines[setting.name] + 1].strip().startswith('"""'), setting.name
