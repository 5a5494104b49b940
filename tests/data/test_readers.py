from pathlib import Path

import pytest

from lcnet.config import Data
from lcnet.data.readers import READERS, load_split
from lcnet.errors import DataError


def test_every_format_of_the_settings_has_a_reader():
    assert set(READERS) == set(Data.__dataclass_fields__["format"].type.__args__)


def test_a_listed_picture_that_is_not_there_is_named_with_its_row(colour_table):
    (colour_table / "images" / "train3.png").unlink()
    (colour_table / "images" / "train7.png").unlink()
    with pytest.raises(DataError, match=r"train\.csv:5: no picture .*train3\.png, and 1 more"):
        load_split(Data("table", str(colour_table)), "train.csv")


def test_the_separator_reaches_the_table_reader(colour_table: Path):
    rows = "image,names\nimages/train0.png,a;b\nimages/train1.png,b\n"
    (colour_table / "names.csv").write_text(rows)
    split = load_split(Data("table", str(colour_table), separator=";"), "names.csv")
    assert (split.labels, split.targets().tolist()) == (("a", "b"), [[1, 1], [0, 1]])
