"""Raw actions to whole plans: Φ of Eq. 4, with the budget and allocation rules of Eq. 8."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hipp_prune.plans.allocation import Allocation, target_sparsity
from hipp_prune.plans.arrays import Float, Floats, Int, Ints
from hipp_prune.plans.space import PlanSpace

_TINY = np.finfo(np.float64).tiny
_EDGE = 1e-3
"""Flat actions come no closer than this share of r_max to 0 and r_max, which no sigmoid reaches."""


@dataclass(frozen=True, kw_only=True)
class PlanBatch:
    """Whole plans decoded from raw actions; P plans, U units."""

    kept: Int[Ints, "plans units"]
    """Neurons kept, [P, U]."""
    sparsity: Float[Floats, "plans"]
    """Realised sparsity, in [0, 1], [P]."""


def make_context(
    budget: Float[Floats, "groups 2"], preferences: Float[Floats, "groups 3"]
) -> Float[Tensor, "groups 5"]:
    """The policy's conditioning vectors: (s_min, s_max) [G, 2] and λ [G, 3] → float32 [G, 5]."""
    return torch.from_numpy(np.concatenate([budget, preferences], axis=1)).float()


def decode_actions(
    z: Float[Floats, "plans entries"],
    budget: Float[Floats, "plans 2"],
    space: PlanSpace,
    *,
    rule: Allocation = "waterfill",
    kappa: float = 1.0,
    align: int = 1,
) -> PlanBatch:
    """Φ: what a raw action means as ratios, and rounding that makes them whole.

    Hierarchical, z of 1 + U entries: u = sigmoid(z_u) picks s in its budget interval, a = softmax(z_a) spreads it.
    Flat, z of U entries: r = r_max · sigmoid(z); s is what these ratios save, moved to the nearer end of the interval
    if it lies outside, and then spread in proportion to them.

    Args:
        z: raw actions, [P, 1 + U] or [P, U].
        budget: interval (s_min, s_max) of each plan, [P, 2].
        space: units and box.
        rule: Eq. 8's rule.
        kappa: its concentration κ; flat ratios are final and have none.
        align: kept counts are multiples of this.

    Raises:
        BudgetError: if an interval reaches beyond ``space.r_max``.
    """
    if z.shape[1] == space.num_units:
        wanted = space.r_max * _sigmoid(z)
        sparsity = np.clip(space.saved(wanted), budget[:, 0], budget[:, 1])
        ratios = space.ratios(np.log(np.maximum(wanted, _TINY)), sparsity, rule=rule)
    else:
        ratios = _hierarchical_ratios(z, budget, space, rule=rule, kappa=kappa)
    kept = space.kept(ratios, align=align, rule=rule)
    return PlanBatch(kept=kept, sparsity=space.sparsity(kept))


def flatten_actions(
    z: Float[Floats, "plans entries"],
    budget: Float[Floats, "plans 2"],
    space: PlanSpace,
    *,
    rule: Allocation = "waterfill",
    kappa: float = 1.0,
) -> Float[Floats, "plans entries-1"]:
    """The flat actions [P, U] that mean what hierarchical ones [P, 1 + U] do, up to the edges of the box.

    Args:
        z: raw hierarchical actions, [P, 1 + U].
        budget: interval (s_min, s_max) of each plan, [P, 2].
        space: units and box.
        rule: Eq. 8's rule.
        kappa: its concentration κ > 0.

    Raises:
        BudgetError: if an interval reaches beyond ``space.r_max``.
    """
    share = _hierarchical_ratios(z, budget, space, rule=rule, kappa=kappa) / space.r_max
    share = np.clip(share, _EDGE, 1 - _EDGE)
    result: Float[Floats, "plans entries-1"] = np.log(share / (1 - share))
    return result


def _hierarchical_ratios(
    z: Float[Floats, "plans entries"],
    budget: Float[Floats, "plans 2"],
    space: PlanSpace,
    *,
    rule: Allocation,
    kappa: float,
) -> Float[Floats, "plans entries-1"]:
    sparsity = target_sparsity(_sigmoid(z[:, 0]), budget[:, 0], budget[:, 1])
    log_allocation = z[:, 1:] - np.logaddexp.reduce(z[:, 1:], axis=1, keepdims=True)
    return space.ratios(log_allocation, sparsity, rule=rule, kappa=kappa)


def _sigmoid(z: Float[Floats, "*shape"]) -> Float[Floats, "*shape"]:
    result: Float[Floats, "*shape"] = 1.0 / (1.0 + np.exp(-z))
    return result
