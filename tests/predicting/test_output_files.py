"""A big job's folder: whole files, nothing done twice, and no other job's rows."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock
from pyarrow import parquet

from lcnet.data.sources import Shard
from lcnet.errors import ConfigError, DataError
from lcnet.model_folder import ModelFolder, model_fingerprint, read_info
from lcnet.predicting.output_files import Job, open_shard
from lcnet.predicting.predict import predict
from lcnet.predicting.prediction import Prediction
from lcnet.predicting.predictor import Predictor
from lcnet.predicting.row_formats import FORMATS, read_rows

LABELS = ("red", "green, dark", "blue")
READ = Prediction('a,\n"1".png', ("blue", "red"), {"red": 0.75, "green, dark": 0.25, "blue": 1.0})
UNREAD = Prediction("b.png", error="b.png: not a readable picture")
FORMS = sorted(FORMATS)


def job(form: str = "jsonl", shards: int = 1) -> Job:
    return Job("some", form, LABELS, "fp32", shards)


def prediction(place: int) -> Prediction:
    return Prediction(f"{place}.png", (), dict.fromkeys(LABELS, 0.5))


def write(folder: Path, form: str, predictions, *, shard: Shard = Shard(), rows: int = 3) -> list:  # noqa: B008
    with open_shard(folder, job(form, shard.count), shard, rows_per_file=rows) as files:
        return list(files.write(predictions))


def parts(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.glob("part-*"))


@pytest.mark.parametrize("form", FORMS)
def test_files_have_their_rows_and_are_known_again(tmp_path, form):
    given = [READ, UNREAD, *map(prediction, range(5))]
    assert write(tmp_path / "out", form, given) == given
    assert parts(tmp_path / "out") == [f"part-1of1-0000{number}.{form}" for number in range(3)]
    with open_shard(tmp_path / "out", job(form), Shard(), rows_per_file=3) as files:
        done = files.finished()
        assert done.images == {one.image for one in given}
        assert done.failed == 1
        list(files.write([prediction(9)]))
    assert parts(tmp_path / "out")[-1] == f"part-1of1-00003.{form}"


def test_json_lines_are_those_of_the_one_file(tmp_path):
    write(tmp_path, "jsonl", [READ, UNREAD])
    lines = (tmp_path / "part-1of1-00000.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [READ.to_dict(), UNREAD.to_dict()]


def test_csv_has_a_column_for_each_label(tmp_path):
    write(tmp_path, "csv", [READ, UNREAD])
    with (tmp_path / "part-1of1-00000.csv").open(newline="") as file:
        read, unread = csv.DictReader(file)
    probabilities = {"red": "0.75", "green, dark": "0.25", "blue": "1.0"}
    assert read == {"image": READ.image, "error": "", "labels": "blue|red", **probabilities}
    nothing = dict.fromkeys(LABELS, "")
    assert unread == {"image": "b.png", "error": UNREAD.error, "labels": "", **nothing}


@pytest.mark.parametrize("label", ["error", "a|b"])
def test_csv_refuses_labels_that_would_be_misread(tmp_path, label):
    wrong = Job("some", "csv", (label, "blue"), "fp32", 1)
    out = tmp_path / "out"
    with (
        pytest.raises(ConfigError, match="Choose jsonl or parquet"),
        open_shard(out, wrong, Shard(), rows_per_file=3),
    ):
        pass
    assert not out.exists()


def test_parquet_has_typed_columns(tmp_path, monkeypatch):
    monkeypatch.setattr("lcnet.predicting.row_formats.VALUES_AT_ONCE", 3)  # a row group a row
    write(tmp_path, "parquet", [READ, UNREAD])
    table = parquet.read_table(tmp_path / "part-1of1-00000.parquet")
    assert table.to_pylist() == [
        {
            "image": READ.image,
            "error": None,
            "labels": list(READ.labels),
            "probabilities": READ.probabilities,
        },
        {"image": "b.png", "error": UNREAD.error, "labels": None, "probabilities": None},
    ]
    assert str(table.schema.field("probabilities").type.field("blue").type) == "float"


@pytest.mark.parametrize("form", FORMS)
def test_a_damaged_file_is_named(tmp_path, form):
    write(tmp_path, form, map(prediction, range(3)))
    file = tmp_path / f"part-1of1-00000.{form}"
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(DataError, match=rf"00000\.{form}: damaged .*Delete it"):
        list(read_rows(file))


def test_a_copied_file_is_named(tmp_path):
    write(tmp_path, "jsonl", map(prediction, range(3)))
    first = tmp_path / "part-1of1-00000.jsonl"
    (tmp_path / "part-1of1-00007.jsonl").write_text(first.read_text())
    with (
        open_shard(tmp_path, job(), Shard(), rows_per_file=3) as files,
        pytest.raises(DataError, match=r"00007.*0\.png has a second row here"),
    ):
        files.finished()


def test_a_stop_keeps_the_rows_so_far_and_an_error_keeps_whole_files(tmp_path):
    def stopped(error: type[BaseException]):
        yield from map(prediction, range(5))
        raise error

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "stop", "jsonl", stopped(KeyboardInterrupt))
    kept = [len(list(read_rows(file))) for file in sorted((tmp_path / "stop").glob("part-*"))]
    assert kept == [3, 2]
    with pytest.raises(RuntimeError):
        write(tmp_path / "error", "jsonl", stopped(RuntimeError))
    assert parts(tmp_path / "error") == ["part-1of1-00000.jsonl"]


def test_two_processes_do_not_write_one_shard(tmp_path):
    write(tmp_path, "jsonl", [READ], shard=Shard(2, 2))
    with FileLock(tmp_path / ".2of2.lock"):
        with pytest.raises(ConfigError, match="another process writes shard 2/2"):
            write(tmp_path, "jsonl", [UNREAD], shard=Shard(2, 2))
        write(tmp_path, "jsonl", [UNREAD], shard=Shard(1, 2))
    assert parts(tmp_path) == ["part-1of2-00000.jsonl", "part-2of2-00000.jsonl"]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (Job("other", "jsonl", LABELS, "fp32", 1), "a job with model some, got other"),
        (Job("some", "csv", LABELS, "fp32", 1), "a job with format jsonl, got csv"),
        (Job("some", "jsonl", LABELS, "bf16", 1), "a job with precision fp32, got bf16"),
        (Job("some", "jsonl", LABELS, "fp32", 4), "a job with shards 1, got 4"),
    ],
)
def test_another_job_is_refused(tmp_path, other, message):
    write(tmp_path, "jsonl", [READ])
    before = {file: file.read_bytes() for file in tmp_path.glob("[!.]*")}
    with (
        pytest.raises(ConfigError, match=message),
        open_shard(tmp_path, other, Shard(1, other.shards), rows_per_file=3),
    ):
        pass
    assert {file: file.read_bytes() for file in tmp_path.glob("[!.]*")} == before


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "mine.txt").touch()
    with pytest.raises(ConfigError, match=r"got one with other files and no manifest\.json"):
        write(tmp_path, "jsonl", [READ])
    with pytest.raises(ConfigError, match="expected a folder with --format, got a file"):
        write(tmp_path / "mine.txt", "jsonl", [READ])
    (tmp_path / "mine.txt").rename(tmp_path / "manifest.json")
    with pytest.raises(DataError, match=r"manifest\.json: damaged"):
        write(tmp_path, "jsonl", [READ])


@pytest.fixture
def model(tmp_path):
    from benchmarks.killing import make_model

    make_model(tmp_path / "model")
    return tmp_path / "model"


def run(model: Path, out: Path, pictures: str, **flags) -> int:
    settings = {"batch_size": 4, "workers": 0, "format": "jsonl", "rows_per_file": 5, **flags}
    return predict(model, [pictures], out, **settings).failed


def rows(out: Path) -> list[str]:
    found = [image for file in sorted(out.glob("part-*")) for image, _ in read_rows(file)]
    return [Path(image).name for image in found]


def test_shards_together_have_every_picture_once(model, colour_table, tmp_path):
    images, out = str(colour_table / "images"), tmp_path / "out"
    for number in (3, 1, 2):
        assert run(model, out, images, shard=f"{number}/3") == 0
    expected = sorted(file.name for file in Path(images).iterdir())
    assert sorted(rows(out)) == expected
    assert rows(out)[:12] == expected[::3]
    Path(images, "added.png").touch()
    with pytest.raises(DataError, match="the input has changed"):
        run(model, out, images, shard="1/3")


def test_what_is_done_is_not_done_again(model, colour_table, tmp_path, capsys, monkeypatch):
    images, out = colour_table / "images", tmp_path / "out"
    (images / "train3.png").write_bytes(b"")
    assert run(model, out, str(images)) == 1
    (out / "part-1of1-00002.jsonl").unlink()
    (out / "part-1of1-00009.jsonl.part").write_text("half a")
    described = []
    describe = Predictor._describe
    monkeypatch.setattr(
        Predictor, "_describe", lambda *given: (described.append(given[1]), describe(*given))[1]
    )
    assert run(model, out, str(images)) == 1
    assert "31 of 36 pictures already have a row" in capsys.readouterr().err
    assert len(described) == 5
    assert parts(out)[-1] == "part-1of1-00008.jsonl"
    assert sorted(rows(out)) == sorted(file.name for file in images.iterdir())
    info = read_info(model)
    before = model_fingerprint(model)
    ModelFolder.at(model).write_info(info.__class__(**{**info.__dict__, "thresholds": (0.4,) * 3}))
    assert model_fingerprint(model) != before
    with pytest.raises(ConfigError, match="holds a job with model"):
        run(model, out, str(images))


def test_pictures_in_tar_files_get_the_rows_of_their_files(model, colour_table, tmp_path):
    import tarfile

    with tarfile.open(tmp_path / "it.tar", "w") as tar:
        tar.add(colour_table / "images", "images")
    single, packed = tmp_path / "single", tmp_path / "packed"
    run(model, single, str(colour_table / "images"), rows_per_file=99)
    run(model, packed, str(tmp_path / "it.tar"), rows_per_file=99, workers=1)

    def by_name(folder: Path) -> dict[str, dict[str, float]]:
        lines = (folder / "part-1of1-00000.jsonl").read_text().splitlines()
        found = [json.loads(line) for line in lines]
        return {row["image"].rpartition("/")[2]: row["probabilities"] for row in found}

    one, other = by_name(single), by_name(packed)
    assert one.keys() == other.keys()
    for name, values in one.items():
        assert other[name] == pytest.approx(values, abs=1e-4)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"out": None}, "--format: needs --out"),
        ({"explain": Path("heat")}, "--explain: does not work with --format"),
        ({"rows_per_file": 0}, "--rows_per_file: expected at least 1, got 0"),
    ],
)
def test_flags_that_do_not_go_together(model, colour_table, tmp_path, flags, message):
    out = flags.pop("out", tmp_path / "out")
    with pytest.raises(ConfigError, match=message):
        run(model, out, str(colour_table / "images"), **flags)
    assert not (tmp_path / "out").exists()


def test_a_killed_job_has_each_picture_once_in_the_end():
    command = [sys.executable, "-m", "benchmarks.killing", "--pictures", "400", "--kills", "2"]
    done = subprocess.run(
        [*command, "--rows_per_file", "12"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent.parent.parent,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "killed 2 times" in done.stdout
    assert "400 pictures with exactly one" in done.stdout
