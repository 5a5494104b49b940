"""What people do next: commands that the command line names after a verb, and where none is given.

Only a terminal gets them, so that logs and pipes stay as they are. Each is a command that can be
given as it stands, but for words in capitals.
"""

import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lcnet.cli.given import flags_of
from lcnet.config import Data
from lcnet.errors import quoted
from lcnet.progress import next_lines
from lcnet.run_folder import RunFolder, free_beside, free_folder
from lcnet.runs.next_commands import predicting, serving

Given = Mapping[str, Any]
"""The arguments of a verb by name."""
Commands = Sequence[str]
Following = Callable[[Any, Given, Sequence[str]], Commands]
"""The commands from a verb's result, its arguments, and the words of its command."""


def tell_following(commands: Commands) -> None:
    """Name the commands on standard error, if it is a terminal."""
    if commands and sys.stderr.isatty():
        print(next_lines(commands), file=sys.stderr)


def training(data: str, out: Path | None = None) -> str:
    """The command that trains on a data set, whose words are given as a shell takes them."""
    out = out or free_folder(Path("runs/mine"))
    return f"lcnet train {data} --minutes 30 --out {quoted(out)}"


# After a verb


def after_nothing(result: Any, given: Given, words: Sequence[str]) -> Commands:
    """Verbs that end by themselves with what comes next, or with nothing."""
    return ()


def after_check(report: Any, given: Given, words: Sequence[str]) -> Commands:
    """Training on the same data set; none if that would not be safe, or takes more settings."""
    flags = dict(flags_of(words))
    if not report.is_safe or given["model"] is not None or "--config" in flags:
        return ()
    data = given["data"]
    path = [] if isinstance(data, Data) else [str(data.path)]
    named = path + [f"{flag}={flags[flag]}" for flag in flags if flag.startswith("--data.")]
    return (training(shlex.join(named)),) if named else ()


def after_evaluate(measured: Any, given: Given, words: Sequence[str]) -> Commands:
    """Predicting; and where a run was measured on its own data, the page with its errors."""
    if len(given["model"]) != 1:
        return ()
    model = Path(given["model"][0])
    if not model.is_dir() or given["protocol"]:
        return ()
    is_own = RunFolder(model).is_run and given["data"] is None
    split = f" --split {shlex.quote(given['split'])}" if given["split"] else ""
    root = f" --root {shlex.quote(given['root'])}" if given["root"] else ""
    page = (f"lcnet report {quoted(model)}{split}{root}",) if is_own else ()
    return (*page, predicting(model))


def after_calibrate(fitted: Any, given: Given, words: Sequence[str]) -> Commands:
    """Predicting, and before it measuring, where a run was not measured yet."""
    run = RunFolder(Path(given["model"]))
    if not run.path.is_dir():
        return ()
    is_unmeasured = run.is_run and not run.metrics_file.is_file()
    return (*([f"lcnet evaluate {quoted(run.path)}"] * is_unmeasured), predicting(run.path))


def after_predict(predicted: Any, given: Given, words: Sequence[str]) -> Commands:
    """Looking at pictures; and for those who have labels, measuring, where that is fair.

    After rows on a terminal, the same command with a file for them.
    """
    out, is_whole = given["out"], not given["top"] and not given["only"]
    if out is None and not given["format"] and sys.stdout.isatty():
        file = Path("predictions.jsonl")
        while file.exists():
            file = free_beside(file.with_suffix("")).with_suffix(".jsonl")
        return (f"lcnet {shlex.join(words)} --out {file}",)
    if not isinstance(out, Path) or not is_whole or given["label_studio"] is not None:
        return ()
    if given["shard"] or given["known"] is not None or predicted.failed == predicted.pictures:
        return ()  # a part, what was given away, or nothing
    measuring = f"lcnet evaluate {quoted(out)} LABELS  # if you have labels"
    return (serving(given["model"]), measuring)


def after_label(is_answered: bool, given: Given, words: Sequence[str]) -> Commands:
    """Training on the table that a run divided, now corrected, and comparing the two.

    The splits are those of the run, so that both are measured on pictures that neither has seen.
    Of another table a look at what was labelled; of a folder of pictures nothing.
    """
    from lcnet.data.dividing import file_of  # it brings torch, which is there after the verb

    run, out = RunFolder(Path(given["model"])), Path(given["out"])
    if not is_answered or Path(given["table"]).is_dir():
        return ()  # a folder's answers are joined with an older table, as the verb says
    look = (f"lcnet check {quoted(out)}",)
    if not run.is_run:
        return look
    data = run.config().data
    own = Path(data.root, file_of(data.train))
    if not data.splits or own.resolve() != Path(given["table"]).resolve():
        return look
    again = free_beside(run.path)
    return (
        training(f"{quoted(out)} --data.splits {quoted(Path(data.splits))}", again),
        f"lcnet report {quoted(again)} --against {quoted(run.path)}",
    )


def after_export(file: Path, given: Given, words: Sequence[str]) -> Commands:
    """Predicting with the file, where lcnet runs its format."""
    return (predicting(file),) if file.suffix == ".onnx" else ()
