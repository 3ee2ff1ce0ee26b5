"""One GRPO step's plans: drawing them in antithetic groups, and what the policy learns from them.

N = P · G plans a step, P preferences and G plans a group. Plan n belongs to group n mod P, and plan n + N/2 was
drawn with the opposite noise, so halves of the step *and* of every group are antithetic.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hipp_prune.allocation import Floats, Ints
from hipp_prune.policy.action import decode_actions, make_context
from hipp_prune.policy.grpo import PolicyLoss, advantages, gated, policy_loss, scalarise
from hipp_prune.policy.network import PlanDistribution, PlanPolicy
from hipp_prune.preference import sample_preferences
from hipp_prune.search.config import SearchConfig
from hipp_prune.search.problem import Problem


@dataclass(frozen=True, kw_only=True)
class Draw:
    """The plans of one step and the distribution they came from."""

    preferences: Floats
    """λ of each group, [P, 3]."""
    budget: Floats
    """The step's budget interval (s_min, s_max), [2]; one for all groups, so that they can share plans."""
    group: Ints
    """Group of each plan, [N]."""
    z: Tensor
    """Raw actions, [N, 1 + U]."""
    log_prob: Tensor
    """log π_old(z | λ) of each plan under its own preference, [N]."""
    kept: Ints
    """Decoded plans, [N, U]."""
    sparsity: Floats
    """Their realised sparsities, [N]."""


def draw_budget(config: SearchConfig, rng: np.random.Generator) -> Floats:
    """A budget interval (s_min, s_max), [2]: the whole range, a part of it, or a single point, equally often."""
    low, high = np.sort(rng.uniform(config.s_min, config.s_max, size=2))
    kind = rng.integers(3)
    if kind == 0:
        return np.array([config.s_min, config.s_max])
    return np.array([low, high]) if kind == 1 else np.array([low, low])


def draw_plans(policy: PlanPolicy, problem: Problem, config: SearchConfig, rng: np.random.Generator) -> Draw:
    """Draws P groups of G plans from the current policy, one budget interval for all."""
    preferences = sample_preferences(rng, config.groups, anchor_fraction=config.anchor_fraction)
    budget = draw_budget(config, rng)
    count = config.groups * config.group
    group = np.arange(count) % config.groups
    noise = _noise(config, count, 1 + problem.space.num_units, rng)
    with torch.no_grad():
        of_group = _distribution(policy, problem, preferences, budget)
        own = _select(of_group, torch.from_numpy(group))
        z = own.sample(torch.from_numpy(noise).float())
        log_prob = own.log_prob(z)
    plans = decode_actions(
        z.double().numpy(),
        np.tile(budget, (count, 1)),
        problem.space,
        rule=config.allocation,
        kappa=config.kappa,
    )
    return Draw(
        preferences=preferences,
        budget=budget,
        group=group,
        z=z,
        log_prob=log_prob,
        kept=plans.kept,
        sparsity=plans.sparsity,
    )


def learn(
    policy: PlanPolicy,
    optimiser: torch.optim.Optimizer,
    problem: Problem,
    config: SearchConfig,
    draw: Draw,
    objectives: Floats,
    gate: Floats,
) -> PolicyLoss:
    """Updates the policy on one step's plans (Eq. 16–18) and returns the last inner epoch's loss.

    Args:
        policy: trained in place.
        optimiser: of its parameters.
        problem: units and descriptors.
        config: settings.
        draw: the plans.
        objectives: normalised R̃, [N, 3]; NaN for plans that were not evaluated.
        gate: g of each plan, [N].
    """
    preference, plan, signal = training_pairs(config, draw, objectives, gate)
    with torch.no_grad():
        old = _select(_distribution(policy, problem, draw.preferences, draw.budget), preference)
    for _ in range(config.inner_epochs):
        new = _select(_distribution(policy, problem, draw.preferences, draw.budget), preference)
        update = policy_loss(
            new,
            old,
            draw.z[plan],
            signal,
            clip=config.clip,
            budget_entropy=config.budget_entropy,
            allocation_entropy=config.allocation_entropy,
            kl_weight=config.kl_weight,
            old_log_prob=draw.log_prob[plan],
        )
        optimiser.zero_grad()
        update.loss.backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
        optimiser.step()
    return update


def training_pairs(
    config: SearchConfig, draw: Draw, objectives: Floats, gate: Floats
) -> tuple[Tensor, Tensor, Tensor]:
    """Which plan teaches which preference, and with what gated advantage.

    Without relabelling a plan teaches the preference it was drawn for and is compared within its group; with
    it, every plan teaches every preference of the step and is compared with all plans of the step.

    Returns:
        Preference index, plan index and signal of each pair, each [M].
    """
    count, groups = len(draw.kept), config.groups
    values = torch.from_numpy(objectives).float()
    weights = torch.from_numpy(draw.preferences).float()
    scalar = scalarise(values[None], weights[:, None])
    if config.relabel:
        preference = torch.arange(groups).repeat_interleave(count)
        plan = torch.arange(count).repeat(groups)
    else:
        plan = torch.arange(count).view(-1, groups).T.flatten()
        preference = torch.arange(groups).repeat_interleave(config.group)
    compared = _worst_for_missing(scalar[preference, plan].view(groups, -1))
    advantage = advantages(compared, kind=config.advantage).flatten()
    gates = torch.from_numpy(gate).float()[plan]
    return preference, plan, gated(advantage, gates, kind=config.gate)


def _worst_for_missing(returns: Tensor) -> Tensor:
    """Plans that were not evaluated keep their seat and get their group's minimum, [groups, plans]."""
    missing = returns.isnan()
    worst = returns.masked_fill(missing, torch.inf).min(dim=1, keepdim=True).values
    worst = torch.where(worst.isinf(), torch.zeros_like(worst), worst)
    return torch.where(missing, worst, returns)


def _noise(config: SearchConfig, count: int, size: int, rng: np.random.Generator) -> Floats:
    """Standard normal noise, [count, size]; the second half mirrors the first for antithetic pairs."""
    if config.advantage != "leave-pair-out":
        return rng.standard_normal((count, size))
    half = rng.standard_normal((count // 2, size))
    return np.concatenate([half, -half])


def _distribution(
    policy: PlanPolicy, problem: Problem, preferences: Floats, budget: Floats
) -> PlanDistribution:
    context = make_context(np.tile(budget, (len(preferences), 1)), preferences)
    result: PlanDistribution = policy(torch.from_numpy(problem.state).float(), context)
    return result


def _select(distribution: PlanDistribution, rows: Tensor) -> PlanDistribution:
    return PlanDistribution(distribution.mean[rows], distribution.log_std[rows])
