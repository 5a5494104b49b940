"""The settings that make an LCNet the released one, whatever its sizes."""

from typing import Any

from lcnet.config import Model, Released

VIEW_SIZE = 448
"""Side of a view in pixels if --img_size is not given."""


def released_model(*, graph_width: int = 1024, graph_low: float = 0.2, **sizes: Any) -> Model:
    """The settings of the released LCNet; `sizes` are further settings of `Model`."""
    return Model(
        **sizes,
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
