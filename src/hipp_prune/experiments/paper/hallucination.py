"""Hallucination beyond the trained head: recovered on one POPE split, asked the others."""

from collections.abc import Sequence
from dataclasses import replace

from hipp_prune.experiments.compare.cell_results import AnswerColumns, CellResult
from hipp_prune.experiments.compare.cells import Cell
from hipp_prune.experiments.compare.standings import Row
from hipp_prune.experiments.paper.contenders import DENSE_MODEL, HYBRID, plain
from hipp_prune.experiments.paper.part import Part, Section
from hipp_prune.experiments.paper.proxy import take
from hipp_prune.experiments.paper.settings import PaperSettings, model_name
from hipp_prune.experiments.paper.statistics import mean_and_std
from hipp_prune.experiments.paper.tables import both_stages, gain_cells, paragraphs
from hipp_prune.files.markdown import markdown_table, markdown_text
from hipp_prune.report.grids import Rows

_TAUGHT = "random"
_RIVALS = tuple(map(plain, ("random", "uniform", "wanda-coupled", "surrogate")))
_COLUMNS = ("robustness", "yes_rate", "auc")

_WHAT = """Checkpoints recovered on POPE's *{taught}* split alone, asked the other splits, which recovery never showed,
at the hardest budget; in %, mean ± sample std over seeds. The AUC ranks questions by the margin of Yes over No, so no
shift of the head moves it; an honest model says Yes to half of the questions. Δ is ours less each, a paired bootstrap
95% interval."""


def cells(settings: PaperSettings) -> list[Cell]:
    """The dense model, ours and some others, asked for the centre of the simplex."""
    return settings.at_hard((DENSE_MODEL, HYBRID, *_RIVALS))


def section(settings: PaperSettings, results: Sequence[CellResult]) -> Section:
    """A table a model."""
    stages = both_stages([kept_out(result) for result in results])
    parts = [_WHAT.format(taught=_TAUGHT)]
    for model in settings.budgets:
        own = [pair for pair in stages if pair[1].model == model_name(model)]
        if own:
            parts += [
                f"### {markdown_text(model_name(model))}, {settings.hard(model):.1%}",
                markdown_table(_table(own)),
            ]
    return Section(text=paragraphs(*parts))


def kept_out(result: CellResult) -> CellResult:
    """A result without the POPE split that was taught."""

    def rest(answers: AnswerColumns) -> AnswerColumns:
        return take(answers, (~answers.robust) | (answers.subset != _TAUGHT))

    return replace(result, before=rest(result.before), after=rest(result.after))


def _table(pairs: Sequence[tuple[Row, Row]]) -> Rows:
    header = ("method", "seeds", "POPE before", "Yes", "AUC", "POPE after", "Yes", "AUC", "Δ POPE after")
    ours = next((after for _, after in pairs if after.contender == HYBRID), None)
    table: Rows = [header]
    for before, after in pairs:
        scores = (mean_and_std(row.over_seeds(column)) for row in (before, after) for column in _COLUMNS)
        gain = "–" if ours is None or after is ours else gain_cells(ours, after)[0]
        table.append((after.contender.label, str(len(after.seeds)), *scores, gain))
    return table


PARTS = (
    Part(
        name="hallucination",
        title="Hallucination beyond what recovery taught",
        cells=cells,
        section=section,
        only_subset=_TAUGHT,
    ),
)
