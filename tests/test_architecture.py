"""The arrows of docs/architecture.md: a file imports only from layers below its own."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "lcnet"

# From the top down. Files of one layer do not know each other.
LAYERS = (
    {"__init__", "__main__"},
    {"cli", "released_command"},
    {
        "cli.calibrate",
        "cli.check",
        "cli.compare",
        "cli.evaluate",
        "cli.export",
        "cli.graph",
        "cli.import_",
        "cli.pack",
        "cli.predict",
        "cli.push",
        "cli.report",
        "cli.serve",
        "cli.split",
        "cli.train",
    },
    {"cli.flags"},
    {"cli.parser"},
    {"compare", "check"},
    {"runs"},
    {"train"},
    {"training.fit"},
    {"training.start", "training.run_folder", "label_errors"},
    {"calibrate", "report", "export", "serve"},
    {"reporting.report_page", "serving.server"},
    {"serving.app", "serving.page"},
    {"serving.gate", "serving.service", "serving.results"},
    {"serving.batching", "serving.measures", "serving.uploads"},
    {
        "evaluate",
        "predict",
        "import_model",
        "reporting.check_page",
        "split",
        "graph",
        "push",
        "pack",
    },
    {"predicting.ray_engine"},
    {
        "exporting.proof",
        "reporting.heat_pictures",
        "reporting.graph_pictures",
        "predicting.files",
        "training.history",
        "training.saving",
    },
    {"training.callbacks"},
    {
        "training.averaging",
        "training.skipping",
        "training.frozen",
        "data.pictures",
        "exporting.formats",
        "exporting.quantize",
        "predictor",
        "reporting.model_card",
    },
    {"exporting.onnx_model"},
    {"exporting.exported"},
    {
        "training.learner",
        "checkpoint",
        "training.memory",
        "reporting.cost",
        "published.backbones",
    },
    {"training.strategy"},
    {"published.reading", "published.release", "published.rivals", "published.datasets"},
    {"published.naming", "published.flags", "published.settings"},
    {"data.findings"},
    {
        "model.build",
        "model.fast",
        "data.readers",
        "data.changes",
        "data.loading",
        "data.transforms",
        "metrics.state",
        "training.losses",
        "metrics.bootstrap",
        "crossfit",
        "reporting.charts",
        "reporting.curves",
        "reporting.mistakes",
        "reporting.page",
        "explain",
        "label_graph",
        "reporting.figures",
    },
    {"thresholds"},
    {"metrics"},
    {"metrics.verification"},
    {"metrics.ap", "metrics.by_image", "metrics.calibration_error", "metrics.decisions"},
    {"model.lcnet", "model.rivals", "model.exportable"},
    {"model.initialization", "model.classifier"},
    {"model.released", "model.pooling"},
    {
        "model.backbone",
        "model.crops",
        "model.decoder",
        "model.graph",
        "model.head",
        "model.labels",
        "model.image_tokens",
        "model.explanation",
    },
    {"model.attention", "model.cvt", "model.folding", "model.size"},
    {"data.rope"},
    {"data.coco", "data.voc", "data.table", "data.folder", "data.digits", "data.shards"},
    {
        "data.statistics",
        "data.vectors",
        "data.fingerprint",
        "data.checks",
        "data.feature_cache",
        "data.image_cache",
        "data.picture_facts",
        "data.near_duplicates",
    },
    {"metrics.checks", "calibration"},
    {"predicting.formats"},
    {"predicting.sources", "training.processes"},
    {"data.dataset", "data.arrays", "data.containers"},
    {
        "config",
        "progress",
        "protocols",
        "hub",
        "training.stopping",
        "training.run_lock",
        "training.run_record",
    },
    {"plain_yaml"},
    {"errors", "files", "compute", "predicting.prediction", "schema"},
)


@cache
def files() -> dict[str, Path]:
    """Every module of the package by its dotted name, a package's own file by the package's."""
    found = {}
    for path in SOURCE.rglob("*.py"):
        name = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


def imports(path: Path) -> set[str]:
    """The modules of lcnet that a file imports, also inside functions."""
    modules = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "lcnet":
            inner = (node.module or "").removeprefix("lcnet").removeprefix(".")
            for alias in node.names:
                submodule = f"{inner}.{alias.name}".removeprefix(".")
                modules.add(submodule if submodule in files() else inner)
        if isinstance(node, ast.Import):
            modules |= {
                alias.name.removeprefix("lcnet.")
                for alias in node.names
                if alias.name.startswith("lcnet")
            }
    return modules


def layer_of(module: str) -> int:
    return next(number for number, layer in enumerate(LAYERS) if module in layer)


def test_every_file_has_a_layer():
    packages = {path.parent.name for path in files().values() if path.parent != SOURCE}
    empty = packages - {"cli", "metrics"}
    assert set(files()) - empty == set().union(*LAYERS)


@pytest.mark.parametrize("module", sorted(set().union(*LAYERS)))
def test_arrows_run_down_only(module):
    own = layer_of(module)
    upwards = {name for name in imports(files()[module]) if layer_of(name) <= own}
    assert upwards == set()


def test_model_and_data_do_not_know_each_other():
    for module, path in files().items():
        other = {"model": "data.", "data": "model."}.get(module.split(".")[0])
        if other:
            assert not {name for name in imports(path) if name.startswith(other)}, module


@pytest.mark.parametrize("module", ["lcnet", "lcnet.cli", "lcnet.metrics"])
def test_importing_the_command_line_does_not_import_torch(module):
    code = f"import sys, {module}; print([m for m in ('torch', 'lightning') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
