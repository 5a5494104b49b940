"""OpenVINO in a process whose children end: signals still have a stack to be handled on."""

import subprocess
import sys

import pytest

SIGNALLED = """
import signal, subprocess, sys
from pathlib import Path

import openvino
from openvino import opset13
from lcnet.exporting.openvino_model import compiled

given = opset13.parameter([1, 3, 8, 8])
openvino.save_model(openvino.Model([opset13.relu(given)], [given]), "relu.xml")
first = compiled(Path("relu.xml"), Path("relu.bin"), "fp32")
second = compiled(Path("relu.xml"), Path("relu.bin"), "fp32")
del first
del second
signal.signal(signal.SIGCHLD, lambda *_: print("noticed"))  # as torch's loaders do
subprocess.run([sys.executable, "-c", ""], check=True)
"""


def test_a_child_that_ends_after_two_models_does_not_kill_the_process(tmp_path):
    pytest.importorskip("openvino", reason="openvino is not installed")
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", SIGNALLED],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (0, "noticed\n"), done.stderr
