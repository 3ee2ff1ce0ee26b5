"""The table of results: one set of columns for the page and for the terminal."""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hipp_prune.evaluation.scorecard import Scorecard
from hipp_prune.files.run_directory import RunDirectory
from hipp_prune.files.sizes import format_bytes
from hipp_prune.questions.benchmark import Benchmark
from hipp_prune.questions.benchmarks import BENCHMARKS
from hipp_prune.questions.intervals import percent
from hipp_prune.report.contents import DENSE

MISSING = "–"
"""A number that is in no file."""

_NAME_WIDTH, _CELL_WIDTH = 31, 19
"""Characters that a printed table needs for the names of its rows, and for each model."""

_UNBOUNDED = 1000
"""Characters, more than any table has."""

_EVALUATE = "hipp-prune evaluate --model {model} --questions {questions} --run {run} --out {results}"
"""With the names of the run and of the model that lacks a number."""


@dataclass(frozen=True, kw_only=True)
class TableColumn:
    """One number of every evaluation."""

    group: str
    """What it belongs to: a benchmark, or sparsity."""
    name: str
    unit: str
    """``%``, or empty for a plain number."""
    cell: Callable[[Scorecard], str | None]
    """Its text; None if the evaluation does not hold it."""
    made_by: str
    """What to do to get it where it is missing; may name the ``run``, the evaluation's ``model`` and ``questions``, and
    the file of its ``results``."""

    def remedy(self, each: Scorecard, run: Path) -> str:
        """What to do to get it of a model that lacks it."""
        results = RunDirectory(run).results / f"{each.label}.json"
        names = {"model": each.model, "run": str(run), "results": str(results)}
        quoted = {name: shlex.quote(text) for name, text in names.items()}
        return self.made_by.format(questions=shlex.join(each.questions), **quoted)

    @property
    def title(self) -> str:
        """Its full name, for a table without groups."""
        return f"{self.group}: {self.name}{f' ({self.unit})' if self.unit else ''}"


def summary_columns(evaluations: Sequence[Scorecard]) -> tuple[TableColumn, ...]:
    """The columns that these evaluations need: those of a benchmark where one of them was asked it."""
    benchmarks = [
        benchmark
        for name, benchmark in BENCHMARKS.items()
        if any(name in each.results.scores for each in evaluations)
    ]
    scored = [column for benchmark in benchmarks for column in _benchmark_columns(benchmark, evaluations)]
    return (*_sparsity_columns(evaluations), *scored, *_cost_columns())


def summary_rows(evaluations: Sequence[Scorecard]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Header and a row an evaluation, as text; what is missing is ``–``.

    Percentages have one decimal; a 95% interval follows its number in parentheses.
    """
    columns = summary_columns(evaluations)
    header = ("model", *(column.title for column in columns))
    rows = [(each.label, *(column.cell(each) or MISSING for column in columns)) for each in evaluations]
    return header, rows


def missing_numbers(evaluations: Sequence[Scorecard], run: Path) -> list[tuple[str, str]]:
    """The columns with a gap, and what fills it."""
    lacking = {
        column: next((each for each in evaluations if column.cell(each) is None), None)
        for column in summary_columns(evaluations)
    }
    return [(column.title, column.remedy(each, run)) for column, each in lacking.items() if each is not None]


def print_summary(evaluations: Sequence[Scorecard], run: Path, console: Console) -> None:
    """Prints the table of a run with models as columns, all side by side where the terminal is wide enough.

    Where it is not, intervals are left out, and where that does not help, a table for each few models follows another.
    """
    header, rows = summary_rows(evaluations)
    beside = max(1, (console.width - _NAME_WIDTH - _CELL_WIDTH) // _CELL_WIDTH)
    brief = _brief(header, rows)
    if len(rows) > 1 + beside and _width(brief, console) <= console.width:
        console.print(brief)
        console.print("their 95% intervals are in the report", style="dim")
    else:
        for start in range(1, max(len(rows), 2), beside):
            console.print(_printed(header, rows[:1] + rows[start : start + beside]))
    for name, made_by in missing_numbers(evaluations, run):
        console.print(f"{MISSING} {name}: {made_by}", style="dim", markup=False, highlight=False)


def _brief(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """The same without intervals and without a frame, the group of some numbers in a line above them."""
    table = Table(header[0], box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1), show_edge=False)
    for row in rows:
        table.add_column(Text(row[0]), justify="right")
    previous = ""
    for index, title in enumerate(header[1:], start=1):
        group, _, name = title.partition(": ")
        if group != previous:
            table.add_row(group, style="bold")
        table.add_row(f"  {name}", *(row[index].partition(" (")[0] for row in rows))
        previous = group
    return table


def _width(table: Table, console: Console) -> int:
    """Characters that a table takes where nothing holds it in."""
    return console.measure(table, options=console.options.update(width=_UNBOUNDED)).maximum


def _printed(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(header[0])
    for row in rows:
        table.add_column(Text(row[0]), justify="right")
    previous = ""
    for index, name in enumerate(header[1:], start=1):
        group = name.partition(":")[0]
        if previous and group != previous:
            table.add_section()
        table.add_row(name, *(row[index] for row in rows))
        previous = group
    return table


def summary_html(evaluations: Sequence[Scorecard], run: Path) -> str:
    """The table of a run as HTML with models as columns, which a screen has room for, and a line for every gap."""
    models = "".join(f'<th scope="col">{_model_html(each)}</th>' for each in evaluations)
    groups: dict[str, list[TableColumn]] = {}
    for column in summary_columns(evaluations):
        groups.setdefault(column.group, []).append(column)
    parts = "".join(_group_html(name, columns, evaluations, run) for name, columns in groups.items())
    table = (
        f'<div class="wide" tabindex="0"><table class="results models"><thead><tr><th scope="col">model</th>{models}'
        f"</tr></thead>{parts}</table></div>"
    )
    asked = dict.fromkeys(f"{' + '.join(each.questions)}, split {each.split}" for each in evaluations)
    source = f'<p class="note">Questions: {escape("; ".join(asked))}.</p>'
    return table + source + _gaps_html(missing_numbers(evaluations, run))


def _group_html(
    name: str, columns: Sequence[TableColumn], evaluations: Sequence[Scorecard], run: Path
) -> str:
    """What belongs together, under its name: a row a number, a cell a model.

    Args:
        name: of the group.
        columns: its numbers.
        evaluations: of the models.
        run: what commands that fill a gap name.
    """
    rows = "".join(
        f'<tr><th scope="row">{escape(column.name)} <small>{column.unit}</small></th>'
        f"{''.join(_cell_html(column, each, run) for each in evaluations)}</tr>"
        for column in columns
    )
    over = f'<tr><th scope="rowgroup" colspan="{1 + len(evaluations)}">{escape(name)}</th></tr>'
    return f"<tbody>{over}{rows}</tbody>"


def _gaps_html(gaps: Sequence[tuple[str, str]]) -> str:
    if not gaps:
        return ""
    by_command: dict[str, list[str]] = {}
    for name, made_by in gaps:
        by_command.setdefault(made_by, []).append(name)
    items = "".join(
        f"<li>{escape(', '.join(names))}: <code>{escape(made_by)}</code></li>"
        for made_by, names in by_command.items()
    )
    return f'<p class="note">{MISSING} is not measured yet:</p><ul class="note">{items}</ul>'


def _model_html(each: Scorecard) -> str:
    asked = f"{' + '.join(each.questions)}, {each.split}"
    return f'<span title="{escape(f"{each.model}; {asked}")}">{label_html(each.label)}</span>'


def _cell_html(column: TableColumn, each: Scorecard, run: Path) -> str:
    text = column.cell(each)
    if text is None:
        return f'<td title="{escape(column.remedy(each, run))}">{MISSING}</td>'
    number, parenthesis, interval = text.partition(" (")
    extra = f" <small>({escape(interval)}</small>" if parenthesis else ""
    return f"<td>{escape(number)}{extra}</td>"


def _sparsity_columns(evaluations: Sequence[Scorecard]) -> list[TableColumn]:
    """What each model saves; FLOPs, latency and compensation only where they are known of one of them."""

    def cell(name: str) -> Callable[[Scorecard], str | None]:
        def text(each: Scorecard) -> str | None:
            if each.ledger is None:
                return "0" if each.label == DENSE else None
            saved = getattr(each.ledger, name)
            return None if saved is None else percent(saved)

        return text

    names = {"mlp": "MLP", "block": "blocks", "language": "language model", "model": "whole model"}
    ledgers = [each.ledger for each in evaluations if each.ledger is not None]
    for field, name in (("flops", "FLOPs"), ("latency", "latency")):
        if any(getattr(ledger, field) is not None for ledger in ledgers):
            names[field] = name
    made_by = f"prune with a plan of hipp-prune query, then {_EVALUATE}"
    columns = [
        TableColumn(group="sparsity", name=name, unit="%", cell=cell(field), made_by=made_by)
        for field, name in names.items()
    ]
    if any(each.compensation != "none" for each in evaluations):
        columns.append(
            TableColumn(
                group="sparsity",
                name="compensation",
                unit="",
                cell=lambda each: each.compensation,
                made_by=made_by,
            )
        )
    return columns


def _benchmark_columns(benchmark: Benchmark, evaluations: Sequence[Scorecard]) -> list[TableColumn]:
    """What the benchmark's score says of each model (``Score.columns``)."""

    def cell(name: str) -> Callable[[Scorecard], str | None]:
        def text(each: Scorecard) -> str | None:
            score = each.results.scores.get(benchmark.name)
            said = {} if score is None else {column: text for column, _, text in score.columns()}
            return said.get(name)

        return text

    scores = [
        each.results.scores[benchmark.name] for each in evaluations if benchmark.name in each.results.scores
    ]
    units = {name: unit for score in scores for name, unit, _ in score.columns()}
    units["n"] = units.pop("n", "")
    made_by = f"{_EVALUATE} with {benchmark.title} among the questions"
    return [
        TableColumn(group=benchmark.title, name=name, unit=unit, cell=cell(name), made_by=made_by)
        for name, unit in units.items()
    ]


def _cost_columns() -> list[TableColumn]:
    def size(each: Scorecard) -> str | None:
        return None if each.bytes is None else format_bytes(each.bytes)

    def speedup(each: Scorecard) -> str | None:
        if each.speedup is None:
            return "reference" if each.label == DENSE else None
        return f"{each.speedup:.2f}×"

    return [
        TableColumn(
            group="cost", name="on disk", unit="", cell=size, made_by=f"{_EVALUATE} of a checkpoint folder"
        ),
        TableColumn(
            group="cost",
            name="speed",
            unit="",
            cell=speedup,
            made_by="hipp-prune auto and quickstart time every model that they make, and so does api.speedups",
        ),
    ]


def label_html(label: str) -> str:
    """A label that may break after its commas, as preferences have them."""
    return escape(label).replace(",", ",<wbr>")
