"""Backbone weights in timm's and in published formats."""

import pytest
import timm
import torch
from safetensors.torch import save_file
from tests.published import layouts
from torch import Tensor, nn

from lcnet.errors import CheckpointError
from lcnet.published.backbone_weights import describe_weights, load_backbone_weights, to_timm

SMALL = {"layers": [1, 1, 1, 1], "width_factor": 0.125}
DEPTHS = (1, 1, 1, 1)


def tresnet(*, second: bool = True) -> nn.Module:
    """A timm TResNet without classifier that is quick to run."""
    torch.manual_seed(0)
    name = "tresnet_v2_l" if second else "tresnet_l"
    return timm.create_model(name, num_classes=0, **SMALL).eval()


def published_tresnet(*, second: bool = True) -> dict[str, Tensor]:
    """A TResNet's weights as its authors published them, with its classifier."""
    layout = layouts.tresnet("", DEPTHS, 8, second=second)
    return layouts.by_rule({**layout, **layouts.linear("head.fc", 9, 256)})


@pytest.mark.parametrize("second", [True, False])
def test_a_published_tresnet_is_brought_to_timm_s_batch_norms(tmp_path, second):
    weights, features = published_tresnet(second=second), tresnet(second=second)
    torch.save({"state_dict": weights}, tmp_path / "published.pth")
    load_backbone_weights(features, tmp_path / "published.pth")
    pairs = {
        "body.conv1": features.body.conv1,
        "body.layer1.0.conv1": features.body.layer1[0].conv1,
        "body.layer3.0.downsample.1": features.body.layer3[0].downsample[1],
        "body.layer4.0.conv3": features.body.layer4[0].conv3,
    }
    for name, part in pairs.items():
        assert part.conv.weight.equal(weights[f"{name}.0.weight"])
        scale = weights[f"{name}.1.weight"]
        assert (scale < 0).any()
        torch.testing.assert_close(part.bn.weight.detach(), scale.abs() + 1e-5)
        assert part.bn.bias.equal(weights[f"{name}.1.bias"])
        assert part.bn.running_mean.equal(weights[f"{name}.1.running_mean"])
        assert part.bn.running_var.equal(weights[f"{name}.1.running_var"])
    squeeze = features.body.layer2[0].se.fc1
    assert squeeze.weight.equal(weights["body.layer2.0.se.fc1.weight"])


@torch.inference_mode()
def test_a_published_tresnet_starts_with_its_in_place_batch_norm(tmp_path):
    """The first convolution, its norm and its leaky ReLU by InPlaceABN's formula."""
    weights, features = published_tresnet(), tresnet()
    torch.save(weights, tmp_path / "published.pth")
    load_backbone_weights(features, tmp_path / "published.pth")
    blocks = torch.randn(2, 48, 6, 6)  # pictures in blocks of 4 x 4
    convolved = nn.functional.conv2d(blocks, weights["body.conv1.0.weight"], padding=1)

    def norm(side: str) -> Tensor:
        return weights[f"body.conv1.1.{side}"][:, None, None]

    normal = (convolved - norm("running_mean")) / (norm("running_var") + 1e-5).sqrt()
    expected = normal * (norm("weight").abs() + 1e-5) + norm("bias")
    expected = torch.where(expected > 0, expected, 1e-2 * expected)
    torch.testing.assert_close(features.body.conv1(blocks), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("tresnet_v2_l", SMALL),
        ("test_resnet", {}),
        ("test_vit", {"img_size": 32}),
        (
            "deit_tiny_distilled_patch16_224",  # it has two classifiers
            {"img_size": 32, "embed_dim": 24, "depth": 1, "num_heads": 2},
        ),
    ],
)
def test_timm_s_own_format_is_loaded_as_it_is(tmp_path, name, options, suffix):
    torch.manual_seed(1)
    whole = timm.create_model(name, **options)
    for weight in whole.parameters():
        nn.init.normal_(weight)
    features = timm.create_model(name, num_classes=0, **options)
    file = tmp_path / f"weights.{suffix}"
    if suffix == "pth":
        torch.save(whole.state_dict(), file)
    else:
        save_file(whole.state_dict(), file)
    assert len(whole.state_dict()) > len(features.state_dict())
    load_backbone_weights(features, file)
    for key, weight in features.state_dict().items():
        assert weight.equal(whole.state_dict()[key]), key


def test_counters_of_batch_norms_may_be_missing(tmp_path):
    weights = {k: v for k, v in published_tresnet().items() if "num_batches" not in k}
    torch.save(weights, tmp_path / "published.pth")
    load_backbone_weights(tresnet(), tmp_path / "published.pth")


def other_network() -> dict[str, Tensor]:
    return timm.create_model("test_resnet").state_dict()


def other_version() -> dict[str, Tensor]:
    return published_tresnet(second=False)


def other_width() -> dict[str, Tensor]:
    return layouts.by_rule(layouts.tresnet("", DEPTHS, 16, second=True))


def deeper() -> dict[str, Tensor]:
    return layouts.by_rule(layouts.tresnet("", (1, 2, 1, 1), 8, second=True))


def one_missing() -> dict[str, Tensor]:
    weights = published_tresnet()
    del weights["body.layer3.0.conv2.0.0.weight"]
    return weights


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (other_network, "has no weights 'body.conv1"),
        (other_version, "has no weights 'body.layer1.0.conv3"),
        (other_width, r"has misshapen weights 'body.*expected \(.*\), got \("),
        (deeper, "has unknown weights 'body.layer2.1"),
        (one_missing, "has no weights 'body.layer3.0.conv2"),
    ],
)
def test_the_wrong_weights_are_named_in_one_line_and_not_loaded(tmp_path, weights, message):
    features, file = tresnet(), tmp_path / "wrong.pth"
    before = {name: weight.clone() for name, weight in features.state_dict().items()}
    torch.save(weights(), file)
    with pytest.raises(CheckpointError, match=message) as error:
        load_backbone_weights(features, file)
    assert str(file) in str(error.value)
    assert "\n" not in str(error.value)
    assert all(weight.equal(before[name]) for name, weight in features.state_dict().items())


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("test_convnext", {}),
        ("test_vit", {"img_size": 32}),
        ("beit_base_patch16_224", {"depth": 1}),
    ],
)
def test_weights_that_timm_s_own_filters_stumble_over_are_named_in_one_line(
    tmp_path, name, options
):
    features, file = timm.create_model(name, num_classes=0, **options), tmp_path / "wrong.pth"
    other = timm.create_model(
        "deit_tiny_distilled_patch16_224", embed_dim=24, depth=1, num_heads=2, num_classes=0
    )
    torch.save(other.state_dict(), file)
    with pytest.raises(CheckpointError, match="not this backbone's") as error:
        load_backbone_weights(features, file)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["broken.pth", "broken.safetensors", "nowhere.pth"])
def test_a_file_that_cannot_be_read_is_named_in_one_line(tmp_path, name):
    if "nowhere" not in name:
        (tmp_path / name).write_bytes(b"PK\x03\x04 broken")
    with pytest.raises(CheckpointError, match=name) as error:
        load_backbone_weights(tresnet(), tmp_path / name)
    assert "\n" not in str(error.value)


FULL_TRESNETS = {
    "tresnet_m": ((3, 4, 11, 3), 64, False),
    "tresnet_l": ((4, 5, 18, 3), 76, False),
    "tresnet_xl": ((4, 5, 24, 3), 83, False),
    "tresnet_v2_l": ((3, 4, 23, 3), 64, True),
}


@pytest.mark.parametrize("name", FULL_TRESNETS)
def test_each_published_tresnet_is_told_by_its_shapes_and_fits_timm_s(tmp_path, name):
    depths, planes, second = FULL_TRESNETS[name]
    with torch.device("meta"):
        layout = layouts.tresnet("", depths, planes, second=second)
        weights = {key: torch.empty(shape) for key, shape in layout.items()}
        features = timm.create_model(name, num_classes=0)
    assert describe_weights(weights, tmp_path) == (name, {})
    converted = to_timm(weights, features)
    assert {key: weight.shape for key, weight in converted.items()} == {
        key: weight.shape for key, weight in features.state_dict().items()
    }


def test_other_depths_and_widths_are_options(tmp_path):
    for second, name in ((True, "tresnet_v2_l"), (False, "tresnet_l")):
        weights = layouts.by_rule(layouts.tresnet("", (1, 2, 1, 1), 16, second=second))
        described = describe_weights(weights, tmp_path)
        assert described == (name, {"layers": [1, 2, 1, 1], "width_factor": 0.25})
        features = timm.create_model(name, num_classes=0, **described[1])
        torch.save(weights, tmp_path / "published.pth")
        load_backbone_weights(features, tmp_path / "published.pth")


@pytest.mark.parametrize(
    "name",
    [
        "resnet50",
        "resnet101",
        "resnet152",
        "swin_base_patch4_window7_224",
        "swin_base_patch4_window12_384",
        "swin_large_patch4_window7_224",
        "swin_large_patch4_window12_384",
    ],
)
def test_the_other_backbones_are_told_by_their_shapes(tmp_path, name):
    with torch.device("meta"):
        weights = timm.create_model(name, num_classes=0).state_dict()
    assert describe_weights(weights, tmp_path) == (name, {})


def test_a_cvt_is_told_by_its_names(tmp_path):
    weights = {"stage0.patch_embed.proj.weight": torch.empty(192, 3, 7, 7)}
    assert describe_weights(weights, tmp_path) == ("cvt_w24", {})


@pytest.mark.parametrize("name", ["resnet18", "swin_tiny_patch4_window7_224"])
def test_other_backbones_are_refused_in_one_line(tmp_path, name):
    with torch.device("meta"):
        weights = timm.create_model(name, num_classes=0).state_dict()
    with pytest.raises(CheckpointError, match="a backbone that lcnet does not know") as error:
        describe_weights(weights, tmp_path / "it.pth")
    assert "\n" not in str(error.value)


def test_weights_for_rgb_are_adapted_to_other_channels(tmp_path):
    published = timm.create_model("test_resnet", num_classes=0).state_dict()
    torch.save(published, tmp_path / "rgb.pth")
    (name,) = [name for name, weight in published.items() if tuple(weight.shape[1:2]) == (3,)]
    grey = timm.create_model("test_resnet", num_classes=0, in_chans=1)
    load_backbone_weights(grey, tmp_path / "rgb.pth")
    assert grey.state_dict()[name].equal(published[name].sum(dim=1, keepdim=True))
    five = timm.create_model("test_resnet", num_classes=0, in_chans=5)
    load_backbone_weights(five, tmp_path / "rgb.pth")
    assert five.state_dict()[name].shape[1] == 5
