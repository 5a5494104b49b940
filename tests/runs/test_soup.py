"""The average of several runs' weights."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.conftest import with_train

import lcnet
from lcnet.config import Config
from lcnet.errors import ConfigError
from lcnet.evaluating.calibrate import calibrate
from lcnet.evaluating.evaluate import evaluate
from lcnet.model_folder import load_model, read_info
from lcnet.runs import souping
from lcnet.runs.soup import soup
from lcnet.runs.souping import mean_weights
from lcnet.runs.train import train

pytestmark = pytest.mark.usefixtures("no_report")


@pytest.fixture
def trained(tiny_config, tmp_path):
    """Trains a run of the colours, by its name and other settings."""

    def run(
        name: str, config: Config = tiny_config, *, init: Path | None = None, **changes
    ) -> Path:
        return train(with_train(config, **changes), tmp_path / name, init=init).path

    return run


def test_the_mean_of_weights_is_exact_and_keeps_whole_numbers():
    models = [{"w": torch.tensor([1.0, 0.1]), "n": torch.tensor(n)} for n in (3, 5, 5)]
    models[1]["w"] = torch.tensor([4.0, 0.1])
    mean = mean_weights(models)
    assert mean["w"].tolist() == [2.0, torch.tensor(0.1).item()]
    assert mean["n"].item() == 3
    assert mean["w"].dtype == torch.float32


def test_a_greedy_average_takes_what_makes_it_better(trained, tmp_path, monkeypatch, capsys):
    runs = [trained("a"), trained("b", lr=1e-3), trained("c", lr=4e-3)]
    # The runs by themselves, then a with c, then those with b.
    values = iter((50.0, 40.0, 45.0, 51.0, 50.5))
    monkeypatch.setattr(souping._Kitchen, "measure", lambda self, model: next(values))
    made = soup(runs, tmp_path / "soup")
    assert made.runs == (runs[0], runs[2])
    assert (made.mAP, made.best_single) == (51.0, 50.0)
    first, third, mean = (load_model(path).state_dict() for path in (*made.runs, tmp_path / "soup"))
    for name, weight in mean.items():
        if weight.is_floating_point():
            torch.testing.assert_close(weight, (first[name] + third[name]) / 2)
    info, printed = read_info(tmp_path / "soup"), capsys.readouterr().out
    source = info.calibration.source
    assert source.startswith("best F1 on val.csv (12 pictures), ")
    # So few pictures can be too few for calibrated probabilities.
    fitted = calibrate(
        tmp_path / "soup",
        method="none" if source.endswith("as they are") else "platt",
        data=Config.load(runs[0] / "config.yaml").data,
        quiet=True,
    )
    again = read_info(tmp_path / "soup")
    assert fitted.calibration.slope == info.calibration.slope
    assert (again.thresholds, again.calibration.source) == (
        info.thresholds,
        info.calibration.source,
    )
    assert f"with {runs[2]}: 51.00, taken" in printed
    assert f"with {runs[1]}: 50.50, left out" in printed
    assert "average of 2 of 3 runs: validation mAP 51.00, the best single run 50.00" in printed


def test_what_is_measured_is_what_evaluate_measures(trained, tmp_path, capsys):
    runs = [trained("a"), trained("b", lr=1e-3)]
    made = lcnet.soup(runs, tmp_path / "soup")
    alone = [evaluate(run, split="val.csv", quiet=True).mAP for run in runs]
    assert made.best_single == pytest.approx(max(alone), abs=1e-4)
    config = Config.load(runs[0] / "config.yaml")
    whole = evaluate(tmp_path / "soup", split="val.csv", data=config.data, quiet=True)
    assert made.mAP == pytest.approx(whole.mAP, abs=1e-4)
    assert made.mAP >= made.best_single


def test_where_no_average_is_better_the_best_run_is_written_as_it_is(
    trained, tmp_path, monkeypatch, capsys
):
    runs = [trained("a"), trained("b", lr=1e-3)]
    calibrate(runs[1], quiet=True)
    values = iter((40.0, 50.0, 50.0))
    monkeypatch.setattr(souping._Kitchen, "measure", lambda self, model: next(values))
    made = soup(runs, tmp_path / "soup")
    assert made.runs == (runs[1],)
    assert f"no average is better than the best single run, {runs[1]} (50.00)" in (
        capsys.readouterr().out
    )
    assert read_info(tmp_path / "soup") == read_info(runs[1])
    kept, best = load_model(tmp_path / "soup").state_dict(), load_model(runs[1]).state_dict()
    assert all(tensor.equal(kept[name]) for name, tensor in best.items())


def refused(runs: list[Path], out: Path, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as error:
        soup(runs, out)
    assert "\n" not in str(error.value)


def test_runs_that_cannot_be_averaged_are_refused_in_one_line(trained, tiny_config, tmp_path):
    run, out = trained("a", epochs=1), tmp_path / "soup"
    refused([run], out, "expected two different runs or more")
    refused([run, run], out, "expected two different runs or more")
    refused([run, tmp_path], out, "expected the folder of a run, got none")
    refused(
        [run, trained("seed", epochs=1, seed=1)],
        out,
        r"expected the start .* \(expected train.seed 0, got train.seed 1\). Leave it out",
    )
    on = trained("on", epochs=1, init=run)
    refused([run, on], out, "expected the start as in")
    wider = replace(tiny_config, model=replace(tiny_config.model, width=32))
    refused([run, trained("wide", wider, epochs=1)], out, "expected the model's settings as in")
    table = Path(tiny_config.data.root) / "train.csv"
    table.write_text("\n".join(table.read_text().splitlines()[:-1]) + "\n")
    refused([run, trained("less", epochs=1)], out, "expected the training and validation pictures")
    assert not out.exists()
    (on / "metrics.json").unlink()
    refused([run, on], out, "not finished. Continue with: lcnet train --resume")
    out.mkdir()
    (out / "mine").touch()
    refused([run, on], out, "--out .*: already there")


def test_runs_of_other_seeds_that_train_one_model_on_are_averaged(trained, tmp_path):
    first = trained("first", epochs=1)
    runs = [trained(str(seed), epochs=1, seed=seed, init=first) for seed in (1, 2)]
    assert soup(runs, tmp_path / "soup").mAP >= 0
