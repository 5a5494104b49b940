"""The rules of a plan, on tables of cases: facts, measured speeds and a budget give settings."""

from dataclasses import replace

import pytest

from lcnet.config import Config
from lcnet.runs.planning.facts import DataFacts, Machine
from lcnet.runs.planning.plan_text import plan_text
from lcnet.runs.planning.rules import (
    AIM,
    MOST_TILES,
    Case,
    Plan,
    Speed,
    choose,
    tiles_wanted,
    views_of,
    views_to_try,
    wanted_epochs,
)

LAPTOP = Machine(cores=2, memory=12 * 2**30, disk=50 * 10**9)
GPU = Machine(
    cores=16, memory=100 * 2**30, disk=10**12, accelerator="H200", workers=8, has_bf16=True
)
COCO18 = DataFacts(4_800, 700, 18, 320, 240, labels_a_picture=1.55, rarest=40)
COREL = DataFacts(3_998, 491, 260, 192, 128, rarest=1, rare=150, unjudged=70)
POSTERS = DataFacts(2_400, 1_200, 22, 256, 373)
FEW = DataFacts(60, 12, 2, 640, 480)
CAMERA = DataFacts(1_000, 200, 10, 640, 480)
MANY_LABELS = DataFacts(5_000, 600, 300, 64, 64, rarest=2)
HUGE_PICTURES = DataFacts(40, 8, 3, 4_000, 3_000)

# Seconds on two idle cores, about: MobileNetV2 45 pictures a second at 224 px, Lite2 20 at 256.
MOBILE = Speed(
    backbone="local-dir:weights/mobile",
    name="mobile",
    source="in LCNET_WEIGHTS",
    weights=2.2,
    view_size=224,
    decode_s=0.003,
    view_s=0.019,
    head_s=0.002,
    learn_view_s=0.06,
    view_bytes=160_000,
)
LITE = replace(
    MOBILE,
    backbone="local-dir:weights/lite",
    name="lite",
    weights=4.9,
    view_size=256,
    view_s=0.047,
    head_s=0.0027,
    learn_view_s=0.15,
    view_bytes=210_000,
)
RANDOM = replace(MOBILE, backbone="resnet18", name="resnet18", is_pretrained=False, view_size=128)
BOTH = [LITE, MOBILE]
FOLDERS = ("runs/x", "runs/x/head")


def planned(
    data: DataFacts, minutes: float, speeds: list[Speed] = BOTH, machine: Machine = LAPTOP, **given
) -> Plan:
    case = Case(data, machine, {name.replace("_", ".", 1): value for name, value in given.items()})
    return choose(case, speeds, 60 * minutes, spent_s=20)


@pytest.mark.parametrize(
    ("data", "minutes", "backbone", "view", "level", "mirrored"),
    [
        (COCO18, 60, "lite", 320, 0, True),  # as many pixels as the pictures have
        (COCO18, 30, "lite", 320, 0, True),
        (COCO18, 5, "mobile", 224, 0, False),
        (COREL, 30, "lite", 256, 0, True),
        (POSTERS, 60, "lite", 352, 0, True),  # no more than 1.45 times its own
        (POSTERS, 5, "mobile", 320, 0, False),  # larger views go before mirrored copies
        (CAMERA, 60, "lite", 256, 2, True),  # larger than any view
        (CAMERA, 8, "lite", 352, 0, True),
        (MANY_LABELS, 30, "lite", 256, 0, True),
        (FEW, 5, "lite", 256, 2, True),
    ],
)
def test_two_cores_keep_the_features_of_the_largest_backbone_that_fits(
    data, minutes, backbone, view, level, mirrored
):
    plan = planned(data, minutes)
    chosen = plan.option
    assert (chosen.speed.name, chosen.view, chosen.level) == (backbone, view, level)
    assert (chosen.how, chosen.is_kept, chosen.mirrored) == ("frozen", True, mirrored)
    assert plan.seconds <= AIM * 60 * minutes


@pytest.mark.parametrize("data", [COCO18, COREL, POSTERS, FEW, MANY_LABELS, HUGE_PICTURES])
@pytest.mark.parametrize("minutes", [5, 60])
@pytest.mark.parametrize(
    ("machine", "speeds"), [(LAPTOP, BOTH), (LAPTOP, [RANDOM]), (GPU, [MOBILE])]
)
def test_every_plan_is_a_valid_config_in_eleven_lines(data, minutes, machine, speeds):
    plan = planned(data, minutes, speeds, machine)
    settings = dict(plan.settings)
    if plan.option.is_kept:
        settings["train.cache_features"] = "features"
    config = Config().changed(settings)
    assert config.model.backbone == plan.option.speed.backbone
    text = plan_text(replace(plan, settings=settings), *FOLDERS, others=1).splitlines()
    assert len(text) <= 11
    assert all(len(line) < 200 and "  " not in line.strip()[10:].strip() for line in text[1:])


def test_more_time_never_gives_a_smaller_backbone_or_fewer_views():
    for data in (COCO18, POSTERS, HUGE_PICTURES):
        order = []
        for minutes in (3, 5, 8, 12, 20, 30, 60, 120):
            chosen = planned(data, minutes).option
            pixels = views_of(chosen.level) * chosen.view**2
            order.append((chosen.speed.weights, pixels, chosen.mirrored))
        assert order == sorted(order)


def test_what_does_not_fit_is_not_said_to_fit():
    plan = planned(replace(COCO18, training=100_000), 1)
    assert not plan.fits
    assert "That is more than 1 minute" in plan_text(plan_with_folder(plan), *FOLDERS)


def test_a_frozen_backbone_gets_no_label_graph_unless_one_is_asked_for():
    for given, graph in (
        ({}, "none"),
        ({"model_graph": "learned"}, "learned"),
        ({"model_graph_prior": "uniform"}, "learned"),
        ({"model_label_vectors": "vectors.txt"}, "learned"),
    ):
        plan = plan_with_folder(planned(COCO18, 30, **given))
        assert Config().changed(plan.settings).model.graph == graph
        assert ("without a label graph" in plan_text(plan, *FOLDERS)) == (graph == "none")


def test_with_blanks_a_picture_has_at_least_so_many_labels():
    blank = replace(COCO18, unknown=0.004)
    for data, words in ((COCO18, ", 1.6 a picture"), (blank, ", at least 1.6 a picture")):
        assert words in plan_text(plan_with_folder(planned(data, 30)), *FOLDERS)


def test_the_quickest_plan_takes_smaller_views():
    slow = [replace(one, view_s=6 * one.view_s) for one in BOTH]
    chosen = planned(COCO18, 12, slow).option
    assert (chosen.speed.name, chosen.view, chosen.mirrored) == ("mobile", 160, False)
    fixed = [replace(one, is_fixed=True) for one in slow]
    assert planned(COCO18, 12, fixed).option.view == 224


@pytest.mark.parametrize(
    ("data", "view", "level"),
    [
        (COCO18, 256, 0),  # hardly larger than a view
        (COREL, 192, 0),
        (POSTERS, 224, 2),
        (DataFacts(1, 1, 1, 640, 480), 224, 2),
        (HUGE_PICTURES, 224, MOST_TILES),
        (replace(COCO18, object_side=100), 256, 0),
        (replace(COCO18, object_side=8), 256, 3),  # 8 of 277 pixels are 7 in a view of 256
        (replace(HUGE_PICTURES, object_side=2_000), 224, MOST_TILES),
    ],
)
def test_tiles_show_what_one_view_would_lose(data, view, level):
    assert tiles_wanted(data, view) == level


@pytest.mark.parametrize(
    ("data", "speed", "side"),
    [
        (COCO18, MOBILE, 320),
        (COCO18, LITE, 320),
        (POSTERS, LITE, 352),
        (HUGE_PICTURES, MOBILE, 320),
        (COREL, LITE, 256),  # never smaller than its own
        (COCO18, replace(LITE, is_fixed=True), 256),
    ],
)
def test_the_largest_view_has_no_more_pixels_than_the_pictures(data, speed, side):
    own, is_fixed = speed.view_size, speed.is_fixed
    views = views_to_try(Case(data, LAPTOP), "frozen", own, is_fixed=is_fixed)
    assert max(view for view, _ in views) == side


def test_a_larger_view_that_takes_too_long_is_said():
    text = plan_text(plan_with_folder(planned(COCO18, 5)), *FOLDERS)
    assert "the whole picture at 224 px; at 320 px it would take" in text
    larger = plan_text(plan_with_folder(planned(COCO18, 30)), *FOLDERS)
    assert "320 px (pretrained at 256; larger views show smaller objects); no tiles" in larger
    given = planned(COCO18, 30, model_view_size=320)
    assert "pretrained at" not in plan_text(plan_with_folder(given), *FOLDERS)


def test_a_network_that_is_fine_tuned_keeps_its_own_view():
    assert planned(COCO18, 600, train_backbone_lr_factor=0.1).option.view == 256
    assert planned(COCO18, 60, [RANDOM]).option.view == 128


def test_small_objects_are_the_reason_that_is_given():
    marked = replace(COCO18, object_side=8.0)
    plan = planned(marked, 120, machine=replace(LAPTOP, memory=64 * 2**30))
    assert plan.option.level == 3
    assert "a tenth of the objects are smaller than 8 px" in plan_text(
        plan_with_folder(plan), *FOLDERS
    )


def test_an_accelerator_fine_tunes_if_there_is_time():
    quick = [replace(one, view_s=1e-4, head_s=1e-4, learn_view_s=5e-4) for one in BOTH]
    plan = planned(COCO18, 30, quick, GPU)
    assert (plan.option.how, plan.option.epochs) == ("tuned", 20)
    assert plan.settings["train.batch_size"] == "auto"
    assert 0.99 <= plan.settings["train.ema_decay"] <= 0.9997
    assert "train.backbone_lr_factor" not in plan.settings
    slower = [replace(one, learn_view_s=0.5) for one in quick]
    plan = planned(COCO18, 30, slower, GPU)
    assert plan.option.how == "frozen"
    assert "as fine-tuning all of it would take" in plan_text(plan_with_folder(plan), *FOLDERS)


STAGED = [replace(LITE, learn_stage_s=0.07), replace(MOBILE, learn_stage_s=0.03)]


def test_time_that_is_left_is_for_the_last_stage():
    plan = planned(COCO18, 90, STAGED)
    assert (plan.option.speed.name, plan.option.view, plan.option.epochs) == ("lite", 320, 8)
    assert plan.option.stage_epochs == 4
    assert plan.seconds <= AIM * 60 * 90
    changed = Config().changed(plan.stage_settings | {"train.cache_features": ""}).train
    assert (changed.backbone_stages, changed.backbone_lr_factor, changed.lr) == (1, 1.0, 3e-4)
    assert (changed.epochs, changed.keep_norms, changed.cache_features) == (4, True, "")
    text = plan_text(plan_with_folder(plan), *FOLDERS)
    assert "then      4 epochs in which the backbone's last stage learns too, rate 0.0003" in text
    assert "stays in runs/x/head" in text.replace("\n            ", " ")
    assert "More time would not change it" in text.replace("\n            ", " ")


@pytest.mark.parametrize(("minutes", "epochs"), [(30, 0), (60, 2), (90, 4)])
def test_the_last_stage_learns_for_as_many_epochs_as_there_is_time_for(minutes, epochs):
    plan = planned(COCO18, minutes, STAGED)
    assert (plan.option.speed.name, plan.option.epochs) == ("lite", 8)
    assert plan.option.stage_epochs == epochs
    assert plan.seconds <= AIM * 60 * minutes
    text = plan_text(plan_with_folder(plan), *FOLDERS).replace("\n            ", " ")
    assert ("last stage to learn too, which is better, it would take" in text) == (not epochs)
    assert ("More time would not change it" in text) == (epochs == 4)


@pytest.mark.parametrize(
    ("data", "speeds", "machine", "given"),
    [
        (COCO18, BOTH, LAPTOP, {}),  # not measured, as timm names no stages
        (COCO18, STAGED, LAPTOP, {"train_randaugment": 9}),
        (COCO18, STAGED, GPU, {}),  # where all of it is fine-tuned
        (COCO18, [RANDOM], LAPTOP, {}),
    ],
)
def test_elsewhere_the_last_stage_does_not_learn_by_itself(data, speeds, machine, given):
    plan = planned(data, 600, speeds, machine, **given)
    assert plan.option.stage_epochs == 0
    assert plan.staged is None
    assert plan.stage_settings == {}
    assert "last stage" not in plan_text(plan_with_folder(plan), *FOLDERS)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (replace(COCO18, training=900), "with fewer than 1,000 training pictures it gives nothing"),
        (CAMERA, "in tiles the last stage was not tried"),
    ],
)
def test_where_the_last_stage_gives_nothing_it_does_not_learn_and_that_is_said(data, why):
    plan = planned(data, 600, STAGED)
    assert plan.option.stage_epochs == 0
    assert plan.stage_settings == {}
    text = plan_text(plan_with_folder(plan), *FOLDERS).replace("\n            ", " ")
    assert f"nothing: {why}" in text


@pytest.mark.parametrize(
    "given",
    [{"train_backbone_lr_factor": 0.0}, {"train_epochs": 8}, {"train_freeze": "backbone"}],
)
def test_settings_that_keep_the_last_stage_out_are_said(given):
    plan = planned(COCO18, 600, STAGED, **given)
    assert plan.option.stage_epochs == 0
    name = next(iter(given)).replace("_", ".", 1)
    text = plan_text(plan_with_folder(plan), *FOLDERS)
    assert f"last stage learns too only without {name} of yours" in text


@pytest.mark.parametrize("given", [{"train_backbone_stages": 2}, {"train_keep_norms": True}])
def test_a_wish_for_learning_stages_is_one_for_fine_tuning(given):
    assert planned(COCO18, 600, STAGED, **given).option.how == "tuned"


def test_random_weights_are_said_plainly_and_trained_whole():
    plan = planned(COCO18, 60, [RANDOM])
    assert plan.option.how == "random"
    assert not plan.option.is_kept
    assert "no pretrained backbone is at hand" in plan_text(plan, *FOLDERS)
    assert "train.backbone_lr_factor" not in plan.settings


def test_few_pictures_get_small_batches_and_more_epochs():
    assert wanted_epochs("frozen", Case(COCO18, LAPTOP)) == 8
    plan = planned(FEW, 30)
    assert plan.settings["train.batch_size"] == 8
    assert plan.option.epochs == 86  # 600 steps of 7 batches
    assert plan.settings["train.lr"] < planned(COCO18, 30).settings["train.lr"]


def test_a_busy_machine_needs_longer_and_is_said_to():
    busy = replace(LAPTOP, slowness=6.0)
    alone, beside = planned(COCO18, 60).option, planned(COCO18, 60, machine=busy).option
    assert beside.finish_s == 6 * alone.finish_s
    assert "all takes 6 times as long" in plan_text(
        plan_with_folder(planned(COCO18, 60, machine=busy)), *FOLDERS
    )


def test_handwriting_is_not_mirrored():
    assert not planned(replace(COCO18, has_sides=True), 30).option.mirrored


def test_features_that_do_not_fit_in_memory_are_not_kept():
    plan = planned(COCO18, 30, machine=replace(LAPTOP, memory=2 * 2**30))
    assert (plan.option.speed.name, plan.option.is_kept, plan.option.mirrored) == (
        "lite",
        True,
        False,
    )
    assert not planned(COCO18, 120, machine=replace(LAPTOP, memory=2**28)).option.is_kept


@pytest.mark.parametrize(
    ("given", "changed"),
    [
        ({"model_view_size": 192}, {"view": 192}),
        ({"model_crop_level": 2}, {"level": 2}),
        ({"train_flip": False}, {"mirrored": False}),
        ({"train_epochs": 3}, {"epochs": 3}),
        ({"train_randaugment": 9}, {"is_kept": False}),
        ({"train_cache_features": ""}, {"is_kept": False}),
        ({"train_backbone_lr_factor": 0.1}, {"how": "tuned", "is_kept": False}),
    ],
)
def test_what_the_user_gives_wins(given, changed):
    plan = planned(COCO18, 240, **given)
    assert {name: getattr(plan.option, name) for name in changed} == changed
    for name, value in given.items():
        assert plan.settings[name.replace("_", ".", 1)] == value
    Config().changed(plan.settings)


def test_the_plan_says_what_it_would_have_taken_instead():
    plan = planned(COCO18, 30, train_lr=1e-3)
    assert plan.replaced == {"train.lr": 9e-3}
    text = plan_text(plan_with_folder(plan), *FOLDERS)
    assert "yours     train.lr 0.001 in place of 0.009" in text
    same = planned(COCO18, 30, train_lr=9e-3, train_epochs=8)
    assert "yours     train.lr 0.009, train.epochs 8" in plan_text(plan_with_folder(same), *FOLDERS)
    plain = plan_text(plan_with_folder(planned(COCO18, 30)), *FOLDERS)
    assert "yours" not in plain and "so few to validate" not in plain


def plan_with_folder(plan: Plan) -> Plan:
    return replace(plan, settings={**plan.settings, "train.cache_features": "runs/features"})
