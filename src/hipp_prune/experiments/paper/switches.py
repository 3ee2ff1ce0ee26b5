"""Searches with one setting changed at a time: our decisions switched back to the paper's, and ablations."""

from collections.abc import Sequence
from functools import partial

from hipp_prune.experiments.compare.cell_results import CellResult
from hipp_prune.experiments.compare.cells import Cell
from hipp_prune.experiments.compare.standings import ACCURACIES, make_rows
from hipp_prune.experiments.paper.contenders import ABLATIONS, DECISIONS, Switch
from hipp_prune.experiments.paper.part import Part, Section
from hipp_prune.experiments.paper.settings import PaperSettings, model_name
from hipp_prune.experiments.paper.tables import (
    CONTENDER,
    both_stages,
    contender_cells,
    find_row,
    gain_cells,
    paragraphs,
)
from hipp_prune.files.markdown import markdown_table, markdown_text
from hipp_prune.report.grids import Rows

_WHAT = """Each row is a search with one setting changed, in %, and its difference after recovery from the same search
unchanged (the first rows), with a paired bootstrap 95% interval over seeds and pictures: where it excludes zero the
setting matters. All are asked for the centre of the simplex at the hardest budget."""


def cells(settings: PaperSettings, *, switches: Sequence[Switch]) -> list[Cell]:
    """The unchanged searches and the changed ones."""
    bases = dict.fromkeys(switch.base for switch in switches)
    return settings.at_hard((*bases, *(switch.contender for switch in switches)))


def section(settings: PaperSettings, results: Sequence[CellResult], *, switches: Sequence[Switch]) -> Section:
    """A table a model."""
    tables = [
        paragraphs(
            f"### {markdown_text(model_name(model))}, {settings.hard(model):.1%}", markdown_table(rows)
        )
        for model in settings.budgets
        if len(rows := _rows(settings, results, model, switches)) > 1
    ]
    return Section(text=paragraphs(_WHAT, *tables))


def _rows(
    settings: PaperSettings, results: Sequence[CellResult], model: str, switches: Sequence[Switch]
) -> Rows:
    bases = {switch.contender.label: switch.base.label for switch in switches}
    name, hard = model_name(model), settings.hard(model)
    after = make_rows(results, "after")
    table: Rows = [("search", *CONTENDER, *(f"Δ {measure}" for measure in ACCURACIES))]
    for before, row in both_stages(results):
        if row.model == name:
            label = row.contender.label
            base = find_row(after, name, hard, bases[label]) if label in bases else None
            table.append((label, *contender_cells(before, row), *gain_cells(row, base)))
    return table


def _part(name: str, title: str, switches: Sequence[Switch]) -> Part:
    return Part(
        name=name,
        title=title,
        cells=partial(cells, switches=switches),
        section=partial(section, switches=switches),
    )


SWITCHED_BACK = _part("decisions", "Our decisions, switched back one at a time", DECISIONS)
ABLATED = _part("ablations", "What the paper does not ablate", ABLATIONS)

PARTS = (SWITCHED_BACK, ABLATED)
