"""What every searcher shares: paying for evaluations, the budget, and the learning curve.

A search is deterministic given its settings and the values it is told, and every value is in the archive before it is
used. So an interrupted search needs no other state: started again, it replays what is paid for and goes on.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from hipp_prune import distributed
from hipp_prune.files.progress import Progress
from hipp_prune.files.watching import watch
from hipp_prune.objectives.band import StabilityBand, calibrate_band
from hipp_prune.objectives.returns import PlanScores, RunningNormaliser, compression_return
from hipp_prune.plans.arrays import Floats, Ints
from hipp_prune.search.archive import Archive, Evaluation, objective_matrix
from hipp_prune.search.problem import Problem
from hipp_prune.search.settings import SearchSettings

_BAND_PLANS = 512
"""Random plans that calibrate the stability band; they cost no forward pass."""
_PLANS_A_ROUND = 4
"""Plans a worker evaluates between two exchanges: more, and workers wait less for the slowest of them; fewer, and less
is lost when one dies."""
_MOST_REPEATS = 20
"""Rounds in a row that may propose nothing but plans already asked the same questions; then no plan is left to try."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One line of the learning curve."""

    phase: str
    """What proposed the plans, e.g. ``warm-up``, ``surrogate`` or ``policy``."""
    evaluations: int
    """Evaluations of a whole minibatch paid for so far."""
    mean_return: float
    """Mean scalar return of the phase's plans under the preferences they were drawn for, normalised units."""
    objectives: tuple[float, float, float]
    """Mean raw (R_rob, R_util, s)."""
    gate: float
    """Mean stability gate of the step's plans, in [0, 1]."""
    clipped: float
    """Fraction of policy ratios clipped in the last update."""
    kl: float
    """KL to the policy that drew the plans, after the last update."""


@dataclass(kw_only=True)
class Session:
    """One search under way."""

    problem: Problem
    settings: SearchSettings
    archive: Archive
    progress: Progress | None = None
    curve: list[Step] = field(default_factory=list)
    asked: int = 0
    """Questions asked so far, over all evaluations: what a search pays with. Asking a plan again costs nothing."""
    seconds: float = 0.0
    """Seconds the evaluations took, those of an earlier, interrupted run included."""
    normaliser: RunningNormaliser = field(init=False)
    remainder: str = "the method proposed no more plans"
    """Why a method that is done has evaluations left, should it have any."""
    repeats: int = 0
    """Rounds in a row that proposed nothing new."""
    _bought: set[tuple[tuple[int, ...], str]] = field(default_factory=set)
    """Plan and minibatch of every evaluation so far."""

    def __post_init__(self) -> None:
        self.normaliser = RunningNormaliser(clip=self.settings.clip_returns)

    @cached_property
    def band(self) -> StabilityBand:
        """The stability band of random plans (Eq. 14)."""
        ratios = random_ratios(self.problem, self.settings, _BAND_PLANS, self.rng(1))
        kept = self.problem.space.kept(ratios)
        return calibrate_band(
            self.log_ratio(kept),
            self.problem.space.sparsity(kept),
            kind=self.settings.band,
            gamma=self.settings.gamma,
        )

    def log_ratio(self, kept: Ints) -> Floats:
        """ℓ of kept counts [P, U] (Eq. 13), computed by the first worker and broadcast, [P]."""
        return np.array(distributed.once(lambda: self.problem.log_ratio(kept).tolist()))

    def gate(self, kept: Ints, *, widening: float = 0.0) -> Floats:
        """g of kept counts [P, U] (Eq. 15), [P]; see ``StabilityBand.gate``."""
        return self.band.gate(self.log_ratio(kept), self.problem.space.sparsity(kept), widening=widening)

    @property
    def spent(self) -> float:
        """Evaluations paid for, in units of a whole minibatch."""
        return self.asked / self.settings.minibatch

    @property
    def used(self) -> float:
        """Fraction of the budget that is gone: of evaluations, or of minutes where those are limited."""
        minutes = self.settings.minutes
        timed = 0.0 if minutes is None else self.seconds / (60 * minutes)
        return max(self.spent / self.settings.most_evaluations, timed)

    def affordable(self, size: int | None = None, *, share: float = 1.0) -> int:
        """How many more evaluations of ``size`` questions fit into the first ``share`` of the budget; ≥ 0."""
        if self.used >= share or self.repeats >= _MOST_REPEATS:
            return 0
        questions = share * self.settings.most_evaluations * self.settings.minibatch - self.asked
        return max(0, int((questions + 1e-6) // (size or self.settings.minibatch)))

    @property
    def unspent(self) -> str | None:
        """One sentence for a search that is over: why it did not spend all its evaluations; None where it did."""
        settings = self.settings
        if settings.evaluations is None or self.spent >= settings.evaluations - 1e-9:
            return None
        if self.used >= 1:
            reason = f"the {settings.minutes:g} minutes are over"
        elif self.repeats >= _MOST_REPEATS:
            reason = (
                f"{self.repeats} rounds in a row proposed only plans that had been asked the same questions"
            )
        else:
            reason = self.remainder
        return f"the search spent {self.spent:.4g} of {settings.evaluations} evaluations: {reason}"

    def rng(self, *key: int) -> np.random.Generator:
        """Randomness of one phase or step, independent of all others."""
        return np.random.default_rng([self.settings.seed, *key])

    def evaluate(
        self,
        kept: Ints,
        minibatch: str,
        source: str,
        *,
        size: int | None = None,
        draws: Sequence[dict[str, Any]] | None = None,
    ) -> list[Evaluation]:
        """The evaluations of plans [P, U] on one minibatch: looked up, or paid for and stored.

        Args:
            kept: kept counts of each plan.
            minibatch: name of the questions; plans are comparable within one.
            source: what proposed the plans.
            size: questions of the minibatch; the configured number by default.
            draws: of each plan, what else the archive is to keep: z, budget, preference, log_prob.
        """
        size = size or self.settings.minibatch
        plans = [tuple(int(count) for count in plan) for plan in kept]
        proposal = json.dumps([plans, minibatch, size, draws])
        distributed.agree(f"the plans of {minibatch}", proposal.encode())
        missing = [plan for plan in dict.fromkeys(plans) if self.archive.find(plan, minibatch) is None]
        if missing:
            self._tell()
        bought_seconds = 0.0
        paid = enumerate(zip(missing, self._pay(missing, minibatch, size), strict=True), start=1)
        for number, (plan, (scores, seconds)) in paid:
            bought_seconds += seconds
            extra = {} if draws is None else draws[plans.index(plan)]
            self.archive.add(
                Evaluation(
                    kept=plan,
                    minibatch=minibatch,
                    questions=size,
                    sparsity=float(self.problem.space.sparsity(np.array(plan))),
                    source=source,
                    seconds=seconds,
                    compensation=self.settings.mode(has_grams=False),
                    **asdict(scores),
                    **extra,
                )
            )
            self._tell(size * number, bought_seconds)
            told = {"robustness": scores.robustness, "utility": scores.utility, "seconds": seconds}
            self._watch("plan", len(self.archive), {**told, **scores.accuracies})
        found = [self.archive.find(plan, minibatch) for plan in plans]
        evaluations = [evaluation for evaluation in found if evaluation is not None]
        bought = {each.key: each.seconds for each in evaluations if each.key not in self._bought}
        self._bought.update(bought)
        self.asked += size * len(bought)
        self.seconds += sum(bought.values())
        self.repeats = self.repeats + 1 if plans and not bought else 0
        return evaluations

    def _tell(self, questions: int = 0, seconds: float = 0.0) -> None:
        """Says how far the search has got, with what is being paid for: questions asked and the seconds they took."""
        if self.progress:
            total, minutes = self.settings.most_evaluations, self.settings.minutes
            timed = 0.0 if minutes is None else (self.seconds + seconds) / (60 * minutes)
            used = max((self.asked + questions) / self.settings.minibatch / total, timed)
            self.progress(min(total, int(used * total + 1e-6)), total)

    def _pay(
        self, plans: Sequence[tuple[int, ...]], minibatch: str, size: int
    ) -> Iterator[tuple[PlanScores, float]]:
        """What each plan scores and the seconds it took, in order, each stored before the next is asked for.

        Workers take turns within a round of plans and then tell each other. A round takes as long as the slowest of
        them, and its plans share that time, so that ``minutes`` are those on the wall however many workers there are.
        """
        workers = distributed.num_workers()
        size_of_round = 1 if workers == 1 else workers * _PLANS_A_ROUND
        for first in range(0, len(plans), size_of_round):
            together = plans[first : first + size_of_round]
            start = time.perf_counter()
            own = [
                asdict(self.problem.evaluate(np.array(plan), minibatch, size))
                for plan in together[distributed.rank() :: workers]
            ]
            parts = distributed.gather((own, time.perf_counter() - start))
            seconds = max(took for _, took in parts) / len(together)
            for index in range(len(together)):
                yield PlanScores(**parts[index % workers][0][index // workers]), seconds

    def returns(self, evaluations: Sequence[Evaluation]) -> Floats:
        """Raw (R_rob, R_util, R_comp), [N, 3]."""
        table = objective_matrix(list(evaluations))
        table[:, 2] = compression_return(table[:, 2], s_lo=self.settings.s_min, s_hi=self.settings.s_max)
        return table

    def record(
        self, phase: str, evaluations: Sequence[Evaluation], preferences: Floats, **extra: float
    ) -> None:
        """Adds a line to the learning curve; a step whose plans were all too unstable to evaluate has none."""
        if not evaluations:
            return
        normalised = self.normaliser(self.returns(evaluations))
        self.curve.append(
            Step(
                phase=phase,
                evaluations=round(self.spent),
                mean_return=float((normalised * preferences).sum(axis=1).mean()),
                objectives=tuple(objective_matrix(list(evaluations)).mean(axis=0).tolist()),
                gate=extra.get("gate", 1.0),
                clipped=extra.get("clipped", 0.0),
                kl=extra.get("kl", 0.0),
            )
        )
        step = self.curve[-1]
        numbers = {name: getattr(step, name) for name in ("mean_return", "gate", "clipped", "kl")}
        numbers |= dict(zip(("robustness", "utility", "sparsity"), step.objectives, strict=True))
        self._watch("search", step.evaluations, numbers)

    def _watch(self, group: str, step: int, numbers: Mapping[str, float]) -> None:
        """Tells numbers to whoever watches; of several workers, the first one does."""
        if distributed.is_first():
            watch(group, step, numbers)


def random_ratios(problem: Problem, settings: SearchSettings, count: int, rng: np.random.Generator) -> Floats:
    """Ratios [count, U] of plans with uniform sparsity and Dirichlet allocations from even to spiky.

    Args:
        problem: whose units and box hold.
        settings: gives s_min and s_max.
        count: plans to draw.
        rng: makes every draw.
    """
    sparsity = rng.uniform(settings.s_min, settings.s_max, size=count)
    sharpness = np.exp(rng.uniform(np.log(0.7), np.log(10.0), size=count))
    units = problem.space.num_units
    shares = np.stack([rng.dirichlet(np.full(units, concentration)) for concentration in sharpness])
    return problem.space.ratios(np.log(shares + 1e-12), sparsity)
