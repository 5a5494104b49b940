"""CvT-w24, a backbone of the release that timm lacks, from `transformers` (extra `[cvt]`)."""

from typing import Any

from torch import Tensor, nn

from lcnet.errors import ConfigError

CVT = "cvt_w24"
"""Its name as an architecture."""
HUB_NAME = "microsoft/cvt-w24-384-22k"


class CvtFeatures(nn.Module):
    """A CvT without its classifier, behind the few names of a timm model that are used here.

    Its MLPs use QuickGELU, x sigmoid(1.702 x), which the weights were trained with, where
    transformers puts GELU; and its map passes the norm that comes before the classifier.
    """

    output_fmt = "NHWC"

    def __init__(self, classifier: Any) -> None:
        super().__init__()
        self.cvt = classifier.cvt
        self.norm = classifier.layernorm
        self.num_features = classifier.config.embed_dim[-1]
        for stage in self.cvt.encoder.stages:
            for layer in stage.layers:
                layer.intermediate.activation = QuickGELU()

    def forward_features(self, views: Tensor) -> Tensor:
        """The last stage's map, without the class token (N 3 h w): N h/16 w/16 C."""
        return self.norm(self.cvt(views).last_hidden_state.permute(0, 2, 3, 1))


class QuickGELU(nn.Module):
    """A sigmoid in place of the normal distribution in GELU (Hendrycks and Gimpel 2016)."""

    def forward(self, values: Tensor) -> Tensor:
        """Each entry x as x sigmoid(1.702 x)."""
        return values * (1.702 * values).sigmoid()


def build_cvt(*, pretrained: bool) -> CvtFeatures:
    """A CvT-w24 (Wu et al. 2021) with random weights, or those of ImageNet-22k from the hub.

    Raises ConfigError if transformers is not installed.
    """
    try:
        from transformers import CvtConfig, CvtForImageClassification
    except ImportError:
        raise ConfigError(
            "model.backbone: CvT_w24 needs the package transformers, which is not installed. "
            "Install it with: pip install 'lcnet[cvt]'"
        ) from None
    if pretrained:
        return CvtFeatures(CvtForImageClassification.from_pretrained(HUB_NAME))
    settings = CvtConfig(embed_dim=[192, 768, 1024], num_heads=[3, 12, 16], depth=[2, 2, 20])
    return CvtFeatures(CvtForImageClassification(settings))
