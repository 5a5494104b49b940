import json
import pickle

import pytest
import torch
from safetensors.torch import load_file, save_file

from lcnet.config import Model, Released
from lcnet.data.statistics import count_labels
from lcnet.errors import CheckpointError
from lcnet.model.backbone import describe_backbone
from lcnet.model.build import build_model
from lcnet.model_folder import ModelFolder, ModelInfo, load_model, read_info

LABELS = ("cat", "dog", "Hündin")


@pytest.fixture
def saved(tmp_path):
    """A saved model with its folder, and the model itself."""

    def save(**changes):
        torch.manual_seed(0)
        settings = Model(
            **{
                "backbone": "test_resnet",
                "pretrained": False,
                "view_size": 32,
                "width": 24,
                **changes,
            }
        )
        spec = describe_backbone(settings.backbone, settings.view_size)
        model = build_model(settings, 3, spec=spec, prior=torch.rand(3, 3)).eval()
        targets = torch.tensor([[1, 0, 1], [0, 1, -1]]).numpy()
        info = ModelInfo(LABELS, settings, spec, (0.5, 0.25, 0.5), count_labels(targets))
        ModelFolder(tmp_path / "model").save(model, info)
        return tmp_path / "model", model, info

    return save


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"backbone": "test_vit", "crop_level": 1},
        {"graph": "none"},
        {"graph": "prior"},
        {"depth": 3, "share_layers": True},
    ],
)
def test_a_loaded_model_gives_the_same_logits(saved, changes):
    folder, model, info = saved(**changes)
    images = torch.randn(2, 3, 64, 64)
    loaded = load_model(folder)
    assert not loaded.training
    torch.testing.assert_close(loaded(images), model(images), atol=1e-5, rtol=1e-5)
    assert read_info(folder) == info
    assert sorted(path.name for path in folder.iterdir()) == ["model.json", "model.safetensors"]


def test_a_description_with_the_former_names_of_settings_is_read(saved):
    released = Released("released", "feature", 16, 0.4)
    folder, model, info = saved(graph="released", read="tokens", released=released)
    file = folder / "model.json"
    stored = json.loads(file.read_text(encoding="utf-8"))
    stored["model"] |= stored["model"].pop("released")
    assert stored["model"]["graph_width"] == 16
    del stored["model"]["read"]  # which there was not
    file.write_text(json.dumps(stored), encoding="utf-8")
    assert read_info(folder) == info
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(load_model(folder)(images), model(images), atol=1e-5, rtol=1e-5)
    stored["model"]["graph_low"] = 1.0
    file.write_text(json.dumps(stored), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"model\.released\.graph_low: expected from 0 to"):
        read_info(folder)


def test_a_description_without_the_setting_of_pixels_keeps_its_mean_and_std(saved):
    folder, _, info = saved()
    file = folder / "model.json"
    stored = json.loads(file.read_text(encoding="utf-8"))
    del stored["model"]["pixel_statistics"]
    stored["backbone"] |= {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}
    file.write_text(json.dumps(stored), encoding="utf-8")
    read = read_info(folder)
    assert read.model == info.model
    assert (read.preprocessing.mean, read.preprocessing.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))


def test_a_run_folder_stands_for_its_model(saved):
    folder, _, _ = saved()
    assert ModelFolder.at(folder.parent) == ModelFolder.at(folder) == ModelFolder(folder)


def test_a_local_backbone_folder_is_not_needed_once_the_model_is_saved(tmp_path, saved):
    import timm

    local = tmp_path / "weights"
    timm.models.save_for_hf(
        timm.create_model("test_resnet", pretrained=False),
        local,
        safe_serialization=True,
        model_args={"drop_rate": 0.0},
    )
    folder, model, _ = saved(backbone=f"local-dir:{local}", pretrained=True)
    for file in local.iterdir():
        file.unlink()
    images = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(load_model(folder)(images), model(images), atol=1e-5, rtol=1e-5)


class Malicious:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code from the file ran')",))


def truncate(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])


def pickled(folder):
    (folder / "model.safetensors").write_bytes(pickle.dumps(Malicious()))


def other_labels(folder):
    content = json.loads((folder / "model.json").read_text())
    content["labels"].append("bird")
    content["thresholds"].append(0.5)
    (folder / "model.json").write_text(json.dumps(content))


def fewer_thresholds(folder):
    content = json.loads((folder / "model.json").read_text())
    content["thresholds"].pop()
    (folder / "model.json").write_text(json.dumps(content))


def missing_weight(folder):
    weights = load_file(folder / "model.safetensors")
    weights.pop("mapping.bias")
    save_file(weights, folder / "model.safetensors")


def newer_format(folder):
    content = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**content, "format": 99}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncate, "model.safetensors: the weights cannot be used"),
        (pickled, "model.safetensors: the weights cannot be used"),
        (other_labels, "not a model description .statistics: expected counts of every label"),
        (missing_weight, "mapping.bias"),
        (fewer_thresholds, "thresholds: expected 3 numbers, got 2"),
        (newer_format, "expected format 1 or 2, got 99"),
        (lambda folder: (folder / "model.json").write_text("{"), "not a model description"),
        (lambda folder: (folder / "model.json").write_text("[]"), "not a model description"),
        (lambda folder: (folder / "model.json").unlink(), "no model here"),
        (lambda folder: (folder / "model.safetensors").unlink(), "no model here"),
    ],
)
def test_a_damaged_folder_is_named_in_one_line(saved, damage, message):
    folder, _, _ = saved()
    damage(folder)
    with pytest.raises(CheckpointError, match=message) as error:
        load_model(folder)
    assert "\n" not in str(error.value)
