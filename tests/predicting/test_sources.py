"""Pictures are found wherever they are, each once, in an order that shards can rely on."""

import io

import pyarrow
import pytest
import webdataset
from PIL import Image
from pyarrow import parquet

from lcnet.data.containers import Slice
from lcnet.data.passed_over import in_words
from lcnet.data.sources import PictureSources, Shard, find_images
from lcnet.errors import ConfigError, DataError


def encoded(colour: str = "red") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (6, 4), colour).save(file, "PNG")
    return file.getvalue()


def names(*paths) -> list[str]:
    sources = PictureSources([str(path) for path in paths])
    found = [picture.name for picture in sources]
    assert list(sources.names()) == found
    return found


def test_a_name_whose_spaces_were_not_quoted_is_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "new pics").mkdir()
    (tmp_path / "new pics" / "my 1.jpg").touch()
    words = ["new", "pics/my", "1.jpg"]
    with pytest.raises(DataError, match=r"no such picture or folder.*Quote .*'new pics/my 1.jpg'"):
        PictureSources(words).require()
    with pytest.raises(DataError, match="no picture there"):
        PictureSources(["new", "other.jpg"]).require()
    PictureSources(["new pics"]).require()


def test_a_list_has_a_path_a_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.txt").write_text("\ufeffb.png\r\n\n/far/a b.jpg\nb.png\n", encoding="utf-8")
    assert names("list.txt") == ["b.png", "/far/a b.jpg"]
    (tmp_path / "list.txt").write_bytes(b"\xff\xfe.png\n")
    with pytest.raises(DataError, match=r"list\.txt: expected a text file in UTF-8"):
        names("list.txt")


def test_shards_of_webdataset_are_read_without_unpacking(tmp_path):
    for shard in range(2):
        with webdataset.TarWriter(str(tmp_path / f"{shard}.tar")) as tar:
            for key in range(3):
                picture = encoded(("red", "blue")[shard])
                tar.write({"__key__": f"in/{key}", "png": picture, "json": {"key": key}})
    found = names(tmp_path / "*.tar")
    assert found == [f"{tmp_path}/{shard}.tar/in/{key}.png" for shard in (0, 1) for key in range(3)]
    last = list(PictureSources([str(tmp_path / "1.tar")]))[-1]
    assert isinstance(last.content, Slice)
    assert last.content.read() == encoded("blue")
    whole = (tmp_path / "1.tar").read_bytes()
    (tmp_path / "1.tar").write_bytes(whole[:700])
    with pytest.raises(DataError, match=r"1\.tar: not a whole, uncompressed tar file"):
        names(tmp_path / "1.tar")


@pytest.mark.parametrize("form", ["bytes", "struct"])
def test_pictures_in_a_parquet_file_are_its_rows(tmp_path, form):
    values = [encoded(), b"broken", None]
    column = values if form == "bytes" else [{"bytes": value, "path": "x"} for value in values]
    kind = pyarrow.binary()
    if form == "struct":
        kind = pyarrow.struct([("bytes", kind), ("path", pyarrow.string())])
    table = pyarrow.table({"id": [5, 6, 7], "image": pyarrow.array(column, kind)})
    parquet.write_table(table, tmp_path / "a.parquet")
    assert names(tmp_path / "a.parquet") == [f"{tmp_path}/a.parquet/{row}" for row in range(3)]
    contents = [picture.content for picture in PictureSources([str(tmp_path / "a.parquet")])]
    assert contents == [encoded(), b"broken", b""]
    with pytest.raises(DataError, match="expected separate picture files"):
        find_images([str(tmp_path / "a.parquet")])


def test_a_parquet_file_without_pictures_is_named(tmp_path):
    parquet.write_table(pyarrow.table({"id": [5], "name": ["x"]}), tmp_path / "a.parquet")
    with pytest.raises(
        DataError, match=r"expected encoded pictures in a column `image`.* id, name"
    ):
        list(PictureSources([str(tmp_path / "a.parquet")]))
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="not a readable Parquet file"):
        names(tmp_path / "a.parquet")


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
    (tmp_path / "a.parquet").touch()
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(ConfigError, match=r"pip install 'lcnet\[parquet\]'"):
        names(tmp_path / "a.parquet")


def test_shards_are_disjoint_and_all_together():
    pictures = list(range(23))
    shards = [list(Shard.parse(f"{number}/4").of(pictures)) for number in range(1, 5)]
    assert shards[1] == [1, 5, 9, 13, 17, 21]
    assert sorted(place for shard in shards for place in shard) == pictures
    assert list(Shard.parse("").of(pictures)) == pictures


@pytest.mark.parametrize("text", ["0/4", "5/4", "2", "a/b", "1/0", "-1/4"])
def test_a_wrong_shard_is_said(text):
    with pytest.raises(ConfigError, match="--shard: expected i/n such as 2/8"):
        Shard.parse(text)


def test_a_name_of_any_bytes_can_be_written(tmp_path):
    (tmp_path / "bad\udcff.png").write_bytes(encoded())
    (name,) = names(tmp_path)
    assert name.encode("utf-8").endswith(rb"bad\udcff.png")


def test_files_passed_over_are_counted_by_suffix(tmp_path):
    (tmp_path / "in").mkdir()
    for name in (
        "a.png",
        "b.JPG",
        "c.txt",
        "d.txt",
        "in/e.mp4",
        "in/f.txt",
        "in/noname",
        ".hidden",
    ):
        (tmp_path / name).write_bytes(encoded())
    sources = PictureSources([str(tmp_path)])
    for _ in range(2):  # a pass counts anew
        assert [name[-5:] for name in sources.names()] == ["a.png", "b.JPG"]
        assert sources.passed_over == {".txt": 3, ".mp4": 1, "": 1}
    assert in_words(sources.passed_over) == "3 .txt, 1 without suffix, 1 .mp4"
