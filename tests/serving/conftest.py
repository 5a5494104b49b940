import io
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from selenium import webdriver
from selenium.webdriver.remote.webdriver import WebDriver
from tests.tiny import save_tiny_model

from lcnet.model.evidence import Evidence
from lcnet.model_folder import ModelFolder, load_model, read_info

LABELS = ("red", "green", "blue <b>", "none")
NASTY = ("<script>alert(1)</script>", '"><img src=x onerror=alert(2)>', "__proto__", "7")
TELLING = (*NASTY, *(f"label {number}" for number in range(396)))
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
needs_browser = pytest.mark.skipif(
    not (BROWSER and DRIVER),
    reason="needs chromium and chromedriver (Debian: apt-get install chromium chromium-driver)",
)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory) -> Path:
    """A model of random weights that finds two labels in every picture."""
    folder = tmp_path_factory.mktemp("served") / "model"
    return save_tiny_model(folder, LABELS, (0.01, 0.01, 0.99, 0.99))


@pytest.fixture(scope="session")
def telling_folder(tmp_path_factory) -> Path:
    """A model of 400 labels, some of nasty names, of which the first tells of the next three."""
    folder = tmp_path_factory.mktemp("telling") / "model"
    thresholds = (0.01, 0.01, *(0.99 for _ in TELLING[2:]))
    torch.manual_seed(0)  # which labels are shown first depends on the weights
    save_tiny_model(folder, TELLING, thresholds)
    model = load_model(folder)
    model.evidence = Evidence(len(TELLING), 1)
    model.evidence.weights[1:4, 0] = torch.tensor([3.0, -3.0, 30.0])
    ModelFolder.at(folder).save(model, read_info(folder))
    return folder


def picture_bytes(seed: int = 0, size: tuple[int, int] = (40, 30), kind: str = "PNG") -> bytes:
    """A picture's file with random pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    stored = io.BytesIO()
    Image.fromarray(pixels).save(stored, kind)
    return stored.getvalue()


class Server:
    """`lcnet serve` on a free port."""

    def __init__(self, model: Path, temporary: Path, *flags: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lcnet", "serve", str(model), "--port", "0", *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"TMPDIR": str(temporary)},
        )
        said = []
        for line in self.process.stdout:
            said.append(line)
            if found := re.search(r"page (http://127\.0\.0\.1:\d+),", line):
                self.address = found[1]
                return
        raise AssertionError("".join(said))

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """The exit code and what was said at last."""
        self.process.send_signal(number)
        said, _ = self.process.communicate(timeout=60)
        return self.process.returncode, said

    def end(self) -> None:
        """Kill it, if it runs still."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


@pytest.fixture
def browser(tmp_path) -> Iterator[Callable[[int, int], WebDriver]]:
    """Opens windows of a width and a height; downloads are in the folder `downloads`."""
    opened: list[WebDriver] = []

    def window(width: int, height: int) -> WebDriver:
        options = webdriver.ChromeOptions()
        options.binary_location = BROWSER
        for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
            options.add_argument(flag)
        folder = str(tmp_path / "downloads")
        options.add_experimental_option("prefs", {"download.default_directory": folder})
        options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
        driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
        opened.append(driver)
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        return driver

    yield window
    for driver in opened:
        driver.quit()
