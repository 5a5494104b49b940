"""Multi-label image classification with LCNet: label graph, stacked decoder, Crop-Forwarding."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lcnet.checking.check import check
    from lcnet.config import Config
    from lcnet.data.pack import pack
    from lcnet.data.pictures import eval_pictures, train_pictures
    from lcnet.data.readers import load_split
    from lcnet.data.readers.digits import draw_digits
    from lcnet.data.split import split
    from lcnet.data.transforms import Normalize
    from lcnet.errors import LCNetError
    from lcnet.evaluating.calibrate import calibrate
    from lcnet.evaluating.ensemble import ensemble
    from lcnet.evaluating.evaluate import evaluate
    from lcnet.evaluating.predictions import Predictions
    from lcnet.evaluating.reading_predictions import read_predictions
    from lcnet.exporting.export import export
    from lcnet.freed_memory import keep_freed_memory
    from lcnet.metrics import intervals, verify
    from lcnet.model.backbone import Backbone
    from lcnet.model.build import build_model
    from lcnet.model.lcnet import LCNet
    from lcnet.model_folder import ModelFolder, load_model
    from lcnet.predicting.complete import complete
    from lcnet.predicting.predict import predict
    from lcnet.predicting.predictor import Predictor
    from lcnet.published.import_model import import_model
    from lcnet.reporting.graph import graph
    from lcnet.reporting.push import push
    from lcnet.reporting.report import report
    from lcnet.run_folder import RunFolder
    from lcnet.runs.compare import compare
    from lcnet.runs.new_model import new_model
    from lcnet.runs.soup import soup
    from lcnet.runs.train import resume, train
    from lcnet.runs.tune import tune
    from lcnet.serving.labelling.label import label
    from lcnet.serving.serve import serve
    from lcnet.training.losses import asymmetric_loss
    from lcnet.training.parameter_groups import parameter_groups

__all__ = [
    "Backbone",
    "Config",
    "LCNet",
    "LCNetError",
    "ModelFolder",
    "Normalize",
    "Predictions",
    "Predictor",
    "RunFolder",
    "asymmetric_loss",
    "build_model",
    "calibrate",
    "check",
    "compare",
    "complete",
    "draw_digits",
    "ensemble",
    "eval_pictures",
    "evaluate",
    "export",
    "graph",
    "import_model",
    "intervals",
    "keep_freed_memory",
    "label",
    "load_model",
    "load_split",
    "new_model",
    "pack",
    "parameter_groups",
    "predict",
    "push",
    "read_predictions",
    "report",
    "resume",
    "serve",
    "soup",
    "split",
    "train",
    "train_pictures",
    "tune",
    "verify",
]

# Found on first use, so that `import lcnet` and `lcnet --help` need not wait for torch.
_HOMES = {
    "Backbone": "lcnet.model.backbone",
    "Config": "lcnet.config",
    "LCNet": "lcnet.model.lcnet",
    "LCNetError": "lcnet.errors",
    "ModelFolder": "lcnet.model_folder",
    "Normalize": "lcnet.data.transforms",
    "Predictions": "lcnet.evaluating.predictions",
    "Predictor": "lcnet.predicting.predictor",
    "RunFolder": "lcnet.run_folder",
    "asymmetric_loss": "lcnet.training.losses",
    "build_model": "lcnet.model.build",
    "calibrate": "lcnet.evaluating.calibrate",
    "check": "lcnet.checking.check",
    "compare": "lcnet.runs.compare",
    "complete": "lcnet.predicting.complete",
    "draw_digits": "lcnet.data.readers.digits",
    "ensemble": "lcnet.evaluating.ensemble",
    "eval_pictures": "lcnet.data.pictures",
    "evaluate": "lcnet.evaluating.evaluate",
    "export": "lcnet.exporting.export",
    "graph": "lcnet.reporting.graph",
    "import_model": "lcnet.published.import_model",
    "intervals": "lcnet.metrics",
    "keep_freed_memory": "lcnet.freed_memory",
    "label": "lcnet.serving.labelling.label",
    "load_model": "lcnet.model_folder",
    "load_split": "lcnet.data.readers",
    "new_model": "lcnet.runs.new_model",
    "pack": "lcnet.data.pack",
    "parameter_groups": "lcnet.training.parameter_groups",
    "predict": "lcnet.predicting.predict",
    "push": "lcnet.reporting.push",
    "read_predictions": "lcnet.evaluating.reading_predictions",
    "report": "lcnet.reporting.report",
    "resume": "lcnet.runs.train",
    "serve": "lcnet.serving.serve",
    "soup": "lcnet.runs.soup",
    "split": "lcnet.data.split",
    "train": "lcnet.runs.train",
    "train_pictures": "lcnet.data.pictures",
    "tune": "lcnet.runs.tune",
    "verify": "lcnet.metrics",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'lcnet' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
