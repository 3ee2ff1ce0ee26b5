"""Ratios from a policy's actions (Eq. 8) and whole neurons from ratios: pure functions on arrays.

Shapes: P plans, U units. ``costs`` are (mostly) the prunable parameters of one neuron (or row) of a unit, ``widths``
the number of neurons (rows) a unit has; w_u = widths · costs are the units' weights in the overall sparsity.
"""

from typing import Literal

import numpy as np

from hipp_prune.errors import BudgetError
from hipp_prune.plans.arrays import Float, Floats, Int, Ints, Reduced

Allocation = Literal["waterfill", "paper"]
"""Eq. 8. ``waterfill`` meets the budget exactly; ``paper`` clips and lets the sparsity drift."""

_ROUNDING = 1e-9
"""Slack for products that are whole numbers in exact arithmetic, e.g. 0.6 · 5 neurons."""


def target_sparsity(
    u: Float[Reduced, "*plans"],
    s_min: Float[Reduced, "*plans"] | float,
    s_max: Float[Reduced, "*plans"] | float,
) -> Float[Reduced, "*plans"]:
    """Eq. 8, first half: s(u) = s_min + (s_max − s_min) u, for u in [0, 1] of any shape."""
    return s_min + (s_max - s_min) * u


def paper_ratios(
    log_allocation: Float[Floats, "plans units"],
    sparsity: Float[Floats, "plans"],
    *,
    r_max: float,
    kappa: float = 1.0,
) -> Float[Floats, "plans units"]:
    """Eq. 8, ``paper``: r_u = clip(s · U · a_u^κ / Σ_j a_j^κ, 0, r_max).

    The clip lets the realised sparsity drift below the target: kept to reproduce the paper.

    Args:
        log_allocation: log a, shape [P, U] (a is on the simplex, but any scale gives the same ratios).
        sparsity: target s of each plan, shape [P].
        r_max: largest ratio of a unit.
        kappa: concentration κ; larger is sharper.

    Returns:
        Ratios (fraction removed), shape [P, U], in [0, r_max].
    """
    logits = kappa * log_allocation
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    return np.clip(sparsity[:, None] * log_allocation.shape[1] * shares, 0.0, r_max)


def waterfill_ratios(
    log_allocation: Float[Floats, "plans units"],
    sparsity: Float[Floats, "plans"],
    *,
    weights: Float[Floats, "units"],
    r_max: float,
    kappa: float = 1.0,
) -> Float[Floats, "plans units"]:
    """Eq. 8, ``waterfill``: r_u = clip(τ a_u^κ, 0, r_max) with Σ_u w_u r_u = s Σ_u w_u exactly.

    Units saturate in the order of a. With the k largest saturated,
    τ_k = (s Σ w − r_max Σ_{saturated} w) / Σ_{rest} w a^κ, and the right k is the first for which the
    largest of the rest stays inside the box. Sums run on log a: a softmax underflows, its logarithm does not.

    Args:
        log_allocation: log a, shape [P, U].
        sparsity: target s of each plan, shape [P], in [0, r_max].
        weights: prunable parameters of each unit, shape [U], positive.
        r_max: largest ratio of a unit, in (0, 1].
        kappa: concentration κ; larger is sharper.

    Returns:
        Ratios, shape [P, U], in [0, r_max], on budget to rounding error.

    Raises:
        BudgetError: if a target lies outside [0, r_max], where no allocation can reach it.
    """
    outside = sparsity[(sparsity > r_max + _ROUNDING) | (sparsity < 0)]
    if len(outside):
        raise BudgetError(
            f"a sparsity must lie in [0, {r_max:g}], since no unit may lose more than r_max = {r_max:g} of its "
            f"neurons; got {float(outside[0]):g}; ask for less or raise --r-max"
        )
    order = np.argsort(-log_allocation, axis=1, kind="stable")
    log_a = kappa * np.take_along_axis(log_allocation, order, axis=1)
    w = weights[order]
    rest = _suffix_logsumexp(log_a + np.log(w))
    saturated = np.concatenate([np.zeros((len(w), 1)), np.cumsum(w, axis=1)[:, :-1]], axis=1)
    budget = sparsity[:, None] * weights.sum() - r_max * saturated
    log_tau = np.log(np.maximum(budget, np.finfo(np.float64).tiny)) - rest
    fits = log_tau + log_a <= np.log(r_max)
    first = np.where(fits.any(axis=1), fits.argmax(axis=1), log_a.shape[1] - 1)
    tau = np.take_along_axis(log_tau, first[:, None], axis=1)
    sorted_ratios = np.minimum(np.exp(np.minimum(tau + log_a, np.log(r_max))), r_max)
    sorted_ratios[np.arange(log_a.shape[1]) < first[:, None]] = r_max
    sorted_ratios[sparsity <= 0] = 0.0
    ratios = np.empty_like(sorted_ratios)
    np.put_along_axis(ratios, order, sorted_ratios, axis=1)
    return ratios


def _suffix_logsumexp(values: Float[Floats, "plans units"]) -> Float[Floats, "plans units"]:
    """log Σ_{j ≥ i} exp(values[:, j]), shape as given."""
    return np.logaddexp.accumulate(values[:, ::-1], axis=1)[:, ::-1]


def kept_counts(
    ratios: Float[Floats, "plans units"],
    *,
    widths: Int[Ints, "units"],
    costs: Int[Ints, "units"] | Float[Floats, "units"] | Float[Floats, "plans units"],
    r_max: float,
    align: int = 1,
    on_budget: bool = True,
) -> Int[Ints, "plans units"]:
    """Whole neurons kept by each unit: largest-remainder rounding that never leaves the box.

    Args:
        ratios: fraction removed, shape [P, U], in [0, r_max].
        widths: neurons of each unit, shape [U].
        costs: what one neuron of each unit costs in the measure that the total is to meet, shape [U] or, where
            plans differ, [P, U]; its prunable parameters, or relative to the dearest. Where a neuron costs nothing,
            the unit keeps its floor.
        r_max: largest ratio of a unit.
        align: kept counts are multiples of this (8, 64, 128 suit GPUs), so widths must be at least as large.
        on_budget: round the *total* to the nearest neuron (to the nearest ``align`` neurons); otherwise each
            unit loses ⌊r · width⌋, the paper's Eq. 10 rule.

    Returns:
        Kept counts, shape [P, U].

    Raises:
        BudgetError: if ``align`` leaves a unit no allowed width.
    """
    fewest = fewest_neurons(widths, r_max)
    check_alignment(fewest, widths, align)
    fewest_kept, most_kept = -(-fewest // align), widths // align
    wanted = (1.0 - ratios) * widths / align
    floors = np.clip(np.floor(wanted + _ROUNDING), fewest_kept, most_kept).astype(np.int64)
    if not on_budget:
        return np.clip(np.ceil(wanted - _ROUNDING), fewest_kept, most_kept).astype(np.int64) * align
    steps = np.broadcast_to(costs, ratios.shape)
    budget = (wanted * steps).sum(axis=1)
    rounded = [
        _spend(floors[plan], wanted[plan], budget[plan], steps[plan], fewest_kept, most_kept)
        for plan in range(len(ratios))
    ]
    return np.stack(rounded) * align


def fewest_neurons(widths: Int[Ints, "units"], r_max: float) -> Int[Ints, "units"]:
    """Neurons that each unit keeps at least, where a plan may take the fraction ``r_max``."""
    return widths - np.floor(r_max * widths + _ROUNDING).astype(np.int64)


def check_alignment(fewest: Int[Ints, "units"], widths: Int[Ints, "units"], align: int) -> None:
    """Refuses an alignment that leaves a unit no allowed width, and says which one leaves every unit several.

    Args:
        fewest: neurons that each unit keeps at least.
        widths: neurons that it has.
        align: kept counts are multiples of this.

    Raises:
        BudgetError: if there is none for some unit.
    """
    without = -(-fewest // align) > widths // align
    if not np.any(without):
        return
    unit = int(np.argmax(without))
    smaller = range(min(align, int(widths.min())), 1, -1)
    meant = next((each for each in smaller if np.all(-(-fewest // each) < widths // each)), 1)
    raise BudgetError(
        f"no multiple of --align {align} lies between the {int(fewest[unit])} neurons that r_max lets unit {unit} "
        f"lose down to and its {int(widths[unit])}; give --align {meant}, or search with a larger --r-max"
    )


def _spend(
    kept: Int[Ints, "units"],
    wanted: Float[Floats, "units"],
    budget: float,
    costs: Int[Ints, "units"] | Float[Floats, "units"],
    fewest: Int[Ints, "units"],
    most: Int[Ints, "units"],
) -> Int[Ints, "units"]:
    """Adds or takes single steps, largest remainder first, until the budget is met to half a step."""
    kept = kept.copy()
    while True:
        deficit = budget - float(kept @ costs)
        step = 1 if deficit > 0 else -1
        room = (kept < most) if step > 0 else (kept > fewest)
        useful = room & (costs > 0) & (costs < 2 * abs(deficit) - _ROUNDING)
        if not useful.any():
            return kept
        remainder = np.where(useful, step * (wanted - kept), -np.inf)
        kept[int(remainder.argmax())] += step
