"""The check page of many labels: a search and pages of rows, without a word of the labels lost."""

import csv

from tests.conftest import draw_colours

import lcnet


def test_many_labels_get_pages_and_few_do_not(tmp_path):
    colours = draw_colours(tmp_path / "colours")
    few = tmp_path / "few.html"
    lcnet.check(colours, html=few, quiet=True)
    assert "<script>" not in few.read_text()
    names = [f"label {number:03}" for number in range(150)]
    for split in ("train", "val"):
        with (colours / f"{split}.csv").open(newline="") as opened:
            rows = [row[0] for row in csv.reader(opened)][1:]
        with (colours / f"{split}.csv").open("w", newline="") as opened:
            written = csv.writer(opened)
            written.writerow(["image", *names])
            written.writerows(
                [picture, *(int((place + number) % 7 == 0) for number in range(150))]
                for place, picture in enumerate(rows)
            )
    lcnet.check(colours, html=tmp_path / "many.html", quiet=True)
    text = (tmp_path / "many.html").read_text()
    assert text.count("<script>") == 2 and "addPages" in text and "const ROWS = 100;" in text
    assert all(name in text for name in names)
