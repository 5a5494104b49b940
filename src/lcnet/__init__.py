"""Multi-label image classification with LCNet: label graph, stacked decoder, Crop-Forwarding."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lcnet.config import Config
    from lcnet.errors import LCNetError
    from lcnet.model.lcnet import LCNet
    from lcnet.model_folder import load_model
    from lcnet.predicting.predictor import Predictor

__all__ = ["Config", "LCNet", "LCNetError", "Predictor", "load_model"]

# Found on first use, so that `import lcnet` and `lcnet --help` need not wait for torch.
_HOMES = {
    "Config": "lcnet.config",
    "LCNet": "lcnet.model.lcnet",
    "LCNetError": "lcnet.errors",
    "Predictor": "lcnet.predicting.predictor",
    "load_model": "lcnet.model_folder",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'lcnet' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
