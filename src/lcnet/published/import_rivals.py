"""From a checkpoint of ML-Decoder, ASL or Query2Label to a model of this project."""

from functools import partial

from lcnet.config import Model
from lcnet.data.readers.coco import COCO_LABELS
from lcnet.errors import ConfigError
from lcnet.model.build import build_model
from lcnet.model.size import as_large_as
from lcnet.model_folder import ModelInfo
from lcnet.published.backbone_weights import describe_weights
from lcnet.published.choices import Assumed, ImportChoices
from lcnet.published.imported import Import, dropped_line, fill, published_spec
from lcnet.published.label_names import label_names, listed_names, training_split
from lcnet.published.reading import Published
from lcnet.published.rival_layouts import RivalLayout
from lcnet.published.settings import VIEW_SIZE

VIEW_SIZES = {
    "swin_base_patch4_window7_224": 224,
    "swin_base_patch4_window12_384": 384,
    "swin_large_patch4_window7_224": 224,
    "swin_large_patch4_window12_384": 384,
    "cvt_w24": 384,
}
"""Side in pixels of the pictures that Query2Label's backbones were trained on, where not 448."""


def import_rival(published: Published, layout: RivalLayout, choices: ImportChoices) -> Import:
    """The model in a checkpoint of ML-Decoder, ASL or Query2Label.

    Raises ConfigError for a choice that its head does not have.
    """
    file, said = published.file, published.settings
    assumed = Assumed(said)
    backbone, options = describe_weights(layout.backbone, file)
    settings = Model(
        backbone=backbone,
        pretrained=False,
        head=layout.head,
        crop_level=choices.crop_level or 0,
        view_size=assumed.choose(
            "view size", choices.view_size, "img_size", VIEW_SIZES.get(backbone, VIEW_SIZE)
        ),
        pixel_statistics=assumed.pixel_statistics(
            choices, default="unit" if "tresnet" in backbone else "imagenet"
        ),
    )
    head_options = dict(layout.options)
    if layout.heads:
        head_options["heads"] = assumed.choose(
            "attention heads", choices.heads, "nheads", layout.heads
        )
        _check_heads(head_options["heads"], layout.width)
    elif choices.heads is not None:
        raise ConfigError(f"--heads: {layout.title} has no attention. Leave it out.")
    if choices.correlation is not None:
        raise ConfigError(f"--correlation: {layout.title} has no label graph. Leave it out.")
    spec = published_spec(settings, options)
    with as_large_as(published.tensors, layout.labels):
        model = build_model(settings, layout.labels, spec=spec, head_options=head_options)
    fill(model, layout.backbone, layout.weights, file)
    known = listed_names(published.others, layout.labels)
    if not known and layout.labels == len(COCO_LABELS):
        known = COCO_LABELS
        if choices.data is None and not choices.labels:
            assumed.add("COCO's label names")
    training = partial(training_split, choices.data, layout.labels)
    info = ModelInfo(
        labels=label_names(choices, known, layout.labels, training, assumed),
        model=settings,
        backbone=spec,
        thresholds=(layout.threshold,) * layout.labels,
        head_options=head_options,
    )
    return Import(
        model=model.eval().requires_grad_(False),
        info=info,
        report=(
            f"{file}: {layout.title}, {layout.labels} labels",
            f"read: {backbone} and the head {layout.head}; "
            f"{len(published.tensors) - len(layout.dropped)} of {len(published.tensors)} weights",
            dropped_line(layout.dropped, "that are constants", published),
            assumed.line(),
        ),
    )


def _check_heads(heads: int, width: int) -> None:
    if heads < 1 or width % heads:
        raise ConfigError(
            f"--heads: expected a divisor of the width {width}, got {heads}. Correct it."
        )
