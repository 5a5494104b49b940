"""Config files that come with lcnet are found by name, without a clone."""

from pathlib import Path

import pytest

from lcnet.cli.given import model_settings
from lcnet.config import Config, config_file
from lcnet.config.named import FOLDER, names
from lcnet.errors import ConfigError

ROOT = Path(__file__).parent.parent


def test_those_of_the_clone_are_the_ones_that_come_with_it():
    assert sorted(file.stem for file in (ROOT / "configs").glob("*.yaml")) == names()
    assert (ROOT / "configs").resolve() == FOLDER.resolve()


@pytest.mark.parametrize("name", names())
def test_each_is_read_by_name_anywhere(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Config.load(name) == Config.load(ROOT / "configs" / f"{name}.yaml")


def test_the_command_line_takes_a_name_and_flags_after_it(parser, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["train", "--config", "digits", "--train.epochs", "1", "--out", "runs/demo"]
    config = parser.parse_args(words)["train"]
    assert (config.model.backbone, config.train.batch_size) == ("test_resnet", 32)
    assert config.train.epochs == 1
    assert "backbone" in model_settings(words)


def test_a_file_of_that_name_goes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()  # a folder is no config
    assert config_file("digits") == FOLDER / "digits.yaml"
    (tmp_path / "voc2007").write_text("train: {epochs: 7}\n")
    assert Config.load("voc2007").train.epochs == 7


@pytest.mark.parametrize("name", ["digit", "./digits", "files/digits", "../files/digits", ""])
def test_what_is_no_name_is_a_path(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError):
        Config.load(name)
