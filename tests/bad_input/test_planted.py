"""No file that lcnet is given runs code, wherever it is given."""

import contextlib
import pickle
import re
from pathlib import Path

import pytest
import torch
from tests.bad_input import planted
from tests.bad_input.judge import run


def _quick(name: str) -> bool:
    return name in ("a torch file", *(make.__name__ for make in planted.OWN.values()))


@pytest.mark.parametrize(
    ("file", "name", "make"),
    [
        pytest.param(*one, marks=() if _quick(one[1]) else pytest.mark.slow)
        for one in planted.planted()
    ],
)
def test_code_in_a_file_is_not_run(place: Path, file: str, name: str, make) -> None:
    config = (place / "config.yaml").read_text()
    # --init goes without settings of a model.
    (place / "data.yaml").write_text(re.sub(r"model:\n(  .*\n)+", "", config))
    (place / file).write_bytes(make())
    outcome = run(planted.LINES[file].split(), place)
    assert not planted.has_run(place)
    assert outcome.faults() == []
    assert outcome.code in (1, 2)


def test_the_planted_code_would_run(tmp_path: Path) -> None:
    """Or the tests above would say nothing."""
    with contextlib.chdir(tmp_path):
        pickle.loads(planted.pickled())
        assert planted.has_run(tmp_path)
        (tmp_path / planted.MARK).rmdir()
        for number, make in enumerate((planted.saved, planted.saved_as_before)):
            file = tmp_path / f"{number}.pth"
            file.write_bytes(make())
            torch.load(file, weights_only=False)
            assert planted.has_run(tmp_path)
            (tmp_path / planted.MARK).rmdir()
