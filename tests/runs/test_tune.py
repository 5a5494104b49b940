"""`lcnet tune`: what is searched, how trials end, and that a search goes on where it stopped."""

import csv
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from tests.conftest import with_train

from lcnet.config import Config, Train
from lcnet.errors import ConfigError, DataError, Stopped, TimeUp, TrainingError
from lcnet.run_folder import RunFolder
from lcnet.runs import tuning
from lcnet.runs.search_space import SETTINGS, Choice, Range, given_values, space
from lcnet.runs.trial import Behind, Trained, TrialWatch, proposed
from lcnet.runs.tune import tune
from lcnet.training.stopping import Stop

pytest.importorskip("optuna", reason="needs the extra `tune`")
pytestmark = pytest.mark.usefixtures("no_report")
SEARCHED = ["train.lr", "model.depth"]


def rows_of(out):
    with (out / "trials.csv").open(newline="") as file:
        return list(csv.DictReader(file))


# What is searched


@pytest.mark.parametrize("name", list(SETTINGS))
def test_what_is_given_is_among_what_is_tried(name):
    config = Config()
    for value in (given_values(config)[name], 1, 4):
        kind = SETTINGS[name].range(value)
        if isinstance(kind, Choice):
            assert value in kind.values
        else:
            assert kind.low <= value <= kind.high
            assert kind.low > 0 or not kind.is_log


def test_what_has_no_effect_is_not_searched():
    names = set(space(Config(), ()))
    assert {"train.lr", "train.mixup", "train.backbone_lr_factor", "model.depth"} <= names
    frozen = Train(
        cache_features="features", backbone_lr_factor=0, randaugment=0, cutout=0, epochs=4
    )
    kept = set(space(Config(train=frozen), ()))
    assert "train.lr" in kept
    assert (
        not {
            "train.mixup",
            "train.randaugment",
            "train.cutout",
            "train.min_scale",
            "train.backbone_lr_factor",
        }
        & kept
    )
    rival = Config(model=replace(Config().model, head="csra"))
    assert not {"model.depth", "model.width", "train.decoder_lr_factor"} & set(space(rival, ()))


def test_every_corner_of_the_space_is_a_config_that_can_be_read():
    config = Config()
    ranges = space(config, ())
    for end in (0, -1):
        corner = {
            name: kind.values[end] if isinstance(kind, Choice) else (kind.low, kind.high)[end]
            for name, kind in ranges.items()
        }
        corner = {
            name: int(value) if isinstance(kind := ranges[name], Range) and kind.is_whole else value
            for name, value in corner.items()
        }
        config.changed(corner)


@pytest.mark.parametrize(
    ("config", "name", "message"),
    [
        (Config(), "train.seed", r"--settings: expected of train\.lr, .*, got 'train\.seed'"),
        (
            Config(model=replace(Config().model, head="gap")),
            "model.depth",
            "model.depth cannot be searched",
        ),
    ],
)
def test_other_names_are_refused(config, name, message):
    with pytest.raises(ConfigError, match=message):
        space(config, [name])


def test_a_trial_takes_choices_as_they_are_and_numbers_with_few_digits():
    from optuna.trial import FixedTrial

    ranges = space(Config(), ("train.ema_decay", "train.lr", "train.epochs"))
    wanted = {"train.ema_decay": 0.9997, "train.lr": 1.23456e-4, "train.epochs": 17}
    values = proposed(FixedTrial(wanted, number=3), ranges)
    assert values == {"train.ema_decay": 0.9997, "train.lr": 1.23e-4, "train.epochs": 17}
    assert proposed(FixedTrial(wanted, number=0), ranges) == wanted  # what the user gave
    Config().changed(values)


# A trial


class Spy:
    """A trial that notes what is reported, and is to end when told."""

    def __init__(self, number, *, is_behind=False):
        self.number, self.is_behind, self.reports = number, is_behind, []

    def report(self, value, step):
        self.reports.append((step, value))

    def should_prune(self):
        return self.is_behind


def test_a_trial_reports_in_tenths_of_its_training():
    spy = Spy(3)
    watch = TrialWatch(spy, Config(train=Train(epochs=4)), until=0, most_seconds=9)
    for epoch, score in enumerate((20, 50.5, 50.5, 60), start=0):
        watch.see({"epoch": epoch, "best_mAP": str(score), "seconds": "2.0"})
    assert spy.reports == [(2, 50.5), (5, 50.5), (7, 60.0)]
    with pytest.raises(Trained):
        watch.see({"epoch": 4, "best_mAP": "61", "seconds": "2.0"})


def test_less_loss_is_better():
    spy = Spy(3)
    watch = TrialWatch(spy, Config(train=Train(epochs=4, best_by="loss")), until=0, most_seconds=9)
    watch.see({"epoch": 1, "best_mAP": "50", "best_loss": "0.25", "seconds": "2.0"})
    assert spy.reports == [(2, -0.25)]


def test_only_other_settings_than_the_given_can_be_behind():
    row = {"epoch": 1, "best_mAP": "50", "seconds": "2.0"}
    TrialWatch(Spy(0, is_behind=True), Config(), until=0, most_seconds=90).see(row)
    with pytest.raises(Behind):
        TrialWatch(Spy(1, is_behind=True), Config(), until=0, most_seconds=90).see(row)


def test_a_trial_that_would_take_most_of_the_time_is_ended():
    row = {"epoch": 1, "best_mAP": "50", "seconds": "2.0"}
    recipe = Config(train=Train(epochs=4))
    TrialWatch(Spy(1), recipe, until=0, most_seconds=8).see(row)
    TrialWatch(Spy(0), recipe, until=0, most_seconds=7).see(row)  # the settings given
    with pytest.raises(Behind, match=r"too slow: 0\.1 min in all"):
        TrialWatch(Spy(1), recipe, until=0, most_seconds=7).see(row)


def test_time_that_is_up_stops_a_run_as_a_signal_does():
    assert not Stop("Go on.", time.monotonic() + 100).is_wanted
    stop = Stop("Go on.", time.monotonic() - 1)
    assert stop.is_wanted
    ending = stop.now("in epoch 2")
    assert isinstance(ending, TimeUp)
    assert str(ending) == "time is up in epoch 2. Go on."


# A search


def test_a_search_keeps_the_best_and_goes_on_with_the_same_command(tiny_config, tmp_path, capsys):
    out = tmp_path / "search"
    found = tune(tiny_config, out, minutes=5, settings=SEARCHED, trials=2)
    assert found.trials == 2
    rows = rows_of(out)
    assert [row["trial"] for row in rows] == ["0", "1"]
    assert (float(rows[0]["train.lr"]), rows[0]["model.depth"]) == (
        tiny_config.train.lr,
        str(tiny_config.model.depth),
    )
    assert found.best == max(float(row["score"]) for row in rows if row["score"])
    assert found.given == float(rows[0]["score"])
    more = tune(tiny_config, out, minutes=5, settings=SEARCHED, trials=4)
    rows = rows_of(out)
    assert more.trials == len(rows) == 4
    assert len({row["train.lr"] for row in rows}) == 4  # an interrupted chance is not repeated
    assert more.best >= found.best
    best = RunFolder(more.run)
    assert best.is_finished
    assert Config.load(out / "best.yaml") == best.config()
    with_models = {path.parent.name for path in (out / "trials").glob("*/model")}
    assert with_models == {"000", best.path.name}
    printed = capsys.readouterr().out
    assert "trial 3: " in printed
    assert f"lcnet train --config {out / 'best.yaml'} --out ANOTHER" in printed


def test_a_trial_that_is_behind_is_ended_early(tiny_config, tmp_path, monkeypatch):
    import optuna

    everyone = optuna.pruners.ThresholdPruner(lower=101)
    monkeypatch.setattr(optuna.pruners, "MedianPruner", lambda *given, **named: everyone)
    out = tmp_path / "search"
    assert tune(tiny_config, out, minutes=5, settings=SEARCHED, trials=2).trials == 2
    first, second = rows_of(out)
    assert (first["state"], first["epochs"]) == ("trained", "2")  # the settings given
    assert (second["state"], second["epochs"]) == ("ended early", "1")


def test_a_few_failing_trials_end_the_search(tiny_config, tmp_path, monkeypatch):
    tune(tiny_config, tmp_path / "search", minutes=5, settings=SEARCHED, trials=1)

    def diverge(*given, **named):
        raise TrainingError("the loss is not finite")

    monkeypatch.setattr("lcnet.runs.trial.begin", diverge)
    with pytest.raises(ConfigError, match="the last 3 trials failed"):
        tune(tiny_config, tmp_path / "search", minutes=5, settings=SEARCHED)


def test_a_trial_whose_time_is_up_is_saved_and_goes_on(tiny_config, tmp_path, monkeypatch, capsys):
    out = tmp_path / "search"
    clock = SimpleNamespace(monotonic=time.monotonic)
    monkeypatch.setattr(tuning, "time", clock)
    begun = time.monotonic()
    clock.monotonic = lambda: begun  # the search goes on, but its runs find the time over
    with pytest.raises(ConfigError, match="--minutes: expected enough for one training"):
        tune(tiny_config, out, minutes=1e-9, settings=SEARCHED)
    run = RunFolder(out / "trials" / "000")
    assert run.has_checkpoint
    assert not run.is_finished
    clock.monotonic = time.monotonic
    found = tune(tiny_config, out, minutes=5, settings=SEARCHED, trials=1)
    assert found.trials == 1
    assert [row["epoch"] for row in run.history()] == [1, 2]
    log = run.path.with_name("000.log").read_text()
    assert log.count("epoch 2/2") == 1


def test_a_signal_leaves_a_search_that_can_go_on(tiny_config, tmp_path, monkeypatch):
    out = tmp_path / "search"

    def stopped(*given, **named):
        raise Stopped("stopped by SIGTERM in epoch 1. Continue with another command.", 15)

    with monkeypatch.context() as patched:
        patched.setattr("lcnet.runs.trial.begin", stopped)
        with pytest.raises(Stopped, match=r"epoch 1, trial 0\. Go on with the same command") as end:
            tune(tiny_config, out, minutes=5, settings=SEARCHED)
    assert end.value.code == 143
    assert tune(tiny_config, out, minutes=5, settings=SEARCHED, trials=1).trials == 1


def test_a_search_with_other_settings_is_refused(tiny_config, tmp_path):
    out = tmp_path / "search"
    tune(tiny_config, out, minutes=5, settings=SEARCHED, trials=1)
    with pytest.raises(ConfigError, match=r"expected a run with train\.epochs 3"):
        tune(with_train(tiny_config, epochs=3), out, minutes=5, settings=SEARCHED)
    with pytest.raises(ConfigError, match=r"holds a search of train\.lr, model\.depth"):
        tune(tiny_config, out, minutes=5, settings=["train.lr"])


def test_a_folder_with_something_else_is_left_alone(tiny_config, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="already there, and not a search"):
        tune(tiny_config, tmp_path, minutes=5)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["notes.txt"]


def test_a_search_that_cannot_begin_leaves_nothing(tiny_config, tmp_path):
    out = tmp_path / "search"
    missing = replace(tiny_config, data=replace(tiny_config.data, train="other.csv"))
    with pytest.raises(DataError):
        tune(missing, out, minutes=5)
    assert not out.exists()


def test_a_missing_optuna_is_said_at_once(tiny_config, tmp_path, monkeypatch):
    monkeypatch.setattr(tuning, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'lcnet\[tune\]'"):
        tune(tiny_config, tmp_path / "search", minutes=5)
    assert not (tmp_path / "search").exists()


def test_several_devices_are_refused(tiny_config, tmp_path):
    with pytest.raises(ConfigError, match="trains on one device"):
        tune(with_train(tiny_config, devices=2), tmp_path / "search", minutes=5)
