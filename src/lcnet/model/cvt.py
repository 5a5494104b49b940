"""CvT-w24, a backbone of the release that timm lacks, from `transformers` (extra `[cvt]`)."""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from lcnet.errors import ConfigError

CVT = "cvt_w24"
"""Its name as an architecture."""
HUB_NAME = "microsoft/cvt-w24-384-22k"


class CvtFeatures(nn.Module):
    """A CvT without its classifier, under the few names of a timm model that are used here.

    Its MLPs use QuickGELU, x sigmoid(1.702 x), since the weights were trained with it; transformers
    uses GELU. The map passes the norm that comes before the classifier.
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
    """GELU with a sigmoid instead of the normal distribution (Hendrycks and Gimpel 2016)."""

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
        raise ConfigError.missing("transformers", "cvt", use="--model.backbone CvT_w24") from None
    if pretrained:
        return CvtFeatures(CvtForImageClassification.from_pretrained(HUB_NAME))
    settings = CvtConfig(embed_dim=[192, 768, 1024], num_heads=[3, 12, 16], depth=[2, 2, 20])
    return CvtFeatures(CvtForImageClassification(settings))


NAMES = (
    (r"^norm\.", "norm."),
    (r"^stage(\d)\.", r"cvt.encoder.stages.\1."),
    (r"\.patch_embed\.proj\.", ".embedding.convolution_embeddings.projection."),
    (r"\.patch_embed\.norm\.", ".embedding.convolution_embeddings.normalization."),
    (r"\.blocks\.", ".layers."),
    (r"\.attn\.conv_proj_([qkv])\.conv\.", r".attn.conv_proj_\1.convolution."),
    (r"\.attn\.conv_proj_([qkv])\.bn\.", r".attn.conv_proj_\1.normalization."),
    (
        r"\.attn\.conv_proj_([qkv])\.",
        r".attention.attention.convolution_projection_\1.convolution_projection.",
    ),
    (r"\.attn\.proj_([qkv])\.", r".attention.attention.projection_\1."),
    (r"projection_q\.", "projection_query."),
    (r"projection_k\.", "projection_key."),
    (r"projection_v\.", "projection_value."),
    (r"\.attn\.proj\.", ".attention.output.dense."),
    (r"\.mlp\.fc1\.", ".intermediate.dense."),
    (r"\.mlp\.fc2\.", ".output.dense."),
    (r"\.norm1\.", ".layernorm_before."),
    (r"\.norm2\.", ".layernorm_after."),
)
"""Replacements that turn the authors' names into those of transformers, in this order."""


def checkpoint_filter_fn(weights: Mapping[str, Tensor], features: nn.Module) -> dict[str, Tensor]:
    """The authors' weights under the names of `CvtFeatures`, without the classifier's.

    It has the name and arguments of the function that timm's models have for this.
    """
    renamed = {}
    for name, weight in weights.items():
        if not name.startswith("head."):
            for old, new in NAMES:
                name = re.sub(old, new, name)
            renamed[name] = weight
    return renamed
