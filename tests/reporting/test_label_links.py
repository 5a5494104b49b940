"""The links of worst errors to the page of `lcnet label`."""

from dataclasses import replace
from inspect import signature
from pathlib import Path

import pytest
from tests.reports import Page, made_report

from lcnet.config import Data
from lcnet.data.dataset import Sample
from lcnet.reporting.label_links import PAGE, correcting, label_file, label_link
from lcnet.reporting.report_page import write_report
from lcnet.serving.labelling.label import label


def test_the_address_is_where_the_page_is_served():
    usual = signature(label).parameters
    assert f"http://{usual['host'].default}:{usual['port'].default}/" == PAGE


@pytest.mark.parametrize(
    ("path", "ends"),
    [
        ("images/7.jpg", "images/7.jpg"),
        ("a b&c=d#.png", "a%20b%26c%3Dd%23.png"),
        ("ä.png", "%C3%A4.png"),
    ],
)
def test_a_picture_is_named_by_its_path(path, ends):
    assert label_link(Sample(Path(path)), path, "table") == f"{PAGE}?picture={ends}"


def test_what_the_page_does_not_show_has_no_link():
    inside = Sample(Path("a.tar/1.jpg"), inside=object())
    several = Sample(Path("red.png"), channel_files=(Path("green.png"),))
    for sample, layout in (
        (inside, "table"),
        (several, "table"),
        (Sample(Path("1.png")), "digits"),
    ):
        assert label_link(sample, "1.png", layout) == ""


def test_each_worst_error_has_its_link_and_the_command_for_it(tmp_path):
    write_report(tmp_path / "report.html", made_report(tmp_path))
    page = Page(tmp_path / "report.html")
    links = [tag["href"] for name, tag in page.tags if tag.get("class") == "correct"]
    assert len(links) > 3
    assert all(link.startswith(f"{PAGE}?picture=") and link.endswith(".png") for link in links)
    assert "lcnet label run TABLE --out corrected.csv --correct" in page.text


def test_the_command_names_the_run_as_it_was_given_and_the_label_file_where_it_is_known(tmp_path):
    made = replace(made_report(tmp_path), folder="runs/mine")
    write_report(tmp_path / "report.html", made)
    text = Page(tmp_path / "report.html").text
    assert "lcnet label runs/mine TABLE --out corrected.csv --correct , with the label" in text
    (tmp_path / "val.csv").touch()
    write_report(tmp_path / "report.html", made)
    text = Page(tmp_path / "report.html").text
    assert f"lcnet label runs/mine {tmp_path / 'val.csv'} --out corrected.csv --correct" in text
    assert "for TABLE" not in text


@pytest.mark.parametrize(
    ("split", "found"), [("all.csv", True), ("all.csv[val]", True), ("val", False), ("", False)]
)
def test_the_label_file_of_a_split_or_a_part_of_one(tmp_path, split, found):
    (tmp_path / "all.csv").touch()
    file = label_file(Data(format="table", root=str(tmp_path)), split)
    assert file == (tmp_path / "all.csv" if found else None)


def test_names_with_spaces_stay_one_word_for_a_shell():
    assert correcting("my run", Path("a b.csv")).startswith("lcnet label 'my run' 'a b.csv' --out")
