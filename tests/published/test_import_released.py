"""The released LCNet's checkpoints: read, computed as the release computes, and explained."""

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from PIL import Image
from tests.published import layouts, plain

from lcnet.config import Data
from lcnet.errors import CheckpointError, ConfigError, DataError
from lcnet.model_folder import load_model, read_info
from lcnet.published.choices import ImportChoices
from lcnet.published.datasets import released_correlation, released_set
from lcnet.published.importing import import_checkpoint, read_model

HEADS = 4


def save(folder: Path, weights: dict[str, torch.Tensor], **said: object) -> Path:
    """A checkpoint as the release saves it."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(
        {
            "epoch": 12,
            "arch": argparse.Namespace(img_size=32, **said),
            "state_dict": weights,
            "best_mAP": np.float64(91.5),
            "optimizer": {"state": {}, "param_groups": []},
        },
        folder / "model_best.pth.tar",
    )
    return folder


@pytest.fixture
def checkpoint(tmp_path):
    """Makes a small checkpoint by rule, for any number of labels: its folder and its weights."""

    def make(labels: int, **said: object):
        weights = layouts.by_rule(layouts.released(labels))
        return save(tmp_path / f"released{labels}", weights, **said), weights

    return make


def expected_logits(weights, images, features_of, level, *, heads, graph, depth=3, view=32):
    """Logits by the release's formulas, with the backbone's features given."""
    side = images.shape[-1] // max(level, 1)
    views = [
        F.interpolate(
            images[:, :, top : top + side, left : left + side], (view, view), mode="bilinear"
        )
        for left in range(0, level * side, side)
        for top in range(0, level * side, side)
    ] + [F.interpolate(images, (view, view), mode="bilinear")]
    tokens = torch.cat([features_of(one).flatten(2).transpose(1, 2) for one in views], dim=1)
    return plain.released(weights, tokens, graph, depth=depth, heads=heads)


@pytest.mark.parametrize("labels", [20, 80, 11, 12, 13, 7])
def test_logits_and_label_tokens_are_those_of_the_release(checkpoint, labels):
    folder, weights = checkpoint(labels)
    made = read_model(folder, ImportChoices())
    model, level = made.model, made.info.model.crop_level
    assert level == (3 if labels == 20 else 2)
    data = released_set(labels)
    graph = plain.released_graph(
        weights, released_correlation(data, labels), data.graph_low, 4 if labels % 4 == 0 else 1
    )
    images = torch.randn(2, 3, level * 32, level * 32, generator=torch.Generator().manual_seed(0))
    streams = []
    model.decoder.layers[0].read.register_forward_hook(lambda *call: streams.append(call[2]))
    with torch.inference_mode():
        logits = model(images)
        wanted, wanted_streams = expected_logits(
            weights, images, model.backbone.features.forward_features, level, heads=4, graph=graph
        )
    torch.testing.assert_close(logits, wanted, atol=1e-4, rtol=0)
    assert len(streams) == len(wanted_streams) == 3
    for stream, expected in zip(streams, wanted_streams, strict=True):
        torch.testing.assert_close(stream, expected, atol=1e-3, rtol=0)
    alone = torch.cat([model(image[None]) for image in images])
    torch.testing.assert_close(alone, logits, atol=1e-5, rtol=0)


def test_the_backbone_is_the_published_one_with_its_leaky_slopes_and_positive_norms(checkpoint):
    folder, weights = checkpoint(12)
    features = read_model(folder, ImportChoices()).model.backbone.features
    slopes = {
        part.negative_slope for part in features.modules() if isinstance(part, torch.nn.LeakyReLU)
    }
    assert slopes == {1e-6}
    published = weights["backbone.0.body.body.layer4.0.conv3.1.weight"]
    assert (published < 0).any()
    torch.testing.assert_close(features.body.layer4[0].conv3.bn.weight, published.abs() + 1e-5)


def test_a_resnet_is_read_too(tmp_path):
    features = timm.create_model("resnet50", num_classes=0)
    weights = {
        name: value
        for name, value in layouts.by_rule(layouts.released(12)).items()
        if not name.startswith("backbone.")
    }
    weights["embed_standart.weight"] = torch.randn(24, 2048) / 45
    for name, value in features.state_dict().items():
        if "num_batches" not in name:  # the authors' frozen norms count nothing
            weights[f"backbone.0.body.{name}"] = value
    made = read_model(save(tmp_path / "resnet", weights, CropLevels=0), ImportChoices())
    graph = plain.released_graph(weights, torch.eye(12), 0.2, 4)
    images = torch.randn(1, 3, 32, 32)
    with torch.inference_mode():
        wanted, _ = expected_logits(
            weights, images, features.eval().forward_features, 0, heads=4, graph=graph
        )
        torch.testing.assert_close(made.model(images), wanted, atol=1e-4, rtol=0)


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("wrapped", [True, False])
def test_bare_and_wrapped_state_dicts_give_one_model(tmp_path, prefix, wrapped):
    weights = layouts.by_rule(layouts.released(12))
    named = {f"{prefix}{name}": value for name, value in weights.items()}
    torch.save({"state_dict": named} if wrapped else named, tmp_path / "some.pth")
    made = read_model(tmp_path / "some.pth", ImportChoices(view_size=32))
    assert made.model.label_tokens.tokens.equal(weights["query_embed.weight"])
    assert (
        made.model.decoder.layers[0]
        .read.mlp[0]
        .bias.equal(weights["decoder.layers.0.mlp_img_to_img.0.bias"])
    )


def test_sizes_are_read_from_the_tensors(tmp_path):
    layout = layouts.released(
        12, width=32, mlp_width=56, graph_width=20, depth=5, blocks=(1, 2, 1, 1), planes=16
    )
    made = read_model(save(tmp_path / "sizes", layouts.by_rule(layout)), ImportChoices())
    settings = made.info.model
    assert (settings.width, settings.mlp_width, settings.released.graph_width, settings.depth) == (
        32, 56, 20, 5,
    )  # fmt: skip
    assert settings.share_layers
    assert made.info.backbone.options == {"layers": [1, 2, 1, 1], "width_factor": 0.25}


def test_layers_with_own_weights_keep_the_released_order(tmp_path):
    weights = layouts.by_rule(layouts.released(12))
    for name in list(weights):
        if name.startswith("decoder.layers.1."):
            weights[name] = weights[name] * 1.1
    made = read_model(save(tmp_path / "own", weights, CropLevels=0), ImportChoices())
    assert not made.info.model.share_layers
    graph = plain.released_graph(weights, torch.eye(12), 0.2, 4)
    images = torch.randn(1, 3, 32, 32)
    with torch.inference_mode():
        wanted, _ = expected_logits(
            weights, images, made.model.backbone.features.forward_features, 0, heads=4, graph=graph
        )
        torch.testing.assert_close(made.model(images), wanted, atol=1e-4, rtol=0)


def test_the_file_s_own_command_line_and_the_user_s_choices_count(checkpoint):
    folder, _ = checkpoint(20, CropLevels=1, nheads=2, orid_norm=True)
    info = read_model(folder, ImportChoices()).info
    assert (info.model.crop_level, info.model.heads, info.model.view_size) == (1, 2, 32)
    assert (info.backbone.mean, info.backbone.std) == ((0, 0, 0), (1, 1, 1))
    chosen = read_model(folder, ImportChoices(crop_level=2, view_size=64)).info.model
    assert (chosen.crop_level, chosen.view_size) == (2, 64)


def test_a_correlation_file_makes_the_graph(checkpoint, tmp_path):
    folder, weights = checkpoint(12)
    correlation = np.random.default_rng(0).random((12, 12))
    np.save(tmp_path / "correlation.npy", correlation)
    made = read_model(folder, ImportChoices(correlation=tmp_path / "correlation.npy"))
    wanted = plain.released_graph(weights, torch.from_numpy(correlation).float(), 0.2, 4)
    torch.testing.assert_close(made.model.graph(), wanted, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(read_model(folder, ImportChoices()).model.graph(), wanted, atol=1e-2)


def test_a_data_set_gives_names_and_correlations(checkpoint, tmp_path):
    folder, weights = checkpoint(3)
    (tmp_path / "train.csv").write_text("image,a,b,c\n1.png,1,1,0\n2.png,1,0,0\n3.png,0,0,1\n")
    for number in (1, 2, 3):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{number}.png")
    data = Data(format="table", root=str(tmp_path), train="train.csv")
    made = read_model(folder, ImportChoices(data=data))
    assert made.info.labels == ("a", "b", "c")
    # P(column | row), with one more picture counted in which labels have their shares.
    seen = torch.tensor([[1, 4 / 9, 1 / 9], [5 / 6, 1, 1 / 6], [1 / 3, 1 / 6, 1]])
    wanted = plain.released_graph(weights, seen, 0.2, 1)
    torch.testing.assert_close(made.model.graph(), wanted, atol=1e-4, rtol=1e-4)
    other, _ = checkpoint(12)
    with pytest.raises(DataError, match="expected 12 labels"):
        read_model(other, ImportChoices(data=data))


def test_coco_comes_with_its_released_correlations_in_their_wrong_order():
    coco = released_correlation(released_set(80), 80)
    labels = released_set(80).labels
    alphabetical = sorted(labels)
    # Names that mean alike are found at their alphabetical places only.
    assert coco[alphabetical.index("bear"), alphabetical.index("teddy bear")] > 0.8
    assert coco[labels.index("bear"), labels.index("teddy bear")] < 0.5


def test_the_import_is_a_model_folder_that_loads_and_says_what_was_done(
    checkpoint, tmp_path, capsys
):
    folder, _ = checkpoint(20)
    made = import_checkpoint(folder, tmp_path / "model", ImportChoices())
    said = capsys.readouterr().out
    for part in ("LCNet as released, 20 labels", "dropped:", "optimizer", "assumed: crop level 3"):
        assert part in said
    info = read_info(tmp_path / "model")
    assert info.labels[:2] == ("aeroplane", "bicycle")
    assert set(info.thresholds) == {0.85}
    images = torch.randn(1, 3, 96, 96)
    with torch.inference_mode():
        loaded = load_model(tmp_path / "model")(images)
        torch.testing.assert_close(loaded, made.model(images), atol=1e-5, rtol=0)


def test_label_names_come_from_a_file_or_the_command(checkpoint, tmp_path):
    folder, _ = checkpoint(11)
    names = [f"damage {number}" for number in range(11)]
    (tmp_path / "names.txt").write_text("\n".join(names) + "\n")
    for labels in (str(tmp_path / "names.txt"), ",".join(names)):
        assert read_model(folder, ImportChoices(labels=labels)).info.labels == tuple(names)
    assert read_model(folder, ImportChoices()).info.labels[0] == "label_1"


class Bomb:
    """Pickles into a call that makes a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return Path.touch, (self.file,)


def write_broken_files(tmp_path: Path) -> None:
    weights = layouts.by_rule(layouts.released(12))
    whole = save(tmp_path / "whole", weights) / "model_best.pth.tar"
    (tmp_path / "truncated.pth").write_bytes(whole.read_bytes()[:5000])
    (tmp_path / "empty.pth").write_bytes(b"")
    (tmp_path / "text.pth").write_text("some text\n")
    (tmp_path / "pointer.pth").write_text("version https://git-lfs.github.com/spec/v1\n")
    torch.save({"state_dict": weights, "epoch": Bomb(tmp_path / "ran")}, tmp_path / "bomb.pth")
    lacking = {name: value for name, value in weights.items() if "attn2.key" not in name}
    torch.save(lacking, tmp_path / "lacking.pth")
    shorter = {**weights, "duplicate_pooling": weights["duplicate_pooling"][:5]}
    torch.save(shorter, tmp_path / "shorter.pth")
    torch.save({"other": torch.ones(3)}, tmp_path / "unknown.pth")
    torch.save([1, 2], tmp_path / "list.pth")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("truncated", "not a whole checkpoint"),
        ("empty", "not a whole checkpoint"),
        ("text", "not a"),
        ("pointer", "git lfs pull"),
        ("bomb", "refused"),
        ("lacking", "attn2.key"),
        ("shorter", "mapping.weight"),
        ("unknown", "does not know"),
        ("list", "expected a dictionary of weights, got list"),
        ("absent", "no such checkpoint"),
    ],
)
def test_a_bad_file_gives_one_line_and_writes_nothing(tmp_path, name, words):
    write_broken_files(tmp_path)
    file = tmp_path / f"{name}.pth"
    with pytest.raises(CheckpointError) as caught:
        import_checkpoint(file, tmp_path / "model", ImportChoices())
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 1
    assert not (tmp_path / "model").exists()
    assert not (tmp_path / "ran").exists()


def test_wrong_names_and_correlations_are_refused(checkpoint, tmp_path):
    folder, _ = checkpoint(12)
    np.save(tmp_path / "small.npy", np.eye(3))
    (tmp_path / "text.npy").write_text("0.1 0.2")
    for choices, words in (
        (ImportChoices(labels="a,b"), "expected 12 different names"),
        (ImportChoices(labels=",".join("a" * 12)), "1 different"),
        (ImportChoices(correlation=tmp_path / "small.npy"), r"shape \(12, 12\), one row per label"),
        (ImportChoices(correlation=tmp_path / "text.npy"), "in .npy form"),
        (ImportChoices(correlation=tmp_path / "none.npy"), "in .npy form"),
    ):
        with pytest.raises(DataError, match=words):
            import_checkpoint(folder, tmp_path / "model", choices)
    assert not (tmp_path / "model").exists()


def test_a_folder_that_is_there_is_not_written_to(checkpoint, tmp_path):
    folder, _ = checkpoint(12)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.txt").write_text("keep")
    with pytest.raises(ConfigError, match="already there"):
        import_checkpoint(folder, tmp_path / "model", ImportChoices())


REFERENCE = json.loads((Path(__file__).parent.parent / "reference" / "released.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize(("labels", "level"), [(80, 2), (20, 3)])
def test_the_full_size_layouts_give_the_released_numbers(tmp_path, labels, level):
    layout = layouts.released(
        labels, width=680, mlp_width=680, graph_width=1024, depth=6, blocks=(3, 4, 23, 3), planes=64
    )
    folder = save(tmp_path / "full", layouts.by_rule(layout))
    made = read_model(folder, ImportChoices(view_size=448))
    assert made.info.model.crop_level == level
    side = level * 448
    image = np.random.RandomState(0).standard_normal((1, 3, side, side)).astype(np.float32)
    with torch.inference_mode():
        alone = made.model(torch.from_numpy(image))
    expected = torch.tensor(REFERENCE[str(labels)])
    torch.testing.assert_close(alone[0], expected, atol=1e-4, rtol=0)
    others = torch.randn(3, 3, side, side, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        together = made.model(torch.cat([others, torch.from_numpy(image)]))
    torch.testing.assert_close(together[3], expected, atol=1e-4, rtol=0)
