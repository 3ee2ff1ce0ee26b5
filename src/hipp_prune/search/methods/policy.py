"""Policies: warm-up plans → surrogate proposals → cloned policy → plan-level GRPO on true evaluations (Eq. 3, Eq. 18).

``hybrid`` runs all phases; ``grpo`` and ``grpo-paper`` only the last.
"""

from typing import Any

import numpy as np
import torch

from hipp_prune.policy.network import PlanPolicy
from hipp_prune.preference import sample_preferences
from hipp_prune.search.answers import PolicyAnswers
from hipp_prune.search.archive import Evaluation
from hipp_prune.search.cloning import clone_policy
from hipp_prune.search.draws import Draw, draw_budget, draw_plans, learn
from hipp_prune.search.session import Session, random_ratios
from hipp_prune.search.surrogate import best_ratios, fit_surrogate

_WARM_UP_MINIBATCHES = 4
_CHUNK = 8
"""Plans between two looks at the clock."""
_PROPOSAL_NOISE = 0.3
"""Std of the noise on log ratios around the surrogate's optimum: it learns nothing from repeating itself."""


def search_policy(session: Session) -> PolicyAnswers:
    """Trains a preference-conditioned policy until the budget is gone."""
    config, problem = session.config, session.problem
    torch.manual_seed(config.seed)
    policy = PlanPolicy(problem.state.shape[1])
    evaluations = _warm_up(session)
    for number in range(config.rounds):
        share = config.warm_up + config.proposals * (number + 1) / config.rounds
        evaluations += _propose(session, evaluations, number, session.affordable(share=share))
    if evaluations:
        surrogate = fit_surrogate(evaluations, problem.space)
        clone_policy(policy, surrogate, problem, config, scale=session.normaliser.std)
    optimiser = torch.optim.Adam(policy.parameters(), lr=config.learning_rate)
    before, number = session.used, 0
    while session.affordable() >= config.groups * config.group:
        done = (session.used - before) / max(1e-9, 1 - before)
        _grpo_step(session, policy, optimiser, number, done)
        number += 1
    return PolicyAnswers(policy=policy.eval(), state=problem.state, space=problem.space, config=config)


def _warm_up(session: Session) -> list[Evaluation]:
    """Evaluates random plans on a few fixed minibatches: what the surrogate is first fitted to."""
    evaluations: list[Evaluation] = []
    number = 0
    while count := min(_CHUNK, session.affordable(share=session.config.warm_up)):
        kept = session.problem.space.kept(
            random_ratios(session.problem, session.config, count, session.rng(2, number))
        )
        minibatch = f"warm-up-{number % _WARM_UP_MINIBATCHES}"
        evaluations += session.evaluate(kept, minibatch, "warm-up")
        number += 1
    session.normaliser.update(session.returns(evaluations))
    session.record("warm-up", evaluations, np.full((len(evaluations), 3), 1 / 3))
    return evaluations


def _propose(session: Session, known: list[Evaluation], number: int, count: int) -> list[Evaluation]:
    """Evaluates the surrogate's best plans for random preferences, slightly perturbed."""
    if not (count and known):
        return []
    config, space = session.config, session.problem.space
    rng = session.rng(3, number)
    preferences = sample_preferences(rng, count, anchor_fraction=config.anchor_fraction)
    budget = np.stack([draw_budget(config, rng) for _ in range(count)])
    ratios, sparsity = best_ratios(
        fit_surrogate(known, space),
        space,
        preferences,
        budget,
        scale=session.normaliser.std,
        compression_range=(config.s_min, config.s_max),
    )
    noise = rng.normal(scale=_PROPOSAL_NOISE, size=ratios.shape)
    perturbed = space.ratios(np.log(np.maximum(ratios, 1e-3)) + noise, sparsity)
    evaluations = session.evaluate(
        space.kept(perturbed),
        f"surrogate-{number}",
        "surrogate",
        draws=[{"preference": tuple(preference)} for preference in preferences.tolist()],
    )
    session.normaliser.update(session.returns(evaluations))
    session.record("surrogate", evaluations, preferences)
    return evaluations


def _grpo_step(
    session: Session, policy: PlanPolicy, optimiser: torch.optim.Optimizer, number: int, done: float
) -> None:
    """One step of Eq. 18: draw groups of plans, evaluate them on one minibatch, update the policy.

    Args:
        session: the search.
        policy: trained in place.
        optimiser: of its parameters.
        number: of the step.
        done: fraction of this phase that is over, in [0, 1]; the stability band narrows with it.
    """
    config, problem = session.config, session.problem
    draw = draw_plans(policy, problem, config, session.rng(4, number))
    widening = max(0.0, 1.0 - done / max(config.annealing, 1e-9))
    gate = session.band.gate(problem.log_ratio(draw.kept), draw.sparsity, widening=widening)
    stable = np.flatnonzero(gate >= config.gate_floor)
    evaluations = session.evaluate(
        draw.kept[stable],
        f"step-{number}",
        "policy",
        draws=[_as_stored(draw, index) for index in stable.tolist()],
    )
    returns = np.full((len(draw.kept), 3), np.nan)
    returns[stable] = session.returns(evaluations)
    session.normaliser.update(returns)
    update = learn(policy, optimiser, problem, config, draw, session.normaliser(returns), gate)
    session.record(
        "policy",
        evaluations,
        draw.preferences[draw.group[stable]],
        gate=float(gate.mean()),
        clipped=update.clipped,
        kl=update.kl,
    )


def _as_stored(draw: Draw, index: int) -> dict[str, Any]:
    """What relabelling needs of a drawn plan: z, λ, the budget and log π_old."""
    return {
        "z": tuple(draw.z[index].tolist()),
        "budget": tuple(draw.budget.tolist()),
        "preference": tuple(draw.preferences[draw.group[index]].tolist()),
        "log_prob": float(draw.log_prob[index]),
    }
