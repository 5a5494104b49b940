"""The verb as a process: killed, stopped, and with a browser and the keyboard alone."""

import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait
from tests.predicting.test_known import known_table
from tests.serving.labelling.test_answers import cells

from lcnet.errors import ConfigError, DataError
from lcnet.metrics.calibration import Calibration
from lcnet.model_folder import ModelFolder, load_model, read_info
from lcnet.predicting.predictor import Predictor
from lcnet.serving.labelling.label import label

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")


class Server:
    """`lcnet label` on a free port."""

    def __init__(self, run: Path, table: Path, out: Path, *flags: str) -> None:
        words = [str(run), str(table), "--out", str(out), "--port", "0", *flags]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lcnet", "label", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        said = []
        for line in self.process.stdout:
            said.append(line)
            if found := re.search(r"page (http://127\.0\.0\.1:(\d+)),", line):
                self.address, self.port = found[1], int(found[2])
                self.table = re.search(r'"table": "(\w+)"', httpx.get(self.address).text)[1]
                return
        raise AssertionError("".join(said))

    def answer(self, picture: int, name: str, state: bool) -> None:
        given = {"table": self.table, "window": "one", "picture": picture}
        given["changes"] = {name: [None, state]}
        assert httpx.post(f"{self.address}/answer", json=given).status_code == 200

    def end(self, number: int) -> tuple[int, str]:
        """The exit code and what was said at last."""
        self.process.send_signal(number)
        said, _ = self.process.communicate(timeout=60)
        return self.process.returncode, said


@pytest.fixture
def start():
    """Starts servers, and ends those that are left."""
    started: list[Server] = []

    def start(*arguments) -> Server:
        started.append(Server(*arguments))
        return started[-1]

    yield start
    for server in started:
        if server.process.poll() is None:
            server.process.kill()
            server.process.communicate()


@pytest.mark.slow
def test_a_killed_process_loses_no_answer_that_it_has_acknowledged(start, run, table, out):
    server = start(run, table, out)
    server.answer(2, "red", True)
    server.answer(0, "green", False)
    server.end(signal.SIGKILL)
    assert cells(out) == {"val0": "10-", "val3": "-1-", "val4": "1--", "val5": "101"}
    again = start(run, table, out)
    assert again.table == server.table  # so an open page goes on
    again.answer(2, "blue", False)
    code, said = again.end(signal.SIGTERM)
    assert (code, "all answers are in" in said) == (0, True)
    assert cells(out)["val4"] == "1-0"
    assert sorted(path.name for path in out.parent.iterdir() if path.is_file()) == [
        ".labelled.csv.lock",
        "labelled.csv",
        "labelled.csv.log",
    ]


class Window:
    """A browser on the page, used by its keys."""

    def __init__(self, browser: webdriver.Chrome) -> None:
        self.browser = browser

    def open(self, address: str) -> None:
        self.browser.get(address)
        self.still()

    def press(self, key: str) -> None:
        self.still()
        self.browser.switch_to.active_element.send_keys(key)
        self.still()

    def still(self) -> None:
        """Wait until nothing is under way and the picture is on the screen."""
        WebDriverWait(self.browser, 60).until(lambda opened: opened.execute_script(
            "return !busy && view !== null && (view.picture === null || ready)"
        ))  # fmt: skip

    def seen(self, name: str) -> str:
        return self.browser.find_element(By.ID, name).text

    def picture(self) -> str:
        return Path(self.seen("name")).stem

    def faults(self) -> list:
        return [entry for entry in self.browser.get_log("browser") if entry["level"] == "SEVERE"]


@pytest.fixture
def window():
    """A window of Chromium; the test is skipped where that is not installed."""
    if not (BROWSER and DRIVER):
        pytest.skip("needs chromium and chromedriver (Debian: apt-get install chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield Window(browser)
    browser.quit()


def test_pictures_are_labelled_with_the_keys_alone(start, window, run, table, out):
    server = start(run, table, out)
    browser, press, seen, picture = window.browser, window.press, window.seen, window.picture

    def asked() -> int:
        return ("red", "green", "blue").index(seen("question").removesuffix("?"))

    window.open(server.address)
    first = picture()
    before, place = cells(out)[first], asked()
    for key, cell in (("y", "1"), ("u", "-"), ("n", "0")):
        press(key)
        wanted = before[:place] + cell + before[place + 1 :]
        if "-" in wanted:
            assert (picture(), cells(out)[first]) == (first, wanted)
        assert "Saved." in seen("said")
    if "-" in cells(out)[first]:
        skipped = seen("question")
        press(" ")
        assert seen("question") != skipped
        assert "skipped" in seen("said")
    press(Keys.ARROW_RIGHT)
    second = picture()
    assert second != first
    press("h")
    heat = browser.find_element(By.ID, "heat")
    WebDriverWait(browser, 60).until(lambda _: heat.is_displayed())
    assert int(heat.get_property("naturalWidth")) > 0
    press("h")
    assert not heat.is_displayed()
    press(Keys.ENTER)
    assert "-" not in cells(out)[second]
    press("u")
    assert picture() == second
    assert "-" in cells(out)[second]
    press(Keys.ARROW_LEFT)
    assert picture() == first
    for _ in range(6):
        if not browser.find_element(By.ID, "done").is_displayed():
            press(Keys.ENTER)
    assert "All cells are filled" in seen("done-title")
    assert not any("-" in row for row in cells(out).values())
    window.open(f"{server.address}/?picture=images/val3.png")
    assert picture() == "val3"
    window.open(f"{server.address}/?picture=images/none.png")
    assert "no picture that is called images/none.png" in seen("done-text")
    browser.refresh()  # what was answered before can be undone after it
    window.still()
    press("u")
    assert "Undone" in seen("said")
    assert any("-" in row for row in cells(out).values())
    assert window.faults() == []


@pytest.fixture
def sure(trained) -> Path:
    """A run whose probabilities are 0 or 1."""
    info = replace(read_info(trained), calibration=Calibration((1e5,) * 3, (0.0,) * 3))
    ModelFolder.at(trained).save(load_model(trained), info)
    return trained


def test_given_labels_are_corrected_with_the_keys_alone(start, window, sure, colour_table, out):
    names, labels = ["val0", "val1", "val2"], ("red", "green", "blue")
    pictures = [out.parent / f"colours/images/{name}.png" for name in names]
    found = {
        name: [int(one.probabilities[label] > 0.5) for label in labels]
        for name, one in zip(names, Predictor(sure)(pictures), strict=True)
    }
    right = {name: "".join(map(str, row)) for name, row in found.items()}
    found["val0"][0] ^= 1
    found["val1"][1] ^= 1
    given = {name: "".join(map(str, row)) for name, row in found.items()}
    rows = [",".join((f"images/{name}.png", *given[name])) for name in names]
    table = known_table(out.parent, rows)
    server = start(sure, table, out, "--correct")
    press, seen, picture = window.press, window.seen, window.picture
    window.open(server.address)
    while seen("left") != "2 given labels worth a look in 2 pictures of 3":
        window.still()
    places = {"val0": 0, "val1": 1}
    first = picture()
    word = {"1": "present", "0": "absent"}
    place = places.pop(first)
    was = given[first][place]
    assert seen("question") == f"Is {labels[place]} present?"
    assert seen("given") == f"given: {word[was]} · model: {'0 %' if was == '1' else '100 %'}"
    press("n" if was == "1" else "y")  # changes it
    [second] = places
    assert (picture(), cells(out)[first]) == (second, right[first])
    press("u")
    assert (picture(), cells(out)[first]) == (first, given[first])
    press("y" if was == "1" else "n")  # keeps it
    assert "as given. Saved." in seen("said")
    assert seen("left") == "1 given label worth a look in 1 picture of 3"
    assert (picture(), cells(out)[first]) == (second, given[first])
    press(Keys.ENTER)
    assert "Nothing is left that is worth a look" in seen("done-title")
    assert cells(out) == given
    press("u")
    assert (picture(), seen("question")) == (second, f"Is {labels[places[second]]} present?")
    window.open(f"{server.address}/?picture=images/val2.png")
    assert seen("question") == "Nothing is left to ask here"
    assert seen("bars").count("%") == 3
    window.browser.find_element(By.CSS_SELECTOR, "#bars [data-label='0']").click()
    window.still()
    assert cells(out)["val2"][0] == {"1": "0", "0": "-"}[given["val2"][0]]
    assert window.faults() == []


def test_what_is_wrong_with_a_command_is_said_before_anything_is_served(run, table, out):
    with pytest.raises(ConfigError, match="--port: expected 0 to 65,535, got 70000"):
        label(run, table, out, port=70_000)
    with pytest.raises(DataError, match="no such folder or file"):
        label(run, table.with_name("none.csv"), out, port=0)
    assert not out.exists()


def test_a_missing_extra_is_said_with_the_command_that_installs_it(monkeypatch, tmp_path):
    monkeypatch.setattr("lcnet.serving.labelling.label.find_spec", lambda package: None)
    with pytest.raises(ConfigError, match=r"fastapi is not installed.*'lcnet\[serve\]'"):
        label(tmp_path, tmp_path / "it.csv", tmp_path / "out.csv")
