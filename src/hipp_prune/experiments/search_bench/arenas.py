"""Where searches are compared: a problem to search, and held-out questions that judge every plan alike."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Protocol

import numpy as np
from annotated_types import Len

from hipp_prune.errors import IncompleteRunError, InputError
from hipp_prune.evaluation.evaluator import Evaluator, plan_scores
from hipp_prune.experiments.search_bench.fronts import lattice
from hipp_prune.experiments.search_bench.landscape import Landscape
from hipp_prune.experiments.search_bench.settings import FULL, LANDSCAPE
from hipp_prune.experiments.settings import HeldOut
from hipp_prune.files.ranges import Natural, Share
from hipp_prune.files.reading import read_document
from hipp_prune.files.run_directory import RunDirectory
from hipp_prune.files.writing import write_json
from hipp_prune.objectives.returns import compression_return
from hipp_prune.plans.arrays import Floats, Ints
from hipp_prune.plans.plan import pack_masks
from hipp_prune.plans.space import PlanSpace
from hipp_prune.questions.benchmark import ROLES
from hipp_prune.questions.benchmarks import asked, role_of, serving
from hipp_prune.questions.minibatches import draw_minibatch
from hipp_prune.questions.multiple_choice import chance_level
from hipp_prune.questions.question import Question
from hipp_prune.search.archive import Return, Saved
from hipp_prune.search.model_problem import ModelProblem
from hipp_prune.search.problem import Problem
from hipp_prune.search.session import random_ratios
from hipp_prune.search.settings import SearchSettings
from hipp_prune.stages.loading import CalibratedRun, load
from hipp_prune.stages.search import open_problem
from hipp_prune.stages.settings import LoadSettings

_RANDOM_PLANS = 64
"""Random plans that every arena judges: they fix its units, and are what a search must beat."""
_LANDSCAPE_CHANCE = 0.25


@dataclass(frozen=True, kw_only=True)
class JudgedPlan:
    """A plan and what it scores on the held-out questions, whatever the search was told."""

    kept: Annotated[tuple[Natural, ...], Len(1)]
    """Kept counts of its units."""
    sparsity: Saved
    """Realised sparsity, in [−1, 1]."""
    robustness: Return
    """R_rob, in nats."""
    utility: Return
    """R_util, in nats."""
    accuracies: tuple[Share, Share]
    """Of the questions that serve robustness and of those that serve utility, in [0, 1]."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What an arena's plans are measured by; it does not depend on any search."""

    fingerprint: str
    """``ModelShape.fingerprint`` of the arena's model."""
    dense: JudgedPlan
    chance: Share
    """Multiple-choice accuracy of a uniform guess."""
    s_min: Share
    s_max: Share
    random: Annotated[tuple[JudgedPlan, ...], Len(2)]
    optima: tuple[JudgedPlan, ...] = ()
    """The best plan for each preference of the lattice, where it is known."""

    @property
    def scale(self) -> Floats:
        """σ of (R_rob, R_util, R_comp) over random plans, [3]: the units in which a preference weighs objectives."""
        sigma: Floats = self.raw(self.random).std(axis=0, ddof=1)
        return np.where(sigma > 0, sigma, 1.0)

    def raw(self, plans: Sequence[JudgedPlan]) -> Floats:
        """(R_rob, R_util, R_comp), [N, 3]."""
        table = np.array([(plan.robustness, plan.utility, plan.sparsity) for plan in plans])
        table[:, 2] = compression_return(table[:, 2], s_lo=self.s_min, s_hi=self.s_max)
        return table

    def objectives(self, plans: Sequence[JudgedPlan]) -> Floats:
        """(R_rob, R_util, R_comp) in units of ``scale``, [N, 3]."""
        return self.raw(plans) / self.scale

    def save(self, path: Path) -> None:
        """Writes it as JSON, atomically."""
        write_json(path, asdict(self))

    @classmethod
    def load(cls, path: Path) -> "Reference":
        """Reads the file that ``save`` wrote.

        Raises:
            IncompleteRunError: if the file is missing, cut off or of another version.
        """
        remedy = "delete it and start the benchmark again"
        return read_document(path, cls, remedy=remedy, error=IncompleteRunError)


class Arena(Protocol):
    """One problem, and who judges its plans."""

    @property
    def fingerprint(self) -> str:
        """``ModelShape.fingerprint`` of the model; references of other models are refused."""

    def problem(self, settings: SearchSettings) -> Problem:
        """The problem as a search with these settings sees it; the problem opened before is no longer valid."""

    def judge(self, kept: Ints) -> list[JudgedPlan]:
        """Held-out scores of plans [P, U] of the problem opened last."""

    def chance(self) -> float:
        """Multiple-choice accuracy of a uniform guess."""

    def optima(self, settings: SearchSettings, scale: Floats) -> Ints:
        """The best plan [P, U] for each preference of the lattice; none, [0, U], where it is unknown."""


@dataclass(frozen=True, kw_only=True)
class ArenaSpec:
    """How a process makes an arena."""

    name: str
    """Name of the problem in tables and paths."""
    run: Path | None
    """A calibrated run directory; None for the landscape."""
    split: HeldOut = FULL.split
    """The split whose questions judge."""
    limit: int = FULL.limit
    """Questions of each benchmark, or all there are."""
    loading: LoadSettings = LoadSettings()
    """How its model is loaded."""

    def instance(self, seed: int) -> str:
        """Name of what is searched with this seed: the same model each time, another landscape."""
        return self.name if self.run else f"{self.name}-{seed}"

    def adapt(self, settings: SearchSettings) -> SearchSettings:
        """The settings a search of this problem can have: a landscape has one unit a block."""
        return settings if self.run else replace(settings, unit="coupled")

    def open(self, seed: int) -> Arena:
        """Loads whatever the arena needs.

        Raises:
            InputError, RunError: if the run, its model or its questions cannot be read.
        """
        return LandscapeArena(seed) if self.run is None else ModelArena(self.run, self)


def arena_specs(out: Path, problems: Sequence[str], **settings: Any) -> dict[str, ArenaSpec]:
    """How to open each problem, by its name: a run directory, ``landscape``, or a model to be calibrated in ``out``.

    Raises:
        InputError: if two problems have one name.
    """
    specs: dict[str, ArenaSpec] = {}
    for problem in problems:
        name, run = Path(problem).resolve().name, Path(problem)
        if problem == LANDSCAPE:
            spec = ArenaSpec(name=name, run=None, **settings)
        else:
            run = run if RunDirectory(run).manifest.exists() else out / "problems" / name
            spec = ArenaSpec(name=name, run=run, **settings)
        if name in specs:
            raise InputError(f"two problems are called {name}; rename a run directory or give one of them")
        specs[name] = spec
    return specs


class ModelArena:
    """A calibrated model, searched on its search split and judged on another."""

    def __init__(self, run: Path, spec: ArenaSpec) -> None:
        calibrated = CalibratedRun.open(run)
        self._search = calibrated.directory.search
        self._questions = calibrated.questions("search")
        self._held_out = draw_held_out(calibrated.questions(spec.split), spec.limit)
        self._adapter = load(calibrated.provenance.model, spec.loading)
        self._calibration = calibrated.calibration(self._adapter)
        self.fingerprint = self._adapter.shape.fingerprint
        self._evaluator = Evaluator(self._adapter, self._held_out)
        self._prepared = self._evaluator.prepare()
        self._open: ModelProblem | None = None
        self._known: dict[tuple[bytes, ...], JudgedPlan] = {}

    def problem(self, settings: SearchSettings) -> Problem:
        """See ``Arena``."""
        if self._open is not None:
            self._open.sorted.restore()
        self._open = open_problem(self._adapter, self._calibration, self._questions, self._search, settings)
        return self._open

    def judge(self, kept: Ints) -> list[JudgedPlan]:
        """See ``Arena``. Plans that keep the same neurons are asked once."""
        assert self._open is not None, "open a problem first"
        return [self._judge(self._open, plan) for plan in kept]

    def _judge(self, problem: ModelProblem, kept: Ints) -> JudgedPlan:
        key = pack_masks(problem.sorted.keep_masks(kept.tolist()))
        if key not in self._known:
            with problem.sorted.apply(kept.tolist()):
                answers = self._evaluator.scores(self._prepared)
            scores = plan_scores(answers, self._held_out)
            self._known[key] = JudgedPlan(
                kept=tuple(kept.tolist()),
                sparsity=float(problem.space.sparsity(kept)),
                robustness=scores.robustness,
                utility=scores.utility,
                accuracies=_by_role(scores.accuracies),
            )
        return self._known[key]

    def chance(self) -> float:
        """See ``Arena``."""
        return chance_level(question for question in self._held_out if role_of(question) == "utility")

    def optima(self, settings: SearchSettings, scale: Floats) -> Ints:  # noqa: ARG002
        """No plan: the best ones of a model are unknown."""
        assert self._open is not None, "open a problem first"
        return np.zeros((0, self._open.space.num_units), dtype=np.int64)


def draw_held_out(questions: Sequence[Question], limit: int) -> list[Question]:
    """At most ``limit`` questions a benchmark, several about a picture, so that they share a sequence."""
    chosen: list[Question] = []
    for benchmark in asked(questions):
        own = [question for question in questions if question.benchmark == benchmark.name]
        drawn = draw_minibatch(own, limit, np.random.default_rng(11), per_image=SearchSettings().per_image)
        chosen += [own[index] for index in drawn]
    return chosen


def _by_role(accuracies: Mapping[str, float]) -> tuple[float, float]:
    """Mean accuracy over the benchmarks of each role; 0 where none was asked."""
    of_role = {role: [accuracies[name] for name in serving(role) if name in accuracies] for role in ROLES}
    robustness, utility = (sum(values) / len(values) if values else 0.0 for values in of_role.values())
    return robustness, utility


class LandscapeArena:
    """A landscape, searched with noise and judged without; its accuracies are the exponential of its returns."""

    def __init__(self, seed: int) -> None:
        self._landscape = Landscape(seed=seed)
        self.fingerprint = self._landscape.space.shape.fingerprint

    def problem(self, settings: SearchSettings) -> Problem:  # noqa: ARG002
        """See ``Arena``."""
        return self._landscape

    def judge(self, kept: Ints) -> list[JudgedPlan]:
        """See ``Arena``."""
        rows = zip(kept.tolist(), self._landscape.objectives(kept).tolist(), strict=True)
        return [
            JudgedPlan(
                kept=tuple(plan),
                sparsity=float(self._landscape.space.sparsity(np.array(plan))),
                robustness=robustness,
                utility=utility,
                accuracies=(float(np.exp(robustness)), float(np.exp(utility))),
            )
            for plan, (robustness, utility) in rows
        ]

    def chance(self) -> float:
        """That of four options."""
        return _LANDSCAPE_CHANCE

    def optima(self, settings: SearchSettings, scale: Floats) -> Ints:
        """Found by exchanging neurons: damage is all but separable and convex, so no exchange that helps is left."""
        return np.stack([_climb(self._landscape, preference / scale, settings) for preference in lattice()])


def _climb(landscape: Landscape, weights: Floats, settings: SearchSettings) -> Ints:
    """Kept counts [U] with the largest weighted (R_rob, R_util, R_comp), by ever smaller exchanges."""
    space = landscape.space
    least = np.ceil((1 - space.r_max) * space.widths)

    def allowed(kept: Ints) -> Ints:
        sparsity = space.sparsity(kept)
        inside = (sparsity >= settings.s_min) & (sparsity <= settings.s_max)
        return kept[inside & ((kept >= least) & (kept <= space.widths)).all(axis=1)]

    def value(kept: Ints) -> Floats:
        compression = compression_return(space.sparsity(kept), s_lo=settings.s_min, s_hi=settings.s_max)
        objectives = np.concatenate([landscape.objectives(kept), compression[:, None]], axis=1)
        return objectives @ weights

    eye = np.eye(space.num_units, dtype=np.int64)
    exchanges = (eye[:, None] - eye[None]).reshape(-1, space.num_units)
    moves = np.concatenate([exchanges, eye, -eye])
    kept = space.kept(np.full((1, space.num_units), (settings.s_min + settings.s_max) / 2))[0]
    step = int(space.widths.max()) // 4
    while step:
        trials = allowed(np.concatenate([kept[None], kept + step * moves]))
        best = trials[value(trials).argmax()]
        kept, step = best, step if (best != kept).any() else step // 2
    return kept


def measure_reference(arena: Arena, settings: SearchSettings) -> Reference:
    """Judges the dense model, random plans and, where they are known, the best ones.

    Args:
        arena: changed: a problem with these settings is open afterwards.
        settings: our defaults; its budget range is the benchmark's.
    """
    problem = arena.problem(settings)
    space: PlanSpace = problem.space
    plans = space.kept(random_ratios(problem, settings, _RANDOM_PLANS, np.random.default_rng(12)))
    reference = Reference(
        fingerprint=arena.fingerprint,
        dense=arena.judge(space.widths[None])[0],
        chance=arena.chance(),
        s_min=settings.s_min,
        s_max=settings.s_max,
        random=tuple(arena.judge(plans)),
    )
    return replace(reference, optima=tuple(arena.judge(arena.optima(settings, reference.scale))))
