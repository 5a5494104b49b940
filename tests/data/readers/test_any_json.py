"""JSON of another shape than a layout's is refused in one line, whichever layout was named."""

import json

import pytest

from lcnet.config import Data
from lcnet.data.readers import load_split
from lcnet.errors import DataError

VALUES = (999, "a", None, True, [], [1], ["a"], [[]], [{}], {})
KEYS = {
    "coco": ("images", "categories", "annotations", "info"),
    "datumaro": ("items", "categories", "info"),
    "fiftyone": ("samples", "labels", "classes", "info"),
    "json": ("rows", "labels"),
    "label_studio": ("data", "annotations", "completions"),
    "mmpretrain": ("data_list", "metainfo"),
}


def contents(form):
    """Each value by itself, under each key, and under all keys at once."""
    yield from VALUES
    for value in VALUES:
        yield dict.fromkeys(KEYS[form], value)
        yield [dict.fromkeys(KEYS[form], value)]
        for key in KEYS[form]:
            yield {key: value}
            yield [{key: value}]


@pytest.mark.parametrize("form", KEYS)
def test_json_of_another_shape_is_refused(tmp_path, form):
    refused = 0
    for number, content in enumerate(contents(form)):
        (tmp_path / f"{number}.json").write_text(json.dumps(content))
        data = Data(form, str(tmp_path), f"{number}.json", f"{number}.json")
        try:
            split = load_split(data, f"{number}.json")
        except DataError as error:
            assert "\n" not in str(error) and f"{number}.json" in str(error), content
            refused += 1
        else:
            assert len(split) == 0, content
    assert refused > number / 2
