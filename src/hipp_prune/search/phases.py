"""What several searchers do first: random plans, then plans that the surrogate believes in.

Both ask few questions a plan and many plans: for a regression the questions count, not how they are dealt out, and
more plans cover more of the space. Proposals that would break the model are dropped by their SynFlow gate, without a
forward pass.
"""

import numpy as np

from hipp_prune.objectives.returns import RunningNormaliser, compression_return
from hipp_prune.plans.preference import sample_preferences
from hipp_prune.search.archive import Evaluation, kept_matrix, objective_matrix
from hipp_prune.search.draws import draw_budget
from hipp_prune.search.session import Session, random_ratios
from hipp_prune.search.surrogate import Surrogate, best_ratios, fit_surrogate

WARM_UP = "warm-up"
"""What the archive calls the source of random plans."""
_UNSTABLE = "the stability gate turned away every plan that the surrogate proposed"
_CHUNK = 16
"""Plans that share a minibatch; the clock is read between two of them."""
_RANDOM_PLANS = 512
"""Plans whose predicted returns define σ."""
_PROPOSAL_NOISE = 0.3
"""Std of the noise on log ratios around the surrogate's optimum: it learns nothing from repeating itself."""


def warm_up(session: Session) -> list[Evaluation]:
    """Evaluates random plans with the first ``warm_up`` of the budget: one at least, unless there is no warm-up."""
    settings, space = session.settings, session.problem.space
    if not settings.warm_up:
        return []
    evaluations: list[Evaluation] = []
    number = 0
    while count := min(_CHUNK, _affordable(session, share=settings.warm_up, least=not evaluations)):
        kept = space.kept(random_ratios(session.problem, settings, count, session.rng(2, number)))
        evaluations += session.evaluate(kept, f"{WARM_UP}-{number}", WARM_UP, size=settings.probe_size)
        number += 1
    if evaluations:
        refit(session, evaluations)
        session.record(WARM_UP, evaluations, np.full((len(evaluations), 3), 1 / 3))
    return evaluations


def _affordable(session: Session, *, share: float, least: bool) -> int:
    """Plans that the first ``share`` of the budget buys; ``least``: one if all of it buys any."""
    size = session.settings.probe_size
    return session.affordable(size, share=share) or int(least and session.affordable(size) > 0)


def refit(session: Session, known: list[Evaluation]) -> Surrogate:
    """The surrogate of all that is known; its fit also sets the units in which a preference weighs objectives.

    σ is that of *predicted* returns over random plans: observed ones would carry the noise of few questions, which
    is no trade-off, and depend on what the search happened to evaluate.
    """
    settings, space = session.settings, session.problem.space
    surrogate = fit_surrogate(known, space)
    random = random_ratios(session.problem, settings, _RANDOM_PLANS, session.rng(1))
    seen = 1.0 - kept_matrix(known) / space.widths
    level = objective_matrix(known)[:, :2].mean(axis=0) + surrogate.damage(seen).mean(axis=0)
    compression = compression_return(space.saved(random), s_lo=settings.s_min, s_hi=settings.s_max)
    session.normaliser = RunningNormaliser(clip=settings.clip_returns)
    session.normaliser.update(
        np.concatenate([level - surrogate.damage(random), compression[:, None]], axis=1)
    )
    return surrogate


def propose(session: Session, known: list[Evaluation]) -> list[Evaluation]:
    """Evaluates the surrogate's best plans, refitting it ``rounds`` times, and returns all it knows then."""
    settings = session.settings
    for number in range(settings.rounds):
        share = settings.warm_up + settings.proposals * (number + 1) / settings.rounds
        known = known + _round(session, known, number, share)
    return known


def spend_rest(session: Session, known: list[Evaluation]) -> list[Evaluation]:
    """Proposes with what is left of the budget, if anything is, and returns all that is known then."""
    session.remainder = f"a plan is asked {session.settings.probe_size} questions, more than are left"
    number = session.settings.rounds
    while known and session.affordable(session.settings.probe_size):
        found = _round(session, known, number, 1.0)
        if not found:
            session.remainder = _UNSTABLE
            break
        known, number = known + found, number + 1
    return known


def _round(session: Session, known: list[Evaluation], number: int, share: float) -> list[Evaluation]:
    """One fit, and its best plans for random preferences and budgets, slightly perturbed."""
    settings, space = session.settings, session.problem.space
    if not known or not session.affordable(settings.probe_size, share=share):
        return []
    surrogate = refit(session, known)
    evaluations: list[Evaluation] = []
    drawn: list[np.ndarray] = []
    while count := min(_CHUNK, session.affordable(settings.probe_size, share=share)):
        rng = session.rng(3, number, len(drawn))
        preferences = sample_preferences(rng, count, anchor_fraction=settings.anchor_fraction)
        budget = np.stack([draw_budget(settings, rng) for _ in range(count)])
        ratios, sparsity = best_ratios(
            surrogate,
            space,
            preferences,
            budget,
            scale=session.normaliser.std,
            compression_range=(settings.s_min, settings.s_max),
        )
        noise = rng.normal(scale=_PROPOSAL_NOISE, size=ratios.shape)
        perturbed = space.ratios(np.log(np.maximum(ratios, 1e-3)) + noise, sparsity)
        kept = space.kept(perturbed)
        stable = session.gate(kept) >= settings.gate_floor
        if not stable.any():
            break
        evaluations += session.evaluate(
            kept[stable],
            f"surrogate-{number}-{len(drawn)}",
            "surrogate",
            size=settings.probe_size,
            draws=[{"preference": tuple(preference)} for preference in preferences[stable].tolist()],
        )
        drawn.append(preferences[stable])
    session.record("surrogate", evaluations, np.concatenate([np.empty((0, 3)), *drawn]))
    return evaluations
