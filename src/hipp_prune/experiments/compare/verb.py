"""The verb that compares ways to prune."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from hipp_prune.baselines.methods import BASELINES
from hipp_prune.errors import InputError
from hipp_prune.experiments.compare.cells import CONTENDERS, DENSE, FOUR, Cell, Contender, schedule
from hipp_prune.experiments.compare.settings import DEFAULT_SETTINGS, CompareSettings
from hipp_prune.experiments.settings import CrewSettings, require_extra
from hipp_prune.files.ranges import Count, Seed, Share
from hipp_prune.files.strict import check_settings
from hipp_prune.plans.modes import CompensationChoice, check_reconstruction
from hipp_prune.plans.preference import Preference
from hipp_prune.stages.settings import LoadSettings

if TYPE_CHECKING:
    from hipp_prune.experiments.compare.cell_results import CellResult


@dataclass(frozen=True, kw_only=True)
class Compare:
    """Prune models in many ways to one budget, and ask what is left before and after the same recovery.

    Interrupted or killed, it goes on from its last cell when started again; more of everything may be added later.

    Example: hipp-prune compare --out compared --models toy-llava --methods dense wanda-coupled flap hybrid --seeds 2
    """

    out: Path
    """Folder to make, and to go on in; compare.html is written there."""
    models: tuple[str, ...] = ("toy-llava", "toy-qwen2.5-vl")
    """toy-llava, toy-qwen2.5-vl, checkpoint folders, or hub names."""
    methods: Annotated[tuple[str, ...], tyro.conf.arg(metavar="{" + ",".join(CONTENDERS) + "}")] = (
        DENSE,
        *BASELINES,
        "hybrid",
    )
    """Baselines (docs/baselines.md), searches (hybrid is HiPP-Prune), and dense, which loses nothing."""
    budgets: tuple[Share, ...] = (0.225, 0.5)
    """Shares of the model to remove, in [0, 1]."""
    seeds: Count = 5
    """How many, ≥ 1: each draws its own calibration sample, search and recovery."""
    first_seed: Seed = 0
    """Seeds are consecutive from this one, ≥ 0."""
    preferences: tuple[str, ...] = FOUR
    """R,U,C …: what a search is asked for at every budget; its row is the mean over them."""
    compensation: tuple[CompensationChoice, ...] = ("auto",)
    """How neurons that stay answer for those that leave: every method once for each that is named (rows, slicegpt and
    dense once). auto: flap its bias, the others ridge if that is named too, so that Gram matrices are gathered, else
    none. `none auto ridge` is all there is of each method."""
    keep: bool = False
    """Keep all checkpoints, in OUT/checkpoints."""
    tables: bool = False
    """Do nothing but write tables and page anew, from the answers in OUT; no model is needed."""
    results: Path | None = None
    """Where compare.md and compare.csv are written; OUT by default."""
    force: bool = False
    """Replace tables there that hipp-prune did not write, or that somebody changed."""
    settings: CompareSettings = DEFAULT_SETTINGS
    crew: CrewSettings = CrewSettings()
    loading: LoadSettings = LoadSettings()

    def __post_init__(self) -> None:
        check_settings(self)
        names = [Path(model).name for model in self.models]
        if twice := {name for name in names if names.count(name) > 1}:
            raise InputError(
                f"--models: {', '.join(sorted(twice))} is given twice, and models are told apart by that name; "
                "give each once, and rename one of two folders of one name"
            )
        if self.settings.reconstruct and "sequential" not in self.compensation:
            check_reconstruction(self.settings.reconstruct, self.compensation[0])

    @property
    def cells(self) -> list[Cell]:
        """What to prune how."""
        contenders = [Contender(method=method) for method in self.methods]
        return schedule(
            self.models,
            [each for one in contenders for each in self.settings.in_modes(one, self.compensation)],
            self.budgets,
            range(self.first_seed, self.first_seed + self.seeds),
            [Preference.parse(text) for text in self.preferences],
        )

    def run(self) -> object:
        """Calls ``compare.stage.compare``, or ``tabulate``, and prints the tables."""
        require_extra("compare", *self.methods)
        from hipp_prune.experiments.compare.stage import compare, tabulate
        from hipp_prune.report.terminal import remark

        if self.tables:
            found = tabulate(self.out, results=self.results, force=self.force)
        else:
            found = compare(
                self.out,
                self.cells,
                self.settings,
                crew=self.crew,
                keep=self.keep,
                results=self.results,
                force=self.force,
                loading=self.loading,
                say=remark,
            )
        return _print_comparison(found, self.out)


def _print_comparison(results: "Sequence[CellResult]", out: Path) -> object:
    """A pair of tables a model and budget, and who is ahead."""
    from hipp_prune.experiments.compare.page import comparison_tables, lead_lines, leads, section_name
    from hipp_prune.report.terminal import print_table, say

    tables = {
        f"{section_name(section)}, {stage} recovery": rows
        for section, both in comparison_tables(results, brief=True).items()
        for stage, rows in both.items()
    }
    for title, rows in tables.items():
        print_table(f"{title}: mean ± std over seeds", rows)
    lines = lead_lines(leads(results))
    for line in lines:
        say(line)
    if results:
        say(f"all columns: {(out / 'compare.html').resolve().as_uri()}")
    return {"tables": tables, "leads": lines}
