import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lcnet.config import Train
from lcnet.errors import ConfigError
from lcnet.training.losses import asymmetric_loss

REFERENCE = Path(__file__).parent.parent / "reference"
CASES = json.loads((REFERENCE / "losses_and_metrics.json").read_text())["asl"]
SETTINGS = [
    {"gamma_neg": gamma_neg, "gamma_pos": gamma_pos, "clip": clip, "detach_focus": detach_focus}
    for gamma_neg, gamma_pos in [(0.0, 0.0), (4.0, 0.0), (4.0, 1.0), (0.5, 0.3)]
    for clip in [0.0, 1e-9, 0.05, 0.9]
    for detach_focus in [True, False]
]


def loss_in_a_loop(logits: Tensor, targets: Tensor, **setting: float) -> float:
    """Equations 4 to 7 as they stand, one entry after the other, in Python's own floats."""
    costs = []
    for logit, target in zip(logits.flatten().tolist(), targets.flatten().tolist(), strict=True):
        p = 1 / (1 + math.exp(-logit))
        shifted = max(p - setting["clip"], 0)
        if target == 1:
            costs.append(-((1 - p) ** setting["gamma_pos"]) * math.log(p))
        elif target == 0:
            costs.append(-(shifted ** setting["gamma_neg"]) * math.log(1 - shifted))
    return sum(costs) / max(len(costs), 1)


def batch(*, images: int = 6, labels: int = 5, unknown: float = 0.3) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(3)
    logits = 4 * torch.randn(images, labels, generator=random)
    targets = (torch.rand(images, labels, generator=random) < 0.4).int()
    return logits, targets.where(torch.rand(images, labels, generator=random) >= unknown, -1)


@pytest.mark.parametrize("case", range(5))
def test_loss_and_gradient_agree_with_the_released_code(case: int) -> None:
    numbers = np.load(REFERENCE / "asl.npz")
    setting = dict(CASES[case])
    expected = setting.pop("loss")
    logits = torch.tensor(numbers["logits"], requires_grad=True)

    loss = 10_000 * asymmetric_loss(logits, torch.tensor(numbers["targets"]), **setting)
    loss.backward()

    assert loss.item() == pytest.approx(expected, rel=5e-7)
    gradient = logits.grad[: len(numbers[f"grad{case}"])].numpy()
    # Of gradients up to 8.2, times 10000 / 1280 entries; float32's own rounding is about 1e-6.
    np.testing.assert_allclose(gradient, numbers[f"grad{case}"], rtol=2e-5, atol=1.5e-5)


@settings(deadline=None, max_examples=100)
@given(
    entries=st.lists(
        st.tuples(st.floats(-15, 15), st.sampled_from([1, 0, -1])), min_size=1, max_size=12
    ),
    gamma_neg=st.floats(0, 6),
    gamma_pos=st.floats(0, 6),
    clip=st.sampled_from([0.0, 0.05, 0.2]),
    detach_focus=st.booleans(),
)
def test_loss_equals_a_plain_loop(
    entries: list[tuple[float, int]],
    gamma_neg: float,
    gamma_pos: float,
    clip: float,
    detach_focus: bool,
) -> None:
    logits = torch.tensor([logit for logit, _ in entries], dtype=torch.float64)
    targets = torch.tensor([target for _, target in entries])
    setting = {"gamma_neg": gamma_neg, "gamma_pos": gamma_pos, "clip": clip}
    loss = asymmetric_loss(logits, targets, detach_focus=detach_focus, **setting)
    # The loop loses digits of 1 - p that the loss keeps.
    assert loss.item() == pytest.approx(loss_in_a_loop(logits, targets, **setting), abs=1e-8)


def test_without_focus_and_clip_it_is_binary_cross_entropy() -> None:
    logits, targets = batch(unknown=0)
    logits = 1000 * logits
    loss = asymmetric_loss(logits, targets, gamma_neg=0, gamma_pos=0, clip=0)
    expected = F.binary_cross_entropy_with_logits(logits, targets.float())
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("setting", [s for s in SETTINGS if not s["detach_focus"]])
def test_gradient_is_the_derivative_of_the_loss(setting: dict[str, float]) -> None:
    logits, targets = batch()
    logits = logits.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: asymmetric_loss(x, targets, **setting), logits)


def test_a_detached_focus_is_a_plain_weight() -> None:
    logits, targets = batch(unknown=0)
    logits = logits.double().requires_grad_()
    (gradient,) = torch.autograd.grad(
        asymmetric_loss(logits, targets, gamma_neg=4, gamma_pos=1, clip=0), logits
    )
    p = logits.detach().sigmoid()
    expected = torch.where(targets == 1, (1 - p) * (p - 1), p**4 * p) / targets.numel()
    torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize("setting", SETTINGS)
def test_unknown_entries_give_no_loss_and_no_gradient(setting: dict[str, float]) -> None:
    logits, targets = batch()
    logits[targets < 0] = 1e4
    logits.requires_grad_()
    loss = asymmetric_loss(logits, targets, **setting)
    loss.backward()
    known = targets >= 0
    assert (logits.grad[~known] == 0).all()
    torch.testing.assert_close(loss, asymmetric_loss(logits[known], targets[known], **setting))


def test_without_a_known_entry_the_loss_is_zero_and_can_be_differentiated() -> None:
    logits = torch.randn(3, 4, requires_grad=True)
    loss = asymmetric_loss(logits, torch.full((3, 4), -1))
    loss.backward()
    assert loss.item() == 0
    assert (logits.grad == 0).all()


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("autocast", [False, True])
def test_extreme_logits_keep_loss_and_gradient_finite(
    setting: dict[str, float], autocast: bool
) -> None:
    sizes = [0.0, 1e-3, 2.94, 2.95, 17.0, 20.0, 90.0, 110.0, 1e4]
    values = torch.tensor([sign * size for size in sizes for sign in (1, -1)])
    logits = values.repeat(3, 1).to(torch.bfloat16 if autocast else torch.float32).requires_grad_()
    targets = torch.tensor([[1], [0], [-1]]).expand_as(logits)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        loss = asymmetric_loss(logits, targets, **setting)
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.isfinite()
    assert logits.grad.isfinite().all()


def test_half_precision_logits_are_computed_in_float32() -> None:
    logits, targets = batch()
    half = logits.bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = asymmetric_loss(half, targets)
    assert loss == asymmetric_loss(half.float(), targets)


def test_a_confident_mistake_keeps_its_gradient_where_the_release_loses_it() -> None:
    logit = torch.tensor([[-30.0]], requires_grad=True)
    asymmetric_loss(logit, torch.tensor([[1]])).backward()
    assert logit.grad.item() == pytest.approx(-1)


@pytest.mark.parametrize("dtype", [torch.int8, torch.int64, torch.float32, torch.bool])
def test_targets_may_be_of_any_dtype(dtype: torch.dtype) -> None:
    logits, targets = batch(unknown=0)
    assert asymmetric_loss(logits, targets.to(dtype)) == asymmetric_loss(logits, targets)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"targets": torch.zeros(2, 4)}, r"one shape, got \(2, 3\) and \(2, 4\)"),
        ({"targets": torch.zeros(3)}, "one shape"),
        ({"gamma_neg": -1.0}, "at least 0, got -1.0 and 0.0"),
        ({"gamma_pos": -1.0}, "at least 0"),
        ({"clip": 1.0}, r"clip in \[0, 1\), got 1.0"),
    ],
)
def test_wrong_arguments_are_named(change: dict[str, object], message: str) -> None:
    arguments = {"logits": torch.zeros(2, 3), "targets": torch.zeros(2, 3)} | change
    with pytest.raises(ValueError, match=message):
        asymmetric_loss(**arguments)


# Unknown labels, and labels that are rare


def test_unknown_entries_count_as_absent_as_much_as_they_weigh_by_hand() -> None:
    logits = torch.zeros(1, 4, requires_grad=True)  # every entry costs log 2
    targets = torch.tensor([[1, 0, -1, -1]])
    plain = {"gamma_neg": 0, "gamma_pos": 0, "clip": 0}
    loss = asymmetric_loss(logits, targets, unknown_weight=0.25, **plain)
    loss.backward()
    assert loss.item() == pytest.approx(math.log(2))
    # Weights 1, 1, 1/4, 1/4; the slopes are -1/2 where present and 1/2 elsewhere.
    expected = torch.tensor([[-0.5, 0.5, 0.125, 0.125]]) / 2.5
    torch.testing.assert_close(logits.grad, expected)


@pytest.mark.parametrize("setting", SETTINGS)
def test_assuming_absent_is_the_loss_of_targets_with_0_for_unknown(
    setting: dict[str, float],
) -> None:
    logits, targets = batch()
    negative = asymmetric_loss(logits, targets, unknown_weight=1.0, **setting)
    torch.testing.assert_close(negative, asymmetric_loss(logits, targets.clamp(min=0), **setting))


@pytest.mark.parametrize("labels", [2, 5, 80])
def test_one_known_label_weighs_as_much_as_all_others_assumed_absent(labels: int) -> None:
    """Weak assume negative: at logits of 0 the gradient of a single-positive image sums to 0."""
    logits = torch.zeros(1, labels, requires_grad=True)
    targets = torch.full((1, labels), -1)
    targets[0, 0] = 1
    weight = Train(unknown="weighted").weight_of_unknown(labels)
    asymmetric_loss(
        logits, targets, unknown_weight=weight, gamma_neg=0, gamma_pos=0, clip=0
    ).backward()
    assert logits.grad.sum().item() == pytest.approx(0, abs=1e-7)
    assert logits.grad[0, 0] < 0 < logits.grad[0, 1]


def test_the_settings_give_the_weight_of_unknown() -> None:
    assert Train().weight_of_unknown(10) == 0
    assert Train(unknown="negative").weight_of_unknown(10) == 1
    assert Train(unknown="weighted", unknown_weight=0.3).weight_of_unknown(10) == 0.3
    assert Train(unknown="weighted").weight_of_unknown(1) == 1


def test_positive_weight_is_torch_s_pos_weight() -> None:
    logits, targets = batch(unknown=0)
    weight = torch.tensor([0.5, 1.0, 2.0, 7.0, 30.0])
    ours = asymmetric_loss(
        logits, targets, gamma_neg=0, gamma_pos=0, clip=0, positive_weight=weight
    )
    theirs = F.binary_cross_entropy_with_logits(logits, targets.float(), pos_weight=weight)
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("weight", [0.0, 0.1, 1.0])
def test_the_derivative_is_right_with_weights(weight: float) -> None:
    logits, targets = batch()
    logits = logits.double().requires_grad_()
    by_label = torch.tensor([1.0, 2.0, 3.0, 0.5, 1.0])
    assert torch.autograd.gradcheck(
        lambda x: asymmetric_loss(
            x, targets, detach_focus=False, unknown_weight=weight, positive_weight=by_label
        ),
        logits,
    )


def test_all_unknown_entries_teach_only_if_they_count() -> None:
    for weight, pulls in ((0.0, False), (0.5, True)):
        logits = torch.ones(3, 4, requires_grad=True)
        asymmetric_loss(logits, torch.full((3, 4), -1), unknown_weight=weight).backward()
        assert bool((logits.grad > 0).all()) == pulls


def test_a_weight_of_unknown_beyond_1_is_refused() -> None:
    with pytest.raises(ValueError, match=r"unknown_weight in \[0, 1\], got 1.5"):
        asymmetric_loss(torch.zeros(1, 1), torch.zeros(1, 1), unknown_weight=1.5)


# Targets between 0 and 1


def soft_batch() -> tuple[Tensor, Tensor]:
    """Logits, and targets from 0 to 1 of which some are 0, 1 and unknown."""
    logits, targets = batch(images=8)
    shares = torch.rand(targets.shape, generator=torch.Generator().manual_seed(5))
    soft = shares.where(shares > 0.3, targets.clamp(min=0).float())
    return logits, soft.where(targets >= 0, -1.0)


@pytest.mark.parametrize("setting", SETTINGS)
def test_soft_targets_cost_what_the_formula_says(setting: dict[str, float]) -> None:
    logits, targets = soft_batch()
    weight = torch.linspace(0.5, 2, logits.shape[1])
    p = 1 / (1 + np.exp(-logits.double().numpy()))
    shifted, t = np.maximum(p - setting["clip"], 0), targets.double().numpy()
    powers = t * setting["gamma_pos"] + (1 - t) * setting["gamma_neg"]
    known = t >= 0
    with np.errstate(all="ignore"):
        focus = (t * (1 - p) + (1 - t) * shifted) ** powers
        costs = -focus * (t * weight.numpy() * np.log(p) + (1 - t) * np.log(1 - shifted))
    expected = costs[known].sum() / known.sum()
    given = logits.clone().requires_grad_()
    loss = asymmetric_loss(given, targets, positive_weight=weight, **setting)
    loss.backward()
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    assert given.grad.isfinite().all()
    assert (given.grad[targets < 0] == 0).all()


@pytest.mark.parametrize("setting", SETTINGS)
def test_targets_of_1_and_0_cost_the_same_in_any_type(setting: dict[str, float]) -> None:
    logits, targets = batch()
    of_types = [
        asymmetric_loss(logits, targets.to(kind), **setting) for kind in (torch.int8, torch.float32)
    ]
    assert of_types[0].equal(of_types[1])


def test_a_soft_target_is_reached_and_not_overshot() -> None:
    targets = torch.tensor([0.2, 0.5, 0.9])
    for gamma_neg, gamma_pos in ((0.0, 0.0), (4.0, 0.0), (2.0, 2.0)):
        logits = targets.logit().requires_grad_()
        asymmetric_loss(
            logits, targets, gamma_neg=gamma_neg, gamma_pos=gamma_pos, clip=0
        ).backward()
        torch.testing.assert_close(logits.grad, torch.zeros(3), atol=1e-7, rtol=0)


def test_without_focus_and_clip_soft_targets_have_binary_cross_entropy() -> None:
    logits, targets = soft_batch()
    targets = targets.abs()
    expected = F.binary_cross_entropy_with_logits(logits, targets)
    loss = asymmetric_loss(logits, targets, gamma_neg=0, clip=0)
    torch.testing.assert_close(loss, expected)


# Smoothing


def test_smoothing_is_cross_entropy_with_smoothed_targets() -> None:
    logits, targets = batch(unknown=0)
    smoothed = torch.where(targets == 1, 0.95, 0.05)
    loss = asymmetric_loss(logits, targets, gamma_neg=0, clip=0, smoothing=0.1)
    torch.testing.assert_close(loss, F.binary_cross_entropy_with_logits(logits, smoothed))


def test_smoothing_leaves_unknown_entries_untaught_and_smooths_assumed_ones() -> None:
    logits, targets = batch()
    given = logits.clone().requires_grad_()
    asymmetric_loss(given, targets, smoothing=0.1).backward()
    assert (given.grad[targets < 0] == 0).all()
    assumed = asymmetric_loss(logits, targets, smoothing=0.1, unknown_weight=1.0)
    absent = asymmetric_loss(logits, targets.clamp(min=0), smoothing=0.1)
    torch.testing.assert_close(assumed, absent)


# Large losses


@pytest.mark.parametrize("rejected", [0.0, 0.1, 0.5, 1.0])
def test_the_unknown_entries_that_cost_most_are_left_out(rejected: float) -> None:
    logits, targets = batch(images=20)
    given = logits.clone().requires_grad_()
    loss = asymmetric_loss(
        given, targets, gamma_neg=2, clip=0, unknown_weight=1.0, rejected=rejected
    )
    loss.backward()
    p = 1 / (1 + np.exp(-logits.double().numpy()))
    costs = np.where(targets == 1, -np.log(p), -(p**2) * np.log(1 - p))
    unknown = targets.numpy() < 0
    count = int(rejected * unknown.sum())
    largest = np.argsort(-np.where(unknown, costs, -np.inf), axis=None)[:count]
    costs.flat[largest] = 0
    assert loss.item() == pytest.approx(costs.sum() / costs.size, rel=1e-5)
    left_out = np.flatnonzero((given.grad == 0).numpy())
    assert set(left_out) == set(largest)
    assert not unknown.all() and unknown.flat[left_out].all()


def test_the_share_of_rejected_entries_grows_by_epoch_and_ends_at_all() -> None:
    recipe = Train(unknown="reject_large_losses", reject_growth=30)
    assert [recipe.rejected_share(epochs) for epochs in range(5)] == [0, 0.3, 0.6, 0.9, 1.0]
    assert recipe.weight_of_unknown(10) == 1
    assert Train(unknown="negative").rejected_share(9) == 0
    with pytest.raises(ConfigError, match=r"train\.reject_growth: expected 0\.2 unless"):
        Train(reject_growth=0.5)


@pytest.mark.parametrize("wrong", [{"smoothing": 1.0}, {"smoothing": -0.1}, {"rejected": 1.5}])
def test_smoothing_and_rejection_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected smoothing from 0 to below 1 and rejected"):
        asymmetric_loss(torch.zeros(2), torch.zeros(2), **wrong)
