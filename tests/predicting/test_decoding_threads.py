"""Pictures are decoded by several threads at a time, and stay in their order."""

import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image
from tests.tiny import save_tiny_model

from lcnet.data.decoding import read_pixels
from lcnet.predicting import predictor as module
from lcnet.predicting.predictor import Predictor


@pytest.fixture
def pictures(tmp_path):
    """Eleven pictures of one colour each; the fourth and the last cannot be read."""
    files = [tmp_path / f"{number}.png" for number in range(11)]
    for number, file in enumerate(files):
        pixels = np.full((20 + number, 30, 3), 20 * number, np.uint8)
        Image.fromarray(pixels).save(file)
    files[3].write_bytes(b"no picture")
    files[10].unlink()
    return files


def test_several_threads_give_what_one_gives_in_the_same_order(tmp_path, pictures, monkeypatch):
    model = Predictor(save_tiny_model(tmp_path / "model", ("a", "b"), (0.5, 0.5)), batch_size=4)
    assert model.workers == 0
    alone = model(pictures)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    monkeypatch.setattr(module, "available_cores", lambda: 3)
    assert model(pictures) == alone
    assert [row.image for row in alone] == list(map(str, pictures))
    assert [bool(row.error) for row in alone] == [n in (3, 10) for n in range(11)]


def test_opening_in_threads_leaves_the_filters_of_warnings_as_they_are(pictures):
    before = list(warnings.filters)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(read_pixels, pictures[4:9] * 40))
    assert list(warnings.filters) == before
