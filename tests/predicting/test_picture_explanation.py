import json

import numpy as np
import pytest
import torch
from PIL import Image
from tests.model.conftest import tiny_settings

from lcnet.cli import main
from lcnet.model.backbone import describe_backbone
from lcnet.model.build import build_model
from lcnet.model.graph_matrices import GraphMatrices
from lcnet.model_folder import ModelFolder, ModelInfo, load_model
from lcnet.predicting.heat_pictures import safe_name
from lcnet.predicting.picture_explanation import explain_picture, hot_box, peak_of
from lcnet.predicting.predictor import Predictor
from lcnet.reporting.graph_files import edge_table, strongest_labels
from lcnet.reporting.graph_pictures import draw_network

NAMES = ("a/b", "a b", "$x_", "猫", "..")


@pytest.fixture
def save(tmp_path):
    """Saves a tiny model for which every label is present, and gives its folder."""

    def saved(**changes: object):
        torch.manual_seed(0)
        settings = tiny_settings(**changes)
        spec = describe_backbone(settings.backbone, settings.view_size)
        model = build_model(settings, len(NAMES), spec=spec, prior=torch.rand(5, 5))
        folder = tmp_path / "model"
        ModelFolder(folder).save(model, ModelInfo(NAMES, settings, spec, (0.0,) * len(NAMES)))
        return folder

    return saved


@pytest.fixture
def pictures(tmp_path):
    """Two pictures of one name in two folders, and a broken one."""
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        pixels = np.random.default_rng(0).integers(0, 255, (50, 90, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / place / "same.png")
    (tmp_path / "two" / "broken.png").write_bytes(b"no picture")
    return tmp_path


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stopped:
        main([str(argument) for argument in arguments])
    return int(stopped.value.code or 0)


def test_the_peak_and_its_box_are_in_the_picture_s_own_pixels():
    heat = np.zeros((10, 20), dtype=np.float32)
    heat[2, 15] = 1.0
    heat[2, 16] = heat[3, 15] = 0.6
    heat[8, 1] = 0.9  # hot, but elsewhere
    assert peak_of(heat, (200, 50)) == (155, 12)
    assert hot_box(heat, (200, 50)) == (150, 10, 170, 20)
    assert hot_box(np.ones((3, 3), dtype=np.float32), (7, 5)) == (0, 0, 7, 5)


@pytest.mark.parametrize("head", ["lcnet", pytest.param("gap", marks=pytest.mark.slow)])
def test_predict_explain_writes_a_folder_for_each_picture(save, pictures, head, capsys, read_json):
    model, out = save(head=head, backbone="test_vit"), pictures / "heat"
    arguments = ("predict", model, pictures / "one", pictures / "two", "--explain", out)
    assert run(*arguments, "--explain_labels", 3) == 1  # one picture is broken
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [("error" in line) for line in lines] == [False, True, False]
    folders = sorted(out.iterdir())
    assert len(folders) == 2
    assert all(folder.name.startswith("same-") for folder in folders)
    for folder in folders:
        found = read_json(folder / "explanation.json")
        assert (found["width"], found["height"], found["labels_left_out"]) == (90, 50, 2)
        files = {label["file"] for label in found["labels"]} | {"explanation.json"}
        assert {file.name for file in folder.iterdir()} == files
        assert len(files) == 4
        for label in found["labels"]:
            (x, y), (left, top, right, bottom) = label["peak"], label["box"]
            assert 0 <= left <= x < right <= 90
            assert 0 <= top <= y < bottom <= 50
            assert label["label"] not in [moved["label"] for moved in label["moved_by"]]
            assert (head == "lcnet") == bool(label["moved_by"])
            with Image.open(folder / label["file"]) as drawn:
                assert np.asarray(drawn.convert("L")).std() > 10
    listed = {read_json(folder / "explanation.json")["image"] for folder in folders}
    assert listed == {line["image"] for line in lines if "error" not in line}

    # A second time, with fewer labels: nothing of the first is left.
    assert run(*arguments, "--explain_labels", 1) == 1
    assert sorted(out.iterdir()) == folders
    assert [len(list(folder.iterdir())) for folder in folders] == [2, 2]


def test_the_predictor_explains_from_python(save, pictures):
    predictor = Predictor(save(crop_level=1))
    with Image.open(pictures / "one" / "same.png") as picture:
        found, broken = predictor.explain([picture, pictures / "two" / "broken.png"], labels=2)
    assert (found.image, found.size, found.left_out, found.has_graph) == ("0", (90, 50), 3, True)
    assert broken.labels == ()
    assert "broken.png" in broken.error
    first, second = found.labels
    assert first.probability >= second.probability > first.threshold == 0.0
    assert first.heat.shape == (32, 32)
    assert first.heat.sum() == pytest.approx(1, abs=1e-4)


def test_movers_are_the_strongest_other_nodes(save):
    model = load_model(save())
    image = torch.randn(3, 64, 64)
    labels, left_out = explain_picture(
        model,
        image,
        (64, 64),
        names=NAMES,
        probabilities=[0.9, 0.1, 0.1, 0.1, 0.1],
        thresholds=[0.5] * 5,
        most=5,
    )
    assert (len(labels), left_out) == (1, 0)
    with torch.inference_mode():
        changes = model.influences(model.maps(image[None]))[0, 0].tolist()
    expected = sorted(
        ((NAMES[n], changes[n]) for n in range(1, 5) if abs(changes[n]) >= 0.01),
        key=lambda moved: -abs(moved[1]),
    )
    assert expected
    assert [name for name, _ in labels[0].moved_by] == [name for name, _ in expected]
    assert dict(labels[0].moved_by) == pytest.approx(dict(expected), abs=1e-5)


@pytest.mark.parametrize("name", ["a/b", "..", "c:\\x", "名前", "x" * 300, "", "a\nb", "con."])
def test_names_are_safe_on_any_file_system(name):
    safe = safe_name(name)
    assert 0 < len(safe) <= 48
    assert not set(safe) & set('/\\:*?"<>|.\n ')


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--explain_labels", 0), 2, "--explain_labels: expected at least 1, got 0"),
        (("--explain", "{pictures}/one/same.png"), 2, "expected a folder, got a file"),
    ],
)
def test_a_mistake_gives_one_line(save, pictures, capsys, arguments, code, message):
    given = [str(argument).format(pictures=pictures) for argument in arguments]
    assert run("predict", save(), pictures / "one", *given) == code
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_graph_draws_prior_and_learned_and_lists_the_edges(save, tmp_path, capsys):
    out = tmp_path / "drawn"
    assert run("graph", save(), "--out", out) == 0
    assert "Label graph of 5 labels" in capsys.readouterr().out
    kinds = {f"{name}.{kind}" for name in ("matrix", "network") for kind in ("png", "svg")}
    assert {file.name for file in out.iterdir()} == kinds | {"edges.csv"}
    for name in ("matrix", "network"):
        with Image.open(out / f"{name}.png") as drawn:
            assert np.asarray(drawn.convert("L")).std() > 10
        assert (out / f"{name}.svg").read_text(encoding="utf-8").count("<path") > 10
    rows = (out / "edges.csv").read_text(encoding="utf-8").splitlines()
    assert rows[0] == "from,to,prior,learned,change"
    assert len(rows) == 1 + 5 * 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"head": "gap"}, "no label graph in this model (head gap)"),
        ({"graph": "none"}, "no label graph in this model (LCNet with --model.graph none)"),
    ],
)
def test_a_model_without_a_graph_is_said_in_one_line(save, tmp_path, capsys, changes, message):
    assert run("graph", save(**changes), "--out", tmp_path / "drawn") == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "drawn").exists()


@pytest.mark.parametrize(
    "changes", [{"graph": "released", "released": {"layer": "released"}}, {"head": "ml_gcn"}]
)
def test_other_graphs_are_drawn_too(save, changes):
    folder = save(**changes)
    assert run("graph", folder) == 0
    row = (folder / "graph" / "edges.csv").read_text(encoding="utf-8").splitlines()[1]
    assert row.endswith(",")  # no change where the two are not of one kind, or nothing is learned


def test_edges_run_from_the_label_that_gives():
    graph = GraphMatrices(
        np.array([[0.5, 0.5], [0.3, 0.7]]), np.array([[0.1, 0.9], [0.2, 0.8]]), True
    )
    rows = edge_table(graph, ["cat", "dog"]).splitlines()
    assert rows[1:] == [
        "dog,cat,0.500000,0.900000,0.400000",
        "cat,dog,0.300000,0.200000,-0.100000",
    ]


def test_of_many_labels_those_with_strong_edges_are_drawn_and_no_names_overlap():
    rng = np.random.default_rng(0)
    values = rng.random((80, 80))
    values[7, 70] = 9.0
    shown = strongest_labels(values, 40)
    assert len(shown) == len(set(shown)) <= 40
    assert {7, 70} <= set(shown)
    names = [f"a label of some length {n}" for n in range(80)]
    figure = draw_network(GraphMatrices(values, values[::-1].copy(), True), shown, names, 30)
    for axes in figure.axes:
        tips = [(text.get_position(), text.get_fontsize()) for text in axes.texts]
        assert len(tips) == len(shown)
        scale = axes.get_window_extent().width / (axes.get_xlim()[1] - axes.get_xlim()[0])
        for n, ((x, y), size) in enumerate(tips):
            for (other_x, other_y), _ in tips[:n]:
                apart = scale * np.hypot(x - other_x, y - other_y)
                assert apart > size * figure.dpi / 72  # a line's height, for names that point away
