"""What is wrong with a command is said before anything is served."""

import socket

import pytest

from lcnet.cli import build_parser
from lcnet.errors import CheckpointError, ConfigError
from lcnet.serving.serve import serve


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """The temporary folder, which must be left empty."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    yield tmp_path
    assert list(tmp_path.iterdir()) == []


def test_a_missing_extra_is_said_with_the_command_that_installs_it(monkeypatch, tmp_path):
    monkeypatch.setattr("lcnet.serving.serve.find_spec", lambda package: None)
    with pytest.raises(ConfigError, match=r"fastapi is not installed.*'lcnet\[serve\]'"):
        serve(tmp_path)


def test_an_address_that_is_taken_is_said(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=f"--host 127.0.0.1 --port {port}: cannot listen"):
            serve(tmp_path, port=port)
    with pytest.raises(ConfigError, match="--port: expected 0 to 65,535, got 70000"):
        serve(tmp_path, port=70_000)


def test_what_is_loaded_is_said_before_anything_else(tmp_path, capsys):
    with pytest.raises(CheckpointError):
        serve(tmp_path, port=0)
    assert capsys.readouterr().out.startswith(f"loading {tmp_path}; the page's address comes")


def test_a_wrong_model_or_bound_is_said(tmp_path):
    with pytest.raises(CheckpointError, match="no model here"):
        serve(tmp_path, port=0)
    for wrong in (
        {"batch_ms": -1},
        {"max_pixels": 0},
        {"max_pixels": -1},
        {"max_megabytes": 0},
        {"max_waiting": 0},
        {"batch_size": 0},
    ):
        with pytest.raises(ConfigError, match=f"--{next(iter(wrong))}"):
            serve(tmp_path, port=0, **wrong)


def test_the_flags_default_to_this_machine_alone_and_to_the_usual_bounds():
    flags = build_parser("serve").parse_args(["serve", "x"]).serve
    assert flags.host == "127.0.0.1"
    assert (flags.max_megabytes, flags.max_pixels, flags.max_waiting) == (20, 40_000_000, 64)
