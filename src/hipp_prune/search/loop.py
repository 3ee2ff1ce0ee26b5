"""The search: warm-up plans → surrogate proposals → cloned policy → plan-level GRPO on true evaluations.

The loop is deterministic given its settings and the values it is told, and every value is in the archive before
it is used. So an interrupted search needs no other state: started again, it replays what is paid for and goes on.
"""

import time
from dataclasses import dataclass, field

import numpy as np
import torch

from hipp_prune.allocation import Floats, Ints
from hipp_prune.objectives.returns import RunningNormaliser, compression_return
from hipp_prune.objectives.stability import StabilityBand, calibrate_band
from hipp_prune.policy.network import PlanPolicy
from hipp_prune.preference import sample_preferences
from hipp_prune.run import Progress
from hipp_prune.search.archive import Archive, Evaluation, objective_matrix
from hipp_prune.search.cloning import clone_policy
from hipp_prune.search.config import SearchConfig
from hipp_prune.search.draws import Draw, draw_budget, draw_plans, learn
from hipp_prune.search.problem import Problem
from hipp_prune.search.surrogate import best_ratios, fit_surrogate

_BAND_PLANS = 512
"""Random plans that calibrate the stability band; they cost no forward pass."""
_WARM_UP_MINIBATCHES = 4
_PROPOSAL_NOISE = 0.3
"""Std of the noise on log ratios around the surrogate's optimum: it learns nothing from repeating itself."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One line of the learning curve."""

    phase: str
    """``warm-up``, ``surrogate`` or ``policy``."""
    evaluations: int
    """Evaluations paid for so far."""
    mean_return: float
    """Mean scalar return of the phase's plans under the preferences they were drawn for, normalised units."""
    objectives: tuple[float, float, float]
    """Mean raw (R_rob, R_util, s)."""
    gate: float
    """Mean stability gate."""
    clipped: float
    """Fraction of policy ratios clipped in the last update."""
    kl: float
    """KL to the policy that drew the plans, after the last update."""


@dataclass(kw_only=True)
class _Session:
    """What the phases of one search share."""

    problem: Problem
    config: SearchConfig
    archive: Archive
    band: StabilityBand
    normaliser: RunningNormaliser
    progress: Progress | None
    curve: list[Step] = field(default_factory=list)
    spent: int = 0

    def rng(self, *key: int) -> np.random.Generator:
        """Randomness of one phase or step, independent of all others."""
        return np.random.default_rng([self.config.seed, *key])

    def evaluate(self, kept: Ints, minibatch: str, source: str, **draw: object) -> Evaluation:
        """The evaluation of a plan: looked up, or paid for and stored."""
        plan = tuple(int(count) for count in kept)
        known = self.archive.find(plan, minibatch)
        if known is None:
            start = time.perf_counter()
            robustness, utility = self.problem.evaluate(kept, minibatch)
            known = Evaluation(
                kept=plan,
                minibatch=minibatch,
                robustness=robustness,
                utility=utility,
                sparsity=float(self.problem.space.sparsity(kept)),
                source=source,
                seconds=time.perf_counter() - start,
                **draw,  # type: ignore[arg-type]
            )
            self.archive.add(known)
        self.spent += 1
        if self.progress:
            self.progress(min(self.spent, self.config.evaluations), self.config.evaluations)
        return known

    def returns(self, evaluations: list[Evaluation]) -> Floats:
        """Raw (R_rob, R_util, R_comp), [N, 3]."""
        table = objective_matrix(evaluations)
        table[:, 2] = compression_return(table[:, 2], s_lo=self.config.s_min, s_hi=self.config.s_max)
        return table

    def record(self, phase: str, evaluations: list[Evaluation], preferences: Floats, **extra: float) -> None:
        """Adds a line to the learning curve; a step whose plans were all too unstable to evaluate has none."""
        if not evaluations:
            return
        normalised = self.normaliser(self.returns(evaluations))
        self.curve.append(
            Step(
                phase=phase,
                evaluations=self.spent,
                mean_return=float((normalised * preferences).sum(axis=1).mean()),
                objectives=tuple(objective_matrix(evaluations).mean(axis=0).tolist()),
                gate=extra.get("gate", 1.0),
                clipped=extra.get("clipped", 0.0),
                kl=extra.get("kl", 0.0),
            )
        )


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """A trained policy and how it got there."""

    policy: PlanPolicy
    curve: tuple[Step, ...]
    scale: tuple[float, float, float]
    """σ of (R_rob, R_util, R_comp) at the end: the units in which a preference weighs objectives."""
    band: StabilityBand


def search(
    problem: Problem,
    config: SearchConfig,
    archive: Archive,
    *,
    progress: Progress | None = None,
) -> SearchResult:
    """Trains a preference-conditioned policy (Eq. 3) with at most ``config.evaluations`` evaluations.

    Args:
        problem: what is pruned, and what a plan costs.
        config: settings.
        archive: evaluations already paid for; new ones are added to it.
        progress: told (evaluations done, evaluations in all).
    """
    torch.manual_seed(config.seed)
    session = _Session(
        problem=problem,
        config=config,
        archive=archive,
        band=_calibrated_band(problem, config),
        normaliser=RunningNormaliser(clip=config.clip_returns),
        progress=progress,
    )
    policy = PlanPolicy(problem.state.shape[1])
    evaluations = _warm_up(session, round(config.evaluations * config.warm_up))
    proposals = min(round(config.evaluations * config.proposals), config.evaluations - session.spent)
    for number in range(config.rounds):
        share = proposals * (number + 1) // config.rounds - proposals * number // config.rounds
        evaluations += _propose(session, evaluations, number, share)
    if evaluations:
        surrogate = fit_surrogate(evaluations, problem.space)
        clone_policy(policy, surrogate, problem, config, scale=session.normaliser.std)
    optimiser = torch.optim.Adam(policy.parameters(), lr=config.learning_rate)
    steps = (config.evaluations - session.spent) // (config.groups * config.group)
    for number in range(steps):
        _grpo_step(session, policy, optimiser, number, steps)
    return SearchResult(
        policy=policy,
        curve=tuple(session.curve),
        scale=tuple(session.normaliser.std.tolist()),
        band=session.band,
    )


def random_ratios(problem: Problem, config: SearchConfig, count: int, rng: np.random.Generator) -> Floats:
    """Ratios [count, U] of plans with uniform sparsity and Dirichlet allocations from even to spiky."""
    sparsity = rng.uniform(config.s_min, config.s_max, size=count)
    sharpness = np.exp(rng.uniform(np.log(0.7), np.log(10.0), size=count))
    units = problem.space.num_units
    shares = np.stack([rng.dirichlet(np.full(units, concentration)) for concentration in sharpness])
    return problem.space.ratios(np.log(shares + 1e-12), sparsity)


def _calibrated_band(problem: Problem, config: SearchConfig) -> StabilityBand:
    ratios = random_ratios(problem, config, _BAND_PLANS, np.random.default_rng([config.seed, 1]))
    kept = problem.space.kept(ratios)
    return calibrate_band(
        problem.log_ratio(kept), problem.space.sparsity(kept), kind=config.band, gamma=config.gamma
    )


def _warm_up(session: _Session, count: int) -> list[Evaluation]:
    """Evaluates random plans on a few fixed minibatches: what the surrogate is first fitted to."""
    if not count:
        return []
    kept = session.problem.space.kept(random_ratios(session.problem, session.config, count, session.rng(2)))
    evaluations = [
        session.evaluate(plan, f"warm-up-{number % _WARM_UP_MINIBATCHES}", "warm-up")
        for number, plan in enumerate(kept)
    ]
    session.normaliser.update(session.returns(evaluations))
    session.record("warm-up", evaluations, np.full((count, 3), 1 / 3))
    return evaluations


def _propose(session: _Session, known: list[Evaluation], number: int, count: int) -> list[Evaluation]:
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
    evaluations = [
        session.evaluate(plan, f"surrogate-{number}", "surrogate", preference=tuple(preference.tolist()))
        for plan, preference in zip(space.kept(perturbed), preferences, strict=True)
    ]
    session.normaliser.update(session.returns(evaluations))
    session.record("surrogate", evaluations, preferences)
    return evaluations


def _grpo_step(
    session: _Session, policy: PlanPolicy, optimiser: torch.optim.Optimizer, number: int, steps: int
) -> None:
    """One step of Eq. 18: draw groups of plans, evaluate them on one minibatch, update the policy."""
    config, problem = session.config, session.problem
    draw = draw_plans(policy, problem, config, session.rng(4, number))
    widening = max(0.0, 1.0 - number / max(1.0, steps * config.annealing))
    gate = session.band.gate(problem.log_ratio(draw.kept), draw.sparsity, widening=widening)
    evaluations = [
        _evaluate_draw(session, draw, index, f"step-{number}")
        for index in np.flatnonzero(gate >= config.gate_floor).tolist()
    ]
    returns = np.full((len(draw.kept), 3), np.nan)
    returns[gate >= config.gate_floor] = session.returns(evaluations)
    session.normaliser.update(returns)
    update = learn(policy, optimiser, problem, config, draw, session.normaliser(returns), gate)
    session.record(
        "policy",
        evaluations,
        draw.preferences[draw.group[gate >= config.gate_floor]],
        gate=float(gate.mean()),
        clipped=update.clipped,
        kl=update.kl,
    )


def _evaluate_draw(session: _Session, draw: Draw, index: int, minibatch: str) -> Evaluation:
    """Evaluates one drawn plan and stores with it what relabelling needs: z, λ, the budget and log π_old."""
    return session.evaluate(
        draw.kept[index],
        minibatch,
        "policy",
        z=tuple(draw.z[index].tolist()),
        budget=tuple(draw.budget.tolist()),
        preference=tuple(draw.preferences[draw.group[index]].tolist()),
        log_prob=float(draw.log_prob[index]),
    )
