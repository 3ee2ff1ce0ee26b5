"""Table 3: one trained policy asked for the vertices, the edges and the centre of the simplex."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import product

import numpy as np

from hipp_prune.experiments.compare.cell_results import CellResult
from hipp_prune.experiments.compare.cells import Cell, Contender
from hipp_prune.experiments.paper.contenders import HYBRID, LITERAL
from hipp_prune.experiments.paper.part import Part, Section
from hipp_prune.experiments.paper.points import WEIGHTS, Point, budget_interval, is_inside, measure_points
from hipp_prune.experiments.paper.settings import PaperSettings, model_name
from hipp_prune.experiments.paper.statistics import mean_and_interval, mean_and_std, spearman
from hipp_prune.experiments.paper.tables import paragraphs
from hipp_prune.files.markdown import markdown_table, markdown_text
from hipp_prune.plans.preference import ANCHORS, Preference
from hipp_prune.report.grids import Rows

QUERIES = tuple(map(Preference.of, ANCHORS))
"""Vertices, edges and centre."""

_WHAT = """Accuracies and sparsity in %, mean ± sample std over seeds. ρ is Spearman's between λ_k and f_k over the
seven queries of one policy (mean over seeds, bootstrap 95% interval), range the largest f_k less the smallest. In the
interval: how many plans have a sparsity in the budget they were given."""


def cells(settings: PaperSettings) -> list[Cell]:
    """Ours and the paper's policy, free within the range searched and at the hardest budget."""
    contenders = (HYBRID, LITERAL)
    free = settings.free(contenders, QUERIES, settings.ablation_seeds)
    return sorted([*free, *settings.at_hard(contenders, QUERIES)], key=lambda cell: cell.seed)


def section(settings: PaperSettings, results: Sequence[CellResult]) -> Section:
    """A table and its correlations for each model, policy and budget."""
    points = measure_points(results)
    parts = [_WHAT]
    for model, contender in product(settings.budgets, (HYBRID, LITERAL)):
        for budget in (None, settings.hard(model)):
            found = queries_of(points, model, contender, budget)
            if found:
                low, high = budget_interval(settings, budget)
                asked = f"sparsity free in [{low:g}, {high:g}]" if budget is None else f"sparsity {budget:g}"
                title = f"### {markdown_text(model_name(model))}, {contender.label}, {asked}"
                parts += [title, markdown_table(_answers(found)), markdown_table(_control(settings, found))]
    return Section(text=paragraphs(*parts))


def queries_of(
    points: Sequence[Point], model: str, contender: Contender, budget: float | None
) -> list[Point]:
    """The answers of a contender's policies at one budget.

    Args:
        points: of all cells.
        model: whose checkpoints count.
        contender: the search that was asked.
        budget: share removed; None where the policy chose it.
    """
    wanted = (model, contender.label, budget)
    return [
        each for each in points if (each.cell.model, each.cell.contender.label, each.cell.budget) == wanted
    ]


def correlations(found: Sequence[Point], name: str) -> list[float]:
    """ρ(λ_k, f_k) of each seed's policy; seeds whose f_k does not vary are left out."""
    rho = [
        spearman([each.weight(name) for each in policy], [each.values[name] for each in policy])
        for policy in _policies(found)
    ]
    return [value for value in rho if value is not None]


def _answers(found: Sequence[Point]) -> Rows:
    by_query = defaultdict(list)
    for each in found:
        by_query[str(each.cell.preference)].append(each)
    rows: Rows = [("λ", "seeds", *WEIGHTS)]
    for query, group in by_query.items():
        values = (mean_and_std([each.values[name] for each in group]) for name in WEIGHTS)
        rows.append((query, str(len(group)), *values))
    return rows


def _control(settings: PaperSettings, found: Sequence[Point]) -> Rows:
    ranges = [_mean_range(found, name) for name in WEIGHTS]
    held = sum(is_inside(settings, each) for each in found)
    return [
        ("", *WEIGHTS, "in the interval"),
        ("ρ", *(mean_and_interval(correlations(found, name)) for name in WEIGHTS), ""),
        ("range", *ranges, f"{held} of {len(found)}"),
    ]


def _mean_range(found: Sequence[Point], name: str) -> str:
    """How far apart the answers of one policy lie, in the mean over policies."""
    spans = [float(np.ptp([each.values[name] for each in policy])) for policy in _policies(found)]
    return mean_and_std(spans)


def _policies(found: Sequence[Point]) -> list[list[Point]]:
    """The answers of each seed's policy."""
    seeds = sorted({each.cell.seed for each in found})
    return [[each for each in found if each.cell.seed == seed] for seed in seeds]


PARTS = (Part(name="table3", title="Table 3: one policy, any preference", cells=cells, section=section),)
