"""Teaches a policy what the surrogate knows, by regression on its best plans: a warm start for GRPO."""

import numpy as np
import torch

from hipp_prune.allocation import Floats
from hipp_prune.policy.action import make_context
from hipp_prune.policy.network import PlanPolicy
from hipp_prune.preference import sample_preferences
from hipp_prune.search.config import SearchConfig
from hipp_prune.search.draws import draw_budget
from hipp_prune.search.problem import Problem
from hipp_prune.search.surrogate import Surrogate, best_ratios

_STEPS = 400
_POOL = 1024
_BATCH = 32
_LEARNING_RATE = 3e-3
_EDGE = 0.02
"""u is cloned no closer than this to 0 and 1, where a sigmoid has no gradient left."""
_SMALLEST = 0.02
"""Ratios below this share of the plan's mean ratio are cloned as this share: log 0 is no target."""
_LOG_STD = -1.5
"""log σ after cloning: GRPO explores around the clone instead of starting over."""


def clone_policy(
    policy: PlanPolicy, surrogate: Surrogate, problem: Problem, config: SearchConfig, *, scale: Floats
) -> float:
    """Fits the policy's means to the surrogate's optimal plans over preferences and budget intervals.

    Args:
        policy: trained in place.
        surrogate: fitted to the archive.
        problem: units and descriptors.
        config: budget range and seed.
        scale: σ of (R_rob, R_util, R_comp), [3].

    Returns:
        The last batch's mean squared error, in units of z.
    """
    rng = np.random.default_rng([config.seed, 5])
    preferences = sample_preferences(rng, _POOL, anchor_fraction=config.anchor_fraction)
    budget = np.stack([draw_budget(config, rng) for _ in range(_POOL)])
    ratios, sparsity = best_ratios(
        surrogate,
        problem.space,
        preferences,
        budget,
        scale=scale,
        compression_range=(config.s_min, config.s_max),
    )
    targets = torch.from_numpy(_targets(ratios, sparsity, budget, kappa=config.kappa)).float()
    contexts = make_context(budget, preferences)
    state = torch.from_numpy(problem.state).float()
    optimiser = torch.optim.Adam(policy.parameters(), lr=_LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, _STEPS)
    error = torch.zeros(())
    for _ in range(_STEPS):
        batch = torch.from_numpy(rng.integers(_POOL, size=_BATCH))
        target = targets[batch]
        distribution = policy(state, contexts[batch])
        error = ((distribution.mean - target) ** 2).mean(dim=0)[1:].mean()
        error = error + ((distribution.mean - target)[:, 0] ** 2).mean()
        spread = ((distribution.log_std - _LOG_STD) ** 2).mean()
        optimiser.zero_grad()
        (error + spread).backward()
        optimiser.step()
        schedule.step()
    return float(error.detach())


def _targets(ratios: Floats, sparsity: Floats, budget: Floats, *, kappa: float) -> Floats:
    """The raw action that decodes to these plans: logit of u, and centred log-allocation, [P, 1 + U]."""
    width = budget[:, 1] - budget[:, 0]
    u = np.divide(sparsity - budget[:, 0], width, out=np.full_like(width, 0.5), where=width > 0)
    u = np.clip(u, _EDGE, 1 - _EDGE)
    floor = _SMALLEST * ratios.mean(axis=1, keepdims=True)
    log_allocation = np.log(np.maximum(ratios, floor) + 1e-12) / kappa
    centred = log_allocation - log_allocation.mean(axis=1, keepdims=True)
    return np.concatenate([np.log(u / (1 - u))[:, None], centred], axis=1)
