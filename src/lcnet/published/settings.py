"""The settings that make an LCNet and its training the released ones, whatever the sizes."""

from typing import Any

from lcnet.config import Model, Released, Train

VIEW_SIZE = 448
"""Side of a view in pixels if --img_size is not given."""


def released_model(*, graph_width: int = 1024, graph_low: float = 0.2, **sizes: Any) -> Model:
    """The settings of the released LCNet; `sizes` are further settings of `Model`."""
    return Model(
        **sizes,
        read="tokens",
        graph="released",
        pooling="none",
        released=Released(
            layer="released",
            graph_tokens="feature",
            graph_width=graph_width,
            graph_low=graph_low,
            label_tokens="frozen",
            shared_bias=True,
            antialias=False,
        ),
    )


def released_recipe(**others: Any) -> Train:
    """The settings of the release's training; `others` are further settings of `Train`.

    Its frozen layers depend on the backbone (`frozen_layers`), so they are not among them.
    """
    return Train(
        **others,
        optimizer="adam",
        decay="all_matrices",
        decoder_lr_factor=1.0,
        warmup=0.2,
        clip_norm=0.0,
        ema_warmup=False,
        loss_factor=10_000.0,
        flip=False,
        min_scale=1.0,
        freeze_epochs=0,
    )
