"""`lcnet` alone says which runs there are, how far each is, and what comes next."""

import json
import re
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
    content = {"role": role, "split": "b.csv", "mAP": mAP, "images": 1_234}
    run.metrics_file.write_text(json.dumps(content))
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
    assert printed.startswith(
        "run       data  state                    val mAP  test mAP\n"
        "runs/new  pets  stopped, 4 of 20 epochs  40.0\n"
        "runs/old  pets  finished, 3 epochs       30.0     61.2 (1,234)\n"
    )
    assert (
        "next: lcnet train --resume runs/new\n"
        "      lcnet predict runs/old PICTURES --out predictions.jsonl\n"
    ) in printed


def test_a_run_that_was_not_measured_on_its_test_split_is_measured_next():
    measured(started("mine", epochs=3, rows=3), "val", 61.23)
    assert "next: lcnet evaluate runs/mine\n" in where_one_stands()


def test_the_pictures_of_the_validation_are_counted_where_run_json_says_it():
    run = measured(started("mine", epochs=3, rows=3), "test", 61.23)
    record = run.record() | {"data": {"a.csv": {"pictures": 800}, "val": {"pictures": 90}}}
    run.record_file.write_text(json.dumps(record))
    assert "finished, 3 epochs  30.0 (90)  61.2 (1,234)\n" in where_one_stands()
    run.record_file.write_text(json.dumps(record | {"data": [1]}))
    assert "finished, 3 epochs  30.0     61.2 (1,234)\n" in where_one_stands()


def test_every_split_that_was_measured_is_shown():
    run = measured(started("mine", epochs=3, rows=3), "test", 61.23)
    validation = {"role": "val", "split": "v.csv", "mAP": 33.3, "images": 12}
    (run.path / "metrics-val.json").write_text(json.dumps(validation))
    (run.path / "metrics-odd.json").write_text("[")
    assert "finished, 3 epochs  33.3 (12)  61.2 (1,234)\n" in where_one_stands()


def test_after_predicting_one_looks_at_pictures(here):
    measured(started("mine", epochs=3, rows=3), "test", 61.23)
    (here / "predictions.jsonl").touch()
    assert "next: lcnet serve runs/mine\n" in where_one_stands()


def test_what_was_measured_of_other_pictures_is_in_neither_column():
    measured(started("mine", epochs=3, rows=3), "train", 99.9)
    assert "99.9" not in where_one_stands()


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
    assert len(printed.splitlines()[0]) < 80  # its sentence moves no column
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
    assert re.search(r"finished, 2 epochs  \d+\.\d \(12\)\n", printed)  # validation alone
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
