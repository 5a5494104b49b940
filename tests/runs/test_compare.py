"""Comparisons: equal terms, nothing repeated, and rows that say what was measured."""

import json
from dataclasses import replace

import pytest

from lcnet.cli import main
from lcnet.errors import ConfigError, DataError
from lcnet.runs.compare import compare
from lcnet.runs.comparison import read_variants

HEADS = {head: {"model.head": head} for head in ("lcnet", "gap")}


@pytest.fixture
def frozen(tiny_config, tmp_path):
    """The tiny run with a frozen backbone, whose features are kept."""
    recipe = replace(
        tiny_config.train, backbone_lr_factor=0.0, randaugment=0, cutout=0.0,
        cache_features=str(tmp_path / "features"), epochs=1,
    )  # fmt: skip
    return replace(tiny_config, train=recipe)


def test_every_contestant_gets_the_same_runs_and_a_row(frozen, tmp_path, capsys):
    out = tmp_path / "out"
    rows = compare(frozen, seeds=[0, 1], variants=HEADS, out=out, lr_factors=[0.5, 1.0])
    for head in HEADS:
        rates = sorted((out / "runs" / head).iterdir())
        assert len(rates) == 2
        seeds = sorted(len(list(rate.iterdir())) for rate in rates)
        assert seeds == [1, 2]  # both rates with the first seed, the better one with both
    first, other = rows
    assert (first.name, first.difference) == ("lcnet", None)
    assert other.difference.low <= other.difference.value <= other.difference.high
    assert other.difference.value == pytest.approx(first.mAP - other.mAP)
    assert len(other.mAP_of_seeds) == 2
    written = json.loads((out / "comparison.json").read_text())
    assert [row["name"] for row in written["rows"]] == ["lcnet", "gap"]
    assert written["rows"][1]["mAP"] == other.mAP
    table = (out / "comparison.md").read_text()
    assert f"| gap | {other.mAP:.2f} |" in table
    assert (out / "comparison.png").read_bytes().startswith(b"\x89PNG")
    assert "run 6 of 6" in capsys.readouterr().out


def test_finished_runs_are_not_repeated_and_give_the_same_rows(frozen, tmp_path):
    out = tmp_path / "out"
    rows = compare(frozen, seeds=[0], variants=HEADS, out=out, lr_factors=[1.0])
    weights = {file: file.stat().st_mtime_ns for file in out.rglob("model.safetensors")}
    again = compare(frozen, seeds=[0, 1], variants=HEADS, out=out, lr_factors=[1.0])
    assert {file: file.stat().st_mtime_ns for file in weights} == weights
    assert again[0].mAP_of_seeds[0] == rows[0].mAP_of_seeds[0]
    assert len(list(out.rglob("model.safetensors"))) == 4


def test_auto_precision_is_settled_before_runs_so_that_finished_ones_are_found(frozen, tmp_path):
    auto, out = replace(frozen, train=replace(frozen.train, precision="auto")), tmp_path / "out"
    compare(auto, seeds=[0], variants=HEADS, out=out, lr_factors=[1.0])
    weights = {file: file.stat().st_mtime_ns for file in out.rglob("model.safetensors")}
    compare(auto, seeds=[0], variants=HEADS, out=out, lr_factors=[1.0])
    assert {file: file.stat().st_mtime_ns for file in weights} == weights


@pytest.mark.slow  # each run is a process that imports torch; many_runs has quick tests
@pytest.mark.parametrize("seeds", [[0], [0, 1]])
def test_two_jobs_train_the_same_models_as_one(frozen, tmp_path, capsys, seeds):
    given = {"seeds": seeds, "variants": HEADS, "lr_factors": [1.0]}
    alone = compare(frozen, out=tmp_path / "one", **given)
    shared = compare(frozen, out=tmp_path / "two", jobs=2, **given)
    for one, two in zip(alone, shared, strict=True):
        assert one.mAP_of_seeds == pytest.approx(two.mAP_of_seeds, abs=1e-3)
    runs = len(HEADS) * len(seeds)
    assert f"run {runs} of {runs}" in capsys.readouterr().out
    logs = sorted(file.name for file in (tmp_path / "two").rglob("*.log"))
    assert logs == sorted(f"seed{seed}.log" for seed in seeds for _ in HEADS)


def test_a_run_that_fails_in_its_own_process_says_why(frozen, tmp_path):
    broken = replace(frozen, data=replace(frozen.data, val="none"))
    with pytest.raises(DataError, match="none"):
        compare(broken, seeds=[0], variants=HEADS, out=tmp_path / "out", lr_factors=[1.0], jobs=2)


def stopped(*_):
    raise KeyboardInterrupt


def test_other_settings_do_not_go_into_a_folder_with_runs(frozen, tmp_path, monkeypatch):
    changed = replace(frozen, train=replace(frozen.train, epochs=2))
    given = {"seeds": [0], "variants": HEADS, "out": tmp_path / "out", "lr_factors": [1.0]}
    # The first run of the first command ends it.
    monkeypatch.setattr("lcnet.runs.many_runs.RunQueue.train", stopped)
    with pytest.raises(KeyboardInterrupt):
        compare(frozen, **given)
    with pytest.raises(ConfigError, match="other settings"):
        compare(changed, **given)
    with pytest.raises(KeyboardInterrupt):
        compare(frozen, **given)


def test_a_variant_whose_settings_changed_under_its_name_is_not_taken_for_done(frozen, tmp_path):
    contestants = {"lcnet": {}, "one": {"model.depth": 1}}
    compare(frozen, tmp_path / "out", variants=contestants, seeds=[0], lr_factors=[1.0])
    contestants["one"] = {"model.depth": 3}
    with pytest.raises(ConfigError, match="depth 3, got one where it is 1"):
        compare(frozen, tmp_path / "out", variants=contestants, seeds=[0], lr_factors=[1.0])


@pytest.mark.parametrize(
    ("contestants", "seeds", "words"),
    [
        ({"lcnet": {}}, [0], "two contestants"),
        (HEADS, [], "at least one seed"),
        ({**HEADS, "odd": {"model.heat": 1}}, [0], "model.head"),
        ({**HEADS, "odd": {"model.head": "none"}}, [0], "contestant 'odd'"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_is_written(
    frozen, tmp_path, contestants, seeds, words
):
    with pytest.raises(ConfigError, match=words):
        compare(frozen, tmp_path / "out", variants=contestants, seeds=seeds)
    assert not (tmp_path / "out").exists()


def test_variants_come_from_a_file(tmp_path):
    file = tmp_path / "variants.yaml"
    file.write_text("full: {}\nno graph:\n  model.graph: none\n")
    assert read_variants(file) == {"full": {}, "no graph": {"model.graph": "none"}}
    for content in ("- 1", "a: {graph: none}", "a: ["):
        file.write_text(content)
        with pytest.raises(ConfigError, match="variants"):
            read_variants(file)


def test_the_command_line(frozen, tmp_path):
    frozen.save(tmp_path / "config.yaml")
    with pytest.raises(SystemExit) as stop:
        main(
            [
                *("compare", "--config", str(tmp_path / "config.yaml"), "--heads", "[lcnet,gap]"),
                *("--seeds", "[0]", "--lr_factors", "[1.0]", "--out", str(tmp_path / "out")),
            ]
        )
    assert stop.value.code == 0
    assert (tmp_path / "out" / "comparison.md").is_file()
