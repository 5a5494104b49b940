"""`lcnet label RUN FOLDER`: pictures without any labels."""

import shutil

import pytest
from PIL import Image

from lcnet.errors import ConfigError, DataError
from lcnet.model_folder import read_info
from lcnet.serving.labelling.desk import open_desk


@pytest.fixture
def new(tmp_path):
    folder = tmp_path / "new"
    folder.mkdir()
    for number in range(3):
        Image.new("RGB", (40, 30), (80 * number, 90, 10)).save(folder / f"{number}.png")
    return folder


def test_every_cell_is_blank_and_answers_are_kept(run, new, out, capsys):
    desk = open_desk(run, new, out, annotator="", batch_size=2)
    assert "3 pictures, no labels, so every cell is blank" in capsys.readouterr().out
    assert desk.labels == desk.predictor.info.labels and len(desk.paths) == 3
    label = desk.labels[0]
    desk.answer("one", 1, {label: (None, True)})
    again = open_desk(run, new, out, annotator="", batch_size=2)
    assert again.answers.of(again.paths[1]) == {label: True}
    assert again.answers.of(again.paths[0]) == {}


def test_other_files_beside_the_pictures_are_refused(run, new, out):
    shutil.copy(__file__, new / "notes.doc")
    with pytest.raises(DataError, match=r"nothing but pictures, got other files too \(1 .doc\)"):
        open_desk(run, new, out, annotator="", batch_size=2)
    assert not out.exists()


def test_a_folder_with_labels_is_read_as_before(run, colour_table, out):
    desk = open_desk(run, colour_table.parent, out, annotator="", batch_size=2, correct=True)
    assert any(desk.answers.of(path) for path in desk.paths)


def test_a_filled_table_names_the_pictures_that_it_does_not_list(run, new, out):
    label, other = read_info(run).labels[:2]
    table = new / "labels.csv"
    table.write_text(f"image,{label}\n0.png,1\n1.png,0\n")
    with pytest.raises(ConfigError, match=r"does not list 1 picture beside it, such as .*2\.png"):
        open_desk(run, table, out, annotator="", batch_size=2)
    table.write_text(f"image,{label}\n0.png,1\n1.png,0\n2.png,0\n")
    with pytest.raises(ConfigError, match=r"add --correct\.$"):
        open_desk(run, table, out, annotator="", batch_size=2)
    table.write_text(f"image,labels\n0.png,{label};{other}\n1.png,{label}\n2.png,\n")
    desk = open_desk(run, table, out, annotator="", batch_size=2)
    known = {path.name: desk.answers.of(path) for path in desk.paths}
    assert known == {
        "0.png": {label: True, other: True},
        "1.png": {label: True, other: False},
        "2.png": {},
    }
