"""Policies: warm-up plans → surrogate proposals → its clone → plan-level GRPO on true evaluations (Eq. 3, Eq. 18).

``hybrid`` runs all phases; ``grpo`` and ``grpo-paper`` only the last.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from hipp_prune.plans.arrays import Floats
from hipp_prune.plans.preference import sample_preferences
from hipp_prune.search.actor import Actor
from hipp_prune.search.archive import Evaluation
from hipp_prune.search.cloning import Clone
from hipp_prune.search.draws import Draw, Lesson, draw_plans, learn
from hipp_prune.search.phases import propose, refit, spend_rest, warm_up
from hipp_prune.search.policy.network import PlanPolicy
from hipp_prune.search.session import Session
from hipp_prune.search.settings import SearchSettings
from hipp_prune.search.solutions import PolicySolution

_LOG_STD = -0.7
"""Initial log σ of a policy that knows nothing."""
_CLONE_LOG_STD = -1.5
"""Initial log σ around a surrogate's solution: GRPO explores near it instead of starting over."""
_FEWEST = 4
"""Plans of the smallest group that has an advantage."""
_VIRTUAL_GROUP = 16
"""Plans a group that only the surrogate judges, each step: they cost nothing."""


@dataclass(frozen=True, kw_only=True)
class Learner:
    """An actor in training."""

    actor: Actor
    optimiser: torch.optim.Optimizer

    @classmethod
    def of(cls, session: Session, *, log_std: float = _LOG_STD) -> "Learner":
        """An untrained actor with this initial log σ."""
        problem, settings = session.problem, session.settings
        network = PlanPolicy(problem.state.shape[1], log_std=log_std)
        return cls(
            actor=Actor(network=network, state=problem.state, settings=settings),
            optimiser=torch.optim.Adam(network.parameters(), lr=settings.learning_rate),
        )

    def answers(self, session: Session) -> PolicySolution:
        """What the trained actor answers."""
        actor = self.actor
        return PolicySolution(
            policy=actor.network.eval(),
            state=actor.state,
            space=session.problem.space,
            settings=actor.settings,
            clone=actor.clone,
        )


def train_policy(session: Session) -> PolicySolution:
    """Trains a preference-conditioned policy until the budget is gone.

    A surrogate goes on learning from the policy's plans: it is refitted after every step, and the policy with it.
    """
    settings = session.settings
    torch.manual_seed(settings.seed)
    known = propose(session, warm_up(session))
    learner = Learner.of(session, log_std=_CLONE_LOG_STD if known else _LOG_STD)
    learner.actor.clone = _clone(session, known)
    before = session.used
    for number in range(most_steps(settings)):
        if (seats := next_seats(session)) is None:
            break
        preferences = sample_preferences(
            session.rng(5, number), seats.groups, anchor_fraction=settings.anchor_fraction
        )
        done = (session.used - before) / max(1e-9, 1 - before)
        found = step(session, learner, number, preferences=preferences, done=done, group=seats.group)
        if known:
            known = known + found
            learner.actor.clone = _clone(session, known)
    if known and session.affordable(settings.probe_size):
        known = spend_rest(session, known)
        learner.actor.clone = _clone(session, known)
    return learner.answers(session)


def _clone(session: Session, known: list[Evaluation]) -> Clone | None:
    """The solutions of a surrogate fitted to all that is known; none where nothing is."""
    if not known:
        return None
    surrogate = refit(session, known)  # which also sets the scale
    return Clone(
        surrogate=surrogate,
        scale=session.normaliser.std,
        space=session.problem.space,
        settings=session.settings,
    )


def most_steps(settings: SearchSettings) -> int:
    """Steps that the budget allows if every seat is evaluated, and a last, smaller one; unstable plans cost nothing."""
    return 1 + settings.most_evaluations * settings.minibatch // (
        settings.groups * settings.group * settings.probe_size
    )


@dataclass(frozen=True)
class Seats:
    """How many plans a step draws: ``groups`` preferences with ``group`` plans each."""

    groups: int
    group: int


def next_seats(session: Session) -> Seats | None:
    """The configured step, or the largest that the rest of the budget buys; None where it buys no group."""
    settings = session.settings
    left = session.affordable(settings.probe_size)
    session.remainder = (
        f"a step compares at least {_FEWEST} plans of {settings.probe_size} questions"
        if left < _FEWEST
        else "the stability gate turned away most plans that the policy drew"
    )
    if left >= settings.groups * settings.group:
        return Seats(settings.groups, settings.group)
    for seats in range(left - left % 2, _FEWEST - 1, -2):
        for groups in range(settings.groups, 0, -1):
            if seats % (2 * groups) == 0 and seats // groups >= _FEWEST:
                return Seats(groups, seats // groups)
    return None


def step(
    session: Session, learner: Learner, number: int, *, preferences: Floats, done: float, group: int
) -> list[Evaluation]:
    """One step of Eq. 18: draw a group of plans a preference, evaluate them on one minibatch, update the policy.

    With a clone its surrogate is a control variate: the evaluated plans teach only what it mispredicts, and many
    plans that are not evaluated teach what it predicts. The expected gradient is the same, since the surrogate was
    fitted before these plans were drawn; its noise is that of the mispredictions.

    Args:
        session: the search.
        learner: trained in place.
        number: of the step.
        preferences: λ of each group, [P, 3].
        done: fraction of this phase that is over, in [0, 1]; the stability band narrows with it.
        group: plans a preference: even, ≥ 4.

    Returns:
        The evaluations of the plans stable enough to be evaluated.
    """
    settings, space, actor = session.settings, session.problem.space, learner.actor
    draw = draw_plans(actor, space, replace(settings, group=group), preferences, session.rng(4, number))
    widening = max(0.0, 1.0 - done / max(settings.annealing, 1e-9))
    gate = session.gate(draw.kept, widening=widening)
    stable = np.flatnonzero(gate >= settings.gate_floor)
    evaluations = session.evaluate(
        draw.kept[stable],
        f"step-{number}",
        "policy",
        size=settings.probe_size,
        draws=[_as_stored(draw, index) for index in stable.tolist()],
    )
    returns = np.full((len(draw.kept), 3), np.nan)
    returns[stable] = session.returns(evaluations)
    if actor.clone is None:
        session.normaliser.update(returns)
    objectives = session.normaliser(returns)
    lessons = [Lesson(draw=draw, objectives=objectives, gate=gate)]
    if actor.clone is not None:
        virtual = draw_plans(
            actor, space, replace(settings, group=_VIRTUAL_GROUP), preferences, session.rng(6, number)
        )
        lessons = [
            Lesson(draw=draw, objectives=objectives - actor.clone.predicted(draw.kept), gate=gate),
            Lesson(
                draw=virtual,
                objectives=actor.clone.predicted(virtual.kept),
                gate=np.ones(len(virtual.kept)),
            ),
        ]
    update = learn(actor, learner.optimiser, settings, lessons)
    session.record(
        "policy",
        evaluations,
        draw.preferences[draw.group[stable]],
        gate=float(gate.mean()),
        clipped=update.clipped,
        kl=update.kl,
    )
    return evaluations


def _as_stored(draw: Draw, index: int) -> dict[str, Any]:
    """What relabelling needs of a drawn plan: z, λ, the budget and log π_old."""
    return {
        "z": tuple(draw.z[index].tolist()),
        "budget": tuple(draw.budget.tolist()),
        "preference": tuple(draw.preferences[draw.group[index]].tolist()),
        "log_prob": float(draw.log_prob[index]),
    }
