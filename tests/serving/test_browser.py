"""The page in a browser: pictures, known labels by hand and by keys, a table, the graph."""

import csv
import json
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait
from tests.serving.conftest import NASTY, TELLING, Server, needs_browser, picture_bytes

from lcnet.predicting.predictor import Predictor

pytestmark = needs_browser


@pytest.fixture(scope="module")
def address(telling_folder, tmp_path_factory):
    server = Server(telling_folder, tmp_path_factory.mktemp("temporary"), "--max_megabytes", "1")
    yield server.address
    server.end()


class Page:
    """The page in a window."""

    def __init__(self, driver, address: str) -> None:
        self.driver, self.address = driver, address
        driver.get(address)

    def all(self, selector: str) -> list:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def until(self, condition: str, *values: object):
        """What a script gives once it is true."""
        wait = WebDriverWait(self.driver, 90)
        return wait.until(lambda page: page.execute_script(f"return {condition}", *values))

    def downloaded(self, file: Path) -> Path:
        """The file, once it is whole: Chromium first makes an empty one of its name."""
        wait = WebDriverWait(self.driver, 30)
        wait.until(lambda _: file.exists() and file.stat().st_size)
        return file

    def drop(self, name: str, *files: Path) -> None:
        self.all(f"#{name}")[0].send_keys("\n".join(map(str, files)))

    def chances(self) -> dict[str, float]:
        """What the bars show, by label."""
        return self.driver.execute_script(
            "return Object.fromEntries([...document.querySelectorAll('.bars .line')].map("
            "line => [line.title, parseFloat(line.querySelector('.track i').style.width)]))"
        )

    def line(self, label: str):
        return next(line for line in self.all(".bars .line") if line.get_property("title") == label)

    def settled(self, known: str) -> str:
        """What was said once the server has answered for these known labels."""
        said = "document.getElementById('said').textContent"
        return self.until(f"{said}.startsWith(arguments[0]) && {said}", known)

    def errors(self) -> list:
        """What scripts did wrong, or wanted and may not."""
        return [
            entry
            for entry in self.driver.get_log("browser")
            if entry["level"] == "SEVERE" and entry["source"] != "network"  # an answer of 422
        ]

    def others(self) -> list[str]:
        """Addresses of other servers that were asked for."""
        events = [
            json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")
        ]
        wanted = {
            event["params"]["request"]["url"]
            for event in events
            if event["method"] == "Network.requestWillBeSent"
        }
        assert f"{self.address}/" in wanted
        return [url for url in wanted if not url.startswith((self.address, "data:", "blob:"))]


@pytest.fixture
def files(tmp_path) -> list[Path]:
    """Three pictures and one that is none."""
    named = [tmp_path / "scene 0.png", tmp_path / "scene 1.png", tmp_path / 'a,"b" <i>.png']
    for number, file in enumerate(named):
        file.write_bytes(picture_bytes(number))
    (tmp_path / "broken.png").write_bytes(b"broken")
    return [*named, tmp_path / "broken.png"]


def test_known_labels_are_given_with_a_click_or_a_key_and_move_the_others(
    browser, address, files, telling_folder
):
    page = Page(browser(390, 844), address)
    page.drop("choose", files[0], files[3])
    page.until("document.querySelectorAll('.heats figure').length === 2")
    heats = [image.get_attribute("alt") for image in page.all(".lay .heat")]
    assert sorted(heats) == sorted(f"heat map of {name}" for name in NASTY[:2])
    assert "broken.png: not a readable" in page.all(".problem")[0].text
    first, second = NASTY[:2]
    predictor = Predictor(telling_folder)

    def expected(**known: bool) -> dict[str, float]:
        states = {TELLING[int(place[1:])]: state for place, state in known.items()}
        [found] = predictor([files[0]], known=states)
        return {name: pytest.approx(100 * p, abs=0.02) for name, p in found.probabilities.items()}

    alone = page.chances()
    assert len(alone) == 10
    assert {**expected(), **alone} == expected()
    page.line(first).click()
    assert page.settled("Known: <script>alert(1)</script> present").endswith("3 labels moved.")
    moved = page.chances()
    assert {**expected(_0=True), **moved} == expected(_0=True)
    assert NASTY[3] not in alone and NASTY[3] in moved  # it passed its threshold
    note = page.line(second).find_element(By.CSS_SELECTOR, ".note").text
    assert note.startswith("alone ") and "because <script>alert(1)</script> is known" in note
    page.line(first).click()
    page.settled("Known: <script>alert(1)</script> absent")
    assert page.chances()[second] != moved[second]
    page.line(first).click()
    page.settled("Nothing is known")
    assert page.chances() == pytest.approx(alone)
    # The keys do the same.
    page.line(first).send_keys("y")
    page.settled("Known: <script>alert(1)</script> present")
    page.driver.switch_to.active_element.send_keys(Keys.ARROW_DOWN)
    focused = page.driver.switch_to.active_element.get_property("title")
    shown = [line.get_property("title") for line in page.all(".bars .line")]
    assert focused == shown[shown.index(first) + 1]
    page.driver.switch_to.active_element.send_keys("n")
    page.settled("Known: <script>alert(1)</script> present, ")
    assert page.chances()[focused] == 0
    page.driver.switch_to.active_element.send_keys(Keys.BACKSPACE)
    page.until("document.getElementById('said').textContent.startsWith('Known: <script>alert(1)"
               "</script> present.')")  # fmt: skip
    page.all("[data-do=clear]")[0].click()
    page.settled("Nothing is known")
    # More labels, and one by its name.
    page.all(".tools button")[0].click()
    assert len(page.all(".bars .line")) == 300
    page.all(".tools input")[0].send_keys("LABEL 395")
    assert [line.get_property("title") for line in page.all(".bars .line")] == ["label 395"]
    page.line("label 395").click()
    page.settled("Known: label 395 present")
    assert page.driver.execute_script("return document.documentElement.scrollWidth") <= 390
    assert page.errors() == []
    assert page.others() == []


def test_the_last_click_counts_and_a_server_that_is_gone_is_said(
    browser, files, telling_folder, tmp_path
):
    (tmp_path / "empty").mkdir()
    server = Server(telling_folder, tmp_path / "empty")
    try:
        page = Page(browser(1000, 900), server.address)
        page.drop("choose", files[0])
        page.until("document.querySelectorAll('.heats figure').length === 2")
        page.driver.execute_script(
            "const line = [...document.querySelectorAll('.bars .line')].find(l => l.title === "
            "arguments[0]); line.click(); line.click()", NASTY[0])  # fmt: skip
        page.settled("Known: <script>alert(1)</script> absent")
        before = page.chances()
        server.stop()
        page.line(NASTY[1]).click()
        page.until(
            "document.querySelector('.states .wrong').textContent.includes('does not answer')"
        )
        assert page.chances() == before
        assert "absent" in page.all(".told")[0].text
        page.drop("choose", files[1])
        page.until("document.querySelector('.problem')?.textContent.includes('does not answer')")
    finally:
        server.end()


def test_many_pictures_become_a_table_and_the_graph_is_drawn(
    browser, address, files, telling_folder, tmp_path
):
    page = Page(browser(1200, 900), address)
    # From tab to tab with the keys.
    page.all("#tab-pictures")[0].send_keys(Keys.ARROW_RIGHT)
    large = tmp_path / "large.png"
    large.write_bytes(b"x" * 1_100_000)
    page.drop("choose-many", *files, large)
    page.until("document.querySelector('#table a.button') !== null")
    text = page.all("#table")[0].text
    assert text.startswith("3 of 5 pictures have been given labels.")
    assert "large.png: expected at most 1 MB, got 1.1" in text
    page.all("#table a.button")[0].click()
    table = page.downloaded(tmp_path / "downloads" / "predictions.csv")
    assert table.read_bytes().startswith(b"\xef\xbb\xbfimage,error,labels,")
    with table.open(encoding="utf-8-sig", newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert [row["image"] for row in rows] == [*(file.name for file in files), "large.png"]
    assert [bool(row["error"]) for row in rows] == [False] * 3 + [True] * 2
    for row, file in zip(rows[:3], files[:3], strict=True):
        [wanted] = Predictor(telling_folder)([file])
        assert row["labels"].split("|") == list(wanted.labels)
        assert list(row)[3:] == list(TELLING)
        for name, value in wanted.rounded().items():
            assert float(row[name]) == pytest.approx(value, abs=1e-5)
    assert set(rows[3].values()) == {"broken.png", rows[3]["error"], ""}
    page.all("#tab-many")[0].send_keys(Keys.ARROW_RIGHT)
    page.until("[...document.querySelectorAll('#graph img')].filter(i => i.naturalWidth > 300)"
               ".length === 3")  # fmt: skip
    assert page.errors() == []
    assert page.others() == []


def test_without_knowledge_of_labels_nothing_can_be_clicked(browser, model_folder, files, tmp_path):
    (tmp_path / "empty").mkdir()
    server = Server(model_folder, tmp_path / "empty")
    try:
        page = Page(browser(1000, 900), server.address)
        advice = page.all(".advice")[0].text
        assert f"lcnet calibrate {model_folder} --evidence --data.format FORMAT" in advice
        page.drop("choose", files[0])
        page.until("document.querySelectorAll('.heats figure').length === 2")
        assert len(page.all(".bars div.line")) == 4
        assert page.all(".bars button, .tools, #legend") == []
        present = [line.get_property("title") for line in page.all(".bars .above .line")]
        assert sorted(present) == ["green", "red"]
    finally:
        server.end()
