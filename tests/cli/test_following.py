"""After a verb the command line names what people want next: commands that can be given."""

import io
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest

from lcnet.cli import main
from lcnet.cli.following import (
    after_calibrate,
    after_check,
    after_evaluate,
    after_export,
    after_predict,
)
from lcnet.cli.verbs import VERBS
from lcnet.config import Data
from lcnet.data.readers.layout import Given

SAFE = SimpleNamespace(is_safe=True)
PREDICTED = SimpleNamespace(pictures=3, failed=0)


class Terminal(io.StringIO):
    """What a person sees of standard error."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch):
    """Standard error of what is told, as a terminal."""
    seen = Terminal()
    monkeypatch.setattr("lcnet.cli.following.sys", SimpleNamespace(stderr=seen))
    return seen


def ends(command: str) -> None:
    """Run a command that ends well."""
    with pytest.raises(SystemExit) as stopped:
        main(shlex.split(command))
    assert not stopped.value.code


def test_each_verb_ends_with_a_command_that_works(trained, terminal, tmp_path, parser):
    pictures = f"{tmp_path}/colours/images/val*.png"
    table = f"{tmp_path}/colours/val.csv"

    def give(command: str) -> list[str]:
        terminal.truncate(0)
        ends(command)
        found = [line[6:] for line in terminal.getvalue().lstrip("\0").splitlines()]
        for one in found:
            parser.parse_args(shlex.split(one, comments=True)[1:])
        return found

    page, predict = give(f"evaluate {trained} --split val.csv")
    assert page == f"lcnet report {trained} --split val.csv"
    assert predict == f"lcnet predict {trained} PICTURES --out predictions.jsonl"
    given = predict.replace("PICTURES", f"'{pictures}'").replace(
        "predictions", f"{tmp_path}/predictions"
    )
    serve, evaluate = give(given.removeprefix("lcnet "))
    assert serve == f"lcnet serve {trained}"
    evaluate, _, when = evaluate.partition("  # ")
    assert evaluate == f"lcnet evaluate {tmp_path}/predictions.jsonl LABELS"
    assert when == "if you have labels"
    assert give(evaluate.removeprefix("lcnet ").replace("LABELS", table)) == []
    assert give(f"calibrate {trained} --reset") == [predict]


def test_rows_on_a_terminal_end_with_the_command_that_keeps_them(monkeypatch):
    usual = {"out": None, "top": 0, "only": "", "format": "", "label_studio": None}
    assert after_predict(PREDICTED, usual, ["predict", "run", "my pictures"]) == ()
    monkeypatch.setattr("lcnet.cli.following.sys", SimpleNamespace(stdout=Terminal()))
    shown = after_predict(PREDICTED, usual | {"shard": "", "known": None}, ["predict", "r", "a b"])
    assert shown == ("lcnet predict r 'a b' --out predictions.jsonl",)


def test_nothing_is_added_where_no_terminal_reads_it(trained, capsys):
    ends(f"calibrate {trained} --reset")
    assert "next: " not in capsys.readouterr().err


def test_a_safe_data_set_is_trained_on_with_the_flags_that_read_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = {"model": None, "data": Given(Path("my data"), Data())}
    words = shlex.split("check --html c.html 'my data' --data.format table --data.splits=random")
    trained = after_check(SAFE, given, words)
    assert trained == (
        "lcnet train 'my data' --data.format=table --data.splits=random --minutes 30 "
        "--out runs/mine",
    )
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    assert after_check(SAFE, given, words[:4])[0].endswith("--out runs/mine-2")
    assert after_check(SimpleNamespace(is_safe=False), given, words) == ()
    assert after_check(SAFE, given, [*words, "--config", "c.yaml"]) == ()
    assert after_check(SAFE, {**given, "model": Path("runs/mine")}, words) == ()
    assert after_check(SAFE, {"model": None, "data": Data()}, ["check"]) == ()


def test_no_command_is_named_that_would_fail(tmp_path):
    evaluated = {"protocol": "", "data": None, "split": "", "root": ""}
    assert after_evaluate(None, {**evaluated, "model": ["a.npz", "b.npz"]}, []) == ()
    assert after_evaluate(None, {**evaluated, "model": ["hf://user/name"]}, []) == ()
    (only,) = after_evaluate(None, {**evaluated, "model": [tmp_path]}, [])  # no run: no report
    assert only.startswith("lcnet predict ")
    usual = {"model": "hf://user/name", "out": Path("p.jsonl"), "top": 0, "only": "", "shard": ""}
    usual |= {"label_studio": None, "known": None, "format": ""}
    assert after_predict(PREDICTED, usual, [])[0] == "lcnet serve hf://user/name"
    unfit = {"top": 3, "only": "cat", "shard": "1/2", "label_studio": "", "known": Path("k.csv")}
    for name, value in unfit.items():
        assert after_predict(PREDICTED, {**usual, name: value}, []) == ()
    assert after_predict(PREDICTED, {**usual, "out": None}, []) == ()
    assert after_predict(SimpleNamespace(pictures=3, failed=3), usual, []) == ()
    assert after_export(Path("model.xml"), {}, []) == ()
    assert after_export(Path("model.onnx"), {}, [])
    assert after_calibrate(None, {"model": "hf://user/name"}, []) == ()


def test_training_says_by_itself_what_comes_next():
    assert VERBS["train"].following(None, {}, []) == ()
