"""Tables 1 and 2: every method at the paper's budgets and a harder one, once more with the paper's choices."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from hipp_prune.experiments.compare.cell_results import CellResult
from hipp_prune.experiments.compare.cells import Cell, Contender, schedule
from hipp_prune.experiments.compare.page import (
    comparison_facts,
    comparison_tables,
    lead_lines,
    leads,
    section_name,
    to_csv,
)
from hipp_prune.experiments.paper.contenders import DENSE_MODEL, HYBRID, LITERAL, LITERAL_RIVALS, plain
from hipp_prune.experiments.paper.part import Part, Section
from hipp_prune.experiments.paper.settings import PaperSettings
from hipp_prune.experiments.paper.tables import paragraphs
from hipp_prune.files.markdown import markdown_list, markdown_table, markdown_text


def everyone(settings: PaperSettings) -> tuple[Contender, ...]:
    """All methods under our defaults, compensated in each of the ways that are asked for, and the dense model."""
    methods = map(plain, (*settings.baselines, *settings.searches))
    modes = [each for one in methods for each in settings.compare.in_modes(one, settings.compensation)]
    return (DENSE_MODEL, *modes)


def literal(settings: PaperSettings) -> tuple[Contender, ...]:
    """The paper's method and baselines, run as it does, and the dense model."""
    if settings.long is None:
        return (DENSE_MODEL, *LITERAL_RIVALS, LITERAL)
    longer = replace(
        LITERAL,
        variant=f"literal, {settings.long:,} evaluations",
        overrides={**LITERAL.overrides, "evaluations": settings.long},
    )
    return (DENSE_MODEL, *LITERAL_RIVALS, LITERAL, longer)


def contenders(settings: PaperSettings) -> tuple[Contender, ...]:
    """Those of both tables."""
    return tuple(dict.fromkeys((*everyone(settings), *literal(settings))))


def cells(settings: PaperSettings, *, number: int) -> list[Cell]:
    """All contenders at all budgets of the model with this number; none where there are fewer models."""
    seeds = settings.seed_range(settings.seeds)
    return [
        cell
        for model, budgets in list(settings.budgets.items())[number - 1 : number]
        for cell in schedule([model], contenders(settings), budgets, seeds)
    ]


def section(settings: PaperSettings, results: Sequence[CellResult], *, number: int) -> Section:
    """Everyone at each budget, then the paper's choices throughout."""
    if not results:
        return Section(text="")
    texts = [markdown_list(comparison_facts(results, settings.compare))]
    for title, chosen, champion in (
        ("Our defaults", everyone(settings), HYBRID),
        ("The paper's choices throughout", literal(settings), LITERAL),
    ):
        labels = {contender.label for contender in chosen}
        own = [result for result in results if result.cell.contender.label in labels]
        texts += [f"## {title}", markdown_list(lead_lines(leads(own, champion=champion.name)))]
        for place, tables in comparison_tables(own, champion=champion.name).items():
            for stage, rows in tables.items():
                texts += [f"### {markdown_text(section_name(place))}, {stage} recovery", markdown_table(rows)]
    return Section(text=paragraphs(*texts), files={f"table{number}.csv": to_csv(results)})


PARTS = tuple(
    Part(
        name=f"table{number}",
        title=f"Table {number}",
        cells=partial(cells, number=number),
        section=partial(section, number=number),
    )
    for number in (1, 2)
)
