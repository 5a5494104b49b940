"""The four published commands, on tiny trees in the published layouts, from small checkpoints."""

import argparse
import json
import runpy
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.published import layouts

from lcnet.cli.released_command import released_config
from lcnet.config import Config
from lcnet.data.readers.coco import COCO_LABELS
from lcnet.errors import ConfigError
from lcnet.model_folder import read_info
from lcnet.published.released_flags import WITHOUT_MEANING, command_parser

DOOR = Path(__file__).parent.parent.parent / "train.py"
COMMON = "--pretrained --backbone TResnetL_V2"
COCO = f"--batch-size 8 --dataname coco14 --num_class 80 {COMMON} --CropLevels 2 --imgInpsize 896"
VOC = f"--batch-size 8 --dataname voc --num_class 20 {COMMON} --CropLevels 3 --imgInpsize 1344"
PUBLISHED = {
    "coco train": f"--print-freq 1000 --print_freq_val 1000 --isTrain True {COCO}",
    "voc train": f"--print-freq 1000 --print_freq_val 1000 --isTrain True {VOC}",
    "coco verify": f"--print-freq 1000 --print_freq_val 1000 --isTrain False {COCO}",
    "voc verify": f"--print-freq 120 --print_freq_val 120 --isTrain False {VOC}",
}


def draw(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(len(file.stem)).integers(0, 255, (40, 52, 3))
    Image.fromarray(pixels.astype(np.uint8)).save(file)


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """COCO 2014 with all 80 labels, three pictures a split, one of them without an object."""
    root = tmp_path / "coco"
    ids = [
        number for number in range(1, 91) if number not in (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
    ]
    categories = [
        {"id": number, "name": name} for number, name in zip(ids, COCO_LABELS, strict=True)
    ]
    for split in ("train2014", "val2014"):
        images = [{"id": n, "file_name": f"COCO_{split}_{n:012}.jpg"} for n in (1, 2, 3)]
        for image in images:
            draw(root / split / image["file_name"])
        annotations = [
            {"id": n, "image_id": 1 + n % 2, "category_id": ids[n], "iscrowd": 0} for n in range(80)
        ]
        (root / "annotations").mkdir(exist_ok=True)
        (root / "annotations" / f"instances_{split}.json").write_text(
            json.dumps({"images": images, "annotations": annotations, "categories": categories})
        )
    return root


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    """VOC 2007 in the release's three trees; the second object of each picture is difficult."""
    root = tmp_path / "voc"
    for split in ("train", "val", "test"):
        year = root / split / "VOCdevkit" / "VOC2007"
        for folder in ("Annotations", "ImageSets/Main"):
            (year / folder).mkdir(parents=True)
        names = ["000001", "000002"]
        (year / "ImageSets" / "Main" / f"{split}.txt").write_text("\n".join(names) + "\n")
        for name, (first, second) in zip(names, (("cat", "sofa"), ("dog", "car")), strict=True):
            draw(year / "JPEGImages" / f"{name}.jpg")
            objects = "".join(
                f"<object><name>{label}</name><difficult>{hard}</difficult></object>"
                for label, hard in ((first, 0), (second, 1))
            )
            (year / "Annotations" / f"{name}.xml").write_text(f"<annotation>{objects}</annotation>")
    return root


@pytest.fixture
def checkpoint(tmp_path: Path):
    """Makes a folder with a small model_best.pth.tar by rule."""

    def make(labels: int) -> Path:
        folder = tmp_path / f"released{labels}"
        folder.mkdir()
        weights = layouts.by_rule(layouts.released(labels))
        torch.save(
            {"epoch": 1, "arch": argparse.Namespace(img_size=448), "state_dict": weights},
            folder / "model_best.pth.tar",
        )
        return folder

    return make


def run(command: str, monkeypatch) -> int:
    """The exit code of `python train.py command`."""
    monkeypatch.setattr(sys, "argv", ["train.py", *shlex.split(command)])
    try:
        runpy.run_path(str(DOOR), run_name="__main__")
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


@pytest.mark.parametrize("command", PUBLISHED)
def test_the_published_commands_run(command, coco, voc, checkpoint, tmp_path, monkeypatch, capsys):
    labels, data = (80, coco) if command.startswith("coco") else (20, voc)
    out = tmp_path / "out"
    places = f"--dataset_dir {data} --output {out} --resume {checkpoint(labels)}"
    # Small views and one epoch for time; the word-for-word sizes are the slow test's.
    small = "--img_size 32 --epochs 1" if command.endswith("train") else "--img_size 32"
    assert run(f"{PUBLISHED[command]} {places} {small}", monkeypatch) == 0
    said = capsys.readouterr().out
    assert "--print_freq_val: has no effect here" in said
    assert f"LCNet as released, {labels} labels" in said
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["labels"] == labels
    info = read_info(out)
    assert info.model.crop_level == (2 if labels == 80 else 3)
    assert info.model.graph == "released"
    if command.endswith("verify"):
        assert metrics["protocol"] == "lcnet"
        assert metrics["threshold"] == 0.85
        assert metrics["split"] == {"coco verify": "val2014", "voc verify": "test"}[command]
        assert metrics["images"] == {"coco verify": 3, "voc verify": 2}[command]
        # Difficult objects count as present in the release's protocol.
        expected = {"coco verify": 0, "voc verify": 16}[command]
        assert len(metrics["labels_without_positive"]) == expected
    else:
        assert (out / "history.csv").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("command", ["coco verify", "voc verify"])
def test_verification_runs_word_for_word(command, coco, voc, checkpoint, tmp_path, monkeypatch):
    labels, data = (80, coco) if command.startswith("coco") else (20, voc)
    places = f"--dataset_dir {data} --output {tmp_path / 'out'} --resume {checkpoint(labels)}"
    assert run(f"{PUBLISHED[command]} {places}", monkeypatch) == 0
    assert read_info(tmp_path / "out").model.view_size == 448


def test_verifying_twice_into_one_folder_and_from_an_imported_model(
    voc, checkpoint, tmp_path, monkeypatch
):
    out, again = tmp_path / "out", tmp_path / "again"
    verify = f"--dataname voc --num_class 20 --CropLevels 3 --img_size 32 --dataset_dir {voc}"
    for output, resume in ((out, checkpoint(20)), (out, out / "model"), (again, out)):
        assert run(f"{verify} --output {output} --resume {resume}", monkeypatch) == 0
    first, last = ((folder / "metrics.json").read_text() for folder in (out, again))
    assert first == last


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("--resume {checkpoint} --num_class 80", 1, "expected 80 labels (--num_class), got 20"),
        ("--resume {tmp}/none", 1, "no such checkpoint"),
        ("", 2, "expected a checkpoint to verify"),
        ("--isTrain maybe", 2, "expected True or False"),
        ("--isTrain True --backbone nothing", 2, "no timm model is called 'nothing'"),
        ("--isTrain True --nheads 7", 2, "model.width"),
        ("--isTrain True --pretrained", 2, "--backbone local-dir:FOLDER"),
        ("--dataset_dir {tmp}/none --resume {checkpoint}", 1, "no folder"),
    ],
)
def test_what_cannot_run_gives_one_line(
    command, code, words, voc, checkpoint, tmp_path, monkeypatch, capsys
):
    # The environment is read when the package is imported, which another test may have done.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    filled = command.format(tmp=tmp_path, checkpoint=checkpoint(20))
    given = (
        f"--dataname voc --CropLevels 3 --dataset_dir {voc} --output {tmp_path / 'out'} {filled}"
    )
    assert run(given, monkeypatch) == code
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_every_flag_of_the_release_is_known():
    flags = (
        "dataname dataset_dir img_size CropLevels imgInpsize output num_class pretrained optim eps "
        "dtgfl gamma_pos gamma_neg loss_dev loss_clip workers epochs val_interval start-epoch "
        "batch-size lr learning-rate wd weight-decay print-freq print_freq_val resume resume_omit "
        "evaluate ema-decay ema-epoch world-size rank dist-url seed local_rank cutout n_holes "
        "length cut_fact orid_norm enc_layers dec_layers dim_feedforward hidden_dim dropout nheads "
        "pre_norm position_embedding backbone keep_other_self_attn_dec keep_first_self_attn_dec "
        "keep_input_proj remove_aa_jit isTrain amp early-stop kill-stop thr data model-path "
        "num-classes num_classes image-size use-ml-decoder num-of-groups decoder-embedding zsl"
    )
    parser = command_parser()
    known = {name for action in parser._actions for name in action.option_strings}
    assert {f"--{flag}" for flag in flags.split()} <= known
    assert {"-j", "-b", "-p", "-e"} <= known


def test_without_crop_levels_the_checkpoint_s_own_hold(voc, tmp_path, monkeypatch):
    weights = layouts.by_rule(layouts.released(20))
    said = argparse.Namespace(CropLevels=1, img_size=32)
    torch.save({"arch": said, "state_dict": weights}, tmp_path / "own.pth")
    places = f"--dataset_dir {voc} --output {tmp_path / 'out'} --resume {tmp_path / 'own.pth'}"
    assert run(f"--dataname voc {places}", monkeypatch) == 0
    info = read_info(tmp_path / "out")
    assert (info.model.crop_level, info.model.view_size) == (1, 32)
    assert run(f"--dataname voc --orid_norm {places}", monkeypatch) == 0
    assert read_info(tmp_path / "out").backbone.std == (1, 1, 1)


def test_a_flag_without_meaning_is_said_only_if_given(voc, tmp_path, monkeypatch, capsys):
    given = f"--dataname voc --dataset_dir {voc} --output {tmp_path / 'out'} --optim AdamW --zsl 1"
    run(given, monkeypatch)
    said = capsys.readouterr().out
    assert [name for name in WITHOUT_MEANING if f"--{name}:" in said] == ["optim", "zsl"]


def test_flags_become_settings():
    arguments = command_parser().parse_args(
        shlex.split(
            "--dataset_dir D --output O --dataname voc --CropLevels 3 --hidden_dim 64 --nheads 8 "
            "--dec_layers 2 --dim_feedforward 96 -b 5 --wd 0.02 --gamma_neg 3 --early-stop --seed 7"
        )
    )
    config = released_config(arguments)
    assert (config.model.width, config.model.heads, config.model.depth) == (64, 8, 2)
    assert (config.model.mlp_width, config.model.crop_level) == (96, 3)
    assert config.model.released.graph_low == 0.4
    assert (config.data.format, config.data.difficult) == ("voc", "positive")
    assert (config.train.batch_size, config.train.weight_decay) == (5, 0.02)
    assert (config.train.gamma_neg, config.train.early_stop, config.train.seed) == (3, 8, 7)
    assert config.train.epochs == 80
    assert config.model.pixel_statistics == "imagenet"
    recipe = config.train
    assert (recipe.optimizer, recipe.decay, recipe.lr, recipe.warmup) == (
        "adam",
        "all_matrices",
        1e-3,
        0.2,
    )
    assert (recipe.loss_factor, recipe.clip_norm, recipe.ema_warmup) == (10_000, 0, False)


def test_pictures_from_0_to_1_can_be_asked_for():
    arguments = command_parser().parse_args(shlex.split("--dataset_dir D --output O --orid_norm"))
    assert released_config(arguments).model.pixel_statistics == "unit"


@pytest.mark.parametrize("resumed", [True, False])
def test_backbone_layers_before_layer2_stay_as_they_are(
    resumed, voc, checkpoint, tmp_path, monkeypatch, capsys
):
    start = f"--resume {checkpoint(20)}" if resumed else "--backbone test_resnet"
    sizes = "--img_size 32 --hidden_dim 24 --dim_feedforward 32 -b 2 -j 0 --epochs 1"
    places = f"--dataset_dir {voc} --output {tmp_path / 'out'}"
    assert run(f"--dataname voc --isTrain True {sizes} {places} {start}", monkeypatch) == 0
    layers = "body.conv1 body.layer1" if resumed else "conv1 bn1 layer1"
    frozen = ",".join(f"backbone.features.{layer}" for layer in layers.split())
    assert Config.load(tmp_path / "out" / "config.yaml").train.freeze == frozen
    assert "layer2" not in capsys.readouterr().out


def test_a_backbone_without_layer2_is_trained_whole_and_said_to_be(
    voc, tmp_path, monkeypatch, capsys
):
    sizes = "--img_size 32 --hidden_dim 24 --dim_feedforward 32 -b 2 -j 0 --epochs 1"
    places = f"--dataset_dir {voc} --output {tmp_path / 'out'} --backbone test_efficientnet"
    assert run(f"--dataname voc --isTrain True {sizes} {places}", monkeypatch) == 0
    assert "test_efficientnet has no layer2, so its whole backbone" in capsys.readouterr().out
    assert Config.load(tmp_path / "out" / "config.yaml").train.freeze == ""


def test_impossible_values_are_refused():
    arguments = command_parser().parse_args(
        shlex.split("--dataset_dir D --output O --CropLevels -1")
    )
    with pytest.raises(ConfigError, match="crop_level"):
        released_config(arguments)
