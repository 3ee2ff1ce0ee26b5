"""The surrogate's solutions as a policy's actions: what GRPO starts from."""

from dataclasses import dataclass

import numpy as np

from hipp_prune.objectives.returns import compression_return
from hipp_prune.plans.arrays import Floats, Ints
from hipp_prune.plans.space import PlanSpace
from hipp_prune.search.settings import SearchSettings
from hipp_prune.search.surrogate import Surrogate, best_ratios

_EDGE = 1e-3
"""u is cloned no closer than this to 0 and 1, which no sigmoid reaches: a thousandth of the budget's width."""
_SMALLEST = 0.01
"""Ratios below this share of the plan's mean ratio are cloned as this share: log 0 is no action."""


@dataclass(frozen=True, kw_only=True)
class Clone:
    """The surrogate's best plan for any context, as the raw action that decodes to it."""

    surrogate: Surrogate
    scale: Floats
    """σ of (R_rob, R_util, R_comp), [3]."""
    space: PlanSpace
    settings: SearchSettings

    def actions(self, preferences: Floats, budget: Floats) -> Floats:
        """Raw actions [P, 1 + U]: the logit of u, and centred log-allocations.

        Args:
            preferences: λ, [P, 3].
            budget: intervals (s_min, s_max), [P, 2].
        """
        ratios, sparsity = best_ratios(
            self.surrogate,
            self.space,
            preferences,
            budget,
            scale=self.scale,
            compression_range=(self.settings.s_min, self.settings.s_max),
        )
        width = budget[:, 1] - budget[:, 0]
        u = np.divide(sparsity - budget[:, 0], width, out=np.full_like(width, 0.5), where=width > 0)
        u = np.clip(u, _EDGE, 1 - _EDGE)
        floor = _SMALLEST * ratios.mean(axis=1, keepdims=True)
        log_allocation = np.log(np.maximum(ratios, floor) + 1e-12) / self.settings.kappa
        centred = log_allocation - log_allocation.mean(axis=1, keepdims=True)
        return np.concatenate([np.log(u / (1 - u))[:, None], centred], axis=1)

    def predicted(self, kept: Ints) -> Floats:
        """Normalised (R_rob, R_util, R_comp) that the surrogate expects of plans [P, U], up to a level, [P, 3]."""
        quality = -self.surrogate.damage(1.0 - kept / self.space.widths)
        compression = compression_return(
            self.space.sparsity(kept), s_lo=self.settings.s_min, s_hi=self.settings.s_max
        )
        returns = np.concatenate([quality, compression[:, None]], axis=1)
        return np.divide(returns, self.scale, out=np.zeros_like(returns), where=self.scale > 0)
