"""One GRPO step's plans: drawing them in antithetic groups, and what the policy learns from them.

N = P · G plans a step, P preferences and G plans a group. Plan n belongs to group n mod P, and plan n + N/2 was
drawn with the opposite noise, so halves of the step *and* of every group are antithetic.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from hipp_prune.plans.arrays import Floats, Ints
from hipp_prune.plans.space import PlanSpace
from hipp_prune.search.actor import Actor
from hipp_prune.search.policy.action import decode_actions
from hipp_prune.search.policy.grpo import PolicyLoss, advantages, gated, policy_loss, scalarise
from hipp_prune.search.policy.network import PlanDistribution
from hipp_prune.search.settings import SearchSettings


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
    """Raw actions, [N, 1 + U]; flat: [N, U]."""
    log_prob: Tensor
    """log π_old(z | λ) of each plan under its own preference, [N]."""
    kept: Ints
    """Decoded plans, [N, U]."""


def draw_budget(settings: SearchSettings, rng: np.random.Generator) -> Floats:
    """A budget interval (s_min, s_max), [2]: the whole range, a part of it, or a single point, equally often."""
    low, high = np.sort(rng.uniform(settings.s_min, settings.s_max, size=2))
    kind = rng.integers(3)
    if kind == 0 or not settings.intervals:
        return np.array([settings.s_min, settings.s_max])
    return np.array([low, high]) if kind == 1 else np.array([low, low])


def draw_plans(
    actor: Actor, space: PlanSpace, settings: SearchSettings, preferences: Floats, rng: np.random.Generator
) -> Draw:
    """Draws a group of G plans for each preference [P, 3] from the current policy, one budget interval for all.

    Args:
        actor: the policy, and the clone it corrects.
        space: units and box.
        settings: of the search; ``group`` is G.
        preferences: λ, [P, 3].
        rng: makes every draw.
    """
    budget = draw_budget(settings, rng)
    groups = len(preferences)
    count = groups * settings.group
    group = np.arange(count) % groups
    with torch.no_grad():
        of_group = actor.distribution(preferences, np.tile(budget, (groups, 1)))
        own = _select(of_group, torch.from_numpy(group))
        noise = _noise(settings, count, own.mean.shape[1], rng)
        z = own.sample(torch.from_numpy(noise).float())
        log_prob = own.log_prob(z)
    plans = decode_actions(
        z.double().numpy(),
        np.tile(budget, (count, 1)),
        space,
        rule=settings.allocation,
        kappa=settings.kappa,
    )
    return Draw(
        preferences=preferences,
        budget=budget,
        group=group,
        z=z,
        log_prob=log_prob,
        kept=plans.kept,
    )


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """Plans of one step and what is known of them."""

    draw: Draw
    objectives: Floats
    """Normalised R̃ of each plan, [N, 3]; NaN for plans that were not evaluated."""
    gate: Floats
    """g of each plan, [N]."""


def learn(
    actor: Actor, optimiser: torch.optim.Optimizer, settings: SearchSettings, lessons: Sequence[Lesson]
) -> PolicyLoss:
    """Updates the policy on the sum of its lessons' losses (Eq. 16–18).

    Args:
        actor: trained in place.
        optimiser: of its network's parameters.
        settings: settings.
        lessons: on-policy plans; with a control variate the first holds what the surrogate mispredicts on evaluated
            plans, the second what it predicts on many plans that were not evaluated.

    Returns:
        The first lesson's loss in the last inner epoch.
    """
    prepared = []
    for lesson in lessons:
        preference, plan, signal = training_pairs(settings, lesson)
        with torch.no_grad():
            old = _select(_of_groups(actor, lesson.draw), preference)
        prepared.append((lesson.draw, preference, plan, signal, old))
    for _ in range(settings.inner_epochs):
        updates = [
            policy_loss(
                _select(_of_groups(actor, draw), preference),
                old,
                draw.z[plan],
                signal,
                clip=settings.clip,
                budget_entropy=settings.budget_entropy,
                allocation_entropy=settings.allocation_entropy,
                kl_weight=settings.kl_weight,
                old_log_prob=draw.log_prob[plan],
            )
            for draw, preference, plan, signal, old in prepared
        ]
        optimiser.zero_grad()
        torch.stack([update.loss for update in updates]).sum().backward()
        torch.nn.utils.clip_grad_norm_(actor.network.parameters(), 1.0)
        optimiser.step()
    return updates[0]


def training_pairs(settings: SearchSettings, lesson: Lesson) -> tuple[Tensor, Tensor, Tensor]:
    """Which plan teaches which preference, and with what gated advantage.

    Without relabelling a plan teaches the preference it was drawn for and is compared within its group; with
    it, every plan teaches every preference of the step and is compared with all plans of the step.

    Returns:
        Preference index, plan index and signal of each pair, each [M].
    """
    draw = lesson.draw
    count, groups = len(draw.kept), len(draw.preferences)
    values = torch.from_numpy(lesson.objectives).float()
    weights = torch.from_numpy(draw.preferences).float()
    scalar = scalarise(values[None], weights[:, None])
    if settings.relabel:
        preference = torch.arange(groups).repeat_interleave(count)
        plan = torch.arange(count).repeat(groups)
    else:
        plan = torch.arange(count).view(-1, groups).T.flatten()
        preference = torch.arange(groups).repeat_interleave(count // groups)
    compared = _worst_for_missing(scalar[preference, plan].view(groups, -1))
    advantage = advantages(compared, kind=settings.advantage).flatten()
    gates = torch.from_numpy(lesson.gate).float()[plan]
    return preference, plan, gated(advantage, gates, kind=settings.gate)


def _worst_for_missing(returns: Tensor) -> Tensor:
    """Plans that were not evaluated keep their seat and get their group's minimum, [groups, plans]."""
    missing = returns.isnan()
    worst = returns.masked_fill(missing, torch.inf).min(dim=1, keepdim=True).values
    worst = torch.where(worst.isinf(), torch.zeros_like(worst), worst)
    return torch.where(missing, worst, returns)


def _noise(settings: SearchSettings, count: int, size: int, rng: np.random.Generator) -> Floats:
    """Standard normal noise, [count, size]; the second half mirrors the first for antithetic pairs."""
    if settings.advantage != "leave-pair-out":
        return rng.standard_normal((count, size))
    half = rng.standard_normal((count // 2, size))
    return np.concatenate([half, -half])


def _of_groups(actor: Actor, draw: Draw) -> PlanDistribution:
    """The actor's present distribution for each group of a draw."""
    return actor.distribution(draw.preferences, np.tile(draw.budget, (len(draw.preferences), 1)))


def _select(distribution: PlanDistribution, rows: Tensor) -> PlanDistribution:
    return replace(distribution, mean=distribution.mean[rows], log_std=distribution.log_std[rows])
