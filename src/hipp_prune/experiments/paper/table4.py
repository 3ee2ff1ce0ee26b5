"""Table 4: how training preferences are drawn: anchors and Dirichlet, or one of the two."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import product

import numpy as np

from hipp_prune.experiments.compare.cell_results import CellResult
from hipp_prune.experiments.compare.cells import Cell, schedule
from hipp_prune.experiments.compare.standings import Row, make_rows
from hipp_prune.experiments.paper.contenders import LITERAL, SAMPLING
from hipp_prune.experiments.paper.part import Part, Section
from hipp_prune.experiments.paper.settings import PaperSettings, model_name
from hipp_prune.experiments.paper.statistics import mean_and_std
from hipp_prune.experiments.paper.tables import find_row, gain_cells, paragraphs
from hipp_prune.files.markdown import markdown_table, markdown_text
from hipp_prune.report.grids import Rows

_WHAT = """The paper's method without relabelling, equal evaluations, equal recovery; after recovery, in %. ± over
seeds is ours: within a seed the mean over four preferences. ± over preferences is the paper's: the sample std over the
preferences of one policy, here its mean over policies. Δ is the difference from anchors + Dirichlet, with a paired
bootstrap 95% interval."""


def cells(settings: PaperSettings) -> list[Cell]:
    """Three ways to draw, at every model's first budget, the paper's."""
    return [
        cell
        for seed, (model, budgets) in product(settings.seed_range(settings.seeds), settings.budgets.items())
        for cell in schedule([model], SAMPLING, budgets[:1], [seed])
    ]


def section(settings: PaperSettings, results: Sequence[CellResult]) -> Section:
    """A table a model."""
    rows = make_rows(results, "after")
    parts = [_WHAT]
    for model, budgets in settings.budgets.items():
        name = model_name(model)
        own = [row for row in rows if row.model == name]
        if own:
            base = find_row(rows, name, budgets[0], LITERAL.label)
            parts += [f"### {markdown_text(name)}, {budgets[0]:.1%}", markdown_table(_table(own, base))]
    return Section(text=paragraphs(*parts))


def spread(row: Row, measure: str) -> dict[int, float]:
    """Sample std of a measure over the preferences of each seed's policy, by seed."""
    asked: dict[int, list[float]] = defaultdict(list)
    for scores, result in zip(row.scores, row.results, strict=True):
        asked[result.cell.seed].append(getattr(scores, measure))
    return {seed: float(np.std(values, ddof=1)) for seed, values in asked.items() if len(values) > 1}


def _table(rows: Sequence[Row], base: Row | None) -> Rows:
    measures = ("robustness", "utility")
    header = ("preferences drawn", "seeds", "POPE ± seeds", "choice ± seeds", "POPE ± preferences")
    table: Rows = [(*header, "choice ± preferences", "Δ pope", "Δ choice", "Δ mean")]
    for row in rows:
        drawn = "anchors + Dirichlet" if row.contender == LITERAL else row.contender.variant
        over_seeds = (mean_and_std(row.over_seeds(measure)) for measure in measures)
        over_preferences = (_over_preferences(row, measure) for measure in measures)
        gains = gain_cells(row, None if row is base else base)
        table.append((drawn, str(len(row.seeds)), *over_seeds, *over_preferences, *gains))
    return table


def _over_preferences(row: Row, measure: str) -> str:
    """The paper's ±: over the preferences of one policy, here its mean over policies."""
    stds = list(spread(row, measure).values())
    mean = f"{100 * row.over_seeds(measure).mean():.1f}"
    return f"{mean} ± {100 * np.mean(stds):.1f}" if stds else mean


PARTS = (Part(name="table4", title="Table 4: preference sampling", cells=cells, section=section),)
