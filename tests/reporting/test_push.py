"""A model goes to a hub and comes back, with what was measured and nothing else."""

import json
from dataclasses import replace

import numpy as np
import pytest
import yaml
from huggingface_hub import constants
from huggingface_hub.utils import close_session
from tests.cli.test_cli import run as command
from tests.hub_server import TOKEN, Hub, Repo

from lcnet.data.readers import load_split
from lcnet.data.statistics import count_labels
from lcnet.errors import CheckpointError, ConfigError, DataError
from lcnet.evaluating.evaluate import evaluate
from lcnet.evaluating.measuring import measure
from lcnet.evaluating.metrics_file import write_metrics
from lcnet.hub import Repository
from lcnet.model.backbone import describe_backbone
from lcnet.model.build import build_model
from lcnet.model_folder import ModelFolder, ModelInfo, load_model, local_model, read_info
from lcnet.predicting.predictor import Predictor
from lcnet.reporting.push import push

NAME = "someone/colours"
pytestmark = pytest.mark.filterwarnings(
    "ignore:Use 'content=:DeprecationWarning"  # huggingface_hub's own way of sending a commit
)
LABELS = ("red", "green", "blue")


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub on this machine, an empty cache and a token that may write."""
    server = Hub()
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    close_session()
    yield server
    close_session()
    server.close()


@pytest.fixture
def run(tiny_config, tmp_path):
    """A run folder with random weights, measured with intervals."""
    folder, settings = tmp_path / "run", tiny_config.model
    spec = describe_backbone(settings.backbone, settings.view_size)
    statistics = count_labels(load_split(tiny_config.data, "train.csv").targets)
    ModelFolder(folder / "model").save(
        build_model(settings, len(LABELS), spec=spec),
        ModelInfo(LABELS, settings, spec, (0.5,) * len(LABELS), statistics),
    )
    tiny_config.save(folder / "config.yaml")
    (folder / "report.html").write_text("<p>all that is known</p>")
    measure_anew(folder)
    return folder


def measure_anew(run):
    """Write metrics.json as lcnet evaluate --intervals does, from few resamples."""
    measured = measure(run, quiet=True)
    write_metrics(run / "metrics.json", measured, measured.intervals(20))


def table(text: str, heading: str) -> dict[str, list[str]]:
    """The rows of the table under a heading, by their first cell."""
    lines = text.split(f"## {heading}\n")[1].split("\n## ")[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "|" in line]
    return {first: rest for first, *rest in rows}


def test_a_model_goes_to_a_hub_and_predicts_from_there(run, hub, tmp_path, capsys):
    code, printed, error = command(capsys, f"push {run} {NAME} --license mit --private")
    assert (code, f"hf://{NAME}: model.json" in printed) == (0, True), error
    repo = hub.repos[NAME]
    assert repo.private
    assert len(repo.messages) == 1
    files = repo.commits[repo.branches["main"]]
    assert set(files) == {"model.json", "model.safetensors", "README.md"}
    for name in ("model.json", "model.safetensors"):
        assert files[name] == (run / "model" / name).read_bytes()

    picture = tmp_path / "colours" / "images" / "val0.png"
    code, printed, error = command(capsys, f"predict hf://{NAME} {picture} --precision fp32")
    assert (code, error.count("\n"), f"hf://{NAME}: commit" in error) == (0, 3, True), error
    (expected,) = Predictor(run)([picture])
    assert json.loads(printed)["probabilities"] == expected.rounded()
    assert Predictor(f"hf://{NAME}")([picture])[0].probabilities == expected.probabilities
    assert (
        load_model(f"hf://{NAME}@main").state_dict().keys() == load_model(run).state_dict().keys()
    )
    fetched = {path for _, path in hub.asked if "/resolve/" in path}
    assert {path.rpartition("/")[2] for path in fetched} == {"model.json", "model.safetensors"}


def test_what_is_fetched_is_used_by_every_verb_and_changed_by_none(run, hub, tmp_path, capsys):
    push(run, NAME)
    root = tmp_path / "colours"
    data = f"--data.format table --data.root {root} --data.test val.csv --data.workers 0"
    code, _, error = command(capsys, f"evaluate hf://{NAME} {data} --out {tmp_path}/m.json")
    assert code == 0, error
    ours = json.loads((run / "metrics.json").read_text())
    assert json.loads((tmp_path / "m.json").read_text())["AP"] == ours["AP"]
    code, _, error = command(capsys, f"graph hf://{NAME} --out {tmp_path}/graph")
    assert code == 0, error
    for verb in (f"evaluate hf://{NAME} {data}", f"export hf://{NAME}", f"graph hf://{NAME}"):
        code, _, error = command(capsys, verb)
        assert (code, error.count("\n"), "--out: needed with" in error) == (2, 1, True), error
    for verb in (f"calibrate hf://{NAME}", f"push hf://{NAME} a/b"):
        code, _, error = command(capsys, verb)
        assert (code, f"lcnet import hf://{NAME} --out" in error) == (2, True), error
    code, _, error = command(capsys, f"import hf://{NAME} --out {tmp_path}/mine")
    assert code == 0, error
    assert read_info(tmp_path / "mine") == read_info(run)
    code, _, error = command(capsys, f"import hf://{NAME} --labels a,b,c --out {tmp_path}/other")
    assert (code, "brings its own labels" in error) == (2, True), error


def test_the_card_says_what_was_measured(run, hub, tmp_path):
    file = run / "model" / "model.json"
    fields = json.loads(file.read_text())
    fields["labels"] = ["red", "gr|een_", "blue"]
    fields["thresholds"] = [0.25, 0.5, 0.75]
    file.write_text(json.dumps(fields))
    for name in ("train.csv", "val.csv"):
        table_file = tmp_path / "colours" / name
        table_file.write_text(table_file.read_text().replace("green", "gr|een_"))
    measure_anew(run)
    push(run, f"{NAME}@first", license="cc-by-4.0", dataset="Three colours", message="As it is")
    repo = hub.repos[NAME]
    assert repo.messages == ["As it is"]
    card = repo.commits[repo.branches["first"]]["README.md"].decode()
    _, head, page = card.split("---\n", 2)
    said, metrics = yaml.safe_load(head), json.loads((run / "metrics.json").read_text())
    assert (said["license"], said["library_name"]) == ("cc-by-4.0", "lcnet")
    assert said["pipeline_tag"] == "image-classification"
    (entry,) = said["model-index"]
    results = {one["name"].split()[0]: one for one in entry["results"][0]["metrics"]}
    assert results["mAP"]["value"] == round(metrics["mAP"], 2)
    low, high = metrics["intervals"]["mAP"]
    assert f"({95} % interval {low:.1f} to {high:.1f})" in results["mAP"]["name"]
    assert entry["results"][0]["dataset"]["name"] == "Three colours"

    assert table(page, "How good it is")["CF1"][0] == f"{metrics['CF1']:.1f}"
    assert table(page, "How good it is")["mAP"][1] == f"{low:.1f} to {high:.1f}"
    rows = table(page.replace("gr\\|een\\_", "green"), "Thresholds")
    info = read_info(run)
    assert rows["green"][:2] == [f"{metrics['AP']['gr|een_']:.1f}", "0.5"]
    tested = (tmp_path / "colours" / "val.csv").read_text().splitlines()[1:]
    shown = sum(row.split(",")[1] == "1" for row in tested)
    assert rows["red"][1:] == ["0.25", str(shown), str(info.statistics.positives[0])]
    assert f"hf://{NAME}@first" in page
    assert "Trained on 24 pictures" in page
    assert "Measured on 12 pictures: Three colours, split val.csv" in page
    assert "best epoch was picked on val.csv" in page
    assert "Fewer than 10 pictures of val.csv show red" in page
    parameters = sum(one.numel() for one in load_model(run).parameters())
    assert table(page, "Cost")["parameters"][0].startswith(f"{parameters / 1e6:.2f} million")
    assert "32 x 32 pixels, as 2 views of 32 x 32" in page
    assert str(tmp_path) not in card


@pytest.mark.parametrize(("blank", "words"), [(False, "with 1.0"), (True, "with at least 1.0")])
def test_with_blanks_a_picture_has_at_least_so_many_labels(run, tmp_path, blank, words):
    statistics = count_labels(np.array([[1, -1 if blank else 0, 0]], np.int8))
    model, info = load_model(run), replace(read_info(run / "model"), statistics=statistics)
    ModelFolder(run / "model").save(model, info)
    measure_anew(run)
    push(run, NAME, dry_run=tmp_path / "dry")
    assert f"{words} labels each on average" in (tmp_path / "dry" / "README.md").read_text()


def test_a_label_without_a_positive_is_a_limit(run, hub, tmp_path):
    file = tmp_path / "colours" / "val.csv"
    header, *rows = file.read_text().splitlines()
    file.write_text("\n".join([header, *(row.rpartition(",")[0] + ",0" for row in rows)]))
    measure_anew(run)
    push(run, NAME, dry_run=tmp_path / "dry")
    page = (tmp_path / "dry" / "README.md").read_text()
    assert "No picture of val.csv shows blue: nothing was measured" in page
    assert table(page, "Thresholds")["blue"][0] == "none"
    assert "Not stated by who shared this model" in page
    assert "not measured at the model's own thresholds" not in page
    measured = measure(run, threshold=0.3, quiet=True)
    write_metrics(run / "metrics.json", measured, measured.intervals(20))
    push(run, NAME, dry_run=tmp_path / "other")
    assert (
        "not measured at the model's own thresholds"
        in (tmp_path / "other" / "README.md").read_text()
    )


def test_a_dry_run_sends_nothing_and_extra_files_are_asked_for(run, hub, tmp_path, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    push(run, NAME, with_report=True, with_metrics=True, dry_run=tmp_path / "dry")
    names = {file.name for file in (tmp_path / "dry").iterdir()}
    assert names == {
        "model.json",
        "model.safetensors",
        "README.md",
        "report.html",
        "metrics.json",
    }
    assert str(tmp_path) not in (tmp_path / "dry" / "metrics.json").read_text()
    assert Predictor(tmp_path / "dry")
    assert hub.asked == []
    with pytest.raises(ConfigError, match="dry: already there"):
        push(run, NAME, dry_run=tmp_path / "dry")


def test_only_what_was_measured_of_this_very_model_is_shared(run, hub, tmp_path):
    ModelFolder.at(run).write_info(replace(read_info(run), thresholds=(0.4, 0.4, 0.4)))
    with pytest.raises(DataError, match="measured on another model, or before this model's"):
        push(run, NAME)
    evaluate(run, quiet=True)
    with pytest.raises(DataError, match="expected metrics with intervals"):
        push(run, NAME)
    (run / "metrics.json").write_text("[")
    with pytest.raises(DataError, match=r"metrics\.json: damaged"):
        push(run, NAME)
    (run / "metrics.json").unlink()
    with pytest.raises(DataError, match=r"not there.*lcnet evaluate .* --intervals"):
        push(run, NAME)
    assert hub.asked == []


# What goes wrong


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "someone/..",
        "someone/../x",
        "someone",
        "a/b/c",
        "a/b@../../x",
        "a/b@",
        "a/b@x//y",
        "a/-b",
        "/a/b",
        "a--x/b",
        f"a/{'b' * 95}",
    ],
)
def test_a_name_that_is_none_is_refused_before_anything_is_asked(hub, tmp_path, name):
    with pytest.raises(ConfigError, match="expected user/name or user/name@revision"):
        local_model(f"hf://{name}")
    assert hub.asked == []
    assert not (tmp_path / "cache").exists()


def test_names_are_read_with_and_without_their_prefix():
    for given in ("a/b.c@v1.0", "hf://a/b.c@v1.0", "hf:/a/b.c@v1.0"):
        assert str(Repository.parse(given)) == "hf://a/b.c@v1.0"


def files(**more: bytes) -> dict[str, bytes]:
    return {"model.json": b"{}", "model.safetensors": b"", **more}


def test_what_a_hub_refuses_is_one_line(hub, monkeypatch):
    hub.repos["a/gated"] = Repo(gated=True)
    hub.repos["a/empty"] = Repo()
    hub.repos["a/empty"].commit("main", {"README.md": b"#"}, "first")
    hub.repos["a/private"] = Repo(private=True)
    expected = {
        "a/none": "no such repository, or it is private",
        "a/private": "no such repository, or it is private",
        "a/gated": "asks to accept terms",
        "a/empty@v2": "no such branch, tag or commit",
        "a/empty": "expected model.json and model.safetensors in it",
    }
    monkeypatch.setenv("HF_TOKEN", "hf_of_a_stranger")
    for name, message in expected.items():
        with pytest.raises(CheckpointError, match=message) as error:
            local_model(f"hf://{name}")
        assert str(error.value).startswith(f"hf://{name}: ")


def test_who_may_not_write_is_told_so(run, hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_of_a_stranger")
    with pytest.raises(CheckpointError, match=r"refused \(403\): the token may not"):
        push(run, NAME)
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", "nowhere")
    asked = len(hub.asked)
    with pytest.raises(ConfigError, match=r"expected a token .* hf auth login"):
        push(run, NAME)
    assert len(hub.asked) == asked
    assert NAME not in hub.repos


def test_without_a_network_the_cache_serves(hub, monkeypatch):
    hub.repos["a/b"] = Repo()
    hub.repos["a/b"].commit("main", files(other=b"#" * 9), "first")
    first = local_model("hf://a/b")
    assert {file.name for file in first.iterdir()} == {"model.json", "model.safetensors"}
    asked = len(hub.asked)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    close_session()
    assert local_model("hf://a/b") == first
    with pytest.raises(CheckpointError, match="does not answer or HF_HUB_OFFLINE is set"):
        local_model("hf://a/c")
    assert len(hub.asked) == asked
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    close_session()
    hub.close()
    assert local_model("hf://a/b") == first
    with pytest.raises(CheckpointError, match="does not answer"):
        local_model("hf://a/c")
