"""A check that was killed goes on, and the next one reads only what is new."""

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lcnet.checking import kept_facts, picture_facts
from lcnet.checking.check import check
from lcnet.config import Data
from lcnet.errors import DataError

PICTURES = 30
KILLED = """
import os, signal, sys
from pathlib import Path
from lcnet.checking import kept_facts, picture_facts
from lcnet.checking.check import check
from lcnet.config import Data

kept_facts.SECONDS, picture_facts.BATCH = 0, 4
usual, done = picture_facts.picture_facts, []

def read(*given):
    done.append(given)
    if len(done) > 20:
        os.kill(os.getpid(), signal.SIGKILL)
    return usual(*given)

picture_facts.picture_facts = read
data = Data("table", sys.argv[1], "t.csv", "t.csv", "", workers=0)
check(data, facts=Path(sys.argv[2]), quiet=True)
"""


@pytest.fixture
def data(tmp_path) -> Data:
    """A table with a copy, a broken and a missing picture among others."""
    rng = np.random.default_rng(0)
    root = tmp_path / "set"
    root.mkdir()
    for number in range(PICTURES):
        pixels = rng.integers(0, 256, (4, 4, 3), np.uint8)
        Image.fromarray(pixels).resize((40, 40)).save(root / f"{number}.png")
    (root / "8.png").write_bytes((root / "7.png").read_bytes())
    (root / "9.png").write_bytes(b"no picture")
    (root / "28.png").unlink()
    rows = [f"{number}.png,{number % 2},{number % 3 % 2}" for number in range(PICTURES)]
    (root / "t.csv").write_text("image,cat,dog\n" + "\n".join(rows) + "\n")
    return Data("table", str(root), "t.csv", "t.csv", "", workers=0)


@pytest.fixture
def read(monkeypatch) -> list[Path]:
    """The pictures that are read from now on."""
    usual, paths = picture_facts.picture_facts, []

    def noted(path, *others):
        paths.append(path)
        return usual(path, *others)

    for module in (picture_facts, kept_facts):
        monkeypatch.setattr(module, "picture_facts", noted)
    return paths


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_a_killed_check_goes_on_and_finds_the_same(data, tmp_path, read):
    facts = tmp_path / "out" / "c.facts"
    killed = subprocess.run([sys.executable, "-c", KILLED, data.root, str(facts)], check=False)
    assert killed.returncode == -signal.SIGKILL
    resumed = check(data, facts=facts, json=tmp_path / "resumed.json", quiet=True)
    assert {path.name for path in read} >= {"9.png", "28.png", "29.png"}  # faults are read again
    assert 10 <= len(read) <= 15  # 20 were read before, all without a fault but one were kept
    usual = check(data, quiet=True)
    assert resumed.findings == usual.findings
    assert {one.kind for one in usual.findings} >= {"unreadable-image", "missing-image"}
    assert [one.facts for one in resumed.splits] == [one.facts for one in usual.splits]
    assert not (tmp_path / "resumed.facts").exists()


def test_the_next_check_reads_what_is_new_or_changed(data, tmp_path, read):
    facts = tmp_path / "c.facts"
    check(data, facts=facts, quiet=True)
    root = Path(data.root)
    Image.new("RGB", (40, 40), "red").save(root / "3.png")
    os.utime(root / "4.png", ns=(1, 1))
    read.clear()
    again = check(data, facts=facts, quiet=True)
    assert [path.name for path in read] == ["3.png", "4.png", "9.png", "28.png"]
    assert again.findings == check(data, quiet=True).findings
    read.clear()
    check(Data(**{**vars(data), "pixel_range": [0, 100]}), facts=facts, quiet=True)
    assert len(read) == PICTURES


def test_facts_are_kept_beside_the_output_if_they_are_many(data, tmp_path, read, monkeypatch):
    check(data, json=tmp_path / "few.json", quiet=True)
    assert not (tmp_path / "few.facts").exists()
    monkeypatch.setattr("lcnet.checking.data_check.FEW", 10)
    for _ in range(2):
        read.clear()
        check(data, html=tmp_path / "check.html", quiet=True)
    assert (tmp_path / "check.facts").exists()
    assert len(read) == 2


def test_a_damaged_row_is_read_anew_and_another_file_is_refused(data, tmp_path, read):
    facts = tmp_path / "c.facts"
    usual = check(data, facts=facts, quiet=True)
    with sqlite3.connect(facts) as database:
        database.execute("update facts set look = 'x'")
    database.close()
    assert check(data, facts=facts, quiet=True).findings == usual.findings
    (tmp_path / "other").write_text("a file of another kind, " * 99)
    with pytest.raises(DataError, match=r"other: cannot keep .*name another with --facts"):
        check(data, facts=tmp_path / "other", quiet=True)
    assert (tmp_path / "other").read_text().startswith("a file of another kind")
