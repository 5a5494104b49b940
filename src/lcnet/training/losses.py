"""The loss of training: the asymmetric loss, which also handles unknown labels."""

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

    The mean divides the sum of the costs by the number of known entries. An unknown entry counts
    unknown_weight times in both. A present entry counts positive_weight times, in the costs only.

    With clip 0, both gammas at 0 make it binary cross-entropy and equal gammas the focal loss.
    It is finite, and so is its gradient, for every finite logit. If no entry is known it is 0.
    Half-precision logits are computed in float32, under autocast too.

    The released code sums over labels, divides by the images and multiplies by 10000 / labels: with
    nothing unknown that is 10000 times this mean. It also limits both logarithms to log(1e-8), so a
    present label has no gradient once its logit is under -18.4; here it keeps its gradient.

    Args:
        logits: images x labels, or any other shape.
        targets: the same shape, of any dtype: 1 present, 0 absent, -1 unknown.
        gamma_neg: how strongly easy absent entries are weighted down; at least 0.
        gamma_pos: how strongly easy present entries are weighted down; at least 0.
        clip: absent entries with p up to this cost nothing; in [0, 1).
        detach_focus: treat the powers as constant weights without a gradient (as released).
        unknown_weight: weight of an unknown entry, which counts as absent: from 0 (left out) to 1
            ("assume negative"; in between "weak assume negative").
        positive_weight: weight of a present entry of each label (L, or anything that broadcasts),
            at least 0; 1 if None. It is pos_weight of torch's BCEWithLogitsLoss.
        entries: the number to divide by; `known_entries` of these targets if None. Several
            processes pass the mean of their numbers, so that the mean of their losses is the loss
            of all their images.

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
    # Without any known entry the loss is 0 / tiny = 0.
    divisor = entries.clamp(min=torch.finfo(torch.float32).tiny)
    if unknown_weight == 0:
        return cost.where(known, 0.0).sum() / divisor
    return (cost * torch.where(known, 1.0, unknown_weight)).sum() / divisor


def known_entries(targets: Tensor, unknown_weight: float = 0.0) -> Tensor:
    """The number of entries that the loss is a mean over; an unknown one counts as its weight."""
    return torch.where(targets >= 0, 1.0, unknown_weight).sum()


def _focal(logits: Tensor, gamma: float, detach_focus: bool) -> Tensor:
    """(1 - p)^gamma * -log(p), entry by entry; with -logits, p and 1 - p are swapped."""
    # logsigmoid is exact where p rounds to 0 or 1, and keeps the derivative finite for a fractional
    # gamma.
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
