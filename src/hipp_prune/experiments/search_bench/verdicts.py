"""Who searches best: the stored cells of a benchmark, measured against each other.

Everything is computed anew from the cells: the best known plan, and with it every regret, changes with each of them.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hipp_prune.experiments.search_bench.arenas import JudgedPlan, Reference
from hipp_prune.experiments.search_bench.fronts import (
    best_values,
    hypervolume,
    igd_plus,
    lattice,
    paired_interval,
    query_regret,
    union_front,
)
from hipp_prune.experiments.search_bench.trials import SearchTrial, TrialResult
from hipp_prune.plans.arrays import Floats
from hipp_prune.search.methods import METHODS

Standing = Literal["ahead", "tied", "behind"]
Measure = Literal["regret", "hypervolume", "return_hypervolume", "igd_plus"]

MEASURES: Mapping[Measure, str] = {
    "regret": "query regret",
    "hypervolume": "hypervolume of accuracies",
    "return_hypervolume": "hypervolume of returns",
    "igd_plus": "IGD+ of returns",
}
"""What is measured of a search; of hypervolumes more is better, of the others less."""

_BALANCED_CHANCE = 0.5
_POOR = 0.1
"""Share of random plans whose returns are too low to count; near the median, noise would decide."""


@dataclass(frozen=True, kw_only=True)
class TrialScore:
    """What one search achieved."""

    cell: SearchTrial
    regret: float
    """Mean shortfall of an answer against the best known plan, in σ of the scalarised objectives, ≥ 0."""
    hypervolume: float
    """Of (POPE balanced accuracy, multiple-choice accuracy, sparsity), in [0, 1]."""
    return_hypervolume: float
    """Of (R_rob, R_util, sparsity), in [0, 1]."""
    igd_plus: float
    """Of (R_rob, R_util, sparsity) against the front of all plans known, in units of the hypervolume's box, ≥ 0."""
    seconds: float
    evaluations: float

    def value(self, measure: Measure) -> float:
        """One of the measures."""
        return float(getattr(self, measure))


def score_trials(results: Sequence[TrialResult], references: Mapping[str, Reference]) -> list[TrialScore]:
    """Scores of all cells; the best known plans are the best of all that any of them, or the reference, has shown."""
    preferences = lattice()
    by_arena: dict[str, list[TrialResult]] = defaultdict(list)
    for result in results:
        by_arena[result.arena].append(result)
    scores = []
    for arena, group in by_arena.items():
        reference = references[arena]
        known = [*reference.random, *reference.optima, *(plan for result in group for plan in result.plans)]
        best = best_values(reference.objectives(known), preferences)
        front = union_front(_table(known, "robustness", "utility"))
        scores += [_score(result, reference, best, front, preferences) for result in group]
    return scores


def _score(
    result: TrialResult, reference: Reference, best: Floats, front: Floats, preferences: Floats
) -> TrialScore:
    accuracies = np.array([(*plan.accuracies, plan.sparsity) for plan in result.plans])
    returns = _table(result.plans, "robustness", "utility")
    poor = np.quantile(_table(reference.random, "robustness", "utility"), _POOR, axis=0)
    dense = reference.dense
    low = np.array([*poor[:2], reference.s_min])
    high = np.array([dense.robustness, dense.utility, reference.s_max])
    return TrialScore(
        cell=result.cell,
        regret=query_regret(reference.objectives(result.judged), preferences, best),
        hypervolume=hypervolume(
            accuracies,
            np.array([_BALANCED_CHANCE, reference.chance, reference.s_min]),
            np.array([*dense.accuracies, reference.s_max]),
        ),
        return_hypervolume=hypervolume(returns, low, high),
        igd_plus=igd_plus(returns, front, low, high),
        seconds=result.seconds,
        evaluations=result.evaluations,
    )


def _table(plans: Sequence[JudgedPlan], *names: str) -> Floats:
    """These values and the sparsity of plans, [N, 3]."""
    return np.array([[getattr(plan, name) for name in (*names, "sparsity")] for plan in plans])


@dataclass(frozen=True, kw_only=True)
class Entrant:
    """A method at a budget on a problem, over seeds."""

    problem: str
    budget: int
    method: str
    scores: tuple[TrialScore, ...]
    """One a seed, by seed."""

    def values(self, measure: Measure) -> Floats:
        """The measure of each seed, [seeds]."""
        return np.array([score.value(measure) for score in self.scores])

    def median(self, measure: Measure) -> float:
        """Median of the measure over seeds."""
        return float(np.median(self.values(measure)))


def entries(scores: Sequence[TrialScore]) -> list[Entrant]:
    """Scores by problem, budget and method, in this order."""
    groups: dict[tuple[str, int, str], list[TrialScore]] = defaultdict(list)
    for score in scores:
        groups[score.cell.problem, score.cell.budget, score.cell.method].append(score)
    methods: tuple[str, ...] = METHODS
    ordered = sorted(groups.items(), key=lambda item: (*item[0][:2], methods.index(item[0][2])))
    return [
        Entrant(
            problem=problem,
            budget=budget,
            method=method,
            scores=tuple(sorted(group, key=lambda score: score.cell.seed)),
        )
        for (problem, budget, method), group in ordered
    ]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How one entry compares with a rival on the seeds that both have."""

    problem: str
    measure: Measure
    entry: Entrant
    rival: Entrant
    gain: float
    """Mean advantage of the entry over the rival, positive where the entry is better."""
    interval: tuple[float, float] | None
    """Its paired bootstrap 95% interval over seeds; None for one seed."""
    pairs: int
    """Seeds that both have."""

    @property
    def has_better_median(self) -> bool:
        """Whether the entry's median over its seeds is at least as good as the rival's."""
        return _sign(self.measure) * (self.entry.median(self.measure) - self.rival.median(self.measure)) >= 0

    @property
    def word(self) -> Standing:
        """``tied`` where the interval holds zero, otherwise ``ahead`` or ``behind``."""
        if self.interval is not None and self.interval[0] <= 0 <= self.interval[1]:
            return "tied"
        return "ahead" if self.gain >= 0 else "behind"


def judge(entry: Entrant, rival: Entrant, measure: Measure) -> Verdict:
    """An entry against another on the same problem."""
    ours = {score.cell.seed: score.value(measure) for score in entry.scores}
    theirs = {score.cell.seed: score.value(measure) for score in rival.scores}
    shared = sorted(ours.keys() & theirs.keys())
    gains = [_sign(measure) * (ours[seed] - theirs[seed]) for seed in shared]
    return Verdict(
        problem=entry.problem,
        measure=measure,
        entry=entry,
        rival=rival,
        gain=float(np.mean(gains)) if gains else float("nan"),
        interval=paired_interval(gains),
        pairs=len(gains),
    )


def verdicts(table: Sequence[Entrant], measure: Measure, *, champion: str = "hybrid") -> list[Verdict]:
    """The champion against the best of the others, at every budget of every problem where both took part."""
    found = []
    for entry in table:
        rivals = [
            other
            for other in table
            if (other.problem, other.budget) == (entry.problem, entry.budget) and other.method != champion
        ]
        if entry.method == champion and rivals:
            best = max(rivals, key=lambda rival: _sign(measure) * rival.median(measure))
            found.append(judge(entry, best, measure))
    return found


def duels(
    table: Sequence[Entrant], measure: Measure, ours: tuple[str, int], theirs: tuple[str, int]
) -> list[Verdict]:
    """One (method, budget) against another on every problem where both took part.

    Args:
        table: everyone's scores.
        measure: by which they are compared.
        ours: method and evaluations of one side.
        theirs: method and evaluations of the other.
    """
    by_key = {(entry.problem, (entry.method, entry.budget)): entry for entry in table}
    return [
        judge(by_key[problem, ours], by_key[problem, theirs], measure)
        for problem in dict.fromkeys(entry.problem for entry in table)
        if (problem, ours) in by_key and (problem, theirs) in by_key
    ]


def _sign(measure: Measure) -> int:
    return -1 if measure in ("regret", "igd_plus") else 1
