"""Plan-level GRPO: advantages and the gated, clipped objective (Eq. 16–18). Pure functions on tensors.

G plans a group; with antithetic pairs, plan i and plan i + G/2 were drawn with ±ε.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from hipp_prune.plans.arrays import Float
from hipp_prune.search.policy.network import PlanDistribution
from hipp_prune.search.policy.variants import AdvantageKind, GateKind


def scalarise(
    objectives: Float[Tensor, "*#plans 3"], preferences: Float[Tensor, "*#plans 3"]
) -> Float[Tensor, "*plans"]:
    """Eq. 16: R = Σ_k λ_k R̃_k over the last axis, for normalised objectives [..., 3] and λ [..., 3]."""
    return (objectives * preferences).sum(dim=-1)


def advantages(
    returns: Float[Tensor, "*groups plans"], *, kind: AdvantageKind, epsilon: float = 1e-6
) -> Float[Tensor, "*groups plans"]:
    """Eq. 17: group-relative advantages, [..., G]; each group's sum to zero.

    ``leave-one-out`` compares a plan with the mean of the *other* plans, so the baseline is independent of the
    plan. With antithetic pairs a plan's partner depends on it, so ``leave-pair-out`` leaves out both.

    Args:
        returns: scalar returns of the plans of each group, [..., G].
        kind: which baseline.
        epsilon: guards ``paper``'s division.
    """
    size = returns.shape[-1]
    centred = returns - returns.mean(dim=-1, keepdim=True)
    if kind == "paper":
        return centred / (returns.std(dim=-1, keepdim=True) + epsilon)
    if kind == "leave-one-out":
        return centred * size / (size - 1)
    partner = returns.roll(size // 2, dims=-1)
    others = (returns.sum(dim=-1, keepdim=True) - returns - partner) / (size - 2)
    return returns - others


def gated(
    advantage: Float[Tensor, "*plans"], gate: Float[Tensor, "*plans"], *, kind: GateKind
) -> Float[Tensor, "*plans"]:
    """Eq. 15 applied: g·A for positive A (default), for all A (``paper``), or A untouched.

    Gating negative advantages would delete the lesson of a collapsed plan: that it was bad.
    """
    if kind == "off":
        return advantage
    if kind == "all":
        return gate * advantage
    return torch.where(advantage > 0, gate * advantage, advantage)


@dataclass(frozen=True)
class PolicyLoss:
    """Eq. 18 with the sign of a loss, and what to watch of it."""

    loss: Float[Tensor, ""]
    """−J of Eq. 18, to be minimised."""
    kl: float
    """Mean KL(π_θ ‖ π_old) over the plans."""
    clipped: float
    """Fraction of plans whose ratio was clipped, in [0, 1]."""


def policy_loss(
    new: PlanDistribution,
    old: PlanDistribution,
    z: Float[Tensor, "plans entries"],
    weighted_advantage: Float[Tensor, "plans"],
    *,
    clip: float | None = 0.05,
    budget_entropy: float = 0.0,
    allocation_entropy: float = 0.0,
    kl_weight: float = 0.0,
    old_log_prob: Float[Tensor, "plans"] | None = None,
) -> PolicyLoss:
    """Eq. 18: −(mean of min(ρA, clip(ρ, 1 ± ε)A) + c_u H_u + c_a H_a − β_KL KL).

    The clip acts on the *dimension-averaged* ratio ρ̄ = exp((log π_θ − log π_old)/D), D = 1 + U, because with
    dozens of dimensions the plain ratio explodes; D·ρ̄ has the plain ratio's gradient at π_θ = π_old.

    Args:
        new: π_θ(·|S, λ) for each action, with gradient.
        old: π_old(·|S, λ) for each action (the KL's reference).
        z: raw actions, [N, 1 + U].
        weighted_advantage: gated advantages, [N], no gradient.
        clip: ε in units of the averaged ratio; ``None`` for the paper's A·log π.
        budget_entropy: c_u ≥ 0.
        allocation_entropy: c_a ≥ 0.
        kl_weight: β_KL ≥ 0.
        old_log_prob: log-probability under the distribution that *drew* z, [N]; that of ``old`` by default.
            It differs for plans relabelled to another preference.
    """
    log_prob = new.log_prob(z)
    reference = (old.log_prob(z) if old_log_prob is None else old_log_prob).detach()
    clipped = torch.zeros(())
    if clip is None:
        gain = weighted_advantage * log_prob
    else:
        dimensions = z.shape[1]
        ratio = ((log_prob - reference) / dimensions).exp()
        bounded = ratio.clamp(1 - clip, 1 + clip)
        gain = dimensions * torch.minimum(ratio * weighted_advantage, bounded * weighted_advantage)
        clipped = (ratio != bounded).float().mean()
    entropy_u, entropy_a = new.entropies()
    kl = new.kl_to(old)
    bonus = budget_entropy * entropy_u + allocation_entropy * entropy_a - kl_weight * kl
    return PolicyLoss(-(gain + bonus).mean(), float(kl.detach().mean()), float(clipped))


def relabelling_ratio(
    log_prob: Float[Tensor, "plans"], drawn_log_prob: Float[Tensor, "plans"]
) -> Float[Tensor, "plans"]:
    """ρ = π_θ(z | λ') / π_old(z | λ) of plans drawn for λ and reused for λ', [N].

    Objective vectors do not depend on λ, so E_{z ~ π_old(·|λ)}[ρ f(z)] = E_{z ~ π_θ(·|λ')}[f(z)]: unclipped
    relabelling is unbiased.
    """
    return (log_prob - drawn_log_prob).exp()
