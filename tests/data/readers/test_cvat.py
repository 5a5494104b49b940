"""What a user may rely on when reading CVAT's XML."""

from pathlib import Path

import pytest
from tests.data.readers.drawing import below, draw, recognised, splits_of, store

from lcnet.data.readers import read_split
from lcnet.data.readers.layout import Given
from lcnet.data.readers.layouts import LAYOUTS
from lcnet.errors import DataError

META = (
    "<version>1.1</version><meta><task><labels>"
    "<label><name>dog</name><type>any</type></label>"
    "<label><name>cat</name><type>any</type></label>"
    "<label><name>fog</name><type>tag</type></label>"
    "<label><name>nose</name><type>points</type><parent>dog</parent></label>"
    "</labels></task></meta>"
)


def image(number: int, name: str, inside: str = "", **attributes: str) -> str:
    more = "".join(f' {key}="{value}"' for key, value in attributes.items())
    return f'<image id="{number}" name="{name}" width="4" height="3"{more}>{inside}</image>'


def box(label: str) -> str:
    return f'<box label="{label}" xtl="0" ytl="0" xbr="1" ybr="1"/>'


def tag(label: str) -> str:
    return f'<tag label="{label}" source="manual"/>'


def write(root: Path, *images: str, meta: str = META, name: str = "annotations.xml") -> Path:
    head = '<?xml version="1.0" encoding="utf-8"?>\n'
    return store(root / name, f"{head}<annotations>{meta}{''.join(images)}</annotations>")


def test_boxes_and_shapes_are_read(tmp_path: Path) -> None:
    draw(tmp_path, "images/a.png", "images/b.png", "images/c.png")
    polygon = '<polygon label="cat" points="0,0;1,1;0,1"/>'
    write(
        tmp_path,
        image(0, "a.png", box("dog") + polygon),
        image(1, "b.png"),
        image(2, "c.png", box("cat") + box("cat")),
    )
    found = recognised("cvat", tmp_path)
    assert (found.data.train, found.data.val) == ("annotations.xml", "")
    split = read_split(found.data, "annotations.xml")
    assert split.labels == ("dog", "cat")
    assert split.targets.tolist() == [[1, 1], [0, 0], [0, 1]]
    assert below(tmp_path, split) == ["images/a.png", "images/b.png", "images/c.png"]
    assert split.samples[2].source == "annotations.xml: image 2"
    assert "labels of boxes and shapes" in found.said


def test_tags_are_read_with_the_labels_that_are_for_them(tmp_path: Path) -> None:
    draw(tmp_path, "a.png")
    write(tmp_path, image(0, "a.png", tag("cat")))
    split = read_split(recognised("cvat", tmp_path).data, "annotations.xml")
    assert split.labels == ("dog", "cat", "fog")
    assert split.targets.tolist() == [[0, 1, 0]]


def test_tags_and_boxes_need_a_choice_which_then_works(tmp_path: Path) -> None:
    draw(tmp_path, "a.png")
    write(tmp_path, image(0, "a.png", tag("fog") + box("dog")))
    with pytest.raises(DataError, match=r"'pictures' .* and 'objects' .*Set --data.labels_in"):
        recognised("cvat", tmp_path)
    for asked, labels in (("pictures", ("cat", "fog")), ("objects", ("dog", "cat"))):
        found = recognised("cvat", tmp_path, labels_in=asked).data
        assert read_split(found, found.train).labels == labels


def test_subsets_are_splits(tmp_path: Path) -> None:
    draw(tmp_path, "images/Train/a.png", "images/Validation/a.png")
    write(
        tmp_path,
        image(0, "a.png", box("dog"), subset="Train"),
        image(1, "a.png", box("cat"), subset="Validation"),
        image(2, "b.png", box("cat")),
    )
    found = recognised("cvat", tmp_path)
    assert found.data.train == "annotations.xml[Train]"
    assert found.data.val == "annotations.xml[Validation]"
    splits = splits_of(found.data)
    assert below(tmp_path, splits["train"]) == ["images/Train/a.png"]
    assert below(tmp_path, splits["val"]) == ["images/Validation/a.png"]
    assert splits["val"].targets.tolist() == [[0, 1]]
    assert "1 picture of no subset left out" in found.said


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        ('<!DOCTYPE a [<!ENTITY b "bb">]><annotations></annotations>', "without DOCTYPE"),
        ("<annotations><image>", "expected XML, got"),
        ("<annotations></annotations>", "expected labels, got none"),
        ('<annotations><track id="0"/></annotations>', "got tracks of a video"),
        (f"<annotations>{image(0, 'a.png', box('') + box('x'))}</annotations>", "label of <box>"),
        (f"<annotations>{image(0, '', box('x'))}</annotations>", "image 0: expected the path"),
        (
            f"<annotations>{META}{image(0, 'a.png', box('dgo'))}</annotations>",
            "image 0: unknown label 'dgo', the nearest",
        ),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(tmp_path: Path, xml: str, message: str) -> None:
    draw(tmp_path, "a.png")
    store(tmp_path / "annotations.xml", xml)
    with pytest.raises(DataError) as error:
        read_split(recognised("cvat", tmp_path).data, "annotations.xml")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_other_xml_is_not_cvat(tmp_path: Path) -> None:
    store(tmp_path / "a.xml", "<annotation><object/></annotation>")
    assert LAYOUTS["cvat"].recognise(Given(tmp_path)) is None
