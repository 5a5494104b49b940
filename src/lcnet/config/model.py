"""The settings of the network."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from lcnet.bounds import Share, Within, check_bounds, require

MOST_WIDTH = 16_384
"""A larger width is a typing error: the largest published backbones have 4,096."""
MOST_CHANNELS = 64
"""Most channels of a picture."""
MOST_PIXELS = 16_384
"""Longest side of a picture that a model sees."""

Width = Annotated[int, Within(1, MOST_WIDTH)]
PixelStatistics = Literal["backbone", "imagenet", "unit"]


@dataclass(frozen=True)
class Released:
    """The released LCNet, part by part; the defaults are this project's own way."""

    layer: Literal["exchange_first", "released"] = "exchange_first"
    """Order in a decoder layer. exchange_first: image and graph tokens update each other, then the
    labels read the image. released: the labels read first."""
    graph_tokens: Literal["label", "feature"] = "label"
    """What a graph token stands for. label: one label. feature: one of the `width` numbers of the
    graph's nodes, over all labels, as in the release."""
    graph_width: Width = 1024
    """Width between the two hops of the released graph (`--model.graph released`)."""
    graph_low: Annotated[float, Share(one=False)] = 0.2
    """Lowest correlation at which the released graph joins two labels; the release uses 0.4 for
    VOC."""
    label_tokens: Literal["learned", "frozen"] = "learned"
    """Learn the label tokens, or leave them at their random start, as released."""
    shared_bias: bool = False
    """Map label tokens to logits with one bias for all labels, as released."""
    antialias: bool = True
    """Shrink views with antialiasing; the release shrinks them without."""

    def __post_init__(self) -> None:
        check_bounds(self, "model.released")


@dataclass(frozen=True)
class Model:
    """The network: backbone, Crop-Forwarding, label graph and decoder."""

    backbone: str = "resnet50"
    """Name of a timm model, CNN or ViT; or `local-dir:FOLDER` or `hf-hub:USER/NAME`."""
    pretrained: bool = True
    """Start from the backbone's pretrained weights, downloaded or read from its folder."""
    backbone_weights: str = ""
    """File with weights for the backbone, in the format of timm or of the published TResNet, Swin
    and CvT checkpoints."""
    earlier_stages: bool = False
    """Give every head the mean and the deviation of each channel of the backbone's earlier stages
    too, which tell textures and scenes. For backbones of stages, such as ResNet; not for ViTs."""
    channels: Annotated[int, Within(1, MOST_CHANNELS)] = 3
    """Channels of the pictures: 1 grey, 3 RGB, 4 as in RGBA files that hold four bands, or more.
    Pretrained weights of a first layer for RGB are adapted by timm."""
    pixel_statistics: PixelStatistics = "backbone"
    """Mean and std that normalise pixels. backbone: those of the backbone's pretraining. imagenet:
    ImageNet's. unit: mean 0 and std 1, so that pixels stay from 0 to 1."""
    crop_level: Annotated[int, Within(0, 32)] = 2
    """Crop-Forwarding: cut the image into N x N tiles (N is this number) and add the whole image; 0
    is the whole image alone."""
    view_size: Annotated[int, Within(8, 8_192)] = 224
    """Side of each view in pixels. Pictures are resized to max(1, crop_level) times this."""
    view_chunk: Annotated[int, Within(0, 2**31)] = 0
    """Views that go through the backbone together; 0 is all. A small number saves memory in
    training, but every view is then computed twice."""
    head: Literal["lcnet", "gap", "csra", "ml_gcn", "query2label", "ml_decoder"] = "lcnet"
    """What turns feature maps into logits: LCNet, or a rival with the sizes of its paper. The
    settings of LCNet's head do not apply to rivals, but for `attended`, which CSRA has too."""
    width: Annotated[int, Within(6, MOST_WIDTH)] = 256
    """Width of all tokens; a multiple of the number of heads."""
    heads: Width = 4
    """Attention heads of each decoder layer."""
    depth: Annotated[int, Within(1, 256)] = 2
    """Decoder (LLCD) layers."""
    mlp_width: Width = 512
    """Hidden width of the MLP in each decoder layer."""
    read: Literal["scores", "tokens"] = "scores"
    """What a label reads where it looks in the image. scores: in the last decoder layer the scores
    that its classifier, as wide as the feature maps, gives to each place. tokens: image tokens of
    `width`, in every layer; its own token then becomes its score. Needed by parts of the released
    LCNet, and about twice as slow in training with kept features."""
    share_layers: bool = False
    """Use one set of weights for all decoder layers."""
    dropout: Annotated[float, Share(one=False)] = 0.1
    """Dropout inside the decoder."""
    graph: Literal["learned", "prior", "released", "none"] = "learned"
    """Label graph. learned: starts from the prior and is trained. prior: stays as it is. released:
    as in the published code. none: no graph."""
    graph_prior: Literal["labels", "uniform", "shuffled", "apart"] = "labels"
    """Where the graph's edges start. labels: how often label B is present when label A is, in the
    training split. The others are controls that tell what labels know of each other from what more
    weights give. uniform: all alike. shuffled: the same numbers with other labels' names. apart:
    each label takes from itself alone; with `--model.graph prior` it has a token and no edges."""
    graph_edges: Annotated[int, Within(0, 65_536)] = 0
    """Most edges of a label in a learned or prior graph: itself and the labels that are most often
    present with it. 0: every label is joined to every other up to 512 labels, and to 32 of more."""
    label_vectors: str = ""
    """File with a vector for each label, such as word vectors, from which the graph's nodes start:
    text (`name v1 v2 ...`), or .npy with a row per label."""
    pooling: Literal["one_classifier", "two_classifiers", "none"] = "one_classifier"
    """Branch of attention pooling, as in CSRA; its logits and the decoder's are averaged.
    one_classifier: the same for all views. two_classifiers: one for the tiles, one for the whole
    image. none: no branch."""
    attended: Annotated[float, Share()] = 0.1
    """Weight of the attended mean of a label's scores beside their plain mean: in the pooling
    branch, and in CSRA, whose paper calls it lambda."""
    decoder_gradient: Annotated[float, Share()] = 0.0
    """With pooling: how much the decoder trains the backbone. 0: pooling alone trains it. 1: both
    do. Without pooling it is always 1."""
    position: bool = False
    """Add sine position codes to image tokens: place in the image and size of the view."""
    released: Released = field(default_factory=Released)
    """The released LCNet, part by part."""

    def __post_init__(self) -> None:
        check_bounds(self, "model")
        require(
            self.image_size <= MOST_PIXELS,
            "model.view_size",
            expected=f"at most {MOST_PIXELS:,} pixels times crop_level",
            got=self.view_size,
        )
        require(
            self.width % self.heads == 0,
            "model.width",
            expected=f"a multiple of model.heads ({self.heads})",
            got=self.width,
        )
        require(
            self.graph_prior == "labels" or self.graph in ("learned", "prior"),
            "model.graph_prior",
            expected=f"labels with --model.graph {self.graph}",
            got=self.graph_prior,
        )
        require(
            not self.graph_edges or self.graph in ("learned", "prior"),
            "model.graph_edges",
            expected=f"0 with --model.graph {self.graph}",
            got=self.graph_edges,
        )
        require(
            self.read == "tokens" or self.released == Released(antialias=self.released.antialias),
            "model.read",
            expected="tokens with parts of the released LCNet (model.released)",
            got=self.read,
        )

    @property
    def image_size(self) -> int:
        """Side in pixels to which images are resized before the model sees them."""
        return max(1, self.crop_level) * self.view_size
