"""The verbs: the function of each, and what the command line adds to it.

A flag's name, default, meaning and bound are written once, in the function (`signature.py` makes
the flags). To add a verb, write its function and add a row to `VERBS`.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from lcnet.cli.following import (
    Following,
    after_calibrate,
    after_check,
    after_evaluate,
    after_export,
    after_label,
    after_nothing,
    after_predict,
    tell_following,
)
from lcnet.cli.given import flags_of, model_settings, settings_given
from lcnet.cli.signature import arguments_of, defaults_of, parser_of, summary
from lcnet.config import Config, Data
from lcnet.errors import ConfigError, quoted


@dataclass(frozen=True)
class Verb:
    """A verb of the command line."""

    location: str
    """Its function, as `module:function` below lcnet; the module imports no torch."""
    example: str
    """A command that someone would give, for its help."""
    exit_code: Callable[[Any], int] = lambda result: 0
    """The exit code, from the function's result."""
    extend: Callable[[ArgumentParser], None] = lambda parser: None
    """Adds flags that the function does not have."""
    call: Callable[[Callable[..., Any], dict[str, Any], list[str]], Any] = (
        lambda function, given, words: function(**given)
    )
    """Calls the function with the arguments that were parsed, from the words of the command."""
    place: Callable[[Namespace], None] = lambda parsed: None
    """Gives words that could stand for two arguments to the right one."""
    loads: bool = False
    """Whether a word is said at once of the model that it loads, since importing takes seconds."""
    following: Following = after_nothing
    """The commands that people want next."""

    @property
    def function(self) -> Callable[..., Any]:
        """The verb's function, imported on first use."""
        module, _, name = self.location.partition(":")
        function: Callable[..., Any] = getattr(import_module(f"lcnet.{module}"), name)
        return function

    @property
    def help(self) -> str:
        """What the verb does, in a sentence."""
        return summary(self.function)

    def parser(self) -> ArgumentParser:
        """A parser with the verb's flags."""
        parser = parser_of(self.function)
        parser.epilog = f"Example: {self.example}".replace("%", "%%")
        self.extend(parser)
        return parser

    def run(self, arguments: Namespace, words: list[str]) -> int:
        """Call the function; returns the exit code."""
        self.place(arguments)
        given = arguments_of(self.function, arguments)
        if self.loads and sys.stderr.isatty():
            models = given["model"] if isinstance(given["model"], list) else [given["model"]]
            print(f"loading {', '.join(map(str, models))}, some seconds", file=sys.stderr)
        result = self.call(self.function, dict(given), words)
        tell_following(self.following(result, given, words))
        return self.exit_code(result)


# What the command line adds to a function


def _may_resume(parser: ArgumentParser) -> None:
    parser.usage = (
        "lcnet train PATH --minutes 30 [flags]\n       lcnet train PATH --out RUN [flags]\n"
        "       lcnet train --resume RUN [--train.epochs N]"
    )
    parser.add_argument(
        "--resume",
        type=Path | None,
        help="Run folder to continue, with its own settings; --train.epochs extends it.",
    )


def _train_or_resume(train: Callable[..., Any], given: dict[str, Any], words: list[str]) -> Any:
    from lcnet.runs.train import resume

    run, others = given.pop("resume"), (given["out"], given["init"], given["overwrite"])
    if run is not None:
        config: Config = given["config"]
        flags = {flag for flag, _ in flags_of(words)}
        usual = replace(config, train=replace(config.train, epochs=Config().train.epochs))
        if flags - {"--resume", "--train.epochs"} or usual != Config() or any(others):
            raise _not_to_be_resumed(run, sorted(flags - {"--resume", "--train.epochs"}))
        return resume(run, epochs=config.train.epochs if "--train.epochs" in flags else None)
    is_planned = given["minutes"] is not None or given["preset"] is not None
    if not is_planned and given["out"] is None and not given["dry_run"]:
        is_named = any(flag == "--config" for flag, _ in flags_of(words))
        if given["config"].data == Data() and not is_named:
            raise ConfigError(
                "expected a data set, got none. Name your data: lcnet train DATA --minutes 30"
            )
    return train(**given, given=settings_given(words) if is_planned else model_settings(words))


def _with_out(function: Callable[..., Any], given: dict[str, Any], words: list[str]) -> Any:
    if given["out"] is None:
        raise ConfigError("--out: expected a folder, got none. Add --out runs/NAME.")
    return function(**given)


def _not_to_be_resumed(run: Path, flags: Sequence[str]) -> ConfigError:
    from lcnet.training.checkpoints import CHANGEABLE

    others = ", ".join(name for name in CHANGEABLE if name != "epochs")
    return ConfigError(
        f"--resume: expected no other flags but --train.epochs, got {', '.join(flags) or 'PATH'}, "
        "since a run keeps its own settings. Leave them out. These can be changed in "
        f"{run / 'config.yaml'}, below train: {others}. For other settings, start a new run from "
        f"its model: lcnet train --init {quoted(run)} --out ANOTHER"
    )


def _measured_and_data(parsed: Namespace) -> None:
    """The last of several words can be the data set to measure on."""
    if len(parsed.model) > 1 and parsed.path is None:
        from lcnet.evaluating.words import divided

        parsed.model, parsed.path = divided(parsed.model)


def _may_reset_or_set(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--set",
        nargs="+",
        metavar="LABEL=THRESHOLD",
        help="Set these labels' thresholds by hand, such as --set cat=0.8 dog=0.3, and leave all "
        "else as it is.",
    )
    parser.add_argument(
        "--reset", action="store_true", help="Set thresholds to 0.5 and undo the calibration."
    )


def _calibrate_reset_or_set(
    calibrate: Callable[..., Any], given: dict[str, Any], words: list[str]
) -> Any:
    from lcnet.evaluating.calibrate import reset_calibration, set_thresholds

    is_reset, by_hand = given.pop("reset"), given.pop("set")
    if not is_reset and not by_hand:
        return calibrate(**given)
    usual = {**defaults_of(calibrate), "set": None}
    alone = "--reset" if is_reset else "--set"
    for flag, value in {**given, "set": by_hand if is_reset else None}.items():
        if flag != "model" and value != usual[flag]:
            name = "--data flags" if flag == "data" else f"--{flag}"
            raise ConfigError(f"{alone}: expected no other flags, got {name}. Leave one out.")
    if is_reset:
        return reset_calibration(given["model"])
    return set_thresholds(given["model"], _by_label(by_hand))


def _by_label(given: list[str]) -> dict[str, float]:
    """The thresholds by label, from texts such as cat=0.8."""
    values = {}
    for text in given:
        label, _, number = text.rpartition("=")
        try:
            values[label] = float(number)
        except ValueError:
            label = ""
        if not label:
            raise ConfigError(
                f"--set: expected LABEL=THRESHOLD, such as cat=0.8, got {text!r}. Quote a label "
                "with spaces: --set 'traffic light=0.8'."
            )
    return values


def _predict_to_standard_output(
    predict: Callable[..., Any], given: dict[str, Any], words: list[str]
) -> Any:
    out = given["out"]
    if out is None and not given["format"]:
        out = sys.stdout
    return predict(**{**given, "out": out})


VERBS: Mapping[str, Verb] = {
    "split": Verb(
        "data.split:split", "lcnet split labels.csv --shares '{train: 0.8, val: 0.1, test: 0.1}'"
    ),
    "check": Verb(
        "checking.check:check",
        "lcnet check DATA --html check.html",
        exit_code=lambda report: 0 if report.is_safe else 1,
        following=after_check,
    ),
    "pack": Verb("data.pack:pack", "lcnet pack COCO --out packed"),
    "train": Verb(
        "runs.train:train",
        "lcnet train DATA --minutes 30",
        extend=_may_resume,
        call=_train_or_resume,
    ),
    "evaluate": Verb(
        "evaluating.evaluate:evaluate",
        "lcnet evaluate runs/mine DATA/new.csv",
        place=_measured_and_data,
        loads=True,
        following=after_evaluate,
    ),
    "report": Verb(
        "reporting.report:report", "lcnet report runs/mine --split test.csv", loads=True
    ),
    "calibrate": Verb(
        "evaluating.calibrate:calibrate",
        "lcnet calibrate runs/mine --goal precision --at_least 0.9",
        extend=_may_reset_or_set,
        call=_calibrate_reset_or_set,
        following=after_calibrate,
    ),
    "ensemble": Verb(
        "evaluating.ensemble:ensemble", "lcnet ensemble runs/a runs/b runs/c --out runs/abc"
    ),
    "predict": Verb(
        "predicting.predict:predict",
        "lcnet predict runs/mine 'DATA/images/*.jpg' --out predictions.jsonl",
        exit_code=lambda predicted: 1 if predicted.failed else 0,
        call=_predict_to_standard_output,
        following=after_predict,
    ),
    "complete": Verb(
        "predicting.complete:complete",
        "lcnet complete runs/mine half_filled.csv --out completed.csv --sure 0.95",
        exit_code=lambda completed: 1 if completed.unread else 0,
    ),
    "label": Verb(
        "serving.labelling.label:label",
        "lcnet label runs/mine half_filled.csv --out labelled.csv, then open http://127.0.0.1:7870",
        following=after_label,
    ),
    "serve": Verb(
        "serving.serve:serve",
        "lcnet serve runs/mine, then open http://127.0.0.1:7860 or send a picture with: "
        "curl -F picture=@it.jpg http://127.0.0.1:7860/predict",
    ),
    "export": Verb(
        "exporting.export:export",
        "lcnet export runs/mine --format onnx",
        loads=True,
        following=after_export,
    ),
    "push": Verb("reporting.push:push", "lcnet push runs/mine user/name --license apache-2.0"),
    "graph": Verb("reporting.graph:graph", "lcnet graph runs/mine --edges 50", loads=True),
    "compare": Verb(
        "runs.compare:compare",
        "lcnet compare DATA --heads '[lcnet,csra,gap]' --out runs/heads",
        call=_with_out,
    ),
    "tune": Verb(
        "runs.tune:tune", "lcnet tune DATA --out runs/search --minutes 30", call=_with_out
    ),
    "soup": Verb("runs.soup:soup", "lcnet soup runs/a runs/b runs/c --out models/soup"),
    "import": Verb(
        "published.import_model:import_model",
        "lcnet import model_best.pth.tar --out models/coco",
    ),
}
"""In the order in which a project needs them; `lcnet --help` keeps it."""
