"""A real server in a process of its own: many clients, a browser, and a signal."""

import base64
import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, TimeoutException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait
from tests.serving.conftest import LABELS, picture_bytes

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
MOST_GROWTH = 250e6
"""Bytes by which 200 requests may grow the process: a few decoded pictures and their batches."""


FLAGS = ("--max_waiting", "40", "--max_megabytes", "1", "--batch_ms", "300")


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


@pytest.fixture(scope="module")
def temporary(tmp_path_factory):
    return tmp_path_factory.mktemp("temporary")


@pytest.fixture(scope="module")
def server(model_folder, temporary):
    server = Server(model_folder, temporary, *FLAGS)
    yield server
    if server.process.poll() is None:
        server.process.kill()
        server.process.communicate()


def test_twenty_clients_lose_none_of_two_hundred_requests(server):
    process = psutil.Process(server.process.pid)
    good = [picture_bytes(n, (800, 600), "JPEG") for n in range(3)]
    broken = [b"", good[0][:5000], b"<html>"]

    def ask(number: int) -> httpx.Response:
        stored = broken[number % 3] if number % 5 == 0 else good[number % 3]
        files = {"picture": (f"{number}.jpg", stored)}
        return httpx.post(f"{server.address}/predict", files=files, timeout=120)

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(ask, range(20)))  # what is set up at the first use is not growth
        before = process.memory_info().rss
        answers = list(pool.map(ask, range(200)))
    growth = process.memory_info().rss - before
    assert len(answers) == 200
    for number, answer in enumerate(answers):
        found = answer.json()
        assert found["image"] == f"{number}.jpg"
        if number % 5 == 0:
            assert answer.status_code == 422
            assert found["error"].startswith(f"{number}.jpg: not a readable picture: ")
        else:
            assert answer.status_code == 200
            first = answers[1 + [n % 3 for n in range(1, 5)].index(number % 3)].json()
            expected = pytest.approx(first["probabilities"], abs=0.01)
            assert found["probabilities"] == expected
    assert growth < MOST_GROWTH
    metrics = httpx.get(f"{server.address}/metrics").text
    assert 'lcnet_requests_total{outcome="ok"} 176.0' in metrics
    assert 'lcnet_requests_total{outcome="not_a_picture"} 44.0' in metrics
    assert "lcnet_queue_length 0.0" in metrics


@pytest.mark.parametrize(
    "address",
    [
        "/gradio_api/file={secret}",
        "/gradio_api/file/{secret}",
        "/file={secret}",
        "/gradio_api/file=http://127.0.0.1:1/x",
        "/gradio_api/proxy=http://127.0.0.1:1/x",
        "/static/{secret}",
        "/static/..%2f..%2f..%2f..%2f..%2f..%2f..%2f..%2f..{secret}",
        "/assets/%2e%2e/%2e%2e/%2e%2e/%2e%2e/{secret}",
        "/gradio_api/custom_component/1/client/component/x",
        "/gradio_api/vibe-code",
        "/gradio_api/run-history/buckets",
        "/monitoring",
        "/docs",
        "/predict/x",
    ],
)
def test_no_path_of_the_server_is_served(server, temporary, address):
    # Not even one from where gradio itself would serve.
    secret = next(temporary.glob("lcnet-serve-*")) / "mine.txt"
    secret.write_text("secret words")
    answer = httpx.get(server.address + address.format(secret=secret))
    secret.unlink()
    assert answer.status_code in (403, 404)
    assert "secret words" not in answer.text


def test_the_page_s_uploads_are_bounded(server):
    address = f"{server.address}/gradio_api/upload"
    one = httpx.post(address, files={"files": ("a.png", b"x" * 1_100_000)})
    assert one.status_code == 413
    many = [("files", (f"{n}.png", bytes([n]) * 900_000)) for n in range(50)]
    assert httpx.post(address, files=many, timeout=60).status_code == 413


def test_gradio_s_own_api_gives_the_same_labels(server):
    api = f"{server.address}/gradio_api"
    sent = httpx.post(f"{api}/upload", files={"files": ("scene <i>.png", picture_bytes(5))})
    files = [{"path": sent.json()[0], "meta": {"_type": "gradio.FileData"}}]
    started = httpx.post(f"{api}/call/look", json={"data": [files]}).json()
    shown = httpx.get(f"{api}/call/look/{started['event_id']}", timeout=90).text
    assert "event: complete" in shown
    for label in ("red", "green"):
        assert f"heat map of {label}" in shown
    assert shown.count("lc-number") == len(LABELS)
    assert "blue &lt;b&gt;" in shown and "blue <b>" not in shown


@pytest.mark.skipif(
    not (BROWSER and DRIVER),
    reason="needs chromium and chromedriver (Debian: apt-get install chromium chromium-driver)",
)
def test_a_browser_gets_labels_heat_maps_and_a_table(server, tmp_path):
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(flag)
    options.add_argument("--window-size=1200,1200")
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    files = [tmp_path / f"scene {n}.png" for n in range(3)]
    for number, file in enumerate(files):
        file.write_bytes(picture_bytes(number))
    (tmp_path / "broken.png").write_bytes(b"broken")
    browser = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))

    def found(selector: str, seconds: float = 90) -> list:
        wait = WebDriverWait(browser, seconds)
        return wait.until(lambda opened: opened.find_elements(By.CSS_SELECTOR, selector))

    def dropped(area: str, named: list[Path], answer: str) -> list:
        """What the page answers. Nobody drops in the moment in which gradio builds an area and does
        not listen yet; a driver does, so it drops once more where no answer comes.
        """
        for _ in range(3):
            try:
                found(f"{area} input[type=file]")[0].send_keys("\n".join(map(str, named)))
                return found(answer, 40)
            except (TimeoutException, StaleElementReferenceException):
                page = browser.find_element(By.TAG_NAME, "body").text
        raise AssertionError(f"no {answer}, but: {page}")

    def tab(name: str) -> None:
        next(it for it in found("button[role=tab]") if it.text == name).click()

    try:
        browser.get(server.address)
        heats = dropped("#dropped", [files[0], tmp_path / "broken.png"], "#shown .lc-heat")
        assert [heat.get_attribute("alt")[12:] for heat in heats] == _present(browser)
        assert int(heats[0].get_property("naturalWidth")) > 300
        assert len(browser.find_elements(By.CSS_SELECTOR, "#shown .lc-bar")) == 4
        assert "broken.png: not a readable" in found("#shown .lc-error")[0].text
        tab("Many, as a table")
        pictures = [*files, tmp_path / "broken.png"]
        link = dropped("#many", pictures, "#table a.lc-download")[0]
        assert link.get_attribute("download") == "predictions.csv"
        stored = base64.b64decode(link.get_attribute("href").partition("base64,")[2])
        rows = list(csv.DictReader(io.StringIO(stored.decode("utf-8-sig"))))
        assert [row["image"] for row in rows] == [*(file.name for file in files), "broken.png"]
        assert [bool(row["error"]) for row in rows] == [False, False, False, True]
        assert set(rows[0]["labels"].split("|")) == {"red", "green"}
        assert 0 < float(rows[0]["blue <b>"]) < 1
        tab("Label graph")
        assert len(found("#graph img")) == 2
        events = [
            json.loads(entry["message"])["message"] for entry in browser.get_log("performance")
        ]
        wanted = {
            event["params"]["request"]["url"]
            for event in events
            if event["method"] == "Network.requestWillBeSent"
        }
        assert f"{server.address}/" in wanted
        others = [url for url in wanted if not url.startswith((server.address, "data:", "blob:"))]
        assert others == []
    finally:
        browser.quit()


def _present(browser) -> list[str]:
    names = browser.find_elements(By.CSS_SELECTOR, "#shown .lc-on .lc-name")
    return [name.text for name in names]


def test_at_a_signal_it_finishes_what_is_in_work_and_leaves_nothing(server, temporary):
    """Runs last: it stops the server of this file."""
    stored = picture_bytes(1, (400, 300))

    def ask(_: int) -> int:
        answer = httpx.post(f"{server.address}/predict", files={"p": stored}, timeout=60)
        return answer.status_code

    def in_work() -> float:
        text = httpx.get(f"{server.address}/metrics").text
        return float(re.search(r"^lcnet_queue_length (\S+)$", text, re.M)[1])

    assert list(temporary.glob("lcnet-serve-*"))
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(ask, n) for n in range(8)]
        until = time.monotonic() + 30
        while in_work() < 8 and time.monotonic() < until and not all(a.done() for a in answers):
            pass
        code, said = server.stop()
        assert {answer.result() for answer in answers} == {200}
    assert (code, said.splitlines()[-1]) == (0, "stopped")
    assert list(temporary.glob("lcnet-serve-*")) == []
