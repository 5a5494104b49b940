"""`lcnet train --minutes`: the plan is made, said and kept, on tiny sets with tiny backbones."""

import os
import re
import shlex
import shutil
import signal
import time
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from tests.alike import history
from tests.conftest import colours_config, draw_colours, one_table, with_train

from lcnet.cli import main
from lcnet.cli.following import after_label
from lcnet.cli.standing import where_one_stands
from lcnet.config import Config, Data, Model
from lcnet.data.recognising import data_at
from lcnet.errors import CheckpointError, ConfigError, Stopped
from lcnet.model_folder import load_model
from lcnet.predicting.known_table import KnownTable
from lcnet.run_folder import RunFolder, free_beside
from lcnet.runs import last_stage
from lcnet.runs import run as run_module
from lcnet.runs.next_commands import next_commands
from lcnet.runs.planning import planned_run, rules
from lcnet.runs.planning.backbones_at_hand import backbones_at_hand, made_for
from lcnet.runs.planning.facts import data_facts
from lcnet.runs.planning.keeping_time import TimeLimit
from lcnet.runs.run import begin, go_on
from lcnet.runs.start import load_splits
from lcnet.runs.train import resume, train
from lcnet.serving.labelling.answers import AnswerFile
from lcnet.training import loop

pytestmark = pytest.mark.usefixtures("no_report")


@pytest.fixture(scope="module")
def weights_once(tmp_path_factory) -> Path:
    """A folder with two backbones of random weights in timm's format: 0.5 M and 0.03 M weights."""
    folder = tmp_path_factory.mktemp("weights")
    for name in ("test_resnet", "test_efficientnet"):
        torch.manual_seed(0)
        timm.models.save_for_hf(timm.create_model(name), folder / name, safe_serialization=True)
    return folder


@pytest.fixture
def weights(weights_once, monkeypatch, tmp_path) -> Path:
    """The same, named in LCNET_WEIGHTS; the run's folder is made in `tmp_path`."""
    monkeypatch.setenv("LCNET_WEIGHTS", str(weights_once))
    monkeypatch.chdir(tmp_path)
    return weights_once


@pytest.fixture
def bare(colour_table) -> Config:
    """The colours, with nothing else said."""
    return Config(data=colours_config(colour_table).data)


def files_below(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if not path.is_relative_to(folder / "colours")}


def test_one_line_trains_a_finished_run_and_says_what_is_next(
    weights, colour_table, capsys, tmp_path
):
    with pytest.raises(SystemExit) as ended:
        main(shlex.split("train colours --minutes 60 --train.epochs 2"))
    assert not ended.value.code
    run = RunFolder(Path("runs/colours"))
    assert run.is_finished
    config = run.config()
    assert config.model.backbone == f"local-dir:{weights / 'test_resnet'}"
    assert (config.train.backbone_lr_factor, config.train.epochs) == (0.0, 2)
    assert (config.model.read, config.model.earlier_stages) == ("scores", True)
    assert config.train.cache_features == "runs/features"
    lines = capsys.readouterr().out.splitlines()
    first = lines.index("plan for 60 minutes in runs/colours:")
    plan = list(takewhile(lambda line: line.startswith("  "), lines[first + 1 :]))
    assert len(plan) <= 10
    assert any("test_resnet, in LCNET_WEIGHTS" in line for line in plan)
    assert plan[-1].split(maxsplit=1) == ["yours", "train.epochs 2"]
    assert any(line.startswith("took ") and line.endswith(" of 60 minutes") for line in lines)
    assert "next: lcnet predict runs/colours PICTURES --out predictions.jsonl" in lines
    assert lines[-1].endswith("lcnet train --config runs/colours/config.yaml --out runs/colours-2")
    again = train(Config.load(run.config_file), tmp_path / "again")
    assert history(again.path)[-1]["val_mAP"] == history(run.path)[-1]["val_mAP"]


def run_line(line: str) -> None:
    """Run a line as it is printed."""
    program, *words = shlex.split(line)
    assert program == "lcnet"
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert not ended.value.code, line


def test_the_plan_is_run_again_by_the_printed_line_on_the_same_pictures(weights, capsys, tmp_path):
    one_table(tmp_path / "colours")
    (tmp_path / "runs" / "mine-2").mkdir(parents=True)
    run_line("lcnet train colours --minutes 60 --train.epochs 1 --out runs/mine")
    edit, again = map(str.strip, capsys.readouterr().out.splitlines()[-2:])
    assert edit.startswith("the plan is in runs/mine/config.yaml: to change it, add flags such as")
    assert again == "lcnet train --config runs/mine/config.yaml --out runs/mine-3"
    run_line(again)
    mine, theirs = (Path("runs", name, "splits.csv").read_text() for name in ("mine", "mine-3"))
    assert mine == theirs
    guide = (Path(__file__).parents[2] / "docs" / "guide" / "plan.md").read_text(encoding="utf-8")
    in_guide = next(line for line in guide.splitlines() if "--config runs/mine/config" in line)
    (tmp_path / "runs" / "mine-2").rmdir()
    run_line(in_guide)
    assert Path("runs/mine-2/splits.csv").read_text() == mine
    # The run itself may be replaced by it, though the list of its splits is in the run.
    run_line("lcnet train --config runs/mine/config.yaml --out runs/mine --overwrite")
    assert Path("runs/mine/splits.csv").read_text() == mine


def test_a_corrected_table_is_trained_on_the_same_splits_and_compared(weights, capsys, tmp_path):
    one_table(tmp_path / "colours")
    run_line("lcnet train colours --minutes 60 --train.epochs 1 --out runs/mine")
    tested = {
        line.split(",")[0]
        for line in Path("runs/mine/splits.csv").read_text().splitlines()
        if line.endswith(",test")
    }
    table, out = Path("colours/labels.csv"), Path("corrected.csv")  # in another folder
    known = KnownTable(table, ("red", "green", "blue"), quiet=True)
    answers = AnswerFile(out, known)
    one = next(path for path, _ in known.pictures() if f"images/{path.name}" in tested)
    was = answers.of(one)
    answers.change(one, lambda states: {"red": not states["red"]}, was)
    given = {"model": Path("runs/mine"), "table": table, "out": out}
    again, compare = after_label(True, given, [])
    assert again == (
        "lcnet train corrected.csv --data.splits runs/mine/splits.csv --minutes 30 "
        "--out runs/mine-2"
    )
    assert compare == "lcnet report runs/mine-2 --against runs/mine"
    run_line(f"{again} --train.epochs 1")
    mine, theirs = (Path("runs", name, "splits.csv").read_text() for name in ("mine", "mine-2"))
    assert sorted(theirs.replace("colours/", "").splitlines()) == sorted(mine.splitlines())
    run_line(compare)
    assert "measured by the labels of corrected.csv[test]" in capsys.readouterr().out
    assert Path("runs/mine-2/against_mine.html").is_file()
    (look,) = after_label(True, {**given, "table": out}, [])
    assert look == "lcnet check corrected.csv"
    assert after_label(False, given, []) == ()
    run_line(
        "lcnet train corrected.csv --data.shares [0.5,0.25,0.25] --minutes 60 "
        "--train.epochs 1 --out runs/other"
    )
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["report", "runs/other", "--against", "runs/mine"])
    said = capsys.readouterr().err
    assert "--against mine: expected runs with the same test pictures, got" in said
    assert "Train other on those of mine: lcnet train TABLE --data.splits runs/mine/spl" in said


def test_a_run_again_is_named_after_the_run_not_after_where_one_stands(tmp_path):
    assert free_beside(tmp_path / "mine") == tmp_path / "mine-2"
    (tmp_path / "mine-2").mkdir()
    assert free_beside(tmp_path / "mine") == tmp_path / "mine-3"
    assert free_beside(tmp_path / "mine-2") == tmp_path / "mine-3"
    assert free_beside(tmp_path / "my-run") == tmp_path / "my-run-2"


def test_a_dry_run_makes_nothing(weights, bare, tmp_path, capsys):
    before = files_below(tmp_path)
    run = train(bare, minutes=30, dry_run=True)
    assert files_below(tmp_path) == before
    assert str(run) == "runs/colours"
    assert "plan for 30 minutes" in capsys.readouterr().out


def test_a_run_is_named_so_that_others_can_be_made_beside_it(weights, bare, monkeypatch):
    Path("here").mkdir()
    for out in ("runs/features", "features", "/"):
        with pytest.raises(ConfigError, match=r"--out .*: expected another name"):
            train(bare, out, minutes=30, dry_run=True)
    bare = replace(bare, data=replace(bare.data, root=str(Path(bare.data.root).resolve())))
    monkeypatch.chdir("here")
    assert str(train(bare, ".", minutes=30, dry_run=True)) == str(Path.cwd())


def test_presets_are_minutes(weights, bare, capsys):
    train(bare, preset="best", dry_run=True)
    assert "plan for 120 minutes" in capsys.readouterr().out
    train(bare, preset="best", minutes=7, dry_run=True)
    assert "plan for 7 minutes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"dry_run": True}, "--dry_run: expected minutes"),
        ({}, "--out: expected a folder"),
        ({"minutes": 5, "folds": 3}, "--folds: expected none with --minutes"),
        ({"minutes": 5, "init": "run"}, "--init: expected none with --minutes"),
        ({"minutes": 0}, "minutes"),
        ({"preset": "slow"}, "preset"),
    ],
)
def test_what_cannot_be_planned_is_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        train(Config(), **given)


def test_too_few_minutes_are_refused_with_how_many_it_takes(weights, bare, monkeypatch):
    speed_of = planned_run.speed_of

    def slow(*given, **named):
        return replace(speed_of(*given, **named), view_s=5.0)

    monkeypatch.setattr(planned_run, "speed_of", slow)
    with pytest.raises(ConfigError, match=r"--minutes 1: expected at least (\d+) minutes"):
        train(bare, minutes=1)
    assert not Path("runs").exists()


def test_minutes_that_no_plan_keeps_are_refused_before_anything_is_read(bare, monkeypatch):
    monkeypatch.setattr(planned_run, "load_splits", lambda config: pytest.fail("read"))
    with pytest.raises(ConfigError, match=r"--minutes 0\.5: expected at least 1 minute, as"):
        train(bare, minutes=0.5)
    with pytest.raises(ConfigError, match=r"--minutes 1: expected at least 2 minutes, as"):
        train(with_train(bare, epochs=100), minutes=1)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"backbone": "resnet18"}, "no pretrained weights for 'resnet18'"),
        ({"backbone": "hf-hub:timm/nothing"}, "no pretrained weights for 'hf-hub:timm/nothing'"),
        ({"backbone": "local-dir:empty"}, "no weights in empty"),
        ({"backbone_weights": "nowhere.pth"}, "no file nowhere.pth"),
    ],
)
def test_weights_that_cannot_be_had_are_refused_before_anything_is_read(
    bare, settings, said, weights, monkeypatch
):
    Path("empty").mkdir()
    described = (weights / "test_resnet" / "config.json").read_text()
    Path("empty", "config.json").write_text(described)
    monkeypatch.setattr(planned_run, "load_splits", lambda config: pytest.fail("read"))
    monkeypatch.setattr("lcnet.runs.planning.backbones_at_hand._is_at_hand", lambda place: False)
    with pytest.raises(ConfigError, match=said) as refused:
        train(replace(bare, model=Model(**settings)), minutes=30)
    assert "LCNET_WEIGHTS" in str(refused.value)


def test_a_folder_without_weights_is_left_out_with_a_word(weights, tmp_path, monkeypatch, capsys):
    (tmp_path / "both" / "bare").mkdir(parents=True)
    described = (weights / "test_resnet" / "config.json").read_text()
    (tmp_path / "both" / "bare" / "config.json").write_text(described)
    (tmp_path / "both" / "good").symlink_to(weights / "test_resnet")
    monkeypatch.setenv("LCNET_WEIGHTS", str(tmp_path / "both"))
    assert [one.name for one in backbones_at_hand(Model(), "cpu", is_given=False)] == ["good"]
    assert "bare is left out: expected model.safetensors" in capsys.readouterr().out


def test_without_a_backbone_the_plan_says_that_it_starts_from_random_weights(
    bare, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LCNET_WEIGHTS", raising=False)
    monkeypatch.setattr("lcnet.runs.planning.backbones_at_hand._is_at_hand", lambda place: False)
    monkeypatch.setattr("lcnet.runs.planning.backbones_at_hand.FROM_RANDOM", ("test_resnet",))
    run = train(with_train(bare, epochs=1), minutes=60)
    assert "no pretrained backbone is at hand" in capsys.readouterr().out
    config = run.config()
    assert (config.model.pretrained, config.train.backbone_lr_factor) == (False, 1.0)
    assert run.is_finished


def test_a_run_whose_time_is_up_is_finished_with_its_best_model(tiny_config, tmp_path, capsys):
    config, run = with_train(tiny_config, epochs=4), RunFolder(tmp_path / "run")
    begin(config, run, overwrite=False, init=None, watch=TimeLimit(time.monotonic() - 1))
    assert "time is up after epoch 1: the best epoch so far is taken" in capsys.readouterr().out
    assert len(history(run.path)) == 1  # the first epoch is trained even so
    assert run.is_finished
    go_on(run)
    assert len(history(run.path)) == 4


def let_few_do(patch: pytest.MonkeyPatch) -> None:
    """Let the last stage learn with as few pictures as the colours have, after a short head."""
    patch.setattr(rules, "LEAST_FOR_STAGE", 1)
    patch.setattr(rules, "STEPS", 1)


@pytest.fixture
def few_will_do(monkeypatch):
    let_few_do(monkeypatch)


def test_the_head_learns_first_and_then_the_last_stage_too(weights, bare, few_will_do, capsys):
    run = train(bare, minutes=60)
    head = run.head
    assert head.path == Path("runs/colours/head")
    assert (run.path, head.is_finished, run.is_finished) == (Path("runs/colours"), True, True)
    first, then = head.config().train, run.config().train
    assert (first.backbone_lr_factor, first.cache_features) == (0.0, "runs/features")
    assert (then.backbone_lr_factor, then.backbone_stages, then.keep_norms) == (1.0, 1, True)
    assert (then.cache_features, then.epochs, then.calibrate) == ("", 4, True)
    rows = history(run.path)
    assert [row["epoch"] for row in rows] == ["0", "1", "2", "3", "4"]
    assert float(rows[0]["val_mAP"]) == pytest.approx(
        max(float(row["val_mAP"]) for row in history(head.path)), abs=0.5
    )
    said = capsys.readouterr().out
    assert "the last stage has raised the validation mAP from" in said or (
        "the last stage made nothing better in validation: the weights are of" in said
    )
    again = said.splitlines()[-1].strip()
    flags = "--config runs/colours/config.yaml --out runs/colours-2 --init runs/colours/head"
    assert again == f"lcnet train {flags}"
    run_line(again)
    assert history(Path("runs/colours-2"))[-1]["val_mAP"] == rows[-1]["val_mAP"]


def test_if_the_head_takes_all_the_time_its_model_is_the_runs(
    weights, bare, few_will_do, monkeypatch, capsys
):
    real = last_stage.begin

    def slow(config, run, **given):
        return real(config, run, **given | {"watch": TimeLimit(time.monotonic() - 1)})

    monkeypatch.setattr(last_stage, "begin", slow)
    run = train(bare, minutes=60)
    assert run.is_finished
    assert [row["epoch"] for row in history(run.path)] == ["0"]
    said = capsys.readouterr().out
    assert "time is up after epoch 0: the best epoch so far is taken" in said
    assert "made nothing better in validation: the weights are of runs/colours/head" in said


def signal_in(monkeypatch, folder: Path) -> None:
    """Send SIGTERM in the second epoch of the run in this folder, once only."""
    real_fit, real_step, running = run_module.fit, loop.seed_step, []

    def fit(run, *given):
        running[:] = [run.path]
        real_fit(run, *given)

    def step(seed, epoch, batch, rank):
        if running == [folder] and epoch == 1:
            monkeypatch.setattr(loop, "seed_step", real_step)
            os.kill(os.getpid(), signal.SIGTERM)
        real_step(seed, epoch, batch, rank)

    monkeypatch.setattr(run_module, "fit", fit)
    monkeypatch.setattr(loop, "seed_step", step)


@pytest.fixture(scope="module")
def in_two_parts(weights_once, tmp_path_factory) -> tuple[Path, Config]:
    """A planned run of head and last stage that nothing happened to, and its data."""
    place = tmp_path_factory.mktemp("two_parts")
    data = Config(data=data_at(one_table(place / "colours")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LCNET_WEIGHTS", str(weights_once))
        let_few_do(patch)
        patch.setattr("lcnet.runs.run.report_if_possible", lambda *given: None)
        return train(data, place / "run", minutes=60).path, data


@pytest.mark.parametrize("part", ["head", "."])
def test_a_run_in_two_parts_goes_on_in_either(
    part, in_two_parts, weights, few_will_do, monkeypatch, capsys
):
    whole, data = in_two_parts
    run = RunFolder(Path("runs/cut"))
    signal_in(monkeypatch, run.path / part)
    with pytest.raises(Stopped, match=r"SIGTERM in epoch 2.*--resume runs/cut$"):
        train(data, run.path, minutes=60)
    assert run.waits_for_head == (part == "head")
    assert run.head.whole == (run if part == "head" else run.head)
    stand = where_one_stands()
    assert re.search(r"runs/cut +colours +stopped, 1 of \d+ epochs", stand)
    assert ("epochs of the head" in stand) == (part == "head")
    assert "next: lcnet train --resume runs/cut\n" in stand
    if part == "head":
        with pytest.raises(ConfigError, match=r"--train\.epochs: expected none while the head"):
            resume(run.path, epochs=3)
    capsys.readouterr()
    resume(run.path / part)
    assert run.is_finished
    assert ("the last stage" in capsys.readouterr().out) == (part == "head")
    for one in (whole, whole / "head"):
        there = run.path / one.relative_to(whole)
        assert [row["val_mAP"] for row in history(there)] == [
            row["val_mAP"] for row in history(one)
        ]
        assert (there / "splits.csv").read_bytes() == (one / "splits.csv").read_bytes()
    assert "already finished" not in where_one_stands()


def test_a_run_whose_head_has_learned_keeps_it_until_its_last_stage_is_there(
    in_two_parts, weights, few_will_do, monkeypatch, tmp_path
):
    run = RunFolder(tmp_path / "run")
    shutil.copytree(in_two_parts[0] / "head", run.head.path)
    shutil.copy(in_two_parts[0] / "last_stage.yaml", run.last_stage_file)
    with pytest.raises(ConfigError, match=r"already there.*--resume"):
        train(in_two_parts[1], run.path, minutes=60)
    # What fails before it has begun leaves the head as it is.
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "fit", lambda *given: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            resume(run.path)
    assert run.waits_for_head
    with pytest.raises(CheckpointError, match=r"no model yet.*lcnet train --resume"):
        load_model(run.path)
    resume(run.path)
    assert history(run.path)[-1]["val_mAP"] == history(in_two_parts[0])[-1]["val_mAP"]
    # Replaced by another plan, nothing of the old one is left; but not while its head learns.
    run.config_file.rename(tmp_path / "config.yaml")
    with run.head.locked(), pytest.raises(ConfigError, match="another run writes"):
        train(in_two_parts[1], run.path, minutes=60, overwrite=True)
    (run.head.path / "old").touch()
    train(with_train(in_two_parts[1], epochs=1), run.path, minutes=60, overwrite=True)
    assert not run.head.path.exists()
    assert not run.last_stage_file.exists()


def test_a_head_that_cannot_begin_leaves_nothing(weights, bare, few_will_do, monkeypatch):
    monkeypatch.setattr(run_module, "fit", lambda *given: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train(bare, "runs/mine", minutes=60)
    assert not Path("runs/mine").exists()
    Path("runs/mine/head").mkdir(parents=True)
    Path("runs/mine/head/notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="--out runs/mine: already there"):
        train(bare, "runs/mine", minutes=60)


@pytest.mark.parametrize(("best", "is_said"), [(1, False), (8, False), (9, True), (10, True)])
def test_epochs_are_left_to_train_only_where_the_last_ones_still_brought_something(
    best, is_said, tmp_path
):
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    Config(train=replace(Config().train, epochs=14)).save(run.config_file)
    rows = [f"{number},1,{90 if number == best else 50},90,1" for number in range(1, 11)]
    head = "epoch,train_loss,val_mAP,best_mAP,images_per_s"
    run.history_file.write_text("\n".join([head, *rows]) + "\n")
    said = any("the other 4 epochs" in line for line in next_commands(run))
    assert said == is_said


def test_epochs_that_no_longer_fit_after_the_features_are_left_out(
    weights, bare, monkeypatch, capsys
):
    monkeypatch.setattr(TimeLimit, "_epoch_seconds", lambda limit, start: 300.0)
    run = train(bare, minutes=20)
    left = run.config().train.epochs
    assert 1 <= left <= 4
    assert f"time for {left} epoch" in capsys.readouterr().out
    assert len(history(run.path)) == left


def test_backbones_are_those_named_then_those_in_the_variable(weights, monkeypatch, tmp_path):
    monkeypatch.setattr("lcnet.runs.planning.backbones_at_hand._is_at_hand", lambda place: True)
    named = backbones_at_hand(Model(backbone="resnet18"), "cpu", is_given=True)
    assert [one.backbone for one in named] == ["resnet18"]
    found = backbones_at_hand(Model(), "cpu", is_given=False)
    assert [one.name for one in found] == ["test_resnet", "test_efficientnet"]
    single = tmp_path / "of_its_own"
    single.symlink_to(weights / "test_efficientnet")
    monkeypatch.setenv("LCNET_WEIGHTS", str(single))
    assert len(backbones_at_hand(Model(), "cpu", is_given=False)) == 1
    assert made_for("vit_base_patch14_dinov2") == (518, True)
    assert made_for("resnet50") == (224, False)


@pytest.mark.parametrize("place", ["nowhere", "empty"])
def test_a_variable_without_backbones_is_refused(place, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("LCNET_WEIGHTS", str(tmp_path / place))
    with pytest.raises(ConfigError, match="LCNET_WEIGHTS: expected"):
        backbones_at_hand(Model(), "cpu", is_given=False)


def test_a_damaged_backbone_is_left_out_with_a_word(weights, tmp_path, monkeypatch, capsys):
    (tmp_path / "both" / "bad").mkdir(parents=True)
    (tmp_path / "both" / "bad" / "config.json").write_text("{")
    (tmp_path / "both" / "good").symlink_to(weights / "test_resnet")
    monkeypatch.setenv("LCNET_WEIGHTS", str(tmp_path / "both"))
    assert [one.name for one in backbones_at_hand(Model(), "cpu", is_given=False)] == ["good"]
    assert "bad is left out" in capsys.readouterr().out


def table(folder: Path, names: list[str], size: tuple[int, int], count: int) -> Path:
    """A table of flat pictures in which each label is present in some."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    rows = [",".join(["image", *names])]
    for number in range(count):
        shade = tuple(int(value) for value in rng.integers(256, size=3))
        Image.new("RGB", size, shade).save(folder / f"{number}.jpg")
        shown = (rng.random(len(names)) < max(0.05, 3 / count)).astype(int)
        shown[number % len(names)] = 1
        rows.append(",".join([f"{number}.jpg", *map(str, shown)]))
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_two_labels_and_sixty_pictures(weights, tmp_path, capsys):
    few = table(tmp_path / "few", ["crack", "rust"], (64, 48), 60)
    run = train(with_train(Config(data=data_at(few)), epochs=2), minutes=60)
    said = capsys.readouterr().out
    assert "2 labels" in said
    assert "6 to validate" in said and "so few to validate that" in said
    assert run.config().train.batch_size == 8
    assert run.is_finished


def test_hundreds_of_labels(weights, tmp_path, capsys):
    names = [f"label{number}" for number in range(300)]
    many = table(tmp_path / "many", names, (16, 16), 320)
    train(Config(data=data_at(many)), minutes=10, dry_run=True)
    said = capsys.readouterr().out
    assert "300 labels" in said
    assert "in fewer than 10" in said
    assert "that validation cannot judge" in said


def test_huge_pictures_with_tiny_marks_get_tiles(weights, tmp_path, capsys):
    huge = table(tmp_path / "huge", ["mark", "stain"], (4_000, 3_000), 8)
    train(Config(data=data_at(huge)), minutes=30, dry_run=True)
    assert "4 x 4 tiles and the whole" in capsys.readouterr().out


def test_boxes_tell_how_small_objects_are(tmp_path):
    draw_colours(tmp_path / "colours")
    file = tmp_path / "colours" / "boxes.json"
    file.write_text('{"annotations": [{"bbox": [0, 0, 4, 9]}, {"bbox": [1, 1, 6, 6]}]}')
    splits = load_splits(Config(data=colours_config(tmp_path / "colours").data))
    boxed = Data(format="coco", root=str(tmp_path / "colours"), train="boxes.json")
    assert data_facts(boxed, *splits).object_side == 6.0
    facts = data_facts(colours_config(tmp_path / "colours").data, *splits)
    assert (facts.object_side, facts.width, facts.training, facts.labels) == (0.0, 24, 24, 3)


def test_a_run_is_measured_on_its_own_pictures_from_another_folder(
    weights, capsys, tmp_path, monkeypatch
):
    """Its splits and settings stay: drawn anew, the parts would have pictures of training."""
    one_table(tmp_path / "colours")
    table = tmp_path / "colours" / "labels.csv"
    table.write_text(table.read_text() + "images/nothing.png;\n")
    (tmp_path / "colours" / "images" / "nothing.png").write_bytes(
        next((tmp_path / "colours" / "images").glob("*.png")).read_bytes()
    )
    names = [line.split(";")[0] for line in table.read_text().splitlines()[1:]]
    rows = [f"{name},{'test' if number % 2 else 'train'}" for number, name in enumerate(names)]
    rows[-5::2] = [row.replace(",test", ",val").replace(",train", ",val") for row in rows[-5::2]]
    Path("own.csv").write_text("picture,split\n" + "\n".join(rows) + "\n")
    run_line(
        "lcnet train colours --data.splits own.csv --data.table.unknown '[\"\"]' --minutes 60 "
        "--train.epochs 1 --out runs/mine"
    )
    run_line("lcnet evaluate runs/mine --predictions here.csv")
    (tmp_path / "away").mkdir()
    monkeypatch.chdir(tmp_path / "away")
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(shlex.split("evaluate ../runs/mine"))
    assert ended.value.code == 1
    assert "--root FOLDER" in capsys.readouterr().err
    for flag in ("--root", "--data.root"):
        run_line(f"lcnet evaluate ../runs/mine {flag} ../colours --predictions there.csv")
        assert Path("there.csv").read_text() == (tmp_path / "here.csv").read_text()
    with pytest.raises(SystemExit) as ended:
        main(shlex.split("evaluate ../runs/mine --data.root ../colours --data.workers 0"))
    assert ended.value.code == 2
    assert "expected --root ../colours alone" in capsys.readouterr().err


def test_a_data_set_with_pictures_of_the_training_is_measured_with_a_warning(
    weights, capsys, tmp_path
):
    one_table(tmp_path / "colours")
    run_line("lcnet train colours --minutes 60 --train.epochs 1 --out runs/mine")
    seen = Path("runs/mine/splits.csv").read_text().count(",train")
    shutil.copytree("colours", "copy")
    capsys.readouterr()
    for words in ("colours", "copy", "--split labels.csv"):
        run_line(f"lcnet evaluate runs/mine {words} --out {tmp_path}/other.json")
        said = " ".join(capsys.readouterr().out.split())
        assert f"warning: runs/mine was trained on {seen} of the 36 pictures" in said, words
    run_line("lcnet evaluate runs/mine")
    assert "was trained on" not in capsys.readouterr().out
