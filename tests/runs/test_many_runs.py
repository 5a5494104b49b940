"""Many runs: an interrupted one goes on, and none outlives the command."""

import subprocess
import sys
import time
from dataclasses import asdict, replace

import psutil
import pytest
import yaml

from lcnet.errors import ConfigError
from lcnet.run_folder import RunFolder
from lcnet.runs.many_runs import Run, RunQueue
from lcnet.runs.train import train

PARENT = """
import multiprocessing, os, time
from concurrent.futures import ProcessPoolExecutor
from lcnet.runs.many_runs import _begin

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, initializer=_begin, initargs=(1,)) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        pool.submit(time.sleep, 600).result()
"""


@pytest.mark.parametrize("damaged", [True, False])
def test_an_interrupted_run_goes_on_or_starts_anew_if_damaged(
    tiny_config, tmp_path, capsys, damaged
):
    config = replace(tiny_config, train=replace(tiny_config.train, epochs=1))
    folder = train(config, tmp_path / "run")
    folder.metrics_file.unlink()
    if damaged:
        for file in folder.checkpoints.iterdir():
            file.write_bytes(b"no checkpoint")
    capsys.readouterr()
    run = Run("one", config, folder)
    assert not run.folder.is_finished
    RunQueue(1).train([run])
    assert run.folder.is_finished
    said = capsys.readouterr()
    assert ("It is started again" in said.out + said.err, "epoch 1/1" in said.out) == (
        damaged,
        damaged,
    )


def test_a_run_of_the_queue_can_start_from_another_and_is_not_repeated(tiny_config, tmp_path):
    config = replace(tiny_config, train=replace(tiny_config.train, epochs=1))
    first = train(config, tmp_path / "first")
    run = Run("on", config, RunFolder(tmp_path / "on"), init=first)
    RunQueue(1).train([run])
    rows = run.folder.history()
    assert [row["epoch"] for row in rows] == [0, 1]
    assert rows[0]["val_mAP"] == pytest.approx(first.history()[-1]["best_mAP"], abs=0.5)
    written = run.folder.history_file.stat().st_mtime_ns
    RunQueue(1).train([run])
    assert run.folder.history_file.stat().st_mtime_ns == written


def test_a_run_of_an_lcnet_that_did_not_know_a_setting_is_not_taken_for_done(tiny_config, tmp_path):
    run = Run("one", tiny_config, RunFolder(tmp_path / "run"))
    run.check()  # no folder, nothing to hold against it
    run.folder.path.mkdir()
    tiny_config.save(run.folder.config_file)
    run.check()
    file = run.folder.config_file
    lines = [line for line in file.read_text().splitlines() if "decoder_lr_factor" not in line]
    file.write_text("\n".join(lines))
    with pytest.raises(ConfigError, match="got one where it is not known"):
        RunQueue(1).train([run])


def test_a_run_that_was_stored_with_former_names_is_the_same_run(tiny_config, tmp_path):
    run = Run("one", tiny_config, RunFolder(tmp_path / "run"))
    run.folder.path.mkdir()
    stored = asdict(tiny_config)
    stored["model"] |= stored["model"].pop("released")
    file = run.folder.config_file
    file.write_text(yaml.safe_dump(stored))
    run.check()
    stored["model"]["antialias"] = False
    file.write_text(yaml.safe_dump(stored))
    with pytest.raises(ConfigError, match=r"model\.released\.antialias True, got one where"):
        run.check()


def test_no_run_outlives_the_command(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    worker = psutil.Process(int(parent.stdout.readline()))
    assert worker.is_running()
    parent.kill()
    parent.communicate()
    until = time.monotonic() + 30
    while worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < until
        time.sleep(0.05)
