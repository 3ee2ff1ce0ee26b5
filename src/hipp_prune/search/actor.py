"""The policy at work: its network, what the network sees, and the clone that it corrects."""

from dataclasses import dataclass, replace

import numpy as np
import torch

from hipp_prune.plans.arrays import Floats
from hipp_prune.search.cloning import Clone
from hipp_prune.search.policy.action import flatten_actions, make_context
from hipp_prune.search.policy.network import PlanDistribution, PlanPolicy
from hipp_prune.search.settings import SearchSettings


@dataclass(kw_only=True)
class Actor:
    """π_θ(z | S, λ): the network's distribution, moved to the clone's action where there is a clone.

    An untrained network has mean zero, so that a fresh actor *is* the surrogate's solution, exactly and for every
    context: nothing is lost to a regression, and a refitted surrogate moves the policy at once.
    """

    network: PlanPolicy
    state: Floats
    """Descriptors of the units, [U, F]."""
    settings: SearchSettings
    clone: Clone | None = None

    def distribution(self, preferences: Floats, budget: Floats) -> PlanDistribution:
        """The distribution of one action for each preference [P, 3] and budget interval [P, 2].

        The network sees budgets within the range it was trained on.
        """
        context = make_context(np.clip(budget, self.settings.s_min, self.settings.s_max), preferences)
        own: PlanDistribution = self.network(torch.from_numpy(self.state).float(), context)
        flat = self.settings.action == "flat"
        if flat:
            own = own.flattened()
        if self.clone is None:
            return own
        base = self.clone.actions(preferences, budget)
        if flat:
            base = flatten_actions(
                base, budget, self.clone.space, rule=self.settings.allocation, kappa=self.settings.kappa
            )
        return replace(own, mean=own.mean + torch.from_numpy(base).float())
