"""`lcnet` alone says which runs there are, how far each is, and what comes next."""

import json
import shutil
import subprocess
import sys

import pytest

from lcnet.cli import main
from lcnet.cli.standing import MOST, RUNS, where_one_stands
from lcnet.config import Config, Data, Train
from lcnet.run_folder import RunFolder

HEADER = "epoch,train_loss,val_mAP,best_mAP,images_per_s\n"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def started(name: str, *, epochs: int, rows: int) -> RunFolder:
    """A run that was stopped after some epochs."""
    run = RunFolder(RUNS / name)
    Config(
        data=Data(format="table", root="pets", train="a.csv", test="b.csv"),
        train=Train(epochs=epochs),
    ).save(run.config_file)
    lines = [f"{epoch},0.5,{10 * epoch},{10 * epoch},9\n" for epoch in range(1, rows + 1)]
    if rows:
        run.history_file.write_text(HEADER + "".join(lines))
    return run


def measured(run: RunFolder, role: str, mAP: float) -> RunFolder:
    """The run, finished and measured."""
    run.metrics_file.write_text(json.dumps({"role": role, "split": "b.csv", "mAP": mAP}))
    run.record_file.write_text(json.dumps({"finished": "2026-01-01"}))
    return run


def test_an_empty_folder_says_how_to_begin(capsys, here):
    with pytest.raises(SystemExit) as stopped:
        main([])
    assert not stopped.value.code
    printed = capsys.readouterr().out
    assert printed.startswith(f"no runs in {here / 'runs'} yet\n")
    assert "lcnet check DATA\n      lcnet train DATA --minutes 30 --out runs/mine\n" in printed
    assert list(here.iterdir()) == []  # looking makes nothing


def test_a_stopped_run_is_resumed_first():
    measured(started("old", epochs=3, rows=3), "test", 61.23)
    started("new", epochs=20, rows=4)
    printed = where_one_stands()
    assert "runs/new  pets  stopped, 4 of 20 epochs  best val mAP 40.0\n" in printed
    assert "runs/old  pets  finished, 3 epochs       test mAP 61.2\n" in printed
    assert (
        "next: lcnet train --resume runs/new\n"
        "      lcnet predict runs/old PICTURES --out predictions.jsonl\n"
    ) in printed


def test_a_run_that_was_not_measured_on_its_test_split_is_measured_next():
    measured(started("mine", epochs=3, rows=3), "val", 61.23)
    assert "next: lcnet evaluate runs/mine\n" in where_one_stands()


def test_a_run_that_trains_now_is_not_to_be_resumed():
    run = started("now", epochs=20, rows=0)
    with run.locked():
        printed = where_one_stands()
    assert "runs/now  pets  training, 0 of 20 epochs" in printed
    assert "next:" not in printed
    assert "stopped, 0 of 20 epochs" in where_one_stands()


def test_one_damaged_run_hides_no_other(here):
    started("good", epochs=2, rows=1)
    damaged = started("damaged", epochs=2, rows=1)
    damaged.config_file.write_text("model: {widht: 3}\n")
    printed = where_one_stands()
    assert "runs/damaged" in printed
    assert "cannot be read: " in printed
    assert "next: lcnet train --resume runs/good\n" in printed


def test_runs_of_a_comparison_are_found_and_only_the_newest_shown():
    for number in range(MOST + 2):
        started(f"heads/{number}", epochs=2, rows=1)
    printed = where_one_stands()
    assert "runs/heads/" in printed
    assert printed.count("stopped, 1 of 2 epochs") == MOST
    assert "and 2 older ones\n" in printed


def test_a_real_run(trained, here):
    shutil.move(trained, here / "runs" / "it's mine")
    printed = where_one_stands()
    assert "finished, 2 epochs" in printed
    assert "mAP " in printed
    assert """'runs/it'"'"'s mine'""" in printed  # as a shell takes it


def test_it_waits_for_no_large_library():
    started("one", epochs=2, rows=1)
    code = (
        "import sys\nfrom lcnet.cli import main\ntry: main([])\nexcept SystemExit: pass\n"
        "print(sorted({'torch', 'numpy', 'pandas', 'rich', 'shtab'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "runs/one" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"
