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
    smoothing: float = 0.0,
    rejected: float = 0.0,
) -> Tensor:
    """The asymmetric loss (ASL), averaged over the known entries: a scalar.

    With p = sigmoid(logit) and the shifted probability p_m = max(p - clip, 0), an entry costs

        present   (1 - p)^gamma_pos * -log(p)
        absent    p_m^gamma_neg * -log(1 - p_m)
        unknown   nothing, and it gives no gradient; with unknown_weight what an absent one costs

    The mean divides the sum of the costs by the number of known entries. An unknown entry counts
    unknown_weight times in both. A present entry counts positive_weight times, in the costs only.

    A target t between 0 and 1, as mixing makes them, costs

        f (t -log(p) + (1 - t) -log(1 - p_m))    with the focus
        f = (t (1 - p) + (1 - t) p_m)^(t gamma_pos + (1 - t) gamma_neg)

    as in the released code. It is the cost above for t = 1 and 0, and cross-entropy without focus
    and clip. While the focus has no gradient, f only weighs it: without a clip p = t costs least.

    With clip 0, both gammas at 0 make it binary cross-entropy and equal gammas the focal loss.
    It is finite, and so is its gradient, for every finite logit. If no entry is known it is 0.
    Half-precision logits are computed in float32, under autocast too.

    The released code sums over labels, divides by the images and multiplies by 10000 / labels: with
    nothing unknown that is 10000 times this mean. It also limits both logarithms to log(1e-8), so a
    present label has no gradient once its logit is under -18.4; here it keeps its gradient.

    Args:
        logits: images x labels, or any other shape.
        targets: the same shape, of any dtype: 1 present, 0 absent, between them for a share of it,
            -1 unknown.
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
        smoothing: replace a target t by (1 - smoothing) t + smoothing / 2, in [0, 1): each label
            is a choice of two, absent and present. Unknown entries that count are smoothed too.
        rejected: the share of the unknown entries that is left out of the costs, in [0, 1]: those
            that cost most. They still count in the number to divide by.

    Source: Ridnik et al. 2021, arXiv 2009.14119, equations 4 to 7; for unknown_weight Cole et al.
    2021, arXiv 2106.09708, equations 4 and 5; for smoothing Szegedy et al. 2016, arXiv 1512.00567,
    section 7, with two classes; for rejected Kim et al. 2022, arXiv 2206.03740, section 4.2.
    """
    _check(logits, targets, gamma_neg=gamma_neg, gamma_pos=gamma_pos, clip=clip)
    if not 0 <= unknown_weight <= 1:
        raise ValueError(
            f"asymmetric_loss: expected unknown_weight in [0, 1], got {unknown_weight}."
        )
    if not 0 <= smoothing < 1 or not 0 <= rejected <= 1:
        raise ValueError(
            "asymmetric_loss: expected smoothing from 0 to below 1 and rejected in [0, 1], "
            f"got {smoothing} and {rejected}."
        )
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    gammas = (gamma_pos, gamma_neg)
    cost = _costs(logits, targets, gammas, clip, detach_focus, positive_weight, smoothing)
    known = targets >= 0
    if entries is None:
        entries = known_entries(targets, unknown_weight)
    # Without any known entry the loss is 0 / tiny = 0.
    divisor = entries.clamp(min=torch.finfo(torch.float32).tiny)
    if unknown_weight == 0:
        return cost.where(known, 0.0).sum() / divisor
    weights = torch.where(known, 1.0, unknown_weight)
    if rejected:
        weights = weights.where(~_costliest(cost.detach(), ~known, rejected), 0.0)
    return (cost * weights).sum() / divisor


def known_entries(targets: Tensor, unknown_weight: float = 0.0) -> Tensor:
    """The number of entries that the loss is a mean over; an unknown one counts as its weight."""
    return torch.where(targets >= 0, 1.0, unknown_weight).sum()


def _costs(
    logits: Tensor,
    targets: Tensor,
    gammas: tuple[float, float],
    clip: float,
    detach_focus: bool,
    positive_weight: Tensor | None,
    smoothing: float,
) -> Tensor:
    """What each entry costs; an unknown one costs what an absent one does. `gammas`: pos, neg."""
    gamma_pos, gamma_neg = gammas
    present = _focal(logits, gamma_pos, detach_focus)
    if clip == 0:
        absent = _focal(-logits, gamma_neg, detach_focus)
    else:
        absent = _shifted_focal(logits, gamma_neg, clip, detach_focus)
    if positive_weight is not None:
        present = present * positive_weight
    cost = torch.where(targets == 1, present, absent)
    if not smoothing and not targets.is_floating_point():
        return cost
    share = targets.clamp(min=0).to(logits.dtype) * (1 - smoothing) + smoothing / 2
    weight = 1.0 if positive_weight is None else positive_weight
    mixed = _mixed(logits, share, weight, gammas, clip, detach_focus)
    # A target of 1 or 0 keeps its own cost, equal to the last bit.
    return torch.where((share > 0) & (share < 1), mixed, cost)


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


def _mixed(
    logits: Tensor,
    share: Tensor,
    positive_weight: Tensor | float,
    gammas: tuple[float, float],
    clip: float,
    detach_focus: bool,
) -> Tensor:
    """The cost of entries that are present to a share, entry by entry; `gammas` are pos and neg."""
    p, others = logits.sigmoid(), (-logits).sigmoid()
    costs = p > clip
    # As in `_shifted_focal`, entries where a power or logarithm would spoil the gradient get a
    # stand-in before it.
    log_absent = torch.where(costs, others + clip, 1.0).log() if clip else F.logsigmoid(-logits)
    base = share * others + (1 - share) * torch.where(costs, p - clip, 0.0)
    gamma = share * gammas[0] + (1 - share) * gammas[1]
    focus = base.where(base > 0, 1.0).pow(gamma)
    if detach_focus:
        focus = focus.detach()
    return -focus * (share * positive_weight * F.logsigmoid(logits) + (1 - share) * log_absent)


def _costliest(cost: Tensor, among: Tensor, share: float) -> Tensor:
    """True for the share of some entries that cost most, rounded down; equal costs stay together.

    `among` is true for the entries that are meant. They stay on their device.
    """
    ranked = cost.where(among, -torch.inf).flatten().sort(descending=True).values
    chosen = (among.sum() * share).floor().long().clamp(max=ranked.numel() - 1)
    return among & (cost > ranked[chosen])


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
