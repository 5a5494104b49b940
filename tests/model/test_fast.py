import pytest
import torch
from torch import nn

from lcnet.config import Model
from lcnet.model.backbone import build_backbone, describe_backbone
from lcnet.model.build import build_model
from lcnet.model.fast import FastClassifier
from lcnet.model.folding import fold_norms


def moved(model):
    """The model with statistics and scales in its norms that are not those of the start."""
    generator = torch.Generator().manual_seed(0)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1, generator=generator)
            part.running_var.uniform_(0.5, 1.5, generator=generator)
            nn.init.uniform_(part.weight, 0.5, 1.5, generator=generator)
    return model.eval().requires_grad_(False)


def norms(model):
    return [part for part in model.modules() if isinstance(part, nn.BatchNorm2d)]


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("test_resnet", 0),
        ("test_efficientnet", 0),
        ("densenet121", 62),  # where norms come before the convolution, or two read one
        ("test_vit", 0),
        ("test_convnext", 0),
    ],
)
def test_folding_keeps_the_maps_and_leaves_no_norm_that_can_go(name, left):
    size = 160 if name == "test_vit" else 64
    backbone = moved(build_backbone(describe_backbone(name, size)))
    views = torch.randn(2, 3, size, size)
    before, count = backbone(views), len(norms(backbone))
    assert fold_norms(backbone.features) == count - left
    assert len(norms(backbone)) == left
    assert (backbone(views) - before).abs().max() <= 1e-5 * before.abs().max()


def test_a_convolution_with_two_readers_keeps_its_norm():
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.convolution, self.norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)

        def forward_features(self, views):
            maps = self.convolution(views)
            return self.norm(maps) + maps

    features = moved(Shared())
    views = torch.randn(1, 3, 2, 2)
    before = features.forward_features(views)
    assert fold_norms(features) == 0
    assert torch.equal(features.forward_features(views), before)


@pytest.fixture
def model():
    settings = Model(backbone="test_resnet", pretrained=False, view_size=32, crop_level=2)
    return moved(build_model(settings, 5))


def test_the_fast_form_gives_the_same_logits_and_leaves_the_model_alone(model):
    images = torch.randn(3, 3, 64, 64)
    before = model(images)
    fast = FastClassifier(model)
    assert fast(images) == pytest.approx(before, abs=1e-5)
    assert torch.equal(model(images), before) and norms(model) and not norms(fast.model)
    assert str(fast) == "float32"


def test_bfloat16_is_close_and_its_maps_are_bfloat16(model):
    images, kinds = torch.randn(3, 3, 64, 64), []
    fast = FastClassifier(model, precision="bf16")
    fast.model.backbone.register_forward_hook(lambda _, args, maps: kinds.append(maps.dtype))
    logits = fast(images)
    assert kinds == [torch.bfloat16] and logits.dtype == torch.float32
    assert logits.sigmoid() == pytest.approx(model(images).sigmoid(), abs=0.01)


def test_compiled_code_sees_one_size_of_batch(model, monkeypatch):
    sizes = []

    def compiled(module, **options):
        return lambda images: (sizes.append(len(images)), module(images))[1]

    monkeypatch.setattr(torch, "compile", compiled)
    fast = FastClassifier(model, compiled=True)
    images = torch.randn(5, 3, 64, 64)
    parts = torch.cat([fast(images[:3]), fast(images[3:])])
    assert parts == pytest.approx(model(images), abs=1e-5)
    assert sizes == [3, 3] and "compiled" in str(fast)


@pytest.mark.slow  # the compiler takes its time
@pytest.mark.filterwarnings("ignore")  # the compiler imports what it finds, which warns
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_compiled_code_gives_the_same_logits(model, precision):
    images = torch.randn(3, 3, 64, 64)
    compiled = FastClassifier(model, precision=precision, compiled=True)
    logits = torch.cat([compiled(images), compiled(images[:1])])
    expected = FastClassifier(model, precision=precision)(images[[0, 1, 2, 0]])
    assert not compiled.failure
    assert logits == pytest.approx(expected, abs=1e-5 if precision == "fp32" else 0.05)


def test_where_compilation_fails_the_plain_form_runs_and_says_why(model, monkeypatch):
    def compiled(module, **options):
        def fail(images):
            raise RuntimeError("no compiler\nhere")

        return fail

    monkeypatch.setattr(torch, "compile", compiled)
    fast, images = FastClassifier(model, compiled=True), torch.randn(1, 3, 64, 64)
    assert fast(images) == pytest.approx(model(images), abs=1e-5)
    assert fast.failure == "RuntimeError: no compiler here" and "compiled" not in str(fast)


def test_all_views_of_a_batch_go_through_the_backbone_at_once(model):
    calls = []
    fast = FastClassifier(model)
    fast.model.backbone.features.conv1.register_forward_pre_hook(
        lambda _, args: calls.append(
            (len(args[0]), args[0].is_contiguous(memory_format=torch.channels_last))
        )
    )
    fast(torch.randn(3, 3, 64, 64))
    assert calls == [(15, True)]
