"""The command line: one verb is one function call, and no torch before a verb runs."""

import io
import os
import sys
from argparse import SUPPRESS
from dataclasses import fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import (  # type: ignore[attr-defined]
    ActionConfigFile,
    ArgumentParser,
    Namespace,
    set_parsing_settings,
)

from lcnet.config import SECTIONS, Config, Data, Model, config_parser
from lcnet.errors import ConfigError, LCNetError, Stopped, one_line
from lcnet.protocols import PROTOCOLS


class Parser(ArgumentParser):
    """A parser whose errors are one line and name the nearest flag."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise ConfigError with the message as one line."""
        text = " ".join(message.split()).replace('Parser key "', "--").replace('":', ":")
        head, _, unknown = text.partition("unrecognized arguments: ")
        if unknown and not head:
            near = get_close_matches(unknown.split()[0].split("=")[0], self.flags(), n=1)
            text += f". Did you mean {near[0]}?" if near else "."
        raise ConfigError(f"{text} (lcnet VERB --help lists all)")

    def flags(self) -> list[str]:
        """Every flag of this parser and of its verbs."""
        verbs = self._subcommands_action.choices.values() if self._subcommands_action else ()
        own = [flag for action in self._actions for flag in action.option_strings]
        return own + [flag for verb in verbs for flag in verb.flags()]


class ConfigFile(ActionConfigFile):
    """`--config`: settings as `Config.load` reads them, with its checks and its messages."""

    def __call__(self, *arguments: Any, **named: Any) -> None:
        """Take the settings; raises ConfigError if the file has others or none."""
        Config.load(arguments[2])  # parser, namespace, the file
        super().__call__(*arguments, **named)  # type: ignore[no-untyped-call]


# The verbs, each a parser and the call it leads to.


def train_parser() -> ArgumentParser:
    """The flags of `lcnet train`."""
    parser = config_parser(Parser)
    parser.add_argument(
        "--config", action=ConfigFile, help="YAML file with settings; flags override it."
    )
    parser.add_argument("--out", type=Path | None, help="Run folder to make.")
    parser.add_argument("--overwrite", action="store_true", help="Replace --out if it is there.")
    parser.add_argument(
        "--init",
        type=Path | None,
        help="Model or run folder, hf://user/name or published checkpoint to train on from; it "
        "keeps its architecture.",
    )
    parser.add_argument(
        "--resume", type=Path | None, help="Run folder to continue, as it was set up."
    )
    return parser


def train(arguments: Namespace) -> int:
    """Train, or continue a run."""
    # A process whose fellow dies says so in one line; torch would add pages of its own. It looks at
    # this when it is imported.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    from lcnet.train import resume, train

    config = Config(**{name: arguments[name] for name in SECTIONS})
    others = arguments.out or arguments.init or arguments.overwrite
    if arguments.resume is not None:
        if config != Config() or others:
            raise ConfigError("--resume: takes no other flags, since a run keeps its own settings.")
        resume(arguments.resume)
    elif arguments.out is None:
        raise ConfigError("--out: expected a folder for the run, got none. Add --out runs/NAME.")
    elif arguments.init is not None and config.model != Model():
        raise ConfigError("--init: takes no --model flags, since a model keeps its architecture.")
    else:
        init = None if arguments.init is None else _fetched(arguments.init)
        train(config, arguments.out, overwrite=arguments.overwrite, init=init)
    return 0


def evaluate_parser() -> ArgumentParser:
    """The flags of `lcnet evaluate`."""
    parser = _measuring_parser(split="Split; the protocol's or data.test if not given.")
    parser.add_argument(
        "--protocol",
        default="",
        help=f"Measure as published: {', '.join(PROTOCOLS)}. docs/metrics.md says what each does.",
    )
    parser.add_argument(
        "--threshold",
        type=float | None,
        help="One threshold for all labels; the protocol's or the model's own if not given.",
    )
    parser.add_argument(
        "--out", type=Path | None, help="JSON file to write; MODEL/metrics.json if not given."
    )
    parser.add_argument(
        "--intervals",
        action="store_true",
        help="Add 95 %% intervals of mAP, CF1 and OF1 over images (1,000 resamples).",
    )
    return parser


def evaluate(arguments: Namespace) -> int:
    """Measure a model."""
    from lcnet.evaluate import evaluate

    evaluate(
        _model(arguments, own_file="--out FILE.json"),
        split=arguments.split,
        root=arguments.root,
        threshold=arguments.threshold,
        data=_data(arguments),
        protocol=arguments.protocol,
        batch_size=arguments.batch_size,
        out=arguments.out,
        with_intervals=arguments.intervals,
    )
    return 0


def report_parser() -> ArgumentParser:
    """The flags of `lcnet report`."""
    parser = _measuring_parser(split="Split; the protocol's or data.test if not given.")
    parser.add_argument(
        "--protocol", default="", help=f"Measure as published: {', '.join(PROTOCOLS)}."
    )
    parser.add_argument(
        "--out", type=Path | None, help="HTML file to write; MODEL/report.html if not given."
    )
    return parser


def report(arguments: Namespace) -> int:
    """Write the page of a run."""
    from lcnet.report import report

    report(
        _model(arguments, own_file="--out FILE.html"),
        split=arguments.split,
        root=arguments.root,
        data=_data(arguments),
        protocol=arguments.protocol,
        batch_size=arguments.batch_size,
        out=arguments.out,
    )
    return 0


def calibrate_parser() -> ArgumentParser:
    """The flags of `lcnet calibrate`."""
    parser = _measuring_parser(split="Split to fit to; data.val if not given.")
    parser.add_argument(
        "--goal",
        choices=["f1", "precision", "recall"],
        default="f1",
        help="The best F1 of each label; or the best recall with a precision of at least "
        "--at_least, or the best precision with such a recall.",
    )
    parser.add_argument(
        "--at_least", type=float | None, help="Precision or recall to reach, such as 0.9."
    )
    parser.add_argument(
        "--method",
        choices=["platt", "temperature", "none"],
        default="platt",
        help="How probabilities are calibrated: a slope and a bias per label, one temperature, or "
        "not at all.",
    )
    parser.add_argument(
        "--shrinkage",
        type=float,
        default=1.0,
        help="Present pictures at which a label's own threshold weighs as much as the common one.",
    )
    parser.add_argument(
        "--reset", action="store_true", help="Back to thresholds of 0.5 and plain probabilities."
    )
    return parser


def calibrate(arguments: Namespace) -> int:
    """Fit thresholds and probabilities, or undo it."""
    from lcnet.calibrate import calibrate, reset
    from lcnet.hub import require_own
    from lcnet.thresholds import Goal

    require_own(arguments.model)
    if arguments.reset:
        reset(arguments.model)
        return 0
    calibrate(
        arguments.model,
        goal=Goal(arguments.goal, arguments.at_least),
        method=arguments.method,
        shrinkage=arguments.shrinkage,
        split=arguments.split,
        root=arguments.root,
        data=_data(arguments),
        batch_size=arguments.batch_size,
    )
    return 0


def _measuring_parser(*, split: str) -> Parser:
    """The flags of a model and the pictures that it is to be measured on."""
    parser = Parser()
    parser.add_argument(
        "model", type=Path, help="Run folder, or model folder or hf://user/name with --data flags."
    )
    parser.add_argument("--split", default="", help=split)
    parser.add_argument("--root", default="", help="Folder of the data set, if it has moved.")
    parser.add_argument(
        "--batch_size", type=int | None, help="Pictures at a time; as in the run if not given."
    )
    _add_data(parser)
    return parser


def _add_model_to_run(parser: ArgumentParser) -> None:
    """The model of a verb that looks at pictures only, in any form that can."""
    parser.add_argument(
        "model",
        type=Path,
        help="Run or model folder, hf://user/name, or an ONNX file of lcnet export.",
    )


def _model(arguments: Namespace, *, own_file: str = "") -> Path:
    """The folder of the model that is named, fetched first where it is hf://user/name.

    `own_file` is the flag for what would be written into the folder, which then is a cache.
    """
    from lcnet.hub import is_shared

    if own_file and arguments.out is None and is_shared(arguments.model):
        raise ConfigError(
            f"--out: expected it with a model that is fetched, which has no folder of its own. Add "
            f"{own_file}."
        )
    return _fetched(arguments.model)


def _fetched(model: Path) -> Path:
    """Where a model is; of a fetched one its commit is said, on standard error."""
    from lcnet.hub import Repository, is_shared, local_model

    place = local_model(model)
    if is_shared(model):
        print(f"{Repository.parse(str(model))}: commit {place.name[:12]}", file=sys.stderr)
    return place


def _add_data(parser: ArgumentParser) -> None:
    """The --data flags without defaults, so that only what is given is there."""
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser.add_class_arguments(Data, "data", instantiate=False)
    parser.set_defaults({f"data.{setting.name}": SUPPRESS for setting in fields(Data)})


def _data(arguments: Namespace) -> Data | None:
    """The data set that --data flags describe; None if there are none."""
    given = arguments.get("data")
    if given is None:
        return None
    if "format" not in given:
        raise ConfigError(
            f"--data.{next(iter(given.keys()))}: expected --data.format with it, since --data "
            "flags describe a whole data set and not what differs from the run's. Add it."
        )
    return Data(**given.as_dict())


def predict_parser() -> ArgumentParser:
    """The flags of `lcnet predict`."""
    parser = Parser()
    _add_model_to_run(parser)
    parser.add_argument(
        "paths",
        nargs="+",
        help="Pictures, folders of pictures, globs, lists (.txt, a path a line), or tar and "
        "Parquet files with pictures inside.",
    )
    parser.add_argument(
        "--out",
        type=Path | None,
        help="File to write, or with --format a folder of files; standard output if not given.",
    )
    parser.add_argument(
        "--format",
        choices=["", "jsonl", "csv", "parquet"],
        default="",
        help="For big jobs: --out becomes a folder of such files, and the same command goes on "
        "where it was stopped.",
    )
    parser.add_argument(
        "--rows_per_file", type=int, default=1_000, help="Pictures in each file of --format."
    )
    parser.add_argument(
        "--shard",
        default="",
        help="i/n such as 2/8: every n-th picture, from the i-th on; each process takes its own.",
    )
    parser.add_argument("--batch_size", type=int, default=32, help="Pictures at a time.")
    parser.add_argument(
        "--workers", type=int, default=-1, help="Loader processes; -1 chooses by the cores."
    )
    parser.add_argument(
        "--precision",
        choices=["auto", "fp32", "bf16"],
        default="auto",
        help="Arithmetic; auto is bf16 where the device multiplies in it, with probabilities "
        "within 0.01.",
    )
    parser.add_argument(
        "--compile",
        type=bool | None,
        help="Compile the model first, which takes minutes; from 5,000 pictures on if not given.",
    )
    parser.add_argument(
        "--engine",
        choices=["local", "ray"],
        default="local",
        help="What runs it: this process, or workers of Ray (lcnet[ray]), which may die.",
    )
    parser.add_argument(
        "--ray_address",
        default="",
        help="Cluster of --engine ray, such as auto or HOST:6379; by default this machine alone.",
    )
    parser.add_argument(
        "--ray_workers",
        type=int,
        default=0,
        help="Workers of --engine ray; 0 takes one for each accelerator, or else for each core.",
    )
    parser.add_argument(
        "--explain",
        type=Path | None,
        help="Folder for heat maps: a folder in it for each picture, a PNG for each label.",
    )
    parser.add_argument(
        "--explain_labels", type=int, default=5, help="Labels explained of a picture at most."
    )
    return parser


def predict(arguments: Namespace) -> int:
    """Label pictures; the exit code is 1 if one could not be read."""
    from lcnet.picture_sources import Shard
    from lcnet.predict import predict
    from lcnet.ray_engine import Place

    shard = Shard.parse(arguments.shard)
    if arguments.engine == "local" and (arguments.ray_address or arguments.ray_workers):
        raise ConfigError("--ray_address, --ray_workers: go with --engine ray. Add it.")
    place = Place(arguments.ray_address, arguments.ray_workers)
    failed = predict(
        _model(arguments),
        arguments.paths,
        arguments.out,
        batch_size=arguments.batch_size,
        workers=arguments.workers,
        precision=arguments.precision,
        compiled=arguments.compile,
        explain=arguments.explain,
        explain_labels=arguments.explain_labels,
        shard=shard,
        format=arguments.format,
        rows_per_file=arguments.rows_per_file,
        ray=place if arguments.engine == "ray" else None,
    )
    return 1 if failed else 0


def serve_parser() -> ArgumentParser:
    """The flags of `lcnet serve`."""
    parser = Parser()
    _add_model_to_run(parser)
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="Address to listen at; by default only this machine is answered.",
    )
    parser.add_argument("--port", type=int, default=7860, help="Port; 0 takes a free one.")
    parser.add_argument("--batch_size", type=int, default=16, help="Pictures at a time, at most.")
    parser.add_argument(
        "--batch_ms", type=float, default=5.0, help="Milliseconds that a batch waits to fill up."
    )
    parser.add_argument(
        "--max_megabytes", type=float, default=20.0, help="Size of a picture's file, at most."
    )
    parser.add_argument(
        "--max_pixels", type=int, default=40_000_000, help="Width times height, at most."
    )
    parser.add_argument(
        "--max_waiting", type=int, default=64, help="Requests in work; more are turned away."
    )
    return parser


def serve(arguments: Namespace) -> int:
    """Serve a model until it is stopped."""
    from lcnet.serve import serve

    serve(
        _model(arguments),
        host=arguments.host,
        port=arguments.port,
        batch_size=arguments.batch_size,
        batch_ms=arguments.batch_ms,
        max_megabytes=arguments.max_megabytes,
        max_pixels=arguments.max_pixels,
        max_waiting=arguments.max_waiting,
    )
    return 0


def export_parser() -> ArgumentParser:
    """The flags of `lcnet export`."""
    parser = Parser()
    parser.add_argument("model", type=Path, help="Run or model folder, or hf://user/name.")
    parser.add_argument(
        "--format",
        choices=["onnx", "torch", "openvino"],
        default="onnx",
        help="What runs the file: onnxruntime, torch.export or OpenVINO.",
    )
    parser.add_argument(
        "--out",
        type=Path | None,
        help="File to write; model.onnx, model.pt2 or model.xml in the folder if not given.",
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        default=1e-3,
        help="Largest difference from the model's logits; above it no file is left.",
    )
    parser.add_argument(
        "--pictures",
        default="",
        help="Split, or pictures, folder or glob, to check with; the validation or test split if "
        "not given.",
    )
    parser.add_argument("--limit", type=int, default=500, help="Pictures to check with, at most.")
    parser.add_argument(
        "--quantize",
        default="",
        help="int8: 8 bits for weights and activations, from training pictures (onnx only).",
    )
    parser.add_argument(
        "--calibration_pictures", type=int, default=200, help="How many, for --quantize."
    )
    parser.add_argument(
        "--most_loss",
        type=float,
        default=1.0,
        help="Points of mAP that --quantize may cost; above that no file is left.",
    )
    parser.add_argument("--root", default="", help="Folder of the data set, if it has moved.")
    _add_data(parser)
    return parser


def export(arguments: Namespace) -> int:
    """Export a model and check the file."""
    from lcnet.export import Choices, export

    choices = Choices(
        tolerance=arguments.tolerance,
        quantize=arguments.quantize,
        most_loss=arguments.most_loss,
        calibration_pictures=arguments.calibration_pictures,
        pictures=arguments.pictures,
        limit=arguments.limit,
        root=arguments.root,
        data=_data(arguments),
    )
    export(_model(arguments, own_file="--out FILE"), arguments.format, arguments.out, choices)
    return 0


def push_parser() -> ArgumentParser:
    """The flags of `lcnet push`."""
    parser = Parser()
    parser.add_argument("model", type=Path, help="Run or model folder that was measured.")
    parser.add_argument("name", help="Repository, as user/name or user/name@branch.")
    parser.add_argument(
        "--license", default="", help="Identifier for the card, such as apache-2.0."
    )
    parser.add_argument("--dataset", default="", help="What the measured data set is called.")
    parser.add_argument(
        "--private", action="store_true", help="Make the repository private if it is new."
    )
    parser.add_argument("--message", default="", help="Of the commit.")
    parser.add_argument(
        "--with_report",
        action="store_true",
        help="Upload report.html too, which shows some of the pictures.",
    )
    parser.add_argument(
        "--with_metrics",
        action="store_true",
        help="Upload metrics.json too, without the path of the data set.",
    )
    parser.add_argument(
        "--dry_run", type=Path | None, help="Folder to write the files to; nothing is sent."
    )
    return parser


def push(arguments: Namespace) -> int:
    """Share a model."""
    from lcnet.hub import require_own
    from lcnet.push import push

    require_own(arguments.model)
    push(
        arguments.model,
        arguments.name,
        license=arguments.license,
        dataset=arguments.dataset,
        private=arguments.private,
        message=arguments.message,
        with_report=arguments.with_report,
        with_metrics=arguments.with_metrics,
        dry_run=arguments.dry_run,
    )
    return 0


def graph_parser() -> ArgumentParser:
    """The flags of `lcnet graph`."""
    parser = Parser()
    parser.add_argument("model", type=Path, help="Run or model folder, or hf://user/name.")
    parser.add_argument(
        "--out", type=Path | None, help="Folder for the files; MODEL/graph if not given."
    )
    parser.add_argument(
        "--edges", type=int, default=30, help="So many of the strongest edges are in the network."
    )
    return parser


def graph(arguments: Namespace) -> int:
    """Draw the label graph of a model."""
    from lcnet.graph import draw_graph

    draw_graph(_model(arguments, own_file="--out FOLDER"), arguments.out, edges=arguments.edges)
    return 0


def import_parser() -> ArgumentParser:
    """The flags of `lcnet import`."""
    parser = Parser()
    parser.add_argument(
        "checkpoint",
        type=Path,
        help="Published checkpoint of LCNet, ML-Decoder, ASL or Query2Label, the folder of "
        "LCNet's model_best.pth.tar, or hf://user/name.",
    )
    parser.add_argument("--out", type=Path, required=True, help="Model folder to make.")
    parser.add_argument(
        "--labels", default="", help="Text file with a label name per line, or names with commas."
    )
    parser.add_argument(
        "--correlation",
        type=Path | None,
        help="LCNet: .npy with the L x L label correlations that its graph starts from.",
    )
    parser.add_argument("--crop_level", type=int | None, help="Crop-Forwarding level.")
    parser.add_argument("--view_size", type=int | None, help="Side of a view in pixels.")
    parser.add_argument("--heads", type=int | None, help="Attention heads of the decoder.")
    _add_data(parser)
    return parser


def import_(arguments: Namespace) -> int:
    """Turn a published checkpoint into a model folder."""
    from lcnet.import_model import Choices, import_model

    choices = Choices(
        labels=arguments.labels,
        correlation=arguments.correlation,
        crop_level=arguments.crop_level,
        view_size=arguments.view_size,
        heads=arguments.heads,
        data=_data(arguments),
    )
    import_model(arguments.checkpoint, arguments.out, choices)
    return 0


def compare_parser() -> ArgumentParser:
    """The flags of `lcnet compare`."""
    parser = config_parser(Parser)
    parser.add_argument(
        "--config", action=ConfigFile, help="YAML file with settings; flags override it."
    )
    parser.add_argument("--out", type=Path, required=True, help="Folder for runs and results.")
    parser.add_argument(
        "--heads",
        type=list[str],
        default=[],
        help="Heads to compare, such as '[lcnet,gap]'; the others are measured against the first.",
    )
    parser.add_argument(
        "--variants",
        type=Path | None,
        help="YAML file of variants and what each changes: 'no graph: {model.graph: none}'.",
    )
    parser.add_argument("--seeds", type=list[int], default=[0, 1, 2], help="Seeds of each.")
    parser.add_argument(
        "--lr_factors",
        type=list[float],
        default=[1 / 3, 1.0, 3.0],
        help="Learning rates that each tries in validation, as factors of train.lr.",
    )
    parser.add_argument(
        "--jobs", type=int, default=1, help="Runs at a time, each on its share of the cores."
    )
    return parser


def compare(arguments: Namespace) -> int:
    """Compare heads or variants on equal terms."""
    from lcnet.compare import compare, read_variants

    heads = {head: {"model.head": head} for head in arguments.heads}
    variants = {} if arguments.variants is None else read_variants(arguments.variants)
    compare(
        Config(**{name: arguments[name] for name in SECTIONS}),
        {**heads, **variants},
        arguments.seeds,
        arguments.out,
        lr_factors=arguments.lr_factors,
        jobs=arguments.jobs,
    )
    return 0


def check_parser() -> ArgumentParser:
    """The flags of `lcnet check`."""
    parser = Parser()
    parser.add_argument(
        "--config",
        type=Path | None,
        help="YAML file with settings, such as a run's, whose data set is checked; --data flags "
        "override it.",
    )
    parser.add_argument(
        "--json", type=Path | None, help="File for the findings: a list of kind, where, detail."
    )
    parser.add_argument("--html", type=Path | None, help="File for the page.")
    parser.add_argument(
        "--model",
        type=Path | None,
        help="Run or model folder whose predictions show suspicious labels; needs lcnet[check].",
    )
    parser.add_argument(
        "--split", default="", help="Split that the model judges; val and test if not given."
    )
    _add_data(parser)
    return parser


def check(arguments: Namespace) -> int:
    """Check a data set; the exit code is 1 if training on it is not safe."""
    from lcnet.check import check

    start = Config() if arguments.config is None else Config.load(arguments.config)
    given = arguments.get("data")
    report = check(
        replace(start.data, **given.as_dict()) if given else start.data,
        model=None if arguments.model is None else _model(arguments),
        split=arguments.split,
        json_file=arguments.json,
        html=arguments.html,
    )
    return 0 if report.is_safe else 1


def split_parser() -> ArgumentParser:
    """The flags of `lcnet split`."""
    parser = Parser()
    parser.add_argument("table", type=Path, help="CSV file with a row per picture.")
    parser.add_argument(
        "--shares",
        type=dict[str, float],
        default={"train": 0.8, "val": 0.1, "test": 0.1},
        help="Share of the rows for each file to write: '{train: 0.8, val: 0.2}'.",
    )
    parser.add_argument(
        "--out", type=Path | None, help="Folder for the files; the table's own if not given."
    )
    parser.add_argument(
        "--separator", default="|", help="What stands between the names in one column."
    )
    parser.add_argument("--seed", type=int, default=0, help="Seed of the choice.")
    parser.add_argument("--overwrite", action="store_true", help="Replace files that are there.")
    return parser


def split(arguments: Namespace) -> int:
    """Split a table into several with the same label shares."""
    from lcnet.split import split

    split(
        arguments.table,
        arguments.out,
        arguments.shares,
        separator=arguments.separator,
        seed=arguments.seed,
        overwrite=arguments.overwrite,
    )
    return 0


def pack_parser() -> ArgumentParser:
    """The flags of `lcnet pack`."""
    parser = Parser()
    parser.add_argument("--out", type=Path, required=True, help="Folder for the shards.")
    parser.add_argument(
        "--shard_megabytes", type=float, default=500.0, help="Size of a shard, at most."
    )
    parser.add_argument("--seed", type=int, default=0, help="Seed of the training pictures' order.")
    _add_data(parser)
    return parser


def pack(arguments: Namespace) -> int:
    """Write a data set as shards."""
    from lcnet.pack import pack

    data = _data(arguments)
    if data is None:
        raise ConfigError("--data.format: expected a data set, got none. Add --data flags.")
    pack(data, arguments.out, shard_megabytes=arguments.shard_megabytes, seed=arguments.seed)
    return 0


VERBS = {
    "split": (split, split_parser, "Split a table so that labels have the same shares."),
    "check": (check, check_parser, "Find what is wrong with a data set before training."),
    "pack": (pack, pack_parser, "Write a data set as tar shards, to train on as a stream."),
    "train": (train, train_parser, "Train a model, or continue a run."),
    "evaluate": (evaluate, evaluate_parser, "Measure a model on a split."),
    "report": (report, report_parser, "Write all that is known of a run as one HTML page."),
    "calibrate": (calibrate, calibrate_parser, "Fit thresholds and probabilities to a goal."),
    "predict": (predict, predict_parser, "Label pictures, one JSON line each."),
    "serve": (serve, serve_parser, "Label pictures on a page and by HTTP."),
    "export": (export, export_parser, "Write a model for another runtime, and check the file."),
    "push": (push, push_parser, "Share a model, with a page of what was measured."),
    "graph": (graph, graph_parser, "Draw the label graph, before and after learning."),
    "compare": (compare, compare_parser, "Compare heads or settings on equal terms."),
    "import": (import_, import_parser, "Turn a published checkpoint into a model folder."),
}


def build_parser(verb: str | None = None) -> ArgumentParser:
    """The parser of the whole command line, or one with the flags of no other verb than this.

    Making those of all verbs takes nearly half of the time that `lcnet --help` took.
    """
    parser = Parser(
        prog="lcnet", description="Multi-label image classification.", version=_version()
    )
    verbs = parser.add_subcommands(dest="verb", metavar="VERB")
    for name, (_, make, help_line) in VERBS.items():
        wanted = verb is None or name == verb
        verbs.add_subcommand(name, make() if wanted else Parser(), help=help_line)
    return parser


def main(argv: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 wrong data, 2 wrong command, 130 or 143 stopped."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names may be of any bytes
    try:
        given = sys.argv[1:] if argv is None else argv
        parser = build_parser(next((word for word in given if word in VERBS), ""))
        arguments = parser.instantiate(parser.parse_args(given))
        code = VERBS[arguments.verb][0](arguments[arguments.verb])
    except LCNetError as error:
        print(f"lcnet: {error}", file=sys.stderr)
        code = error.exit_code
    except OSError as error:
        print(f"lcnet: {one_line(str(error))}", file=sys.stderr)
        code = 1
    except MemoryError:
        print("lcnet: no memory left. Give smaller pictures, files or settings.", file=sys.stderr)
        code = 1
    except Stopped as stopped:
        print(f"lcnet: {stopped}", file=sys.stderr)
        code = int(str(stopped.code))
    except KeyboardInterrupt:
        print("lcnet: stopped", file=sys.stderr)
        code = 130
    sys.exit(code)


def _version() -> str:
    from importlib.metadata import version

    return version("lcnet")
