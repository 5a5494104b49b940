"""Rows of Parquet files, read by row group and kept within bounds."""

import pyarrow
import pytest
from pyarrow import parquet

from lcnet.data import containers
from lcnet.data.containers import ParquetRow
from lcnet.errors import DataError


@pytest.fixture
def file(tmp_path):
    """Three row groups of two rows, each of 100 bytes."""
    column = [bytes([row]) * 100 for row in range(6)]
    parquet.write_table(pyarrow.table({"image": column}), tmp_path / "a.parquet", row_group_size=2)
    return tmp_path / "a.parquet"


@pytest.fixture
def reads(monkeypatch):
    """The row groups that are read from the file, in order."""
    read, seen = containers._read_group, []

    def counted(file, group):
        seen.append(group)
        return read(file, group)

    monkeypatch.setattr(containers, "_read_group", counted)
    monkeypatch.setattr(containers, "_groups", containers._RowGroups())
    return seen


def value(file, row):
    return ParquetRow(file, *divmod(row, 2)).read()


def test_a_row_group_is_read_once(file, reads):
    for _ in range(2):
        assert [value(file, row) for row in range(6)] == [bytes([row]) * 100 for row in range(6)]
    assert reads == [0, 1, 2]


@pytest.mark.parametrize(("room", "again"), [(450, [0, 1, 2, 1]), (10, [0, 1, 0, 2, 0, 1])])
def test_what_was_used_least_recently_goes_first(file, reads, monkeypatch, room, again):
    monkeypatch.setattr(containers, "KEPT_BYTES", room)
    for row in (0, 2, 1, 4, 0, 3, 3):  # the groups 0 1 0 2 0 1 1
        assert value(file, row) == bytes([row]) * 100
    assert reads == again


def test_a_damaged_file_is_named(file, reads):
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(DataError, match=r"a\.parquet: not a readable Parquet file"):
        value(file, 0)
