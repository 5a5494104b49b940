"""Draws the README's pictures anew, from the run that `make demo` leaves.

    python -m benchmarks.readme_pictures runs/demo

Writes docs/images/: report.webp (the top of `lcnet report`), serve.webp (the page of `lcnet serve`
with a scene dropped on it), heat.webp (`lcnet predict --explain`) and graph.webp (`lcnet graph`).
Needs chromium, chromedriver and the extra [serve].
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

IMAGES = Path(__file__).parent.parent / "docs" / "images"
WIDE = 1100
QUALITY = 88
"""The quality of WebP files; letters stay sharp at it."""


def lcnet(*arguments: str) -> None:
    """Run a command; raises CalledProcessError if it fails."""
    subprocess.run([sys.executable, "-m", "lcnet", *arguments], check=True)


@contextmanager
def chromium() -> Iterator[webdriver.Chrome]:
    """A browser without a window."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(flag)
    browser = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver") or ""))
    try:
        yield browser
    finally:
        browser.quit()


def keep(picture: Path, name: str) -> None:
    """Store a picture as one of the README's."""
    with Image.open(picture) as image:
        image.convert("RGB").save(IMAGES / name, quality=QUALITY, method=6)
    print(f"{IMAGES / name}: {(IMAGES / name).stat().st_size:,} bytes")


def shoot(browser: webdriver.Chrome, height: int, file: Path) -> Path:
    """Write what the browser shows in a window of this height to the file, and return it."""
    browser.set_window_size(WIDE, height)
    browser.save_screenshot(str(file))
    return file


@contextmanager
def served(run: Path) -> Iterator[str]:
    """The address of `lcnet serve`."""
    command = [sys.executable, "-m", "lcnet", "serve", str(run), "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        lines = iter(process.stdout)
        ready = next(filter(None, (re.search(r"page (http://\S+?),", line) for line in lines)))
        try:
            yield ready[1]
        finally:
            process.terminate()


def draw(run: Path, scene: Path, folder: Path) -> None:
    """Write all pictures; `folder` is for files in between."""
    lcnet("report", str(run), "--split", "test", "--out", str(folder / "report.html"))
    with chromium() as browser:
        browser.get((folder / "report.html").resolve().as_uri())
        keep(shoot(browser, 1000, folder / "report.png"), "report.webp")
        with served(run) as address:
            browser.get(address)
            browser.find_element(By.ID, "choose").send_keys(str(scene.resolve()))
            WebDriverWait(browser, 60).until(
                lambda page: page.find_elements(By.CSS_SELECTOR, "#shown .heats figure")
            )
            keep(shoot(browser, 1000, folder / "serve.png"), "serve.webp")
    predictions = folder / "predictions.jsonl"
    lcnet(
        "predict", str(run), str(scene), "--out", str(predictions), "--explain", str(folder / "h")
    )
    keep(next((folder / "h").glob("*/1-*.png")), "heat.webp")
    lcnet("graph", str(run), "--out", str(folder / "graph"))
    keep(next((folder / "graph").glob("*network*.png")), "graph.webp")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--scene", type=Path, default=Path("data/digits/test/000000.jpg"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        draw(arguments.run, arguments.scene, Path(folder))
