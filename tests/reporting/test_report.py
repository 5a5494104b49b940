"""`lcnet report`: what the page says, and that it says it of any run."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, precision_recall_fscore_support
from tests.reports import LABELS, Page, made_report, renamed

from lcnet.cli import main
from lcnet.data.statistics import count_labels
from lcnet.errors import ConfigError, DataError
from lcnet.evaluating import measuring
from lcnet.model.build import build_model
from lcnet.reporting import gather_report as module
from lcnet.reporting.label_links import PAGE
from lcnet.reporting.report import report
from lcnet.reporting.report_page import ERRORS, model_of_page, split_of_page, write_report
from lcnet.run_folder import RunFolder
from lcnet.runs.train import train

DASH = "\N{EN DASH}"
"""Where there is no value."""


@pytest.fixture
def run(trained):
    return trained


@pytest.fixture
def page(tmp_path):
    """Writes a report and reads it back."""

    def write(report):
        write_report(tmp_path / "report.html", report)
        return Page(tmp_path / "report.html")

    return write


def change(report, **fields):
    return replace(report, measured=replace(report.measured, **fields))


# The verb, and the page that training writes


def test_training_writes_the_page_from_what_it_measured(tiny_config, tmp_path, monkeypatch):
    scored = []
    usual = measuring.score_split
    monkeypatch.setattr(
        measuring, "score_split", lambda *args, **rest: scored.append(args) or usual(*args, **rest)
    )
    run = train(tiny_config, tmp_path / "run").path
    assert len(scored) == 1
    metrics, page = json.loads((run / "metrics.json").read_text()), Page(run / "report.html")
    headline = page.text[: page.text.index("in training")]
    assert f"{metrics['mAP']:.1f}" in headline
    assert f"{metrics['ECE']:.1f}" in headline
    assert "val.csv" in headline
    for title in ("Training loss", "Learned minus prior", "False positives", "train.epochs"):
        assert title in page.text
    assert not list(run.rglob("*.part"))


def test_a_page_that_cannot_be_drawn_does_not_fail_the_training(
    tiny_config, tmp_path, monkeypatch, capsys
):
    def fail(*args, **named):
        raise RuntimeError("no pencil\nat all")

    monkeypatch.setattr("lcnet.runs.run.keep_report", fail)
    run = train(tiny_config, tmp_path / "run").path
    assert (run / "metrics.json").is_file()
    assert not (run / "report.html").exists()
    said = capsys.readouterr().out
    assert "warning: no report.html (RuntimeError: no pencil). Try again with: lcnet report" in said


def test_the_command_writes_the_page_of_another_split(run, tmp_path, capsys):
    with pytest.raises(SystemExit) as left:
        main(["report", str(run), "--split", "train.csv", "--out", str(tmp_path / "train.html")])
    assert left.value.code == 0
    assert "on train.csv ->" in " ".join(capsys.readouterr().out.split())
    text = Page(tmp_path / "train.html").text
    assert "train.csv is the split that the model was trained on" in text
    assert "lcnet report run --split train.csv" in text
    # The run's own folder and all above it are nobody's business.
    assert str(run) not in (tmp_path / "train.html").read_text()


def test_a_page_of_another_data_set_says_which_pictures_were_trained_on(run, tmp_path):
    data = RunFolder(run).data()
    both = tmp_path / "both.csv"
    header, *rows = Path(data.root, "train.csv").read_text().splitlines()
    rows = [*rows[:5], *Path(data.root, "val.csv").read_text().splitlines()[1:]]
    both.write_text("\n".join([header, *rows]) + "\n")
    other = replace(data, train="", val=str(both), test="")
    text = Page(report(run, data=other, out=tmp_path / "both.html", quiet=True)).text
    assert f"The model was trained on 5 of these {len(rows)} pictures." in text
    unseen = replace(data, train="", val="val.csv", test="")
    text = Page(report(run, data=unseen, out=tmp_path / "val.html", quiet=True)).text
    assert "was trained on" not in text


def test_the_page_of_a_less_important_split_goes_beside_the_other(run, capsys):
    page = run / "report.html"
    assert split_of_page(page) == "val.csv"  # as training leaves it
    report(run, split="val.csv")
    assert "shows" not in capsys.readouterr().out
    before = page.read_bytes()
    other = report(run, split="train.csv")
    assert (other.name, split_of_page(other)) == ("report-train.html", "train.csv")
    assert page.read_bytes() == before
    said = " ".join(capsys.readouterr().out.split())
    assert "report-train.html shows train.csv; report.html stays that of val.csv" in said
    page.write_bytes(before.replace(model_of_page(page).encode(), b"0" * 64))  # of another model
    assert report(run, split="train.csv", quiet=True) == page
    assert capsys.readouterr().out == ""
    assert not other.exists()  # an older one of the same split


def test_only_a_report_is_of_a_split(tmp_path):
    assert split_of_page(tmp_path / "none.html") == ""
    (tmp_path / "other.html").write_text("<p>lcnet report on nothing</p>")
    assert split_of_page(tmp_path / "other.html") == ""
    made = made_report(tmp_path)
    odd = replace(made.measured.samples, name="a, <b> & 'c'.csv")
    made = replace(made, environment={"written": "2026-01-02 03:04 UTC"})
    write_report(tmp_path / "odd.html", change(made, samples=odd))
    assert split_of_page(tmp_path / "odd.html") == odd.name


def test_a_mistake_leaves_the_old_page_alone(run, tmp_path):
    before = (run / "report.html").read_bytes()
    with pytest.raises(DataError, match="nowhere"):
        report(run, split="nowhere.csv", quiet=True)
    with pytest.raises(ConfigError, match="--protocol"):
        report(run, protocol="mine", quiet=True)
    with pytest.raises(ConfigError, match=r"--out .*: expected a file to write, got a folder"):
        report(run, out=tmp_path, quiet=True)
    (tmp_path / "colours" / "val.csv").unlink()
    with pytest.raises(DataError, match=r"val\.csv"):
        report(run, quiet=True)
    assert (run / "report.html").read_bytes() == before


def test_a_model_folder_without_history_statistics_or_graph(run, tiny_config, tmp_path):
    model = (run / "model").rename(tmp_path / "alone")
    description = json.loads((model / "model.json").read_text())
    # A rival as others publish it: nothing is known of its training, nor the labels' names.
    description["model"]["head"] = "gap"
    description["labels"] = ["label_1", "label_2", "label_3"]
    del description["statistics"]
    (model / "model.json").write_text(json.dumps(description))
    rival = build_model(
        replace(tiny_config.model, head="gap"),
        3,
        spec=measuring.read_info(model).backbone,
    )
    measuring.load_model.__globals__["save_file"](rival.state_dict(), model / "model.safetensors")
    with pytest.raises(ConfigError, match="expected a run folder, or --data flags"):
        report(model, quiet=True)
    data = replace(tiny_config.data, test="gone.csv")
    file = report(model, data=data, split="val.csv", quiet=True)
    assert file == model / "report.html"
    page = Page(file)
    assert "This model has no label graph." in page.text
    assert "No history.csv here" in page.text
    assert "The model folder does not say which labels it was trained on." in page.text
    assert "The split gone.csv could not be read." in page.text
    assert [row[0] for row in page.tables[0][1:]] == ["red", "green", "blue"]
    assert page.tables[0][0][1] == "in val.csv"
    assert "lcnet report alone --split val.csv --data.format table --data.root" in page.text


@pytest.mark.parametrize(
    ("settings", "drawn", "missing"),
    [
        ({"graph": "prior"}, "This graph is not learned", "Learned minus prior"),
        ({"graph": "released"}, "As in the release", "Learned minus prior"),
        ({"graph": "none"}, "This model has no label graph", "Learned minus prior"),
        ({}, "Learned minus prior", "As in the release"),
    ],
)
def test_every_kind_of_graph(tiny_config, monkeypatch, page, tmp_path, settings, drawn, missing):
    made = made_report(tmp_path)
    model = build_model(
        replace(tiny_config.model, **settings),
        len(LABELS),
        spec=made.measured.info.backbone,
        prior=torch.from_numpy(made.measured.info.statistics.conditional_probability()),
    )
    monkeypatch.setattr(module, "load_model", lambda run: model.eval().requires_grad_(False))
    text = page(replace(made, graph=module._graph(tmp_path))).text
    assert drawn in text
    assert missing not in text


def test_the_prior_is_where_learning_starts(tiny_config, tmp_path, monkeypatch):
    prior = torch.rand(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    spec = made_report(tmp_path).measured.info.backbone
    model = build_model(tiny_config.model, 3, spec=spec, prior=prior)
    monkeypatch.setattr(module, "load_model", lambda run: model)
    expected = (prior + 0.01) / (prior + 0.01).sum(dim=1, keepdim=True)
    assert module._graph(tmp_path).prior == pytest.approx(expected.numpy(), rel=1e-5)


@pytest.mark.parametrize(
    ("entries", "resamples"), [(36, 1000), (200_000, 1000), (400_000, 500), (3_240_320, 200)]
)
def test_large_splits_take_fewer_resamples(entries, resamples):
    assert module.resamples_of(entries) == resamples


@pytest.mark.parametrize(
    ("given", "said"),
    [("runs/mine", "runs/mine"), ("mine", "mine"), ("/home/me/mine", "mine"), ("../mine", "mine")],
)
def test_commands_name_a_run_as_it_was_given_without_a_machine_s_path(given, said):
    assert module.in_commands(Path(given)) == said


# What the page says


def test_the_table_has_scikit_learn_s_numbers(page, tmp_path):
    made = made_report(tmp_path)
    header, *rows = page(made).tables[0]
    assert header == [
        "label", "in training", "in val.csv", "AP", "threshold", "precision", "recall", "F1",
    ]  # fmt: skip
    targets, probabilities = made.measured.targets, made.measured.probabilities
    thresholds = np.linspace(0.4, 0.6, len(LABELS))
    for column, row in enumerate(rows[:-1]):
        known = targets[:, column] >= 0
        truth, scores = targets[known, column], probabilities[known, column]
        called = scores > np.float32(thresholds[column])
        expected = precision_recall_fscore_support(truth, called, average="binary")[:3]
        ap = average_precision_score(truth, scores)
        assert row[0] == LABELS[column]
        assert int(row[2]) == (truth == 1).sum()
        assert row[3:] == [
            f"{100 * ap:.1f}", f"{thresholds[column]:.2f}", *(f"{100 * n:.1f}" for n in expected),
        ]  # fmt: skip
    # No positive: no AP, recall or F1, and what is predicted is wrong.
    assert rows[-1][:4] == ["lamp", "0", "0", DASH]
    assert rows[-1][5:] == ["0.0", DASH, DASH]


def test_the_headline_says_how_it_was_measured(page, tmp_path):
    made = made_report(tmp_path)
    text = page(made).text
    for name, one in made.intervals.items():
        assert re.search(rf"{one.value:.1f} {name} [a-zF].*? {one.low:.1f} to {one.high:.1f}", text)
    assert "AP as in scikit-learn, each label at its own threshold." in text
    assert "95 % intervals over the pictures (20 resamples)" in text
    assert "Without a positive, and so left out of the means: lamp." in text
    assert "a caution" in text
    of_papers = change(made, protocol="query2label")
    assert "Protocol query2label: step AP" in page(of_papers).text


def test_pairs_of_few_pictures_are_left_out_and_that_is_said(page, tmp_path):
    text = page(made_report(tmp_path, images=8)).text
    assert "Pairs with fewer than 5 pictures that show the first label are left out." in text
    assert "Too often together None with 5 pictures or more." in text


def test_the_worst_errors_name_their_row_and_show_their_picture(page, tmp_path):
    made = made_report(tmp_path)
    targets, probabilities = made.measured.targets, made.measured.probabilities
    absent = np.where(targets == 0, probabilities, -1)
    picture, label = divmod(int(absent.argmax()), len(LABELS))
    found = page(made)
    shown = found.text[found.text.index("False positives") :]
    assert shown.startswith(
        "False positives marked absent, but above the label's threshold; the most probable first "
        f"{LABELS[label]} {absent.max():.3f}"
    )
    assert f"{picture}.png val.csv:{picture + 2}" in shown
    pictures = [tag["src"] for name, tag in found.tags if name == "img"]
    predicted = probabilities > np.linspace(0.4, 0.6, len(LABELS)).astype(np.float32)
    wrong = (predicted & (targets == 0)).sum(), (~predicted & (targets == 1)).sum()
    assert len(pictures) == sum(min(count, ERRORS) for count in wrong)
    assert all(source.startswith("data:image/jpeg;base64,") for source in pictures)


def test_a_picture_that_is_gone_is_left_out(page, tmp_path):
    made = made_report(tmp_path)
    for sample in made.measured.samples.samples:
        sample.path.unlink()
    assert "img" not in [name for name, _ in page(made).tags]


def test_nothing_from_the_data_becomes_markup(page, tmp_path):
    made = made_report(tmp_path)
    evil = ('<script>alert("1")</script>', "</script><b>", "'\"><img src=x>", "{{ 7 * 7 }}")
    samples = replace(
        made.measured.samples,
        samples=tuple(replace(s, source="<i>row</i>") for s in made.measured.samples.samples),
    )
    usual = page(replace(made, notes=("none",)))
    found = page(
        replace(
            renamed(change(made, samples=samples), evil),
            name="<u>run</u>",
            notes=("<s>",),
            environment={"written": "<em>"},
        )
    )
    assert [name for name, _ in found.tags] == [name for name, _ in usual.tags]
    assert [row[0] for row in found.tables[0][1:]] == list(evil)
    assert "<u>run</u>" in found.text


def test_the_file_asks_for_nothing_outside_itself(page, tmp_path):
    found = page(made_report(tmp_path))
    for name, attributes in found.tags:
        assert name not in ("link", "iframe", "object", "base")
        if attributes.get("class") == "correct":  # nothing is asked of it until it is clicked
            assert attributes["href"].startswith(PAGE)
            continue
        for attribute in ("src", "href", "xlink:href", "action"):
            assert re.match(r"data:|#|$", attributes.get(attribute) or "")
    raw = (tmp_path / "report.html").read_text().replace(f'href="{PAGE}', "")
    assert not re.search(r"https?:|url\(|@import|fetch\(|XMLHttpRequest", raw)


def test_what_the_script_needs_is_all_there(page, tmp_path):
    made = made_report(tmp_path)
    found = page(made)
    ids = [tag["id"] for _, tag in found.tags if "id" in tag]
    assert len(ids) == len(set(ids))
    links = [
        tag["href"][1:]
        for name, tag in found.tags
        if name == "a" and not tag["href"].startswith(PAGE)
    ]
    assert set(links) <= set(ids)
    choices = [tag["value"] for name, tag in found.tags if name == "option"]
    assert choices == ["together", "label-0", "label-1", "label-2"]  # the last has no positive
    assert set(choices) <= set(ids)


def test_the_data_and_the_settings_are_told(page, tmp_path):
    text = page(made_report(tmp_path)).text
    targets = made_report(tmp_path).measured.targets
    assert f"{(targets == 1).sum() / len(targets):.2f}" in text
    assert f"{100 * (targets < 0).mean():.1f} %" in text
    assert re.search(r"model\.backbone\s+test_resnet\s+resnet50", text)
    assert re.search(r"model\.pretrained\s+false\s+true", text)


def test_many_labels_are_drawn_in_part_and_that_is_said(page, tmp_path):
    made = made_report(tmp_path, tuple(f"label {n}" for n in range(103)), images=12)
    text = page(made).text
    assert "Only the 100 commonest labels are shown." in text
    assert len(page(made).tables[0]) == 104


@pytest.mark.parametrize("labels", [1, 2])
def test_one_or_two_labels_are_enough(page, tmp_path, labels):
    made = made_report(tmp_path, LABELS[:2])
    if labels == 1:
        one = slice(0, 1)
        found = made.measured
        info = replace(found.info, labels=LABELS[:1], statistics=None, thresholds=(0.5,))
        made = change(
            made,
            info=info,
            samples=replace(
                found.samples, labels=LABELS[:1], targets=found.samples.targets[:, one]
            ),
            probabilities=found.probabilities[:, one],
            targets=found.targets[:, one],
            verification=measuring.verify(
                found.probabilities[:, one], found.targets[:, one], LABELS[:1]
            ),
        )
        graph = module.GraphMatrices(np.ones((1, 1)), np.ones((1, 1)), is_comparable=True)
        made = replace(
            made, graph=graph, statistics={"val.csv": count_labels(found.targets[:, one])}
        )
    assert len(page(made).tables[0]) == labels + 1


def test_it_shows_what_to_expect_of_the_thresholds_and_where_the_run_is_tracked(tmp_path):
    numbers = dict.fromkeys(("CP", "CR", "CF1", "OP", "OR", "OF1", "ECE"), 61.2) | {"Brier": None}
    fitting = {"source": "best F1 on val.csv", "at 0.5": numbers, "fitted": numbers}
    made = made_report(tmp_path)
    shown = replace(
        made,
        fitting=fitting | {"cross-fitted": numbers | {"CF1": 57.9}},
        trackers={"wandb": "https://service.test/7"},
    )
    write_report(tmp_path / "shown.html", shown)
    text = (tmp_path / "shown.html").read_text(encoding="utf-8")
    assert "Fitted to: best F1 on val.csv." in text
    assert "57.9" in text
    assert '<a href="https://service.test/7">wandb</a>' in text
    write_report(tmp_path / "plain.html", made)
    plain = (tmp_path / "plain.html").read_text(encoding="utf-8")
    assert "Fitted to:" not in plain
    assert "Also at" not in plain


# Colours


def _colours(text: str, block: int) -> dict[str, str]:
    """The colours of the page by name: of the light (0) or the dark (1) block."""
    found = re.findall(r":root \{(.*?)\}", text, re.S)[block]
    return dict(re.findall(r"--([a-z]+): ([^;]+);", found))


def _luminance(channels: np.ndarray) -> float:
    """WCAG's relative luminance of a colour with channels of 0 to 1."""
    linear = np.where(channels <= 0.03928, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("block", [0, 1, 2])
@pytest.mark.parametrize("sign", ["accent", "third"])
def test_every_figure_in_a_matrix_has_a_contrast_of_4_5(tmp_path, block, sign):
    write_report(tmp_path / "it.html", made_report(tmp_path))
    raw = (tmp_path / "it.html").read_text()
    assert '<g class="numbered">' in raw and "svg .numbered { opacity: var(--shade); }" in raw
    colours = _colours(raw, block)  # light, dark, and paper

    def rgb(name: str) -> np.ndarray:
        digits = colours[name].removeprefix("#")
        digits = "".join(2 * digit for digit in digits) if len(digits) == 3 else digits
        return np.frombuffer(bytes.fromhex(digits), np.uint8) / 255

    text = _luminance(rgb("text"))
    for share in np.linspace(0, 1, 13):
        opacity = share * float(colours["shade"])
        cell = _luminance(opacity * rgb(sign) + (1 - opacity) * rgb("card"))
        assert (max(text, cell) + 0.05) / (min(text, cell) + 0.05) >= 4.5
