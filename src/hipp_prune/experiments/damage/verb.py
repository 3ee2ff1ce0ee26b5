"""The verb that measures what pruning costs before any training."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from hipp_prune.baselines.methods import BASELINES
from hipp_prune.experiments.compare.cells import DENSE, SEARCHES
from hipp_prune.experiments.damage.settings import DamageCompensation, DamageSettings
from hipp_prune.files.ranges import Count, Positive, Seed, Share
from hipp_prune.files.strict import check_settings
from hipp_prune.stages.settings import LoadSettings


@dataclass(frozen=True, kw_only=True)
class MeasureDamage:
    """Measure what pruning costs before any training: accuracy by question file, and KL to the dense model.

    Interrupted or killed, it goes on from its last cell when started again; more of everything may be added later.

    Example: hipp-prune damage --model photo-vlm/model --questions photo-vlm/questions/*.jsonl --out damaged
    """

    model: str
    """The dense model: checkpoint folder or hub name."""
    out: Path
    """Folder to make, and to go on in; damage.md, damage.csv and damage.svg are written there."""
    settings: DamageSettings
    methods: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="{" + ",".join((DENSE, *BASELINES, *SEARCHES)) + "}")
    ] = ("uniform",)
    """Who chooses the neurons that leave, beside the dense model: baselines (docs/baselines.md) and searches."""
    budgets: tuple[Share, ...] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
    """Fractions of the MLP neurons to remove, in [0, 1]."""
    compensation: tuple[DamageCompensation, ...] = ("none", "sequential")
    """How neurons that stay answer for those that leave, the same for all methods."""
    seeds: Count = 1
    """How many, ≥ 1: each draws its own calibration sample and search."""
    first_seed: Seed = 0
    """Seeds are consecutive from this one, ≥ 0."""
    minutes: Positive | None = None
    """Begin no further cell after so many minutes, > 0; without it, when everything is done."""
    tables: bool = False
    """Do nothing but write tables and picture anew, from the cells in OUT; no model is needed."""
    results: Path | None = None
    """Where they are written; OUT by default."""
    force: bool = False
    """Replace files there that hipp-prune did not write, or that somebody changed."""
    loading: LoadSettings = LoadSettings()

    def __post_init__(self) -> None:
        check_settings(self)

    def run(self) -> object:
        """Calls ``damage.stage.damage``, or ``write_down``, and prints the table."""
        from hipp_prune.experiments.damage.stage import damage, write_down
        from hipp_prune.report.terminal import print_table, remark, say

        if self.tables:
            table, lines = write_down(self.out, results=self.results, force=self.force)
        else:
            table, lines = damage(
                self.out,
                self.model,
                self.settings,
                methods=self.methods,
                budgets=self.budgets,
                compensations=self.compensation,
                seeds=range(self.first_seed, self.first_seed + self.seeds),
                minutes=self.minutes,
                loading=self.loading,
                results=self.results,
                force=self.force,
                say=remark,
            )
        print_table("what pruning costs: accuracies in %, KL in nats", table)
        for line in lines:
            say(line)
        return {"table": table, "lines": lines}
