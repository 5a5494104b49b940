"""The Dockerfile agrees with the command line and the server. No image is built here."""

import inspect
import json
import re
from fnmatch import fnmatch
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from lcnet.cli import build_parser
from lcnet.serving.serve import serve

ROOT = Path(__file__).parent.parent
PORT = inspect.signature(serve).parameters["port"].default


def instructions() -> list[tuple[str, str]]:
    """Each instruction of the Dockerfile and what follows it, comments and joined lines undone."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.M)
    lines = text.replace("\\\n", " ").splitlines()
    pairs = [line.strip().partition(" ") for line in lines if line.strip()]
    return [(name, " ".join(rest.split())) for name, _, rest in pairs]


def last(name: str) -> str:
    return [rest for found, rest in instructions() if found == name][-1]


def test_it_serves_by_default_with_flags_that_there_are():
    program, command = json.loads(last("ENTRYPOINT")), json.loads(last("CMD"))
    assert program == ["lcnet"]
    parsed = build_parser(command[0]).parse_args(command)["serve"]
    assert str(parsed.model) == "/model"
    assert parsed.host == "0.0.0.0"
    assert parsed.port == PORT == int(last("EXPOSE"))


def test_it_asks_for_its_health_where_the_server_answers():
    [address] = re.findall(r"http://[^'\"]+", last("HEALTHCHECK"))
    asked = urlsplit(address)
    assert (asked.hostname, asked.port) == ("127.0.0.1", PORT)
    routes = re.findall(r'@app\.get\("(.+?)"\)', (ROOT / "src/lcnet/serving/app.py").read_text())
    assert asked.path in routes
    [program] = re.findall(r"CMD (\[.*\])", last("HEALTHCHECK"))
    assert json.loads(program)[:2] == ["python", "-c"]
    compile(json.loads(program)[2], "health check", "exec")


def test_nothing_runs_as_root_once_it_is_built():
    names = [name for name, _ in instructions()]
    user = last("USER")
    assert user not in ("root", "0")
    assert f"useradd --create-home --uid 10001 {user}" in last("RUN")
    assert "RUN" not in names[names.index("USER") :]
    assert names.index("USER") < names.index("ENTRYPOINT")


def test_it_names_no_package_host_and_only_the_usual_image():
    assert "http" not in (ROOT / "Dockerfile").read_text().replace("http://127.0.0.1", "")
    images = {rest.split(" AS ")[0] for name, rest in instructions() if name == "FROM"}
    assert images == {"python:${PYTHON}-slim"}
    default = next(rest for name, rest in instructions() if name == "ARG")
    assert default == "PYTHON=3.11"


def test_the_code_is_in_the_last_and_smallest_layer():
    installed = [rest for name, rest in instructions() if name == "RUN" and "pip install" in rest]
    assert [re.findall(r"torch torchvision|--requirement|\.whl", rest) for rest in installed] == [
        ["torch torchvision"],
        ["--requirement"],
        [".whl"],
    ]
    assert "--no-deps" in installed[2]


def sent(path: str) -> bool:
    """Whether .dockerignore lets a path go to the builder; the last line that fits decides."""
    decided = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line and not line.startswith("#"):
            pattern = line.removeprefix("!").removeprefix("**/")
            parts = [path, *path.split("/")] if "**/" in line else [path, path.split("/")[0]]
            if any(fnmatch(part, pattern) for part in parts):
                decided = line.startswith("!")
    return decided


def test_what_it_copies_is_there_and_is_sent():
    copied = [rest.split()[:-1] for name, rest in instructions() if name == "COPY"]
    files = [file for rest in copied if not rest[0].startswith("--from") for file in rest]
    assert set(files) == {"LICENSE", "README.md", "constraints.txt", "pyproject.toml", "src"}
    for file in files:
        assert (ROOT / file).exists()
        assert sent(file)


@pytest.mark.parametrize(
    "path",
    ["runs", "data", ".git", ".venv", "tests", "src/lcnet/__pycache__", "src/lcnet.egg-info"],
)
def test_nothing_else_is_sent(path):
    assert not sent(path)
    assert sent("src/lcnet/serving/app.py")
