"""Raw actions to whole plans: Φ of Eq. 4, with the budget and allocation rules of Eq. 8."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hipp_prune.allocation import Floats, Ints, target_sparsity
from hipp_prune.choices import Allocation
from hipp_prune.space import PlanSpace


@dataclass(frozen=True, kw_only=True)
class PlanBatch:
    """Whole plans decoded from raw actions; P plans, U units."""

    kept: Ints
    """Neurons kept, [P, U]."""
    sparsity: Floats
    """Realised sparsity, [P]."""


def make_context(budget: Floats, preferences: Floats) -> Tensor:
    """The policy's conditioning vectors: (s_min, s_max) [G, 2] and λ [G, 3] → float32 [G, 5]."""
    return torch.from_numpy(np.concatenate([budget, preferences], axis=1)).float()


def decode_actions(
    z: NDArray[np.float64],
    budget: Floats,
    space: PlanSpace,
    *,
    rule: Allocation = "waterfill",
    kappa: float = 1.0,
    align: int = 1,
) -> PlanBatch:
    """Φ: u = sigmoid(z_u) picks s in its budget interval, a = softmax(z_a) spreads it, rounding makes it whole.

    Args:
        z: raw actions, [P, 1 + U].
        budget: interval (s_min, s_max) of each plan, [P, 2].
        space: units and box.
        rule: Eq. 8's rule.
        kappa: its concentration κ.
        align: kept counts are multiples of this.

    Raises:
        BudgetError: if an interval reaches beyond ``space.r_max``.
    """
    u = 1.0 / (1.0 + np.exp(-z[:, 0]))
    sparsity = target_sparsity(u, budget[:, 0], budget[:, 1])
    log_allocation = z[:, 1:] - np.logaddexp.reduce(z[:, 1:], axis=1, keepdims=True)
    ratios = space.ratios(log_allocation, sparsity, rule=rule, kappa=kappa)
    kept = space.kept(ratios, align=align, rule=rule)
    return PlanBatch(kept=kept, sparsity=space.sparsity(kept))
