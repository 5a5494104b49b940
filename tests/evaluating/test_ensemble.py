"""Ensembles: one model folder whose logits are the mean of its members', for every verb."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.tiny import TINY, save_tiny_model

from lcnet.config import Data
from lcnet.errors import CheckpointError, ConfigError
from lcnet.evaluating.calibrate import calibrate
from lcnet.evaluating.ensemble import ensemble
from lcnet.evaluating.evaluate import evaluate
from lcnet.exporting.export import export
from lcnet.model.fast import FastClassifier
from lcnet.model_folder import FORMAT_OF_MANY, ModelFolder, load_model, read_info
from lcnet.predicting.predict import predict
from lcnet.predicting.predictor import Predictor
from lcnet.reporting.cost import measure_cost
from lcnet.reporting.graph import graph
from lcnet.reporting.model_card import _network
from lcnet.run_folder import RunFolder
from lcnet.runs.run import begin
from lcnet.runs.train import resume

LABELS = ("red", "green", "blue")
HALF = (0.5,) * 3
SEES_64 = replace(TINY, view_size=64)


def moved(folder, seed=0):
    """The folder, with weights and norms of its model that are not those of the start.

    All see pictures alike: normalised as ImageNet's, and resized bicubic.
    """
    torch.manual_seed(seed)
    model, info = load_model(folder), read_info(folder)
    for name, value in model.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 1.5)
        elif value.is_floating_point() and value.ndim < 3:
            value.add_(0.1 * torch.randn_like(value))
    spec = info.backbone.normalised_by("imagenet")
    ModelFolder(folder).save(model, replace(info, backbone=replace(spec, interpolation="bicubic")))
    return folder


@pytest.fixture
def models(tmp_path):
    """Three folders of unlike models: another head, another backbone, another order of labels."""
    kinds = {
        "a": (LABELS, SEES_64),
        "b": (LABELS, replace(SEES_64, head="csra", backbone="test_efficientnet")),
        "c": (("blue", "red", "green"), replace(TINY, crop_level=2)),
    }
    torch.manual_seed(0)
    return [
        moved(save_tiny_model(tmp_path / name, labels, HALF, settings), seed)
        for seed, (name, (labels, settings)) in enumerate(kinds.items())
    ]


@pytest.fixture
def made(models, tmp_path):
    return ensemble(models, out=tmp_path / "made")


@pytest.fixture
def images():
    return torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def mean_of(models, images):
    """The mean of the logits, each in the order red, green, blue."""
    rows = []
    for folder in models:
        labels = read_info(folder).labels
        rows.append(load_model(folder)(images)[:, [labels.index(label) for label in LABELS]])
    return torch.stack(rows).mean(dim=0)


def test_the_logits_are_the_mean_also_where_heads_backbones_and_orders_differ(made, models, images):
    loaded = load_model(made)
    assert torch.allclose(loaded(images), mean_of(models, images), atol=1e-6)
    assert not torch.allclose(loaded(images), load_model(models[0])(images), atol=0.01)
    info = read_info(made)
    assert info.labels == LABELS and info.thresholds == HALF and info.calibration is None
    assert [member.source for member in info.members] == list(map(str, models))


def norms_of(ensemble):
    """The number of batch norms of each member."""
    return [
        sum(isinstance(part, torch.nn.BatchNorm2d) for part in single.modules())
        for single in ensemble.singles()
    ]


def test_the_fast_form_folds_the_norms_of_every_member(made, models, images):
    fast = FastClassifier(load_model(made))
    assert fast(images) == pytest.approx(mean_of(models, images), abs=1e-5)
    before, after = norms_of(load_model(made)), norms_of(fast.classifier)
    assert all(left < there for left, there in zip(after, before, strict=True))
    assert str(fast).startswith("mean of 3 models, float32")
    assert not fast.explains


def test_a_predictor_of_a_list_is_the_ensemble(made, models, colour_table):
    pictures = sorted((colour_table / "images").glob("val*.png"))
    rows = Predictor(models)(pictures)
    assert rows == Predictor(made)(pictures)
    printed = predict(made, [str(colour_table / "images" / "val0.png")])
    assert printed.predictions[0].probabilities == pytest.approx(
        next(row.probabilities for row in rows if row.image.endswith("val0.png")), abs=1e-6
    )


@pytest.mark.parametrize(
    "form",
    [
        "onnx",
        # Made of the same program; the formats are tested with single models too.
        pytest.param("torch", marks=pytest.mark.slow),
        pytest.param("openvino", marks=pytest.mark.slow),
    ],
)
def test_an_exported_file_gives_the_same_logits(colour_table, tmp_path, form):
    if form == "openvino":
        pytest.importorskip("openvino")
    # Heads of few operations, since each one takes its time.
    simple = replace(SEES_64, head="csra", crop_level=0)
    members = [
        moved(save_tiny_model(tmp_path / name, labels, HALF, simple), seed)
        for seed, (name, labels) in enumerate({"one": LABELS, "other": LABELS[::-1]}.items())
    ]
    two = ensemble(members, out=tmp_path / "two")
    file = export(two, format=form, limit=4)  # which raises if the logits differ by 1e-3
    if form == "onnx":
        pictures = sorted((colour_table / "images").glob("val*.png"))
        for one, other in zip(Predictor(two)(pictures), Predictor(file)(pictures), strict=True):
            assert list(one.probabilities) == list(other.probabilities)
            assert list(one.probabilities.values()) == pytest.approx(
                list(other.probabilities.values()), abs=1e-4
            )


def of_runs(models, colour_table, **changes):
    """The models as runs on the colours, with other data settings for the last one."""
    data = Data("table", str(colour_table), "train.csv", "val.csv", "val.csv", workers=0)
    for folder in models:
        given = replace(data, **changes) if folder == models[-1] else data
        text = {
            "data": {
                name: getattr(given, name)
                for name in ("format", "root", "train", "val", "test", "fit", "workers")
            }
        }
        RunFolder(folder).config_file.write_text(json.dumps(text))
    return models


def test_the_data_set_of_all_is_that_of_the_ensemble(models, colour_table, tmp_path, capsys):
    made = ensemble(of_runs(models, colour_table, workers=1), out=tmp_path / "made")
    assert f"lcnet calibrate {made}\n" in capsys.readouterr().out
    before = evaluate(made, quiet=True)
    fitted = calibrate(made, quiet=True)
    assert read_info(made).calibration and read_info(made).members
    assert fitted.thresholds.values == read_info(made).thresholds
    after = evaluate(made, quiet=True)
    assert after.images == before.images == 12 and after.threshold != before.threshold
    with pytest.raises(CheckpointError, match="expected the folder of a run"):
        resume(made)


def test_another_data_set_of_one_is_said(models, colour_table, tmp_path, capsys):
    made = ensemble(of_runs(models, colour_table, test=""), out=tmp_path / "made")
    shown = capsys.readouterr().out
    assert (
        f"data set: none recorded, since {models[0]} and {models[2]} differ in data.test" in shown
    )
    with pytest.raises(ConfigError, match="expected a run folder, or --data flags"):
        evaluate(made, quiet=True)


@pytest.mark.parametrize(
    ("labels", "settings", "said"),
    [
        (("red", "green", "black"), SEES_64, "has blue, which the other lacks; .*has black, which"),
        (LABELS, TINY, "side in pixels .* is 64 in .*a and 32 in .*other"),
    ],
)
def test_models_that_do_not_fit_are_refused(models, tmp_path, labels, settings, said):
    other = moved(save_tiny_model(tmp_path / "other", labels, HALF, settings))
    with pytest.raises(ConfigError, match=said):
        ensemble([models[0], other], out=tmp_path / "made")
    with pytest.raises(ConfigError, match=said):
        Predictor([models[0], other])
    assert not (tmp_path / "made").exists()


def test_other_pixel_statistics_are_refused(models, tmp_path):
    folder, info = ModelFolder(models[1]), read_info(models[1])
    folder.write_info(replace(info, backbone=replace(info.backbone, mean=(0.5, 0.5, 0.5))))
    with pytest.raises(ConfigError, match=r"pixels is 0\.485/0\.456/0\.406 in .*a and 0\.5/"):
        ensemble(models, out=tmp_path / "made")


def test_wrong_lists_of_models_are_refused(models, made, tmp_path):
    for wrong, said in (
        (models[:1], "expected 2 to 64 models, got 1"),
        ([models[0], models[1], models[0]], "a is given twice"),
        ([models[0], made], "made is an ensemble itself"),
    ):
        with pytest.raises(ConfigError, match=said):
            ensemble(wrong, out=tmp_path / "other")
    with pytest.raises(ConfigError, match="already there"):
        ensemble(models, out=made)
    with pytest.raises(ConfigError, match="expected an ensemble to overwrite"):
        ensemble(models[:2], out=models[2], overwrite=True)
    inner = shutil.copytree(models[1], made / "inner")
    with pytest.raises(ConfigError, match="inner lies in it"):
        ensemble([models[0], inner], out=made, overwrite=True)
    assert load_model(inner)


def test_an_older_ensemble_is_replaced_whole(made, models):
    (made / "model.onnx").write_text("of the old one")
    ensemble(models[:2], out=made, overwrite=True)
    assert len(read_info(made).members) == 2
    assert sorted(file.name for file in made.iterdir()) == ["model.json", "model.safetensors"]


def test_what_needs_one_model_names_one(made, models, colour_table, tiny_config, tmp_path):
    picture = colour_table / "images" / "val0.png"
    for act in (
        lambda: Predictor(made).explain([picture]),
        lambda: Predictor(made).embed([picture]),
        lambda: graph(made),
        lambda: begin(tiny_config, RunFolder(tmp_path / "run"), overwrite=False, init=made),
    ):
        with pytest.raises(ConfigError, match=f"the mean of 3. Give one .* such as {models[0]}"):
            act()


def test_cost_and_card_count_all_members(made, models):
    cost = measure_cost(load_model(made), 64)
    each = [measure_cost(load_model(folder), 64) for folder in models]
    assert cost.parameters == sum(one.parameters for one in each)
    assert cost.views == sum(one.views for one in each) == 2 + 2 + 5
    assert "The mean of 3 models: lcnet on\ntest\\_resnet; csra on" in _network(read_info(made))


def test_an_older_lcnet_refuses_it(made):
    assert json.loads((made / "model.json").read_text())["format"] == FORMAT_OF_MANY


def spoiled(made, change):
    file = made / "model.json"
    stored = json.loads(file.read_text())
    change(stored)
    file.write_text(json.dumps(stored))


DAMAGES = [
    (lambda info: info.update(members=[]), "list of 2 to 64"),
    (lambda info: info.update(members=info["members"] * 30), "list of 2 to 64"),
    (lambda info: info.update(members="abc"), "list of 2 to 64"),
    (lambda info: info["members"][0].pop("model"), "no 'model'"),
    (lambda info: info["members"][0].update(model=3), "members.0.model: expected an object"),
    (lambda info: info["members"][1]["model"].update(depth=10**9), "members.1.model.depth"),
    (lambda info: info["members"][1]["backbone"].update(architecture="os.system"), "no model"),
    (lambda info: info["members"][2].update(labels=["red", "red", "blue"]), "'red' twice"),
    (lambda info: info["members"][2].update(labels=["red", "blue"]), "labels of the model"),
    (lambda info: info["members"][0]["model"].update(view_size=32), "pictures as the model"),
    (lambda info: info["members"][0].update(head_options={"x": 10**9}), "at most 65,536"),
    (lambda info: info["members"][0].update(source=[[[]] * 70]), "at most 64"),
]


def test_a_damaged_description_is_refused_in_one_line(made):
    whole = (made / "model.json").read_text()
    for change, said in DAMAGES:
        (made / "model.json").write_text(whole)
        spoiled(made, change)
        with pytest.raises(CheckpointError, match=said) as caught:
            read_info(made)
        assert "\n" not in str(caught.value)


def test_members_larger_than_the_weights_are_refused_before_they_are_built(made):
    def enlarge(info):
        for member in info["members"]:
            member["model"] |= {"width": 4096, "mlp_width": 4096, "depth": 200, "head": "lcnet"}

    spoiled(made, enlarge)
    with pytest.raises(CheckpointError, match="larger than its weights"):
        load_model(made)


def test_weights_of_a_member_that_are_missing_are_said(made):
    file = made / "model.safetensors"
    kept = {name: one for name, one in load_file(file).items() if not name.startswith("members.2.")}
    save_file(kept, file)
    with pytest.raises(CheckpointError, match="weights cannot be used"):
        load_model(made)
