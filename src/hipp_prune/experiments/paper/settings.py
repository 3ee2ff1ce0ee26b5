"""How large everything is made: models and budgets, seeds, who takes part, what a cell costs."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Annotated

import tyro
from annotated_types import Len

from hipp_prune.baselines.methods import BASELINES, Baseline
from hipp_prune.errors import InputError
from hipp_prune.experiments.compare.cells import Cell, Contender, schedule
from hipp_prune.experiments.compare.settings import CompareSettings
from hipp_prune.experiments.paper.contenders import CENTRE
from hipp_prune.files.ranges import Count, Seed, Share
from hipp_prune.files.strict import check_settings
from hipp_prune.plans.modes import CompensationChoice
from hipp_prune.plans.preference import Preference

RIVALS: tuple[Baseline, ...] = tuple(name for name in BASELINES if name != "random-neurons")
"""All heuristics but uniform pruning of random neurons, which the paper does not have."""
SEARCHES = ("hybrid", "surrogate", "knapsack", "evopress", "nsga2", "random-search", "grpo")

COMPARE = CompareSettings(s_max=0.7, r_max=0.95)
"""Searched up to the hardest budget, in a box that leaves a choice there: from half the neurons, recovery brings most
methods back to the dense model."""

EMBEDDED = {"toy-llava": (0.225, 0.7), "toy-qwen2.5-vl": (0.225, 0.35, 0.7)}
"""The paper's budgets of each model (their values for Qwen are lost), and a harder one."""


@dataclass(frozen=True, kw_only=True)
class PaperSettings:
    """What is run, part by part."""

    budgets: tyro.conf.Suppress[Mapping[str, Annotated[tuple[Share, ...], Len(1)]]] = field(
        default_factory=lambda: EMBEDDED
    )
    """Of each model, for Table 1 and Table 2."""
    baselines: tuple[Baseline, ...] = RIVALS
    """Heuristics that take part."""
    searches: Annotated[tuple[str, ...], tyro.conf.arg(metavar="{" + ",".join(SEARCHES) + "}")] = SEARCHES
    """Searches that take part."""
    compensation: tuple[CompensationChoice, ...] = ("auto",)
    """How neurons that stay answer for those that leave, in Table 1 and Table 2 under our defaults; as for compare."""
    seeds: Count = 5
    """How many the tables have, ≥ 1."""
    ablation_seeds: Count = 3
    """How many where one setting changes at a time, ≥ 1."""
    first_seed: Seed = 200
    """The first of consecutive seeds, ≥ 0; fresh ones, since what was tuned was tuned on seeds below."""
    lattice: Count = 6
    """Fig. 2 asks for all preferences whose weights are multiples of 1/lattice, lattice ≥ 1."""
    long: Count | None = 2000
    """Evaluations, ≥ 1, with which the paper's method is run once more; none to leave that out."""
    compare: CompareSettings = COMPARE
    """What all cells share."""

    def __post_init__(self) -> None:
        if len(self.budgets) > len(EMBEDDED):
            raise InputError(
                f"the paper has two tables of one model each, got {len(self.budgets)} models: "
                f"{', '.join(self.budgets)}; run it again for the others, with another --out"
            )
        check_settings(self)

    def hard(self, model: str) -> float:
        """The largest budget of a model, where contenders differ most."""
        return max(self.budgets[model])

    def seed_range(self, count: int) -> range:
        """The first so many seeds."""
        return range(self.first_seed, self.first_seed + count)

    def at_hard(
        self, contenders: tuple[Contender, ...], preferences: tuple[Preference, ...] = (CENTRE,)
    ) -> list[Cell]:
        """The cells of contenders at every model's hardest budget, at the seeds of ablations; seed by seed."""
        return [
            cell
            for seed, model in product(self.seed_range(self.ablation_seeds), self.budgets)
            for cell in schedule([model], contenders, [self.hard(model)], [seed], preferences)
        ]

    def free(
        self, contenders: tuple[Contender, ...], preferences: tuple[Preference, ...], seeds: int
    ) -> list[Cell]:
        """Searches asked without a budget: the sparsity is the policy's own choice in the range searched."""
        return [
            Cell(model=model, contender=contender, budget=None, preference=preference, seed=seed)
            for seed, model, contender, preference in product(
                self.seed_range(seeds), self.budgets, contenders, preferences
            )
        ]


FULL = PaperSettings()
"""At most eight hours on two cores."""

QUICK = PaperSettings(
    budgets={"toy-llava": (0.7,), "toy-qwen2.5-vl": (0.7,)},
    baselines=("random", "uniform", "wanda-coupled"),
    searches=("hybrid", "surrogate", "grpo"),
    seeds=2,
    ablation_seeds=1,
    lattice=3,
    long=None,
    first_seed=0,
    compare=replace(
        COMPARE, split="validation", limit=100, evaluations=60, recovery=replace(COMPARE.recovery, steps=15)
    ),
)
"""At most twenty minutes: it shows that everything runs, and proves nothing."""


def model_name(model: str) -> str:
    """How tables call a model."""
    return Path(model).name
