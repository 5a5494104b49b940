"""Prepared measurements that need a machine which is seldom at hand run to their end here."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from benchmarks import accelerator
from benchmarks.accelerator import FORMS, TINY, Deadline, Measured, attempt, main, table
from benchmarks.models import DEFAULT, PUBLISHED, build, images_for, usual
from benchmarks.plain import Plain


def test_the_accelerator_script_fills_its_tables_on_the_cpu(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(accelerator, "available_cores", lambda: 1)  # one loader process at most
    monkeypatch.setattr(accelerator, "PASSES", 1)
    # Compiling takes minutes: here the forms are only built and called.
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda model, **how: (compiled.append(how), model)[1])
    monkeypatch.setattr(accelerator, "TINY", replace(TINY, forms=FORMS, batches=(2,)))
    out = tmp_path / "table.md"
    monkeypatch.setattr(sys, "argv", ["accelerator", "--tiny", "true", "--out", str(out)])
    main()
    text = out.read_text(encoding="utf-8")
    assert text == capsys.readouterr().out
    rows = [line for line in text.splitlines() if any(f" | {form} | " in line for form in FORMS)]
    # Three forms at two levels, predicted and trained, in float32 at least.
    assert len(rows) in (12, 24)
    assert sum("reduce-overhead" in how.values() for how in compiled) in (4, 8)
    assert not [row for row in rows if "failed" in row or "not in time" in row]
    for row in rows:
        *_, rate, milliseconds, memory, share, _ = (cell.strip() for cell in row.split("|"))
        assert float(rate) > 0 and float(milliseconds) > 0
        assert memory == "" and share.endswith("%")
    assert "## The loader's share" in text and "| 0 | " in text


@pytest.mark.parametrize(
    "settings", [PUBLISHED, DEFAULT, usual(64)], ids=["released", "same", "usual"]
)
def test_the_plain_form_gives_the_same_logits(settings):
    """With two pictures too, whose logits would be taken for two outputs."""
    small = replace(settings, backbone="test_resnet", view_size=64)
    model, images = build(small), images_for(small, 2)
    with torch.inference_mode():
        assert torch.allclose(Plain(model)(images), model(images), atol=1e-5)


def test_a_full_run_needs_an_accelerator(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["accelerator"])
    monkeypatch.setattr(accelerator, "DEVICE", torch.device("cpu"))
    with pytest.raises(SystemExit):
        main()
    assert "no accelerator here" in capsys.readouterr().err


def test_a_cell_that_was_not_measured_says_why():
    past, later = Deadline(0.0), Deadline(float("inf"))

    def too_large() -> None:
        raise torch.cuda.OutOfMemoryError

    def broken() -> None:
        raise ValueError

    assert attempt(lambda: too_large, past) == "not in time"
    assert attempt(lambda: too_large, later) == "too large"
    assert attempt(lambda: broken, later) == "failed: ValueError"
    assert isinstance(attempt(lambda: Path, later), Measured)
    lines = list(table("It", lambda *_: Path, TINY, (1,), 1, past))
    assert sum("not in time" in line for line in lines) in (2, 4)
