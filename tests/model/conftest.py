import pytest
import torch

from lcnet import config
from lcnet.model.build import build_model
from lcnet.model.lcnet import LCNet


def tiny_settings(**changes: object) -> config.Model:
    """A model small enough for a test: a random test_resnet, 32 px views, width 24.

    It reads tokens, the form with all parts, unless the changes say otherwise.
    """
    fields = {
        "read": "tokens",
        "backbone": "test_resnet",
        "pretrained": False,
        "view_size": 32,
        "width": 24,
        "heads": 4,
        "mlp_width": 32,
    }
    released = config.Released(**changes.pop("released", {}))
    return config.Model(**{**fields, **changes}, released=released)


@pytest.fixture
def make_model():
    """Builds a tiny LCNet with nothing trivially zero: timm starts some norms' weights at 0."""

    def make(labels: int = 5, **changes: object) -> LCNet:
        torch.manual_seed(0)
        prior = torch.rand(labels, labels)
        model = build_model(
            tiny_settings(**changes), labels, prior=prior, shares=torch.rand(labels)
        )
        for name, statistic in model.named_buffers():
            if name.endswith("running_var"):
                statistic.uniform_(0.5, 1.5)
            if name.endswith("running_mean"):
                statistic.normal_(std=0.1)
        for weight in model.backbone.features.parameters():
            if not weight.any():
                torch.nn.init.normal_(weight, mean=0.5, std=0.1)
        return model.eval()

    return make
