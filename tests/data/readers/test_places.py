"""Tests of pictures that lie elsewhere than their label file says."""

from pathlib import Path

import pytest
from tests.data.readers.drawing import below, draw, splits_of, store

from lcnet.checking.check import check
from lcnet.config import Data, Table
from lcnet.data.readers import load_split
from lcnet.data.readers.layout import Given
from lcnet.data.readers.near_names import near_name
from lcnet.data.recognising import recognise
from lcnet.errors import DataError

LISTED = [f"/mnt/nas/frames/a/{number}.jpg" for number in range(8)]


def coco(root: Path, listed: list[str]) -> Path:
    images = [{"id": number, "file_name": name} for number, name in enumerate(listed)]
    boxes = [
        {"id": number, "image_id": number, "category_id": 1 + number % 2, "bbox": [0, 0, 1, 1]}
        for number in range(len(listed) - 1)
    ]
    kinds = [{"id": 1, "name": "car"}, {"id": 2, "name": "bus"}]
    content = {"images": images, "annotations": boxes, "categories": kinds}
    store(root / "set" / "export.json", content)
    return root / "set"


def table(root: Path, listed: list[str]) -> Path:
    rows = "".join(f"{name},{row % 2},{row // 2 % 2}\n" for row, name in enumerate(listed))
    store(root / "set" / "labels.csv", "image,car,bus\n" + rows)
    return root / "set"


@pytest.mark.parametrize("make", [coco, table])
@pytest.mark.parametrize(("inside", "strip"), [("", -1), ("a/", 3)])
def test_given_folders_are_tried_without_the_leading_folders_of_a_path(
    tmp_path: Path, make: object, inside: str, strip: int
) -> None:
    draw(tmp_path / "photos", *(f"{inside}{number}.jpg" for number in range(8)))
    root = make(tmp_path, LISTED)  # type: ignore[operator]
    found = recognise(root, Data(folders=["../photos"]), divide=False)
    assert found.data.strip == strip
    how = "the name of the file alone" if strip < 0 else f"the path without {strip} leading folders"
    assert f"../photos by {how}" in found.said
    files = below(tmp_path / "photos", splits_of(found.data)["train"])
    assert files == [f"{inside}{number}.jpg" for number in range(8)]


@pytest.mark.parametrize("make", [coco, table])
def test_leading_folders_that_tell_pictures_apart_are_not_left_out(
    tmp_path: Path, make: object
) -> None:
    draw(tmp_path / "photos", "0.jpg")
    root = make(tmp_path, ["/x/a/0.jpg", "/x/b/0.jpg"])  # type: ignore[operator]
    try:
        assert recognise(root, Data(folders=["../photos"])).data.strip == 0
    except DataError as error:
        assert "no picture that it lists was found in ../photos" in str(error)


def test_folders_that_lead_to_nothing_are_said(tmp_path: Path) -> None:
    draw(tmp_path / "photos", *(f"{number}.jpg" for number in range(8)))
    said = recognise(coco(tmp_path, LISTED), Data(folders=["../nowhere"])).said
    assert "no picture of export.json is in ../nowhere, such as /mnt/nas/frames/a/0.jpg" in said
    (tmp_path / "set" / "export.json").unlink()
    with pytest.raises(DataError, match=r"was found in ../nowhere \(--data.folders.*Correct it"):
        recognise(table(tmp_path, LISTED), Data(folders=["../nowhere"]))


def test_a_link_to_the_folder_of_the_pictures_is_named_with_the_setting(tmp_path: Path) -> None:
    draw(tmp_path / "photos", *(f"{number}.jpg" for number in range(8)))
    root = table(tmp_path, [f"{number}.jpg" for number in range(8)])
    (root / "linked").symlink_to(tmp_path / "photos", target_is_directory=True)
    with pytest.raises(DataError, match=r"--data\.folders '\[linked\]', since a link"):
        recognise(root)
    assert "below linked" in recognise(root, Data(folders=["linked"])).said


def test_a_missing_picture_comes_with_the_setting_and_is_told_in_the_counts(tmp_path: Path) -> None:
    root = table(tmp_path, [f"{number}.jpg" for number in range(8)])
    draw(root, *(f"{number}.jpg" for number in range(7)))
    report = check(Given(root), quiet=True)
    (missing,) = (one for one in report.findings if one.kind == "missing-image")
    assert "set --data.folders '[FOLDER]'" in missing.detail
    assert "drop the rows to train without them" in missing.detail
    assert any("the counts include 1 missing picture" in note for note in report.notes)


@pytest.mark.parametrize(
    ("listed", "reason"),
    [
        (r"D:\qa\img\{}.jpg", r"with / for \\"),
        ("img/{}.JPG", "in another case or Unicode form"),
        ("/upload/1/0a1b2c3d-{}.jpg", "without Label Studio's prefix"),
    ],
)
def test_the_note_on_another_spelling_says_which_and_comes_once(
    tmp_path: Path, listed: str, reason: str
) -> None:
    root = table(tmp_path, [listed.format(number) for number in range(8)])
    draw(root, *(f"img/{number}.jpg" for number in range(8)))
    report = check(Given(root), quiet=True)
    (note,) = (note for note in report.notes if "spelled otherwise" in note)
    assert f"8 pictures are spelled otherwise on disk ({reason})".replace("\\\\", "\\") in note


def test_rows_of_a_picture_in_two_splits_are_refused(tmp_path: Path) -> None:
    draw(tmp_path, *(f"{number}.jpg" for number in range(4)))
    rows = "".join(
        f"{number}.jpg,{number % 2},{('train', 'val')[number % 2]}\n" for number in (0, 1)
    )
    store(tmp_path / "labels.csv", "image,car,split\n" + rows + "0.jpg,1,val\n")
    data = Data(table=Table(rows="label"))
    found = recognise(tmp_path, data).data
    with pytest.raises(DataError, match=r"'0.jpg' is in split 'val' here and in 'train' in line 2"):
        splits_of(found)


def test_a_misspelt_name_asks_for_the_nearest_that_no_row_lists(tmp_path: Path) -> None:
    listed = ["26771x.jpg", *(f"2678{number}.jpg" for number in range(8))]
    root = table(tmp_path, listed)
    draw(root, "26771.jpg", *listed[1:])
    data = recognise(root, divide=False).data
    with pytest.raises(DataError, match=r"Did you mean 26771\.jpg\? Else correct the paths, set"):
        load_split(data, data.train)
    report = check(Given(root), quiet=True)
    (missing,) = (one for one in report.findings if one.kind == "missing-image")
    assert "Did you mean 26771.jpg? Else" in missing.detail
    assert report.next_step.startswith(
        "What to do: correct the rows of missing pictures, or drop them"
    )
    assert report.next_step.endswith("Then run the check again.")
    (left,) = (one for one in report.findings if one.kind == "passed-over")
    assert "for 1 picture (1 .jpg)" in left.detail


def test_no_name_is_asked_for_that_is_listed_or_as_near_as_another(tmp_path: Path) -> None:
    names = [f"{number:06}.jpg" for number in (100, 101, 103)]
    draw(tmp_path, *names)
    missing, here = tmp_path / "000102.jpg", [str(tmp_path / name) for name in names]
    assert near_name(missing, here) is None
    assert near_name(missing, ()) is None
    assert near_name(missing, here[1:]) == "000100.jpg"
    assert near_name(tmp_path / "no" / "folder.jpg", ()) is None
    assert near_name(tmp_path / "else.jpg", ()) is None


def test_a_table_of_a_split_that_leads_to_no_picture_is_said(tmp_path: Path) -> None:
    draw(tmp_path, "0.jpg", "1.jpg")
    for name, rows in (("train", "0.jpg,1,0\n1.jpg,0,1\n"), ("test", "gone.jpg,1,0\n")):
        (tmp_path / f"{name}.csv").write_text(f"image,cat,dog\n{rows}")
    found = recognise(tmp_path, Data(), divide=False)
    assert (found.data.train, found.data.test) == ("train.csv", "")
    assert "no test split, as test.csv: no picture that it lists was found in" in found.said
    assert "such as 'gone.jpg'" in found.said and "--data.folders" not in found.said
