"""Small pictures and data sets for the tests of readers."""

import json
import os
from pathlib import Path

from PIL import Image

from lcnet.config import Data
from lcnet.data.dataset import Split
from lcnet.data.readers import read_split
from lcnet.data.readers.layout import Given, Recognised
from lcnet.data.readers.layouts import LAYOUTS


def draw(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 3), (200, 10, 10)).save(root / name, "PNG")


def store(file: Path, content: object) -> Path:
    """Write JSON, or a text as it is."""
    file.parent.mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content)
    file.write_text(text, encoding="utf-8")
    return file


def recognised(form: str, path: Path, **given: object) -> Recognised:
    found = LAYOUTS[form].recognise(Given(path, Data(**given)))  # type: ignore[arg-type]
    assert found is not None
    assert found.data.format == form
    assert "\n" not in found.said
    return found


def splits_of(data: Data) -> dict[str, Split]:
    """The splits as they are read with the training split's labels, by role."""
    train = read_split(data, data.train)
    read = {"train": train}
    for role, name in (("val", data.val), ("test", data.test)):
        if name:
            read[role] = read_split(data, name, train.labels)
    return read


def files_of(split: Split) -> list[str]:
    """The pictures' paths; each of them exists."""
    assert all(sample.path.is_file() for sample in split.samples), split.samples
    return [str(sample.path) for sample in split.samples]


def below(root: Path, split: Split) -> list[str]:
    """The pictures' paths relative to the root."""
    return [os.path.relpath(file, root) for file in files_of(split)]
