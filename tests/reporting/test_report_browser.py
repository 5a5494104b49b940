"""The report in a real browser: nothing fails, tables sort, pictures show, nothing is fetched."""

import json
import shutil

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select
from tests.reports import made_report

from lcnet.reporting.report_page import ERRORS, write_report

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (BROWSER and DRIVER),
    reason="needs chromium and chromedriver (Debian: apt-get install chromium chromium-driver)",
)


@pytest.fixture(scope="module")
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(flag)
    options.add_argument("--window-size=1200,900")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def opened(browser, tmp_path_factory):
    """The browser with a report open."""
    folder = tmp_path_factory.mktemp("report")
    write_report(folder / "report.html", made_report(folder))
    browser.get((folder / "report.html").as_uri())
    return browser


def column(opened, number: int) -> list[str]:
    cells = opened.find_elements(By.CSS_SELECTOR, f"#labels tbody td:nth-child({number})")
    return [cell.text for cell in cells]


def test_it_opens_without_an_error_and_fetches_nothing(opened):
    events = [json.loads(entry["message"])["message"] for entry in opened.get_log("performance")]
    wanted = [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]
    assert opened.current_url in wanted
    assert [url for url in wanted if url != opened.current_url and url[:5] != "data:"] == []
    assert opened.get_log("browser") == []


def test_every_picture_shows(opened):
    pictures = opened.find_elements(By.TAG_NAME, "img")
    assert len(pictures) > ERRORS
    for picture in pictures:
        assert int(picture.get_property("naturalWidth")) > 0
        assert picture.is_displayed()
    for drawing in opened.find_elements(
        By.CSS_SELECTOR, "#confusion svg, #learning svg, #graph svg"
    ):
        box = drawing.rect
        assert box["width"] > 100 and box["height"] > 100
        assert drawing.find_elements(By.TAG_NAME, "path")


def test_a_table_sorts_up_and_down_with_empty_cells_last(opened):
    by_name = opened.find_element(By.CSS_SELECTOR, "#labels th:nth-child(1) button")
    by_name.click()
    assert column(opened, 1) == ["cat", "dog", "lamp", "sofa"]
    assert not opened.find_elements(By.CLASS_NAME, "pager")  # four rows need none
    header = opened.find_element(By.CSS_SELECTOR, "#labels th:nth-child(4) button")
    header.click()
    down = column(opened, 4)
    numbers = [float(text) for text in down[:-1]]
    assert numbers == sorted(numbers, reverse=True)
    assert down[-1] == "\N{EN DASH}"
    assert header.find_element(By.XPATH, "..").get_attribute("aria-sort") == "descending"
    header.click()
    assert column(opened, 4) == [*reversed(down[:-1]), down[-1]]
    by_name.click()
    assert column(opened, 1) == ["cat", "dog", "lamp", "sofa"]
    assert opened.get_log("browser") == []


def test_a_label_s_curves_are_shown_by_list_and_by_link(opened):
    def shown() -> list[str]:
        panels = opened.find_elements(By.CLASS_NAME, "panel")
        return [panel.get_attribute("id") for panel in panels if panel.is_displayed()]

    assert shown() == ["together"]
    Select(opened.find_element(By.ID, "picker")).select_by_visible_text("dog")
    assert shown() == ["label-1"]
    opened.find_element(By.LINK_TEXT, "sofa").click()
    assert shown() == ["label-2"]
    assert len(opened.find_elements(By.CSS_SELECTOR, "#label-2 svg")) == 3
    assert opened.get_log("browser") == []


def test_a_matrix_says_the_cell_under_the_mouse(opened):
    matrix = opened.find_element(By.CSS_SELECTOR, "#confusion .matrix")
    drawing = matrix.find_element(By.TAG_NAME, "svg")
    opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", drawing)
    cell, margin = (int(drawing.get_attribute(f"data-{name}")) for name in ("cell", "margin"))
    box = drawing.rect
    x = margin + 1.5 * cell - box["width"] / 2
    y = margin + 0.5 * cell - box["height"] / 2
    action = webdriver.ActionChains(opened)
    action.move_to_element_with_offset(drawing, int(x), int(y)).perform()
    said = matrix.find_element(By.CLASS_NAME, "said").text
    assert "pictures with cat, dog is present in" in said
    assert "{" not in said and "undefined" not in said


def test_without_a_script_all_of_it_stands_open(browser, tmp_path):
    write_report(tmp_path / "report.html", made_report(tmp_path))
    plain = (tmp_path / "report.html").read_text().replace("<script>", "<script type='text/x'>")
    (tmp_path / "plain.html").write_text(plain)
    browser.get((tmp_path / "plain.html").as_uri())
    panels = browser.find_elements(By.CLASS_NAME, "panel")
    assert len(panels) == 4
    assert all(panel.is_displayed() for panel in panels)
    assert not browser.find_element(By.ID, "picker").is_displayed()


@pytest.fixture
def long_table(browser, tmp_path):
    """The browser with a report of 250 labels open."""
    labels = tuple(f"label {number:03}" for number in range(250))
    write_report(tmp_path / "long.html", made_report(tmp_path, labels))
    browser.get((tmp_path / "long.html").as_uri())
    return browser


def shown(browser) -> list[str]:
    return [name for name in column(browser, 1) if name]


def test_a_long_table_has_pages_and_a_search(long_table):
    search = long_table.find_element(By.CSS_SELECTOR, "#labels .pager input")
    said = long_table.find_element(By.CSS_SELECTOR, "#labels .pager .said")
    before, after = long_table.find_elements(By.CSS_SELECTOR, "#labels .pager button")
    assert said.text == "1 to 100 of 250" and len(shown(long_table)) == 100
    assert not before.is_enabled()
    after.click()
    after.click()
    assert said.text == "201 to 250 of 250" and len(shown(long_table)) == 50
    assert not after.is_enabled() and before.is_enabled()
    search.send_keys("LABEL 07")
    assert said.text == "1 to 10 of 10"
    assert sorted(shown(long_table)) == [f"label {number:03}" for number in range(70, 80)]
    search.send_keys("x")
    assert said.text == "none found" and shown(long_table) == []
    for _ in "LABEL 07x":
        search.send_keys(Keys.BACKSPACE)
    long_table.find_element(By.CSS_SELECTOR, "#labels th:nth-child(1) button").click()
    assert shown(long_table)[:2] == ["label 000", "label 001"]


# How it looks

NAMES = ("person", "motorcycle", "fire hydrant", "traffic light", "dog", "pneumono" * 8)
BROKEN = """
return [...document.querySelectorAll("td.name")].flatMap((cell) => {
  const text = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT).nextNode();
  return [...text.data.matchAll(/\\S+/g)].filter((word) => {
    const range = document.createRange();
    range.setStart(text, word.index);
    range.setEnd(text, word.index + word[0].length);
    return new Set([...range.getClientRects()].map((box) => box.top)).size > 1;
  }).map((word) => word[0]);
});
"""


@pytest.fixture(params=[1280, 390])
def named(browser, tmp_path, request):
    """The browser with a report of usual names and a very long one; a wide, a narrow window."""
    write_report(tmp_path / "names.html", made_report(tmp_path, NAMES))
    size = {"width": request.param, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get((tmp_path / "names.html").as_uri())
    yield browser, request.param
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_names_break_between_words_alone_and_wide_tables_say_that_they_scroll(named):
    browser, width = named
    assert set(browser.execute_script(BROKEN)) == {NAMES[-1]}
    page, whole = browser.execute_script(
        "const page = document.documentElement; return [page.clientWidth, page.scrollWidth]"
    )
    assert whole <= page  # it is the tables that scroll, and not the page
    table = browser.find_element(By.CSS_SELECTOR, "#labels .wide")
    scrolls, hint = browser.execute_script(
        "const table = arguments[0], before = getComputedStyle(table, '::before');"
        "return [table.scrollWidth > table.clientWidth, before.content]",
        table,
    )
    assert scrolls == (width == 390)
    assert ("Scroll sideways" in hint) == scrolls


def test_the_bars_of_all_labels_begin_at_one_place(named):
    browser, _ = named
    bars = browser.find_elements(By.CSS_SELECTOR, "#labels .ap")
    numbers = browser.find_elements(By.CSS_SELECTOR, "#labels .value")
    browser.execute_script("arguments[0].textContent = '100.0'", numbers[0])
    browser.execute_script("arguments[0].textContent = '9.1'", numbers[1])
    assert len(bars) > 3
    begins = [bar.rect["x"] for bar in bars]
    assert max(begins) - min(begins) < 1  # a pixel is drawn whole
