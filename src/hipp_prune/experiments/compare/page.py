"""What a comparison of ways to prune found: tables for people and programs, and a page."""

import csv
import io
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from html import escape
from importlib.metadata import version
from pathlib import Path
from string import Template

import numpy as np

from hipp_prune.experiments.compare.cell_results import CellResult
from hipp_prune.experiments.compare.cells import OURS
from hipp_prune.experiments.compare.scores import Scores, score_columns
from hipp_prune.experiments.compare.settings import CompareSettings
from hipp_prune.experiments.compare.standings import (
    ASKED,
    MEASURES,
    STAGES,
    Difference,
    Row,
    Stage,
    challenged,
    champion_rows,
    difference,
    make_rows,
    runner_up,
)
from hipp_prune.files.manifest import start_list
from hipp_prune.files.markdown import markdown_list, markdown_table, markdown_text
from hipp_prune.files.writing import write_text
from hipp_prune.plans.arrays import Floats
from hipp_prune.report import comparisons
from hipp_prune.report.assets import asset
from hipp_prune.report.charts import Chart, chart_html
from hipp_prune.report.grids import Rows, html_table

_NAMES = {
    "robustness": "robustness",
    "utility": "utility",
    "mean": "mean of both",
    ASKED: "accuracy asked for",
}
_LEDGER = {"mlp": "MLP", "block": "blocks", "language": "language model", "model": "whole model"}
_OTHER = {"yes_rate": "Yes", "auc": "AUC", "utility": "utility", "mean": "mean", ASKED: "asked"}

PageSection = tuple[str, float | None]
"""A model and a budget."""


def comparison_tables(
    results: Sequence[CellResult], *, champion: str = OURS, brief: bool = False
) -> dict[PageSection, dict[Stage, Rows]]:
    """A pair of tables, before and after recovery, for every model and budget.

    Args:
        results: all cells.
        champion: name of the contender whose lead over each other one is shown.
        brief: for a terminal: without most of the ledger, the subsets and times.
    """
    return {
        section: {stage: _table(rows, champion, brief=brief) for stage, rows in pair.items()}
        for section, pair in _pairs(results).items()
    }


def _pairs(results: Sequence[CellResult]) -> dict[PageSection, dict[Stage, list[Row]]]:
    """The rows of every model and budget, before and after recovery."""
    pairs: dict[PageSection, dict[Stage, list[Row]]] = {}
    for stage in STAGES:
        for row in make_rows(results, stage):
            pairs.setdefault((row.model, row.budget), {}).setdefault(stage, []).append(row)
    return pairs


def _table(rows: Sequence[Row], champion: str, *, brief: bool) -> Rows:
    ours = champion_rows(rows, champion)
    splits = [] if brief else sorted(rows[0].scores[0].splits)
    others = {name: label for name, label in _OTHER.items() if not (brief and name in ("mean", ASKED))}
    measures = ("robustness", *splits, *others)
    ledger = {"mlp": "MLP"} if brief else _LEDGER
    times = () if brief else ("plan s", "recover s", "search s")
    header = (
        "method",
        "compensation",
        "seeds",
        *ledger.values(),
        "robustness",
        *splits,
        *others.values(),
        *times,
    )
    body: Rows = []
    for row in rows:
        plain = ("yes_rate", "auc") if brief else ()
        scores = [_spread(row.over_seeds(name), plain=name in plain) for name in measures]
        seconds = () if brief else _second_cells(row)
        label = (row.contender.name, row.contender.mode, str(len(row.seeds)))
        body.append((*label, *_ledger_cells(row, tuple(ledger)), *scores, *seconds, _lead(ours, row)))
        if row in ours and not brief and len(row.over_preferences("mean")) > 1:
            scores = [_spread(row.over_preferences(name)) for name in measures]
            body.append(
                (
                    f"{champion}, ± over preferences",
                    row.contender.mode,
                    *_blank(1 + len(ledger)),
                    *scores,
                    *_blank(len(times) + 1),
                )
            )
    chance = f"{100 * rows[0].scores[0].chance:.1f}"
    guesses = {"yes_rate": "", "utility": chance, "mean": "", ASKED: ""}
    body.append(
        (
            "chance",
            *_blank(2 + len(ledger)),
            *(guesses.get(name, "50.0") for name in measures),
            *_blank(len(times) + 1),
        )
    )
    return [(*header, "lead [95%]" if brief else f"{champion} − it [95%]"), *body]


def _blank(count: int) -> tuple[str, ...]:
    return ("",) * count


def _ledger_cells(row: Row, columns: Sequence[str]) -> tuple[str, ...]:
    ledgers = [result.ledger if row.stage == "before" else result.recovered for result in row.results]
    return tuple(f"{100 * np.mean([getattr(each, column) for each in ledgers]):.1f}" for column in columns)


def _second_cells(row: Row) -> tuple[str, ...]:
    """Medians: one cell that waited for a busy machine must not speak for the others."""
    seconds = [result.seconds for result in row.results]
    searches = {result.cell.seed: result.search["seconds"] for result in row.results if result.search}
    cells = [f"{np.median([each[name] for each in seconds]):.1f}" for name in ("plan", "recover")]
    return (*cells, f"{np.median(list(searches.values())):.0f}" if searches else "")


def _spread(values: Floats, *, plain: bool = False) -> str:
    """Percent: mean ± sample standard deviation, where there is one and it is not ``plain``."""
    mean = f"{100 * values.mean():.1f}"
    return mean if plain or len(values) < 2 else f"{mean} ± {100 * values.std(ddof=1):.1f}"


def _lead(champions: Sequence[Row], row: Row) -> str:
    """What the champion is ahead by, in points of the accuracy asked for."""
    ours = None if row in champions else challenged(champions, row)
    found = None if ours is None else difference(ours, row)
    return "" if found is None else _points(found, ASKED)


def _points(found: Difference, measure: str) -> str:
    index = MEASURES.index(measure)
    low, high = found.intervals[index]
    return f"{100 * found.gain[index]:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"


def leads(results: Sequence[CellResult], *, champion: str = OURS) -> list[Difference]:
    """The champion against the best of the others, on every model, at every budget, before and after recovery.

    The best is that by the accuracy asked for, and then that by the mean of both where it is another; a champion that
    takes part compensated in several ways is held against the best in each.
    """
    found = []
    for rows in (rows for pair in _pairs(results).values() for rows in pair.values()):
        for ours in champion_rows(rows, champion):
            rivals = [runner_up(rows, ours, measure) for measure in (ASKED, "mean")]
            for rival in dict.fromkeys(rival.contender for rival in rivals if rival is not None):
                lead = difference(ours, next(row for row in rows if row.contender == rival))
                found += [] if lead is None else [lead]
    return found


def lead_lines(found: Sequence[Difference]) -> list[str]:
    """They in words; "tied" and the like is said of the accuracy asked for."""
    return [
        f"{section_name((each.ours.model, each.ours.budget))}, {each.ours.stage} recovery: {each.ours.contender.label} "
        f"is {each.word()} {each.theirs.contender.label} by "
        + ", ".join(f"{_NAMES[measure]} {_points(each, measure)}" for measure in reversed(MEASURES))
        + f" points ({each.seeds} seed{'' if each.seeds == 1 else 's'})"
        for each in found
    ]


def section_name(section: PageSection) -> str:
    """A model and a budget, in words."""
    model, budget = section
    return f"{model}, {'budget left to the policy' if budget is None else f'{budget:.1%} removed'}"


def comparison_facts(results: Sequence[CellResult], settings: CompareSettings) -> list[str]:
    """How many seeds and questions there are, what all cells share, and where they were run."""
    scores = score_columns(results[0].before)
    recovery = settings.recovery
    removed = {"mlp": "MLP neurons", "block": "parameters of the language blocks"}[settings.match]
    return [
        f"{len(results)} cells, seeds {', '.join(map(str, sorted({each.cell.seed for each in results})))}",
        f"robustness: balanced accuracy on {scores.num_robustness:,} questions; utility: accuracy on "
        f"{scores.num_utility:,}; of split {settings.split} ({', '.join(settings.questions)}); chance 50.0% and "
        f"{scores.chance:.1%}",
        f"budgets are shares of the {removed}; searches have {settings.evaluations:,} evaluations in "
        f"[{settings.s_min:g}, {settings.s_max:g}], all methods {settings.calibration} calibration questions"
        + (f"; sequential ones {settings.reconstruct:g} minutes by gradient" if settings.reconstruct else ""),
        f"recovery: {recovery.steps} steps of {recovery.batch_size} questions, mixture {recovery.mixture}, rates "
        f"{recovery.rate:g} and {recovery.lora_rate:g} (LoRA, last {recovery.lora_blocks} blocks)",
        "percent, mean ± sample standard deviation over seeds (a search: of its mean over preferences); intervals: "
        "bootstrap over seeds and pictures, of the accuracy asked for unless named otherwise: robustness and utility "
        "as the preference weighs them, and for what answers no preference as those of the searches do on average",
        f"{platform.machine()}, python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers")),
    ]


TABLES = ("compare.md", "compare.csv")
"""What ``write_comparison`` writes beside the page."""


def write_comparison(
    root: Path,
    results: Sequence[CellResult],
    facts: Sequence[str],
    *,
    champion: str = OURS,
    page: Path | None = None,
) -> Path:
    """Writes ``compare.md`` and ``compare.csv`` into a folder, ``compare.html`` there or elsewhere; returns the page.

    Args:
        root: folder of tables, and of the page if it has no other place.
        results: finished cells.
        facts: sentences above the tables: machine, questions, settings.
        champion: name of the contender whose lead over the others is shown.
        page: the page, if not ``root/compare.html``.

    Raises:
        RunError: if they cannot be written.
    """
    start_list(root)
    write_text(root / "compare.md", markdown(results, facts, champion=champion))
    write_text(root / "compare.csv", to_csv(results))
    page = page or root / "compare.html"
    write_text(page, render_comparison(results, facts, champion=champion))
    return page


def markdown(results: Sequence[CellResult], facts: Sequence[str], *, champion: str = OURS) -> str:
    """Facts, who is ahead, and all tables."""
    lines = lead_lines(leads(results, champion=champion))
    parts = [
        "# Ways to prune, compared",
        *map(markdown_list, (facts, lines)),
    ]
    for section, tables in comparison_tables(results, champion=champion).items():
        parts.append(f"## {markdown_text(section_name(section))}")
        for stage, rows in tables.items():
            parts += [f"{stage.capitalize()} recovery:", markdown_table(rows)]
    return "\n\n".join(part for part in parts if part) + "\n"


def to_csv(results: Sequence[CellResult]) -> str:
    """A line a cell and stage."""
    lines = [_record(result, stage) for result in results for stage in STAGES]
    text = io.StringIO()
    names = list(dict.fromkeys(name for line in lines for name in line))
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _record(result: CellResult, stage: Stage) -> dict[str, object]:
    cell = result.cell
    scores: Scores = score_columns(result.before if stage == "before" else result.after)
    share = 0.5 if cell.preference is None else cell.preference.robustness_share
    numbers = asdict(scores) | {"mean": scores.mean, ASKED: scores.asked(share)}
    numbers |= {f"robustness_{split}": value for split, value in numbers.pop("splits").items()}
    ledger = asdict(result.ledger if stage == "before" else result.recovered)
    return {
        "model": Path(cell.model).name,
        "method": cell.contender.method,
        "variant": cell.contender.variant,
        "compensation": cell.contender.mode,
        "budget": "" if cell.budget is None else cell.budget,
        "preference": "" if cell.preference is None else str(cell.preference),
        "seed": cell.seed,
        "stage": stage,
        **{name: f"{value:.6f}" if isinstance(value, float) else value for name, value in numbers.items()},
        **{f"saved_{name}": f"{value:.6f}" for name, value in ledger.items() if value is not None},
        **{f"seconds_{name}": value for name, value in result.seconds.items()},
        **({f"search_{name}": value for name, value in result.search.items()} if result.search else {}),
    }


_ONE_ROLE = '<p class="note">Questions of one role were asked alone, so that there is no plane to draw.</p>'


def render_comparison(results: Sequence[CellResult], facts: Sequence[str], *, champion: str = OURS) -> str:
    """The page's HTML."""
    pairs = _pairs(results)
    sections = []
    for index, (section, tables) in enumerate(comparison_tables(results, champion=champion).items()):
        chart = _ONE_ROLE
        if np.isfinite([_point(row) for row in pairs[section]["before"]]).all():
            chart = chart_html(f"section-{index}", _arrows(section_name(section), pairs[section], champion))
        shown = "".join(
            f"<h3>{stage.capitalize()} recovery</h3>{html_table(rows)}" for stage, rows in tables.items()
        )
        sections.append(f"<section><h2>{escape(section_name(section))}</h2>{chart}{shown}</section>")
    lines = lead_lines(leads(results, champion=champion))
    return Template(asset("page.html", __package__)).substitute(
        facts="".join(f"<li>{escape(fact)}</li>" for fact in facts),
        verdicts="".join(f"<li>{escape(line)}</li>" for line in lines),
        sections="".join(sections),
        style=asset("page.css"),
        printing=asset("printing.js"),
    )


def _arrows(title: str, pair: Mapping[Stage, Sequence[Row]], champion: str) -> Chart:
    before, after = pair["before"], pair["after"]
    arrows = [
        comparisons.Arrow(
            name=first.contender.label,
            before=_point(first),
            after=_point(second),
            emphasis=first.contender.name == champion,
        )
        for first, second in zip(before, after, strict=True)
    ]
    return comparisons.recovery_arrows(title, arrows, (before[0].scores[0].chance, 0.5))


def _point(row: Row) -> tuple[float, float]:
    return float(row.over_seeds("utility").mean()), float(row.over_seeds("robustness").mean())
