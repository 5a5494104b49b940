import json
import os
import resource
import shlex
import subprocess
import sys
from argparse import Namespace
from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from tests.published import layouts

from lcnet.cli import build_parser, main
from lcnet.cli.help import by_subject
from lcnet.config import SECTIONS, Config, Data, Model, Released, by_name
from lcnet.model_folder import read_info

LCNET = (sys.executable, "-m", "lcnet")


def run(capsys: pytest.CaptureFixture[str], command: str) -> tuple[int, str, str]:
    """The exit code and the output of a command."""
    with pytest.raises(SystemExit) as stopped:
        main(shlex.split(command))
    output = capsys.readouterr()
    return int(stopped.value.code or 0), output.out, output.err


@pytest.fixture(scope="module")
def train_help() -> str:
    done = subprocess.run([*LCNET, "train", "--help"], capture_output=True, text=True, check=True)
    return " ".join(done.stdout.split())


@pytest.mark.parametrize(("name", "section"), SECTIONS.items())
def test_every_setting_is_a_flag_and_explained(train_help, name, section):
    for setting in fields(section):
        assert f"--{name}.{setting.name}" in train_help
    assert "Crop-Forwarding: cut the image into N x N tiles" in train_help


def test_the_help_begins_with_what_matters_and_ends_with_the_released_layout():
    parser = build_parser("train")._subcommands_action.choices["train"]
    groups = by_subject(parser._actions)
    shown = [action.dest for group in groups for action in group._group_actions]
    first = [action.dest for action in groups[0]._group_actions]
    assert set(first) >= {"help", "config", "out", "resume", "init", "data.root", "train.epochs"}
    assert "model.dropout" not in first
    assert len(first) <= 30
    assert sorted(shown) == sorted(action.dest for action in parser._actions)  # each once
    released = {f"model.released.{one.name}" for one in fields(Released)}
    assert {action.dest for action in groups[-2]._group_actions} == released
    assert groups[-1].title == "Other"
    assert all(group._group_actions for group in groups)


def test_the_help_says_in_words_what_a_flag_takes(train_help):
    assert "--model.crop_level INT Crop-Forwarding" in train_help
    assert "(0 to 32, default: 2)" in train_help
    assert "--train.batch_size INT|auto" in train_help
    assert "(at least 1, or auto, default: 32)" in train_help
    assert "Annotated" not in train_help
    places = [
        train_help.index(flag) for flag in ("--out", "--data.root TEXT", "--train.epochs INT")
    ]
    assert places == sorted(places)


def test_a_config_file_with_former_names_is_read_in_its_place(tmp_path):
    file = tmp_path / "old.yaml"
    file.write_text("model: {layer: released, width: 128}\ntrain: {lr: 1.0e-4}")
    flags = ["--train.lr", "1", "--config", str(file), "--model.width", "64"]
    arguments = build_parser("train").parse_args(["train", *flags]).train
    assert arguments.model.released.layer == "released"
    assert (arguments.model.width, arguments.train.lr) == (64, 1e-4)


@pytest.mark.parametrize("name", by_name(asdict(Data())))
def test_every_data_setting_is_a_flag_of_evaluate(name, parser):
    default = by_name(asdict(Data()))[name]
    arguments = parser.parse_args(["evaluate", "x", f"--data.{name}", str(default)])
    given = by_name(arguments.evaluate.data.as_dict())
    assert {setting: value for setting, value in given.items() if value != {}} == {name: default}


def test_help_comes_in_under_half_a_second():
    # Processor time, which on a quiet machine is all of it: other work does not lengthen it. An
    # installed package has its bytecode, and so it is here from the second time on.
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run([*LCNET, "--help"], capture_output=True, check=True, env=kept)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*LCNET, "--help"], capture_output=True, check=True, env=kept)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5


@pytest.mark.parametrize(
    "command",
    ["--help", "train --help", "predict --help", "trian", "train --model.widht 3 --out x"],
)
def test_help_and_wrong_flags_wait_for_no_large_library(command):
    code = (
        "import sys\nfrom lcnet.cli import main\n"
        f"try: main({command.split()})\nexcept SystemExit: pass\n"
        "large = {'torch', 'torchvision', 'lightning_fabric', 'numpy', 'pandas', 'scipy',"
        " 'sklearn', 'PIL', 'matplotlib', 'rich'}\nprint(sorted(large & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert len(done.stdout.splitlines()) > 5 or done.stderr.count("\n") == 1


def test_only_the_flags_of_the_verb_that_is_asked_for_are_made():
    alone, whole = build_parser("predict").flags(), build_parser().flags()
    assert "--workers" in alone
    assert "--model.width" not in alone
    assert {"--workers", "--model.width"} <= set(whole)


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        ("trian", 2, "expected a verb, got trian. Did you mean train? (lcnet --help"),
        ("xyz", 2, "expected a verb, got xyz. (lcnet --help lists all verbs)"),
        ("train", 2, "Name your data: lcnet train DATA --minutes 30"),
        ("train --data.root . --data.format coco", 2, "--out: expected a folder, got none"),
        ("train x --minutes 5min", 2, "--minutes: expected a number of minutes above 0, got 5min"),
        (
            "predict new --out x",
            2,
            "expected PICTURES, got none. Write: lcnet predict RUN PICTURES",
        ),
        ("predict", 2, "expected RUN and PICTURES, got none. Write: lcnet predict RUN PICTURES"),
        ("soup a b", 2, "soup: expected --out PATH, got none. Write: lcnet soup a b --out PATH"),
        ("compare runs/a runs/b", 2, "finished runs: lcnet report runs/b --against runs/a"),
        ("compare runs/a --out x runs/b", 2, "lcnet report OTHER --against RUN"),
        ("compare runs/a 'runs/b c' --out x", 2, "lcnet report 'runs/b c' --against runs/a"),
        ("train a b", 2, "train: expected fewer words, got b as well"),
        ("compare --heads [lcnet,gap]", 2, "--out: expected a folder, got none"),
        ("tune", 2, "--out: expected a folder, got none"),
        ("tune --out runs/x --settings [train.seed]", 2, "--settings: expected of train.lr"),
        ("train --model.widht 3 --out x", 2, "Did you mean --model.width?"),
        ("train --model.width x --out x", 2, "--model.width: expected 6 to 16,384, got x"),
        ("train --model.layer released --out x", 2, "Did you mean --model.released.layer?"),
        ("train --model.released.lyer x --out x", 2, "Did you mean --model.released.layer?"),
        ("train --model.width 30 --out x", 2, "a multiple of model.heads"),
        ("train --config nowhere.yaml --out x", 2, "nowhere.yaml"),
        ("train --resume nowhere", 1, "nowhere/config.yaml: expected the folder of a run"),
        ("train --data.format table --data.root nowhere --out x", 1, "no folder nowhere"),
        ("train --data.format table --out x --data.root . --data.train a.csv", 1, "a.csv"),
        ("train --init nowhere --out x", 1, "no such checkpoint"),
        ("train --init nowhere --model.width 32 --out x", 1, "no such checkpoint"),
        ("train --init nowhere", 2, "Name your data"),
        ("train --resume nowhere --init nowhere", 2, "--resume: expected no other flags"),
        ("train --train.cache_features x --out x", 2, "--train.backbone_lr_factor"),
        ("train --train.precision fp16 --out x", 2, "fp16 needs an accelerator"),
        ("evaluate nowhere", 1, "Train one with: lcnet train DATA --minutes 30 --out RUN"),
        ("evaluate nowhere --protocol voc", 2, "one of lcnet, ml-gcn, csra, ml-decoder"),
        ("evaluate nowhere --batch_size 0", 2, "--batch_size: expected at least 1, got 0"),
        ("evaluate nowhere --data.images all", 2, "--data.images: expected --data.format as well"),
        ("evaluate nowhere --data.formt x", 2, "Did you mean --data.format?"),
        ("check . --data.folders photos", 2, "expected a list, got photos. Write '[photos]'"),
        ("predict run x --threshold 0.5", 2, "lcnet calibrate RUN --reset"),
        ("evaluate nowhere --data.workers x", 2, "--data.workers"),
        ("calibrate nowhere", 1, "no model here"),
        ("calibrate nowhere --reset", 1, "no model here"),
        ("calibrate nowhere --reset --goal recall", 2, "expected no other flags, got --goal"),
        ("calibrate nowhere --reset --data.format coco --data.root x", 2, "got --data flags"),
        ("calibrate nowhere --goal precision", 2, "--at_least: expected a precision above 0"),
        ("calibrate nowhere --at_least 0.9", 2, "--at_least 0.9: goes with --goal precision"),
        ("calibrate nowhere --goal fast", 2, "fast"),
        ("calibrate nowhere --data.images all", 2, "--data.images: expected --data.format as well"),
        ("train --train.unknown_weight 0.5 --out x", 2, "0 unless train.unknown is weighted"),
        ("predict nowhere picture.jpg", 1, "picture.jpg: no picture"),
        ("predict nowhere .", 1, "no picture"),
        ("predict hf://a/../b x.jpg", 2, "expected user/name or user/name@revision"),
        ("push nowhere a/b", 1, "no model here"),
        ("push nowhere a", 2, "a: expected user/name"),
    ],
)
def test_a_mistake_gives_one_line_and_an_exit_code(
    capsys, monkeypatch, tmp_path, command, code, message
):
    monkeypatch.chdir(tmp_path)
    got, _, error = run(capsys, command)
    assert (got, error.count("\n")) == (code, 1), error
    assert message in error
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_has_seen_enough_ends_a_command_quietly():
    line = f"{shlex.quote(sys.executable)} -m lcnet train --help | head -c 5"
    ended = subprocess.run(line, shell=True, capture_output=True, check=False)
    assert (ended.stdout, ended.stderr) == (b"usage", b"")


def test_train_evaluate_and_predict_by_the_command_line(capsys, tiny_config, tmp_path, read_json):
    tiny_config.save(tmp_path / "tiny.yaml")
    out = tmp_path / "run"
    code, _, error = run(
        capsys, f"train --config {tmp_path}/tiny.yaml --train.epochs 1 --out {out}"
    )
    assert code == 0, error
    assert read_json(out / "metrics.json")["split"] == "val.csv"

    code, printed, error = run(capsys, f"evaluate {out} --split train.csv --threshold 0.3")
    assert code == 0, error
    metrics = read_json(out / "metrics-train.json")
    assert (metrics["split"], metrics["images"], metrics["threshold"]) == ("train.csv", 24, 0.3)
    assert f"mAP {metrics['mAP']:.1f} (" in printed  # with its interval, since pictures are few

    code, printed, error = run(capsys, f"evaluate {out} --split val.csv --protocol lcnet")
    assert (code, "protocol lcnet: step AP, threshold 0.85" in printed) == (0, True), error
    assert read_json(out / "metrics.json")["protocol"] == "lcnet"

    root = tiny_config.data.root
    code, _, error = run(capsys, f"evaluate {out}/model")
    assert (code, "lcnet evaluate MODEL PATH" in error) == (2, True)
    code, _, error = run(
        capsys,
        f"evaluate {out}/model --data.format table --data.root nowhere --data.test train.csv"
        f" --root {root} --data.workers 0 --batch_size 5 --out {tmp_path}/other.json",
    )
    assert code == 0, error
    assert not (out / "model" / "metrics.json").exists()
    other = read_json(tmp_path / "other.json")
    assert (other["split"], other["images"], other["root"]) == ("train.csv", 24, root)
    assert other["AP"] == metrics["AP"]

    code, printed, error = run(capsys, f"calibrate {out} --goal recall --at_least 0.9")
    assert (code, "recall of at least 90" in printed) == (0, True), error
    code, printed, error = run(capsys, f"evaluate {out} --intervals")
    assert (code, "95 % intervals over images: mAP" in printed) == (0, True), error
    metrics = read_json(out / "metrics.json")
    low, high = metrics["intervals"]["CF1"]
    assert low <= metrics["CF1"] <= high
    assert "recall of at least 90" in metrics["calibration"]
    code, printed, error = run(capsys, f"calibrate {out} --reset")
    assert (code, "every threshold is 0.5" in printed) == (0, True), error

    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    Image.new("L", (5, 300)).save(tmp_path / "odd.png")
    code, printed, error = run(
        capsys,
        f"predict {out} {tmp_path}/broken.jpg {tmp_path}/odd.png '{root}/images/val*.png'"
        f" --out {tmp_path}/predictions.jsonl",
    )
    assert code == 1
    lines = [json.loads(x) for x in (tmp_path / "predictions.jsonl").read_text().splitlines()]
    assert len(lines) == 2 + 12
    assert set(lines[0]) == {"image", "error"}
    assert lines[1]["image"].endswith("odd.png")
    assert set(lines[1]["probabilities"]) == {"red", "green", "blue"}

    code, printed, error = run(capsys, f"train --resume {out}")
    assert (code, "already finished" in printed) == (0, True), error
    code, _, error = run(capsys, f"train --resume {out} --train.lr 4")
    assert (code, "expected no other flags but --train.epochs, got --train.lr, " in error) == (
        2,
        True,
    )
    assert "config.yaml, below train: devices, nodes, restarts" in error
    assert error.count("\n") == 1
    code, _, error = run(capsys, f"train --resume {out} --train.lr 3e-4 --train.epochs 2")
    assert (code, "got --train.lr, " in error) == (2, True)  # also where it is the default
    code, _, error = run(capsys, f"train --resume {out} --train.epochs 1")
    assert (code, "expected more than 1, which this run has trained" in error) == (2, True)
    code, printed, error = run(capsys, f"train --resume {out} --train.epochs=2")
    assert (code, "epoch 2/2" in printed) == (0, True), error

    code, _, error = run(capsys, f"train --config {tmp_path}/tiny.yaml --out {out}")
    assert code == 2
    assert "already there" in error
    assert (out / "model" / "model.json").is_file()


def test_training_on_by_the_command_line(capsys, tiny_config, tmp_path):
    tiny_config.save(tmp_path / "tiny.yaml")
    data = replace(tiny_config, model=Model(), train=replace(tiny_config.train, epochs=1))
    data.save(tmp_path / "data.yaml")
    weights = layouts.by_rule(layouts.released(3))
    torch.save(
        {"state_dict": weights, "arch": Namespace(img_size=32, CropLevels=1)}, tmp_path / "it.pth"
    )
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    run(capsys, f"train --config {tmp_path}/tiny.yaml --train.epochs 1 --out {first}")
    for start, out in ((first, second), (second / "model", third)):
        code, _, error = run(
            capsys, f"train --config {tmp_path}/data.yaml --init {start} --out {out}"
        )
        assert code == 0, error
        assert Config.load(out / "config.yaml").model == tiny_config.model
    code, printed, error = run(
        capsys, f"train --config {tmp_path}/data.yaml --init {tmp_path}/it.pth --out {tmp_path}/on"
    )
    assert (code, "LCNet as released, 3 labels" in printed) == (0, True), error
    assert Config.load(tmp_path / "on" / "config.yaml").model.graph == "released"
    assert read_info(tmp_path / "on").labels == ("red", "green", "blue")

    code, printed, error = run(
        capsys, f"train --config {first}/config.yaml --init {first} --out {tmp_path}/same"
    )
    assert (code, "those of the model in --init, all of them" in printed) == (0, True), error
    other = "--model.width 48 --model.view_size 32 --model.heads=2"
    code, _, error = run(
        capsys, f"train --config {tmp_path}/data.yaml {other} --init {first} --out {tmp_path}/other"
    )
    assert (code, error.count("\n")) == (2, 1), error
    assert "model.width: expected 24, got 48; model.heads: expected 4, got 2. " in error
    (tmp_path / "part.yaml").write_text("model:\n  view_size: 224\n  depth: 3\n")
    code, _, error = run(
        capsys,
        f"train --config {tmp_path}/data.yaml --config {tmp_path}/part.yaml --init {first} "
        f"--out {tmp_path}/other",
    )
    assert (code, "model.depth: expected 2, got 3. " in error) == (2, True), error
    root = Path(tiny_config.data.root)
    (root / "train.csv").write_text((root / "train.csv").read_text().replace("blue", "violet"))
    code, _, error = run(
        capsys, f"train --config {tmp_path}/data.yaml --init {first} --out {tmp_path}/other"
    )
    assert (code, error.count("\n")) == (1, 1), error
    assert "unknown label 'blue'" in error  # of the validation split, which still has it
    assert not (tmp_path / "other").exists()


def test_version_is_the_package_s(capsys):
    code, printed, _ = run(capsys, "--version")
    assert code == 0
    project = Path(__file__).parent.parent.parent / "pyproject.toml"
    assert f'version = "{printed.split()[-1]}"' in project.read_text()
