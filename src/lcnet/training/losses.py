"""What training minimises: the asymmetric loss, which also takes unknown labels."""

import torch
import torch.nn.functional as F
from torch import Tensor


def asymmetric_loss(
    logits: Tensor,
    targets: Tensor,
    *,
    gamma_neg: float = 4.0,
    gamma_pos: float = 0.0,
    clip: float = 0.05,
    detach_focus: bool = True,
    unknown_weight: float = 0.0,
    positive_weight: Tensor | None = None,
    entries: Tensor | None = None,
) -> Tensor:
    """The asymmetric loss (ASL), averaged over the known entries: a scalar.

    With p = sigmoid(logit) and the shifted probability p_m = max(p - clip, 0), an entry costs

        present   (1 - p)^gamma_pos * -log(p)
        absent    p_m^gamma_neg * -log(1 - p_m)
        unknown   nothing, and it gives no gradient; with unknown_weight what an absent one costs

    An unknown entry counts unknown_weight times, in the cost and in the number of entries that is
    divided by; a present one positive_weight times, in the cost alone.

    With clip 0, both gammas at 0 make it binary cross-entropy and equal gammas the focal loss.
    It is finite, and so is its gradient, for every finite logit. If no entry is known it is 0.
    Half-precision logits are computed in float32, under autocast too.

    The released code sums over labels, divides by the images and multiplies by 10000 / labels: with
    nothing unknown, 10000 times this mean. It also floors both logarithms at log(1e-8), which takes
    the gradient away from a present label once its logit is under -18.4; here it stays.

    Args:
        logits: images x labels, or any other shape.
        targets: the same shape, of any dtype: 1 present, 0 absent, -1 unknown.
        gamma_neg: how much easy absent entries count less; at least 0.
        gamma_pos: how much easy present entries count less; at least 0.
        clip: absent entries with p up to this cost nothing; in [0, 1).
        detach_focus: take the powers as plain weights that pass no gradient (as released).
        unknown_weight: how much an unknown entry counts as an absent one, 0 (left out) to 1
            ("assume negative"; in between "weak assume negative").
        positive_weight: how much a present entry of each label counts (L, or anything that
            broadcasts), at least 0; 1 if None. It is pos_weight of torch's BCEWithLogitsLoss.
        entries: what is divided by, if not these targets' own `known_entries`: of several processes
            each takes the mean of theirs, so that the mean of their losses is that of all images.

    Source: Ridnik et al. 2021, arXiv 2009.14119, equations 4 to 7; for unknown_weight Cole et al.
    2021, arXiv 2106.09708, equations 4 and 5.
    """
    _check(logits, targets, gamma_neg=gamma_neg, gamma_pos=gamma_pos, clip=clip)
    if not 0 <= unknown_weight <= 1:
        raise ValueError(
            f"asymmetric_loss: expected unknown_weight in [0, 1], got {unknown_weight}."
        )
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    present = _focal(logits, gamma_pos, detach_focus)
    if clip == 0:
        absent = _focal(-logits, gamma_neg, detach_focus)
    else:
        absent = _shifted_focal(logits, gamma_neg, clip, detach_focus)
    if positive_weight is not None:
        present = present * positive_weight
    known = targets >= 0
    cost = torch.where(targets == 1, present, absent)
    if entries is None:
        entries = known_entries(targets, unknown_weight)
    # No entry at all makes it 0 / tiny = 0.
    divisor = entries.clamp(min=torch.finfo(torch.float32).tiny)
    if unknown_weight == 0:
        return cost.where(known, 0.0).sum() / divisor
    return (cost * torch.where(known, 1.0, unknown_weight)).sum() / divisor


def known_entries(targets: Tensor, unknown_weight: float = 0.0) -> Tensor:
    """How many entries the loss of such targets is a mean over, unknown ones by their weight."""
    return torch.where(targets >= 0, 1.0, unknown_weight).sum()


def _focal(logits: Tensor, gamma: float, detach_focus: bool) -> Tensor:
    """(1 - p)^gamma * -log(p), entry by entry; of -logits it is the same with p and 1 - p swapped.

    Both factors come from logsigmoid: exact where p rounds to 0 or 1, and a fractional gamma's
    derivative stays finite there.
    """
    focus = (gamma * F.logsigmoid(-logits)).exp()
    return -(focus.detach() if detach_focus else focus) * F.logsigmoid(logits)


def _shifted_focal(logits: Tensor, gamma: float, clip: float, detach_focus: bool) -> Tensor:
    """p_m^gamma * -log(1 - p_m), entry by entry, and 0 where p_m is 0."""
    p = logits.sigmoid()
    costs = p > clip
    # At p_m = 0 a power under 1 has an infinite slope, and infinity times the 0 of a mask is NaN:
    # those entries get a harmless stand-in before the power, not only the mask after it.
    shifted = torch.where(costs, p - clip, 0.5)
    focus = shifted.pow(gamma)
    # 1 - p_m as sigmoid(-logit) + clip, which stays above 0 for a tiny clip where p rounds to 1.
    cost = -(focus.detach() if detach_focus else focus) * ((-logits).sigmoid() + clip).log()
    return torch.where(costs, cost, 0.0)


def _check(
    logits: Tensor, targets: Tensor, *, gamma_neg: float, gamma_pos: float, clip: float
) -> None:
    if logits.shape != targets.shape:
        raise ValueError(
            "asymmetric_loss: expected logits and targets of one shape, "
            f"got {tuple(logits.shape)} and {tuple(targets.shape)}."
        )
    if gamma_neg < 0 or gamma_pos < 0:
        raise ValueError(
            "asymmetric_loss: expected gamma_neg and gamma_pos of at least 0, "
            f"got {gamma_neg} and {gamma_pos}."
        )
    if not 0 <= clip < 1:
        raise ValueError(f"asymmetric_loss: expected clip in [0, 1), got {clip}.")
