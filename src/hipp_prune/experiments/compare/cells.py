"""Who is compared, and the cells of a comparison: a contender, a model, a budget, a preference and a seed."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

from hipp_prune.baselines.methods import BASELINES, load_baseline
from hipp_prune.errors import InputError
from hipp_prune.plans.modes import Compensation
from hipp_prune.plans.preference import Preference
from hipp_prune.search.methods import METHODS, Method

DENSE = "dense"
"""The method that removes nothing: recovered like the others, it shows what recovery alone does."""

OURS = "HiPP-Prune"
"""What the hybrid is called in tables."""

FOUR = ("1,0,0", "0,1,0", "1,1,0", "1,1,1")
"""What a search is asked for at every budget: one, the other, both, and compression too."""
FOUR_PREFERENCES = tuple(map(Preference.parse, FOUR))
"""``FOUR`` as preferences."""

SEARCHES: Mapping[str, Method] = {
    "random-search" if method in BASELINES else method: method for method in METHODS
}
"""The searches by the names they take part under: ``random`` is the baseline, random plans are ``random-search``."""

CONTENDERS: tuple[str, ...] = (DENSE, *BASELINES, *SEARCHES)
"""All names, in the order of tables."""


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A way to prune: a method, and what of its settings is not as usual."""

    method: str
    """One of ``CONTENDERS``."""
    variant: str = ""
    """What distinguishes it from others of its method, in a table's words."""
    overrides: dict[str, Any] = field(default_factory=dict, hash=False)
    """Fields of ``SearchSettings`` (searches) or ``BaselineSettings`` (the others)."""
    compensation: Compensation | None = None
    """How neurons that stay answer for those that leave; None: as the method has it (flap: bias), the others not."""

    def __post_init__(self) -> None:
        if self.method not in CONTENDERS:
            raise InputError(f"there is no method {self.method!r}; choose among {', '.join(CONTENDERS)}")

    @property
    def searches(self) -> bool:
        """Whether it answers preferences with what a search has learnt."""
        return self.method in SEARCHES

    @property
    def mode(self) -> Compensation:
        """How neurons that stay answer for those that leave."""
        if self.compensation is not None:
            return self.compensation
        return load_baseline(self.method).compensation if self.method in BASELINES else "none"

    @property
    def name(self) -> str:
        """What tables call it, which have a column for its mode."""
        name = OURS if self.method == "hybrid" else self.method
        return f"{name} · {self.variant}" if self.variant else name

    @property
    def label(self) -> str:
        """Its name where there is no such column: the mode too, if it is not the method's own."""
        return self.name if self.compensation is None else f"{self.name} · {self.compensation}"

    @property
    def folder(self) -> str:
        """Its name in paths."""
        name = re.sub(r"[^\w.+-]+", "-", f"{self.method}-{self.variant}" if self.variant else self.method)
        return name if self.compensation is None else f"{name}+{self.compensation}"


@dataclass(frozen=True, kw_only=True)
class CalibrationJob:
    """The statistics of a model that all contenders share at a seed."""

    model: str
    seed: int
    grams: bool = field(default=False, compare=False)
    """Whether Gram matrices are gathered too, since some contender is compensated by them."""

    def __str__(self) -> str:
        return f"{Path(self.model).name} calibration seed {self.seed}"

    def path(self, root: Path) -> Path:
        """Where they are kept."""
        return root / "calibrations" / Path(self.model).name / f"{self.seed}.safetensors"

    def grams_path(self, root: Path) -> Path:
        """Where the Gram matrices are kept."""
        return self.path(root).with_suffix(".grams.safetensors")


@dataclass(frozen=True, kw_only=True)
class SearchJob:
    """What a contender learns at a seed, and is then asked at every budget and preference."""

    model: str
    contender: Contender
    seed: int

    def __str__(self) -> str:
        return f"{Path(self.model).name} {self.contender.label} search seed {self.seed}"

    def folder(self, root: Path) -> Path:
        """Where its archive and its planner are kept."""
        return root / "searches" / Path(self.model).name / self.contender.folder / str(self.seed)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One checkpoint: planned, written, asked, recovered, asked again."""

    model: str
    """``toy-llava``, ``toy-qwen2.5-vl``, a checkpoint folder or a hub name."""
    contender: Contender
    budget: float | None
    """Share to remove, as ``CompareSettings.match`` counts it; None: none (dense), or the policy's own choice."""
    preference: Preference | None
    """What a search is asked for; None for the others."""
    seed: int
    """Of the calibration sample, the search and the recovery; questions are split alike at all seeds."""

    def __str__(self) -> str:
        return f"{Path(self.model).name} {self.contender.label} {self.question} seed {self.seed}".replace(
            "  ", " "
        )

    @property
    def question(self) -> str:
        """Preference and budget, in words for file names: ``0.5,0.5,0-s0.225``."""
        parts = [] if self.preference is None else [str(self.preference)]
        return "-".join([*parts, "free" if self.budget is None else f"s{self.budget:g}"])

    def path(self, root: Path) -> Path:
        """Where its answers are kept."""
        folder = root / "cells" / Path(self.model).name / self.contender.folder
        return folder / f"{self.question}-{self.seed}.parquet"

    @property
    def calibration(self) -> CalibrationJob:
        """What it is planned with."""
        return CalibrationJob(model=self.model, seed=self.seed)

    @property
    def search(self) -> SearchJob | None:
        """What answers it, if it is asked of a search."""
        if not self.contender.searches:
            return None
        contender = self.contender
        if contender.compensation == "sequential":  # which comes after a search, that evaluates without
            contender = replace(contender, compensation=None)
        return SearchJob(model=self.model, contender=contender, seed=self.seed)


Job = CalibrationJob | SearchJob | Cell


def needs(job: Job) -> tuple[Job, ...]:
    """What has to be there before a job can be done."""
    if isinstance(job, CalibrationJob) or (isinstance(job, Cell) and job.contender.method == DENSE):
        return ()
    if isinstance(job, SearchJob):
        return (CalibrationJob(model=job.model, seed=job.seed),)
    return (job.search or job.calibration,)


def all_jobs(cells: Iterable[Cell]) -> list[Job]:
    """The cells in their order, each behind what it needs; Gram matrices are gathered where any cell needs them."""
    cells = list(cells)
    jobs: dict[Job, None] = {}
    for cell in cells:
        for need in needs(cell):
            jobs |= dict.fromkeys([*needs(need), need])
        jobs[cell] = None
    fitted = {cell.calibration for cell in cells if cell.contender.mode == "ridge"}
    return [replace(job, grams=job in fitted) if isinstance(job, CalibrationJob) else job for job in jobs]


def schedule(
    models: Sequence[str],
    contenders: Sequence[Contender],
    budgets: Sequence[float],
    seeds: Iterable[int],
    preferences: Sequence[Preference] = FOUR_PREFERENCES,
) -> list[Cell]:
    """All cells, seed by seed: stopped at any time, no combination is more than one seed ahead of another.

    Args:
        models: whose checkpoints are made.
        contenders: who makes them; the dense model takes part once a seed, since it has no budget.
        budgets: shares to remove.
        seeds: of everything that is drawn.
        preferences: what searches are asked for at every budget.
    """
    cells: list[Cell] = []
    for seed, model, contender in product(seeds, models, contenders):
        shares = (None,) if contender.method == DENSE else sorted(budgets)
        asked = preferences if contender.searches else (None,)
        cells += [
            Cell(model=model, contender=contender, budget=budget, preference=preference, seed=seed)
            for budget, preference in product(shares, asked)
        ]
    return list(dict.fromkeys(cells))
