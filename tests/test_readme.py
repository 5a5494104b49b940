"""What the README says works as printed."""

import re
import shlex
from pathlib import Path

import pytest

import lcnet
from lcnet import config
from lcnet.data.readers.digits import LABELS, draw_digits
from lcnet.model.backbone import describe_backbone
from lcnet.model.build import build_model
from lcnet.model_folder import ModelFolder, ModelInfo
from lcnet.published.released_flags import command_parser
from lcnet.run_folder import RunFolder

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *ROOT.glob("configs/*.yaml")]


def commands(program: str) -> list[str]:
    """The arguments of every call that stands on a line of its own in the documents and configs."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        found += re.findall(rf"^(?:#\s+)?{re.escape(program)} ([^(\n]+)", text, re.M)
    return [command.strip() for command in found]


@pytest.mark.parametrize("command", [line for line in commands("lcnet") if ": " not in line])
def test_commands_parse(command, parser, monkeypatch):
    monkeypatch.chdir(ROOT)
    words, _, _ = command.partition(" > ")
    # The config of a run is one like others; there is no run here.
    words = re.sub(r"--config runs/\S+", "--config configs/digits.yaml", words)
    try:
        parser.parse_args(shlex.split(words))
    except SystemExit as ended:  # one that only prints
        assert not ended.code


@pytest.mark.parametrize("command", commands("python train.py"))
def test_published_commands_parse(command):
    command_parser().parse_args(shlex.split(command))


def test_the_make_targets_that_are_named_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    for page in (*PAGES, ROOT / "CONTRIBUTING.md"):
        named = set(re.findall(r"(?:^|`)make ([a-z-]+)(?=`| {2,}|$)", page.read_text(), re.M))
        assert named or page.parent != ROOT
        assert named <= targets, page


def test_no_number_is_left_to_fill_in():
    for page in PAGES:
        assert not re.search(r"\b[A-Z0-9]+_(?:MAP|MINUTES|TABLE|READING)\b", page.read_text()), page


def python_blocks(page: str) -> list[str]:
    """The Python that stands in a page."""
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


@pytest.fixture
def demo(tmp_path, monkeypatch):
    """A folder with an untrained runs/demo, few scenes and the config, as the current one."""
    settings = config.Config.load(ROOT / "configs" / "digits.yaml")
    spec = describe_backbone(settings.model.backbone, settings.model.view_size)
    model = build_model(settings.model, len(LABELS), spec=spec)
    info = ModelInfo(LABELS, settings.model, spec, (0.5,) * len(LABELS))
    ModelFolder(tmp_path / "runs" / "demo" / "model").save(model, info)
    settings.save(tmp_path / "runs" / "demo" / "config.yaml")
    settings.save(tmp_path / "configs" / "digits.yaml")
    draw_digits(tmp_path / "data" / "digits", train=8, val=6, test=6)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_python_lines_of_the_readme_run(demo, capsys):
    (library,) = python_blocks("README.md")
    exec(compile(library, "README.md", "exec"), {})
    assert "'0': 0." in capsys.readouterr().out


def test_the_python_lines_of_the_tour_run(demo, capsys):
    library, loop = python_blocks("docs/guide/tour.md")
    exec(compile(library, "tour.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "000001.jpg" in printed
    assert "torch.Size([1, 10, 128, 128])" in printed
    exec(compile(loop, "tour.md", "exec"), {})
    assert RunFolder(demo / "runs" / "own").metrics_file.is_file()


def test_the_readme_is_read_in_minutes():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 120
    own = [line for line in text.splitlines() if line.startswith("lcnet train ")]
    assert len(own) == 1  # one line is enough for pictures of one's own


def test_the_guide_to_python_has_every_public_name():
    page = (ROOT / "docs" / "guide" / "python.md").read_text()
    missing = [name for name in lcnet.__all__ if not re.search(rf"\b{name}\b", page)]
    assert missing == []
