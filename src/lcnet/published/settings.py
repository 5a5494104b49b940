"""The settings that make an LCNet the released one, whatever its sizes."""

from typing import Any

from lcnet.config import Model

VIEW_SIZE = 448
"""Side of a view in pixels where --img_size does not say it."""


def released_model(**sizes: Any) -> Model:
    """The released configuration of LCNet with the given other settings."""
    return Model(
        **sizes,
        antialias=False,
        layer="released",
        graph="released",
        graph_tokens="feature",
        label_tokens="frozen",
        shared_bias=True,
        pooling="none",
    )
