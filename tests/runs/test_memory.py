import copy
import json
import subprocess
import sys

import pytest
import torch

from lcnet.config import Model, Train
from lcnet.errors import ConfigError
from lcnet.model.build import build_model
from lcnet.runs import memory
from lcnet.runs.memory import Memory, fitting_batch, training_memory


def model(**settings):
    torch.manual_seed(0)
    built = build_model(
        Model(backbone="test_resnet", pretrained=False, view_size=32, **settings), 4
    )
    return built.train()


def test_the_estimate_grows_with_the_views_and_much_less_with_chunks():
    sizes = {
        (level, chunk): training_memory(
            model(crop_level=level, view_chunk=chunk), Train(), max(1, level) * 32
        )
        for level in (1, 3)
        for chunk in (0, 2)
    }
    kept = {key: found.picture for key, found in sizes.items()}
    assert 3 < kept[3, 0] / kept[1, 0] < 6  # 10 views against 2
    assert kept[3, 2] < 0.25 * kept[3, 0]
    assert sizes[3, 2].chunk == sizes[1, 2].chunk > 0 == sizes[3, 0].chunk


def test_the_estimate_counts_weights_gradients_moments_and_average():
    built = model()
    size = sum(weight.nbytes for weight in built.parameters())
    assert training_memory(built, Train(), 64).weights == 5 * size
    assert training_memory(built, Train(ema_decay=0), 64).weights == 4 * size
    built.backbone.requires_grad_(False)
    frozen = training_memory(built, Train(backbone_lr_factor=0), 64)
    assert frozen.weights < 5 * size and frozen.picture > 0


def test_estimating_changes_neither_the_model_nor_what_is_drawn_next():
    built = model(dropout=0.5)
    before = copy.deepcopy(built.state_dict())
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    training_memory(built, Train(), 64)
    assert torch.rand(1) == expected and built.training
    assert all(torch.equal(value, before[name]) for name, value in built.state_dict().items())


@pytest.mark.parametrize(
    ("free", "accumulate", "expected"),
    [(10_000, 1, (32, 1)), (210, 1, (16, 2)), (20, 1, (1, 32)), (210, 2, (16, 4))],
)
def test_auto_takes_the_largest_batch_that_fits_and_accumulates_the_rest(
    free, accumulate, expected
):
    found = fitting_batch(
        Train(batch_size="auto", accumulate=accumulate), Memory(0, 10, chunk=0, free=free)
    )
    assert (found.batch, found.accumulate) == expected


def test_what_cannot_fit_is_said():
    with pytest.raises(ConfigError, match="not even one picture fits"):
        fitting_batch(Train(batch_size="auto"), Memory(100, 10, chunk=0, free=90))
    line = Memory(2**30, 2**28, chunk=0, free=2**30).describe(4)
    assert line.startswith("warning: memory: about 2.0 GiB") and "view_chunk" in line


def test_free_memory_is_of_this_machine():
    assert 2**20 < memory.free_memory(torch.device("cpu")) < 2**50


TRAINED = """
import copy, json, resource, sys
import torch
from lcnet.config import Model, Train
from lcnet.freed_memory import keep_freed_memory
from lcnet.model.build import build_model
from lcnet.runs.memory import training_memory
keep_freed_memory()
settings = Model(backbone="resnet18", pretrained=False, view_size=64, crop_level=0)
model = build_model(settings, int(sys.argv[1])).train()
estimate = training_memory(model, Train(), 64).needs(4)
average, optimizer = copy.deepcopy(model), torch.optim.AdamW(model.parameters())
for _ in range(2):
    sum(way.sum() for way in model.ways(model.maps(torch.randn(4, 3, 64, 64)))).backward()
    optimizer.step()
    optimizer.zero_grad()
print(json.dumps([estimate, 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("labels", [10, 80, 1_000, 3_000, 10_000])
def test_the_estimate_is_within_a_fifth_of_the_memory_that_a_process_takes(labels):
    ran = subprocess.run(
        [sys.executable, "-c", TRAINED, str(labels)], capture_output=True, text=True, check=True
    )
    estimate, peak = json.loads(ran.stdout)
    assert 0.8 < estimate / peak < 1.2


def test_the_labels_of_one_picture_are_counted_once_whatever_the_batch(monkeypatch):
    monkeypatch.setattr("lcnet.model.label_tokens.TOGETHER", 3)
    monkeypatch.setattr("lcnet.model.label_tokens.TOKENS", 4)
    many = training_memory(model(graph_edges=2), Train(), 64)
    monkeypatch.setattr("lcnet.model.label_tokens.TOGETHER", 4)
    together = training_memory(model(graph_edges=2), Train(), 64)
    assert many.labels > 0 == together.labels
    assert many.picture < together.picture
    assert many.needs(8) - many.needs(4) == 4 * many.picture
    assert many.held == pytest.approx(together.held, rel=0.2) and many.held > 2**20
