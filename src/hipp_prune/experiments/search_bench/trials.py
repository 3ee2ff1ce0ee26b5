"""One search of the benchmark: a problem, a method, a budget and a seed; and the file its result is kept in."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import AliasChoices, Field

from hipp_prune.errors import IncompleteRunError
from hipp_prune.experiments.search_bench.arenas import Arena, JudgedPlan
from hipp_prune.experiments.search_bench.fronts import lattice
from hipp_prune.files.changes import refuse_changes
from hipp_prune.files.ranges import Count, Natural, NotNegative, Seed
from hipp_prune.files.reading import read_document
from hipp_prune.files.writing import write_json
from hipp_prune.search.archive import Archive
from hipp_prune.search.loop import search
from hipp_prune.search.methods import Method
from hipp_prune.search.settings import SearchSettings

LONG = 1000
"""Larger budgets are for the methods that can use them."""
LONG_METHODS = ("hybrid", "grpo", "grpo-paper", "grpo-per-preference")
"""Those that learn from gradients."""


@dataclass(frozen=True, kw_only=True)
class SearchTrial:
    """One search of a problem: by which method, for how many evaluations, with which seed."""

    problem: str
    method: Method
    budget: Count
    """Evaluations it may pay for."""
    seed: Seed

    def __str__(self) -> str:
        return f"{self.problem} {self.method} {self.budget} seed {self.seed}"

    def path(self, root: Path) -> Path:
        """Where its result is kept."""
        return root / "cells" / self.problem / f"{self.method}-{self.budget}-{self.seed}.json"

    def settings(self, base: SearchSettings) -> SearchSettings:
        """The settings of its search."""
        changes = {"evaluations": self.budget, "minutes": None, "seed": self.seed}
        return SearchSettings(**{**asdict(base.for_method(self.method)), **changes})


def schedule(
    problems: Sequence[str], methods: Sequence[Method], budgets: Sequence[int], seeds: int
) -> list[SearchTrial]:
    """All cells, seed by seed: stopped at any time, no combination is more than one seed ahead of another.

    Args:
        problems: names of arenas.
        methods: searchers; those that do not learn a policy get no budget above ``LONG``.
        budgets: evaluations a search.
        seeds: searches of each kind.
    """
    return [
        SearchTrial(problem=problem, method=method, budget=budget, seed=seed)
        for seed, budget, problem, method in product(range(seeds), sorted(budgets), problems, methods)
        if budget <= LONG or method in LONG_METHODS
    ]


@dataclass(frozen=True, kw_only=True)
class TrialResult:
    """What a search answered, judged on held-out questions."""

    cell: SearchTrial
    arena: str
    """Whose reference and best known plans it is compared with."""
    settings: Annotated[dict[str, Any], Field(validation_alias=AliasChoices("settings", "config"))]
    """All settings of the search."""
    evaluations: NotNegative
    """Evaluations of a whole minibatch it used."""
    seconds: NotNegative
    """Wall time of the search, without loading the model and without the judging."""
    judging: NotNegative
    """Wall time of the judging."""
    plans: tuple[JudgedPlan, ...]
    """The distinct plans among its answers."""
    answers: tuple[Natural, ...]
    """Which of them answers each preference of the lattice, [66]."""

    def __post_init__(self) -> None:
        if max(self.answers, default=-1) >= len(self.plans):
            raise ValueError(
                f"expected field 'answers' to name plans 0 to {len(self.plans) - 1}, found {max(self.answers)}"
            )

    @property
    def judged(self) -> list[JudgedPlan]:
        """The answer to each preference of the lattice."""
        return [self.plans[index] for index in self.answers]

    def save(self, root: Path) -> None:
        """Writes it as JSON, atomically."""
        write_json(self.cell.path(root), asdict(self))

    @classmethod
    def load(cls, path: Path) -> "TrialResult":
        """Reads the file that ``save`` wrote.

        Raises:
            IncompleteRunError: if the file is damaged or of another version.
        """
        remedy = "delete it and start the benchmark again"
        return read_document(path, cls, remedy=remedy, error=IncompleteRunError)


def run_trial(cell: SearchTrial, arena: Arena, settings: SearchSettings, *, name: str) -> TrialResult:
    """Searches, asks for the whole lattice of preferences, and has the answers judged by the arena of this name.

    Args:
        cell: what to run.
        arena: problem and judge.
        settings: the trial's settings.
        name: the arena's, stored with the result.
    """
    problem = arena.problem(settings)
    start = time.perf_counter()
    result = search(problem, settings, Archive())
    seconds = time.perf_counter() - start
    preferences = lattice()
    budget = np.tile([settings.s_min, settings.s_max], (len(preferences), 1))
    plans, answers = np.unique(result.answers.kept(preferences, budget), axis=0, return_inverse=True)
    judged = tuple(arena.judge(plans))
    return TrialResult(
        cell=cell,
        arena=name,
        settings=asdict(settings),
        evaluations=result.spent,
        seconds=round(seconds, 3),
        judging=round(time.perf_counter() - start - seconds, 3),
        plans=judged,
        answers=tuple(answers.reshape(-1).tolist()),
    )


def finished(
    cells: Sequence[SearchTrial], root: Path, by_cell: Sequence[SearchSettings]
) -> dict[SearchTrial, TrialResult]:
    """The cells that need no search any more.

    Raises:
        RunError: if one was searched with other settings than it would be now.
    """
    done = {}
    for cell, settings in zip(cells, by_cell, strict=True):
        path = cell.path(root)
        if not path.exists():
            continue
        result = TrialResult.load(path)
        before = {**asdict(SearchSettings()), **result.settings}
        remedy = "choose another --out, or delete the cells of that method"
        refuse_changes(path, before, asdict(settings), remedy=remedy)
        done[cell] = result
    return done
