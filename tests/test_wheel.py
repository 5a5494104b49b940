"""The wheel alone, without a clone: it is small and whole, and its commands work.

`make wheel` runs this in a fresh environment that borrows the packages of this one, since torch is
large. `make wheel-fresh` installs what the wheel says that it needs, as a user would, so this file
imports nothing but pytest, httpx and what Python has.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
MOST_BYTES = 1_000_000
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built from a copy of the sources, so that nothing old is in it."""
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "sources"
    shutil.copytree(
        ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
    )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    flags = ["--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    run(sys.executable, "-m", "pip", "wheel", "--quiet", *flags, str(copy), folder=folder)
    [wheel] = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The `bin` of a fresh environment with the wheel."""
    folder = tmp_path_factory.mktemp("environment")
    is_fresh = bool(os.environ.get("LCNET_FRESH"))
    run(sys.executable, "-m", "venv", "--without-pip", str(folder), folder=folder)
    python = folder / "bin" / "python"
    if not is_fresh:
        [packages] = folder.glob("lib/python*/site-packages")
        # A path file in here is read, those in the borrowed folder are not: not even the one that
        # makes the clone importable.
        (packages / "borrowed.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    what = [f"{wheel}[serve]"] if is_fresh else ["--no-deps", str(wheel)]
    pip = [sys.executable, "-m", "pip", "--python", str(python)]
    run(*pip, "install", "--quiet", *what, folder=folder)
    return folder / "bin"


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    """A folder of a user without a clone."""
    return tmp_path_factory.mktemp("work")


def run(*command: str, folder: Path) -> str:
    """What a command says that goes well, outside the clone."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=kept)
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_it_is_small_and_whole(wheel):
    assert wheel.stat().st_size < MOST_BYTES
    names = set(zipfile.ZipFile(wheel).namelist())
    tracked = subprocess.run(
        ["git", "ls-files", "--", "src/lcnet"], capture_output=True, text=True, cwd=ROOT, check=True
    ).stdout.split()
    assert {file.removeprefix("src/") for file in tracked} <= names
    others = {name.partition("/")[0] for name in names} - {"lcnet"}
    assert others == {f"lcnet-{PROJECT['version']}.dist-info"}


def test_its_description_is_that_of_the_project(wheel):
    archive = zipfile.ZipFile(wheel)
    inside = f"lcnet-{PROJECT['version']}.dist-info"
    said = archive.read(f"{inside}/METADATA").decode()
    assert f"\nVersion: {PROJECT['version']}\n" in said
    assert f"\nRequires-Python: {PROJECT['requires-python']}\n" in said
    assert "\nLicense-Expression: Apache-2.0\n" in said
    assert archive.read(f"{inside}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()


def test_it_is_imported_from_where_it_is_installed(installed, work):
    where = run(str(installed / "python"), "-c", "import lcnet; print(lcnet.__file__)", folder=work)
    assert Path(where.strip()).is_relative_to(installed.parent)
    lcnet = str(installed / "lcnet")
    assert PROJECT["version"] in run(lcnet, "--version", folder=work)
    assert "lcnet VERB --help" in " ".join(run(lcnet, "--help", folder=work).split())


def test_train_predict_and_serve_work_without_a_clone(installed, work):
    lcnet = str(installed / "lcnet")
    flags = ["--config", "digits", "--train.epochs", "1", "--out", "runs/demo"]
    run(lcnet, "train", *flags, folder=work)
    assert (work / "runs/demo/report.html").is_file()
    pictures = sorted((work / "data/digits/test").glob("*.jpg"))[:2]
    said = run(lcnet, "predict", "runs/demo", *map(str, pictures), folder=work)
    assert [len(json.loads(line)["probabilities"]) for line in said.splitlines()] == [10, 10]
    assert served(lcnet, work, pictures[0]) == json.loads(said.splitlines()[0])["labels"]


def served(lcnet: str, work: Path, picture: Path) -> list[str]:
    """The labels that `lcnet serve` gives a picture; it must be ready, and end well."""
    import httpx

    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    server = subprocess.Popen(
        [lcnet, "serve", "runs/demo", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=work,
        env=kept,
    )
    said = []
    try:
        assert server.stdout is not None
        for line in server.stdout:
            said.append(line)
            if found := re.search(r"page (http://127\.0\.0\.1:\d+),", line):
                break
        else:
            raise AssertionError("".join(said))
        assert httpx.get(f"{found[1]}/ready", timeout=60).json() == {"ready": True}
        with picture.open("rb") as opened:
            answer = httpx.post(f"{found[1]}/predict", files={"picture": opened}, timeout=60)
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=120) == 0
        return answer.json()["labels"]
    finally:
        server.kill()
        server.communicate()
