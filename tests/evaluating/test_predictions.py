"""Predictions are kept in files, and measured from them as the model itself is."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import lcnet
from lcnet.errors import ConfigError, DataError
from lcnet.evaluating.evaluate import evaluate
from lcnet.evaluating.predictions import Predictions
from lcnet.evaluating.reading_predictions import read_predictions
from lcnet.evaluating.writing_predictions import write_predictions
from lcnet.predicting.predict import predict
from lcnet.runs.train import train

SUFFIXES = ("csv", "parquet", "npz")
ODD_NAMES = (
    "a,b.jpg",
    'say "x".jpg',
    " blank .jpg",
    "é/日本.jpg",
    "two\nlines.jpg",
    "c\rd.jpg",
    "NA",
)
LABELS = ("red", "a,b", 'x "y"', "ü:z")


def drawn(pictures: int = 7, labels=LABELS, *, seed: int = 0, **changes) -> Predictions:
    """Random predictions with targets, of which some are unknown."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(pictures, len(labels))).astype(np.float32) * 3
    names = [*ODD_NAMES, *(f"p{place}.jpg" for place in range(pictures))][:pictures]
    made = Predictions(
        labels=tuple(labels),
        pictures=tuple(names),
        probabilities=(1 / (1 + np.exp(-logits))).astype(np.float32),
        targets=rng.integers(-1, 2, logits.shape).astype(np.int8),
        logits=logits,
        thresholds=tuple(rng.random(len(labels)).tolist()),
        split="val.csv",
        fingerprint="f" * 64,
        calibrated=False,
    )
    return replace(made, **changes)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A trained run of the three colours, calibrated so that its thresholds differ."""
    from tests.conftest import colours_config, draw_colours

    folder = tmp_path_factory.mktemp("predictions")
    with pytest.MonkeyPatch.context() as patch:
        written = "lcnet.reporting.gather_report.report_on"
        patch.setattr(written, lambda run, measured, file: file.write_text("x"))
        config = colours_config(draw_colours(folder / "colours"))
        # After two epochs its probabilities differ by more than the digits that rows have.
        config = replace(config, model=replace(config.model, read="tokens"))
        made = train(config, folder / "run").path
    lcnet.calibrate(made, quiet=True)
    return made


def evaluated(command: str, capsys) -> str:
    """What a command prints, as one line; it must end well."""
    from lcnet.cli import main

    with pytest.raises(SystemExit) as stopped:
        main(["evaluate", *command.split()])
    printed = capsys.readouterr()
    assert stopped.value.code == 0, printed.err
    return " ".join(printed.out.split())


# Files


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_gives_back_what_was_written(tmp_path, suffix):
    made = drawn()
    write_predictions(tmp_path / f"p.{suffix}", made)
    read = read_predictions(tmp_path / f"p.{suffix}")
    assert (read.labels, read.pictures) == (made.labels, made.pictures)
    assert read.thresholds == made.thresholds
    for name in ("targets", "logits", "probabilities"):
        ours, theirs = getattr(made, name), getattr(read, name)
        assert theirs.dtype == ours.dtype
        assert np.array_equal(ours, theirs), name
    if suffix != "csv":
        assert (read.split, read.fingerprint, read.calibrated) == ("val.csv", "f" * 64, False)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"p.{suffix}"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_has_the_very_metrics_of_the_evaluation_that_wrote_it(run, tmp_path, suffix):
    file = tmp_path / f"p.{suffix}"
    measured = evaluate(run, predictions=file, out=tmp_path / "run.json", quiet=True)
    assert isinstance(measured.threshold, tuple)
    assert evaluate(file, quiet=True, intervals=True) == measured
    ours, theirs = (
        json.loads((tmp_path / name).read_text()) for name in ("run.json", "p.metrics.json")
    )
    assert {key: ours[key] for key in ("mAP", "AP", "positives", "ECE", "threshold")} == {
        key: theirs[key] for key in ("mAP", "AP", "positives", "ECE", "threshold")
    }
    assert set(theirs["intervals"]) == {"mAP", "CF1", "OF1"}
    if suffix != "csv":
        assert theirs["model"] == ours["model"]


def test_pictures_are_named_from_the_folder_of_the_data_set(run, tmp_path):
    evaluate(run, predictions=tmp_path / "p.npz", out=tmp_path / "m.json", quiet=True)
    assert read_predictions(tmp_path / "p.npz").pictures[0] == "images/val0.png"


def test_a_picture_that_cannot_be_read_has_no_row(run, tmp_path, tiny_config):
    (tmp_path / "colours" / "images" / "val3.png").write_bytes(b"no picture")
    data = replace(tiny_config.data, broken="skip")
    evaluate(run, data=data, predictions=tmp_path / "p.csv", out=tmp_path / "m.json", quiet=True)
    read = read_predictions(tmp_path / "p.csv")
    assert len(read) == 11
    assert "images/val3.png" not in read.pictures


def test_the_file_is_named_before_anything_is_measured(run, tmp_path):
    for name, said in (("p.xlsx", r"ends in \.csv, \.parquet, \.npz"), ("", "got no suffix")):
        with pytest.raises(ConfigError, match=said):
            evaluate(run, predictions=tmp_path / name, quiet=True)


# Truth


def predicted(run: Path, out: Path, form: str) -> Path:
    """The rows of `lcnet predict` for all pictures of the colours, in one file."""
    pictures = [str(run.parent / "colours" / "images")]
    if form == "jsonl":
        predict(run, pictures, out / "rows.jsonl", precision="fp32")
        return out / "rows.jsonl"
    predict(run, pictures, out / "rows", format=form, precision="fp32")
    return next((out / "rows").glob(f"part-*.{form}"))


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_rows_of_predict_are_measured_with_a_label_table(run, tmp_path, form, capsys):
    file = predicted(run, tmp_path, form)
    expected = evaluate(run, split="val.csv", out=tmp_path / "m.json", quiet=True)
    capsys.readouterr()
    printed = evaluated(f"{file} {run.parent}/colours/val.csv", capsys)
    assert "matched by path; without truth, not counted: 24 predictions" in printed
    measured = evaluate(file, data=run.parent / "colours" / "val.csv", quiet=True)
    assert measured.images == 12
    assert measured.ap == pytest.approx(expected.ap, abs=1e-3)
    assert "thresholds are read from the labels that its rows name" in printed
    assert len(set(measured.threshold)) > 1
    assert measured.at_threshold == expected.at_threshold


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_a_folder_of_predict_is_measured_as_one_file(run, tmp_path, form, capsys):
    labels, rows = run.parent / "colours" / "val.csv", tmp_path / "rows"
    whole = evaluate(predicted(run, tmp_path, "jsonl"), data=labels, quiet=True)
    pictures = [str(run.parent / "colours" / "images")]
    predict(run, pictures, rows, format=form, rows_per_file=7, precision="fp32")
    assert len(list(rows.glob("part-*"))) == 6
    assert evaluate(rows, data=labels, quiet=True).ap == whole.ap
    capsys.readouterr()
    assert "12 pictures" in evaluated(f"{rows} {labels}", capsys)
    assert (rows / "metrics.json").is_file()


def rows_that_name(folder: Path, named: list[list[str]]) -> Path:
    """Rows of three pictures, which name these labels."""
    values = [{"red": 0.6, "blue": 0.9}, {"red": 0.2, "blue": 0.3}, {"red": 0.7, "blue": 0.1}]
    file = folder / "p.jsonl"
    with file.open("w") as rows:
        for name, labels, one in zip("abc", named, values, strict=True):
            rows.write(json.dumps({"image": name, "labels": labels, "probabilities": one}) + "\n")
    (folder / "l.csv").write_text("image,red,blue\na,1,1\nb,0,1\nc,1,0\n")
    return file


@pytest.mark.parametrize(
    ("named", "threshold"),
    [
        ([["blue", "red"], [], ["red"]], 0.5),
        ([["blue", "red"], ["blue"], ["red"]], (0.5, 0.2)),
        ([["blue", "red"], ["blue", "red"], ["red", "blue"]], (0.1, 0.05)),
        ([[], [], []], (0.85, 0.95)),
        ([["red"], ["blue"], []], None),
    ],
)
def test_labels_that_rows_name_are_judged(tmp_path, capsys, named, threshold):
    file = rows_that_name(tmp_path, named)
    measured = evaluate(file, data=tmp_path / "l.csv")
    printed = " ".join(capsys.readouterr().out.split())
    assert ("labels that they name are not judged" in printed) == (threshold is None)
    assert measured.threshold == pytest.approx(threshold or 0.5)
    if threshold:
        present = [{"red", "blue"}, {"blue"}, {"red"}]
        hits = sum(len(truth & set(row)) for truth, row in zip(present, named, strict=True))
        assert pytest.approx(100 * hits / 4) == measured.at_threshold.OR
    assert evaluate(file, data=tmp_path / "l.csv", threshold=0.3, quiet=True).threshold == 0.3


def test_rows_with_known_labels_are_said(tmp_path, capsys):
    file = rows_that_name(tmp_path, [["red", "blue"], ["blue"], ["red"]])
    evaluate(file, data=tmp_path / "l.csv")
    assert "predict --known" not in capsys.readouterr().out
    file.write_text(file.read_text().replace('"labels"', '"known": {"red": true}, "labels"', 1))
    evaluate(file, data=tmp_path / "l.csv")
    assert capsys.readouterr().out.count("predict --known") == 1


def test_rows_of_which_one_says_nothing_are_not_judged(tmp_path):
    file = rows_that_name(tmp_path, [["red", "blue"], ["blue"], ["red"]])
    file.write_text(file.read_text().replace('"labels": ["blue"], ', ""))
    measured = evaluate(file, data=tmp_path / "l.csv", quiet=True)
    assert measured.threshold == 0.5


@pytest.mark.parametrize("sign", [", ", "|", "; "])
def test_few_rows_of_truth_are_separated_where_all_names_are_predicted_labels(
    tmp_path, capsys, sign
):
    file = rows_that_name(tmp_path, [["red", "blue"], ["blue"], ["red"]])
    labels = tmp_path / "names.csv"
    labels.write_text(f'picture,shown\na,"red{sign}blue"\nb,blue\nc,red\n')
    expected = evaluate(file, data=tmp_path / "l.csv", quiet=True)
    measured = evaluate(file, data=labels)
    assert (measured.ap, measured.images) == (expected.ap, 3)
    labels.write_text(f'picture,shown\na,"red{sign}blue"\nb,"blue{sign}green"\nc,red\n')
    with pytest.raises(DataError, match=r"others: '|can be one name or several"):
        evaluate(file, data=labels, quiet=True)


def test_a_row_that_names_a_label_without_a_probability_is_refused(tmp_path):
    file = rows_that_name(tmp_path, [["red"], ["green"], []])
    with pytest.raises(DataError, match="got 'green' without one"):
        evaluate(file, data=tmp_path / "l.csv", quiet=True)


def test_rows_of_predict_leave_out_what_could_not_be_read(tmp_path, capsys):
    rows = ['{"image": "a.png", "labels": [], "probabilities": {"red": 0.3, "blue": 0.4}}']
    rows += ['{"image": "b.png", "labels": [], "probabilities": {"blue": 0.2, "red": 0.9}}']
    rows += ['{"image": "c.png", "error": "no picture"}', ""]
    (tmp_path / "p.jsonl").write_text("\n".join(rows))
    (tmp_path / "l.csv").write_text("image,red,blue\na.png,0,1\nb.png,1,0\nc.png,1,1\n")
    measured = evaluate(tmp_path / "p.jsonl", data=tmp_path / "l.csv")
    assert measured.ap == (100, 100)
    printed = " ".join(capsys.readouterr().out.split())
    assert "1 pictures could not be read and are not counted" in printed
    assert "without a prediction, not counted: 1 of 3, such as" in printed
    assert "its pictures were not found and are not needed" in printed


def foreign(folder: Path, content: str, labels: str = "id,red,blue\n1,0,1\n2,1,0\n3,1,1\n"):
    """A file that another tool wrote, and a table with the truth."""
    (folder / "p.csv").write_text(content)
    (folder / "l.csv").write_text(labels.replace("id,", "image,").replace("\n", "\n"))
    return folder / "p.csv", folder / "l.csv"


def test_logits_of_another_tool_are_asked_for(tmp_path, capsys):
    file, labels = foreign(tmp_path, "image;red;blue\n1;-2.5;3\n2;1;-1\n3;0.5;2\n")
    with pytest.raises(DataError, match=r"got -2\.5 to 3, .* set --scores logits"):
        evaluate(file, data=labels, quiet=True)
    measured = evaluate(file, data=labels, scores="logits", quiet=True)
    assert measured.ap == (100, 100)
    with pytest.raises(DataError, match=r"expected probabilities from 0 to 1, got -2\.5 to 3"):
        evaluate(file, data=labels, scores="probabilities", quiet=True)
    printed = evaluated(f"{file} {labels} --scores logits", capsys)
    assert "threshold 0.5, since the file has none" in printed


def test_probabilities_of_another_tool_keep_their_digits(tmp_path):
    """In float32 these are all 1, and the order would be lost."""
    file, labels = foreign(
        tmp_path, "image,red,blue\n1,0.999999999,0.5\n2,0.9999999999,0.4\n3,0.99999999999,0.6\n"
    )
    assert evaluate(file, data=labels, quiet=True).ap == (100, 100)


def test_an_archive_of_another_tool_is_read(tmp_path):
    np.savez(
        tmp_path / "p.npz",
        images=["x/1.jpg", "x/2.jpg"],
        classes=["red", "blue"],
        scores=np.array([[0.1, 0.8], [0.7, 0.2]]),
        targets=np.array([[0, 1], [1, 0]]),
    )
    assert evaluate(tmp_path / "p.npz", quiet=True).ap == (100, 100)


def test_names_are_matched_by_path_then_end_then_file_then_stem(tmp_path, capsys):
    for name, by in (("/data/x/val/{}.png", "relative path"), ("y/{}.png", "file name alone")):
        rows = "".join(f"{name.format(n)},0.{n},0.{n}\n" for n in (1, 2, 3))
        truth = (
            "image,red,blue\n"
            + "".join(f"val/{n}.png,{n % 2},1\n" for n in (1, 2))
            + "val/3.png,0,0\n"
        )
        file, labels = foreign(tmp_path, f"image,red,blue\n{rows}", truth)
        assert f"matched by {by}" in evaluated(f"{file} {labels}", capsys)
    file, labels = foreign(tmp_path, "id,red,blue\n1,0.1,0.1\n2,0.2,0.9\n3,0.3,0.3\n", truth)
    assert "by file name without suffix" in evaluated(f"{file} {labels}", capsys)
    file, labels = foreign(tmp_path, "image,red,blue\n1.png,0.1,0.2\n", truth + "train/1.png,0,0\n")
    with pytest.raises(DataError, match=r"'1\.png', which fits 2 pictures"):
        evaluate(file, data=labels, quiet=True)
    file, labels = foreign(tmp_path, "image,red,blue\nz.png,0.1,0.2\n", truth)
    with pytest.raises(DataError, match="expected pictures in common, got none"):
        evaluate(file, data=labels, quiet=True)
    file, labels = foreign(tmp_path, "image,red,pink\n1.png,0.1,0.2\n", truth)
    with pytest.raises(DataError, match="got 1 others: 'blue', and lacks 1 predicted ones: 'pink'"):
        evaluate(file, data=labels, quiet=True)


def test_a_stricter_match_of_some_is_not_given_up_for_a_looser_one_of_more(tmp_path, capsys):
    """val/1 and train/1 are two pictures, although a looser match would take them for one."""
    truth = "image,red,blue\n" + "".join(f"val/{n}.png,{n % 2},{n // 2}\n" for n in (1, 2, 3))
    rows = "val/1.png,0.1,0.1\nval/2.png,0.2,0.2\ntrain/3.png,0.3,0.3\n"
    file, labels = foreign(tmp_path, f"image,red,blue\n{rows}", truth)
    printed = evaluated(f"{file} {labels}", capsys)
    assert "2 pictures, 2 labels" in printed
    assert "without a prediction, not counted: 1 of 3" in printed
    assert "without truth, not counted: 1 predictions, such as 'train/3.png'" in printed


def test_a_table_of_ones_and_noughts_is_labels_only_where_truth_is_missing(tmp_path, capsys):
    file, labels = foreign(tmp_path, "image,red,blue\n1,0.1,0.8\n2,0.9,0.3\n3,0.9,0.8\n")
    assert "mAP 100.0 (100.0 to 100.0, 95 %)" in evaluated(f"{file} {labels}", capsys)
    evaluate(file, data=labels, predictions=tmp_path / "kept.npz", quiet=True)
    from lcnet.evaluating.words import divided

    with pytest.raises(ConfigError, match="which can be both"):
        divided([tmp_path / "kept.npz", labels])
    assert divided([tmp_path / "kept.npz", file]) == ([tmp_path / "kept.npz", file], None)
    assert divided([file, labels]) == ([file], labels)


# Several files


def with_quality(noises, tmp_path, *, pictures=400, names="p{}.jpg", seed=0):
    """Files of models that see the same truth through more or less noise."""
    rng = np.random.default_rng(seed)
    targets = (rng.random((pictures, 5)) < 0.3).astype(np.int8)
    for place, noise in enumerate(noises):
        logits = (2 * targets - 1 + rng.normal(size=targets.shape) * noise).astype(np.float32)
        made = Predictions(
            labels=tuple("abcde"),
            pictures=tuple(names.format(n) for n in range(pictures)),
            probabilities=(1 / (1 + np.exp(-logits))).astype(np.float32),
            targets=targets,
            logits=logits,
            calibrated=False,
        )
        write_predictions(tmp_path / f"{place}.npz", made)
    return [tmp_path / f"{place}.npz" for place in range(len(noises))]


def test_several_files_are_measured_as_their_mean(tmp_path, capsys):
    files = with_quality([1.5, 1.5, 1.5], tmp_path)
    read = [read_predictions(file) for file in files]
    mean = np.mean([one.probabilities.astype(np.float64) for one in read], axis=0)
    expected = lcnet.verify(mean, read[0].targets, read[0].labels)
    assert evaluate(files, quiet=True) == expected
    assert expected.mAP > max(evaluate(file, quiet=True).mAP for file in files)
    by_logits = evaluate(files, mean="logits", quiet=True)
    logits = np.mean([one.logits.astype(np.float64) for one in read], axis=0)
    assert by_logits == lcnet.verify(1 / (1 + np.exp(-logits)), read[0].targets, read[0].labels)
    printed = evaluated(" ".join(map(str, files)), capsys)
    assert "the mean of the probabilities of 3 files" in printed
    assert "kept only with --out" in printed
    assert not list(tmp_path.glob("*+*"))
    evaluate(files, predictions=tmp_path / "mean.csv", quiet=True)
    assert evaluate(tmp_path / "mean.csv", quiet=True) == expected


def test_files_in_another_order_are_matched(tmp_path):
    files = with_quality([1.5, 1.5], tmp_path)
    expected = evaluate(files, quiet=True)
    other = read_predictions(files[1])
    rows = np.random.default_rng(1).permutation(len(other))
    write_predictions(files[1], other.chosen(rows).in_order_of("ecabd"))
    assert evaluate(files, quiet=True) == expected


def test_files_of_other_pictures_labels_or_truth_are_refused(tmp_path):
    first, second = with_quality([1.5, 1.5], tmp_path)
    made = read_predictions(second)
    targets = made.targets.copy()
    targets[3] = 1 - targets[3]
    for change, said in (
        (made.chosen(np.arange(398)), "got 400 and 398, of which 2 are in one of the two alone"),
        (
            replace(made, labels=("a", "b", "c", "d", "f")),
            "2 are in one of the two alone: 'e', 'f'",
        ),
        (replace(made, targets=targets), "got other targets for 1 pictures"),
    ):
        write_predictions(second, change)
        with pytest.raises(DataError, match=said):
            evaluate([first, second], quiet=True)


# Fitting


def test_a_fit_from_files_is_that_of_calibrate(run, tmp_path):
    for split in ("train", "val"):
        evaluate(
            run, split=f"{split}.csv", predictions=tmp_path / f"{split}.npz",
            out=tmp_path / "m.json", quiet=True,
        )  # fmt: skip
    fitted = evaluate(tmp_path / "train.npz", fit=[tmp_path / "val.npz"], quiet=True)
    expected = evaluate(run, split="train.csv", out=tmp_path / "m.json", quiet=True)
    assert fitted.threshold == pytest.approx(expected.threshold)
    assert fitted.at_threshold == expected.at_threshold
    assert pytest.approx(expected.calibration.ECE) == fitted.calibration.ECE


def test_weights_are_taken_where_they_help_and_the_mean_elsewhere(tmp_path, capsys):
    (tmp_path / "fit").mkdir()
    for noises, pictures, said in (
        ([1.2, 6.0], 400, "weights per label of 2 files' logits"),
        ([1.5, 1.5], 30, "weights did not help"),
    ):
        fit = with_quality(noises, tmp_path / "fit", names="val{}.jpg", seed=1, pictures=pictures)
        test = with_quality(noises, tmp_path)
        words = f"{test[0]} {test[1]} --fit {fit[0]} {fit[1]}"
        printed = evaluated(words, capsys)
        assert said in printed
        assert "cross-validated mAP" in printed
        fitted = evaluate(test, fit=fit, quiet=True)
        plain = evaluate(test, quiet=True)
        assert (fitted.mAP > plain.mAP) == ("per label" in said)
    assert "weights did" not in evaluated(f"{words} --mean logits", capsys)


def test_a_fit_needs_files_of_the_same_models_and_other_pictures(tmp_path):
    (tmp_path / "fit").mkdir()
    fit = with_quality([1.5, 1.5], tmp_path / "fit", names="val{}.jpg")
    test = with_quality([1.5, 1.5], tmp_path)
    made = read_predictions(fit[0])
    with pytest.raises(ConfigError, match=r"as many as are measured \(2\), .* got 1"):
        evaluate(test, fit=fit[:1], quiet=True)
    with pytest.raises(DataError, match="got 400 that are in both"):
        evaluate(test, fit=test, quiet=True)
    write_predictions(fit[0], replace(made, targets=None))
    with pytest.raises(DataError, match="expected targets to fit to"):
        evaluate(test[0], fit=fit[:1], quiet=True)
    write_predictions(fit[0], replace(made, fingerprint="a"))
    write_predictions(test[0], replace(read_predictions(test[0]), fingerprint="b"))
    with pytest.raises(DataError, match="got those of another"):
        evaluate(test[0], fit=fit[:1], quiet=True)


def test_options_that_do_not_go_together_are_refused(run, tmp_path):
    (file,) = with_quality([1.5], tmp_path)
    for model, options, said in (
        (file, {"protocol": "lcnet"}, "--protocol: goes with a model"),
        (file, {"batch_size": 3}, "--batch_size: goes with a model"),
        (file, {"mean": "logits"}, "expected several files, got one"),
        (file, {"split": "val"}, "expected a data set that has it"),
        (file, {"out": file}, "is one of the files to read"),
        (file, {"predictions": file}, "is one of the files to read"),
        (run, {"fit": [file]}, "--fit: goes with files of predictions"),
        (run, {"scores": "logits"}, "--scores: goes with files of predictions"),
        ([run, run], {}, "expected one model, .* got 2 models"),
    ):
        with pytest.raises(ConfigError, match=said):
            evaluate(model, quiet=True, **options)
    with pytest.raises(DataError, match="no such file of predictions"):
        evaluate(tmp_path / "nowhere.csv", quiet=True)
