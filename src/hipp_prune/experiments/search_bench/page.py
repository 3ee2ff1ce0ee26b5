"""What a comparison of searches found: tables for people and programs, and a page with the curves."""

import csv
import io
import platform
from collections.abc import Iterable, Sequence
from html import escape
from importlib.metadata import version
from pathlib import Path
from string import Template

import numpy as np

from hipp_prune.experiments.search_bench.arenas import ArenaSpec
from hipp_prune.experiments.search_bench.trials import SearchTrial
from hipp_prune.experiments.search_bench.verdicts import (
    MEASURES,
    Entrant,
    Measure,
    Standing,
    TrialScore,
    Verdict,
    duels,
    entries,
    verdicts,
)
from hipp_prune.files.manifest import start_list
from hipp_prune.files.markdown import markdown_list, markdown_table, markdown_text
from hipp_prune.files.writing import write_text
from hipp_prune.plans.arrays import Floats
from hipp_prune.report import comparisons
from hipp_prune.report.assets import asset
from hipp_prune.report.charts import Chart, chart_html
from hipp_prune.report.grids import Rows, html_table

_BRIEF: dict[Measure, str] = {
    "regret": "regret",
    "hypervolume": "HV accur.",
    "return_hypervolume": "HV returns",
    "igd_plus": "IGD+",
}
_STANDING: dict[Standing, str] = {"ahead": "ahead of", "tied": "tied with", "behind": "behind"}
_DUEL = ("hybrid", 500), ("grpo-paper", 2000)


def results_table(table: Sequence[Entrant], *, brief: bool = False) -> Rows:
    """Every measure over seeds, a row a budget and method of one problem.

    Args:
        table: the problem's entries.
        brief: for a terminal: short names, and median ± sample std instead of median (mean ± sample std).
    """
    names = _BRIEF.values() if brief else MEASURES.values()
    header = ("budget", "method", "n", *names, "seconds")
    return [header] + [
        (
            f"{entry.budget:,}",
            entry.method,
            str(len(entry.scores)),
            *(_cell(entry.values(measure), brief=brief) for measure in MEASURES),
            f"{np.median([score.seconds for score in entry.scores]):.0f}",
        )
        for entry in table
    ]


def _cell(values: Floats, *, brief: bool) -> str:
    median = f"{np.median(values):.3f}"
    if len(values) < 2:
        return median
    std = values.std(ddof=1)
    return f"{median}±{std:.3f}" if brief else f"{median} ({values.mean():.3f} ± {std:.3f})"


def verdict_table(table: Sequence[Entrant]) -> Rows:
    """Hybrid against the best of the others at every budget, and at 500 evaluations against the paper's at 2,000."""
    header = (
        "problem",
        "measure",
        "hybrid",
        "median",
        "rival",
        "its median",
        "gain [95%]",
        "seeds",
        "hybrid is",
    )
    found = [
        verdict
        for measure in MEASURES
        for verdict in [*verdicts(table, measure), *duels(table, measure, *_DUEL)]
    ]
    return [header] + [_verdict_row(verdict) for verdict in found]


def _verdict_row(verdict: Verdict) -> tuple[str, ...]:
    ours, rival, measure = verdict.entry, verdict.rival, verdict.measure
    interval = "" if verdict.interval is None else " [{:+.3f}, {:+.3f}]".format(*verdict.interval)
    return (
        verdict.problem,
        MEASURES[measure],
        f"@{ours.budget:,}",
        f"{ours.median(measure):.3f}",
        f"{rival.method}@{rival.budget:,}",
        f"{rival.median(measure):.3f}",
        f"{verdict.gain:+.3f}{interval}",
        str(verdict.pairs),
        verdict.word,
    )


def verdict_lines(table: Sequence[Entrant]) -> list[str]:
    """Who is ahead by which measure, a sentence each."""
    lines = []
    for measure, name in MEASURES.items():
        found = verdicts(table, measure)
        words = [verdict.word for verdict in found]
        behind = [
            f"{each.problem}@{each.entry.budget:,} ({each.rival.method})"
            for each in found
            if each.word == "behind"
        ]
        if found:
            medians = sum(each.has_better_median for each in found)
            lines.append(
                f"{name}: of {len(found)} comparisons with the best rival hybrid is ahead in {words.count('ahead')}, "
                f"tied in {words.count('tied')} and behind in {len(behind)}; its median is the best in {medians}"
                + (f"; behind on {', '.join(behind)}" if behind else "")
            )
        for each in duels(table, measure, *_DUEL):
            lines.append(
                f"{name}, {each.problem}: hybrid@{each.entry.budget:,} ({each.entry.median(measure):.3f}) is "
                f"{_STANDING[each.word]} {each.rival.method}@{each.rival.budget:,} ({each.rival.median(measure):.3f})"
            )
    return lines


def search_facts(
    scores: Sequence[TrialScore], cells: Sequence[SearchTrial], specs: Iterable[ArenaSpec]
) -> list[str]:
    """How far the benchmark is, and what its plans were judged by."""
    done = {score.cell for score in scores}
    seeds = {cell.seed for cell in cells}
    whole = sum(all(cell in done for cell in cells if cell.seed == seed) for seed in seeds)
    missing = sum(cell not in done for cell in cells)
    judges = [
        f"{spec.name}: {spec.limit} questions a benchmark, split {spec.split}"
        if spec.run
        else f"{spec.name}: exactly"
        for spec in specs
    ]
    return [
        f"{whole} of {len(seeds)} seeds are complete, {missing} of {len(cells)} searches are missing",
        f"plans judged by: {'; '.join(judges)}",
        f"{platform.machine()}, python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "moocore")),
    ]


TABLES = ("results.md", "results.csv")
"""What ``write_searches`` writes beside the page."""


def write_searches(root: Path, results: Path, scores: Sequence[TrialScore], facts: Sequence[str]) -> Path:
    """Writes ``curves.html`` into a benchmark's folder and ``results.md`` and ``.csv`` into another; returns the page.

    Args:
        root: the benchmark's folder.
        results: folder of the tables.
        scores: of all finished trials.
        facts: sentences above the tables: machine, questions, settings.

    Raises:
        RunError: if they cannot be written.
    """
    start_list(results)
    write_text(results / "results.md", markdown(scores, facts))
    write_text(results / "results.csv", to_csv(scores))
    page = root / "curves.html"
    write_text(page, render_searches(scores, facts))
    return page


def results_tables(scores: Sequence[TrialScore], *, brief: bool = False) -> dict[str, Rows]:
    """``results_table`` of every problem."""
    table = entries(scores)
    return {
        problem: results_table(_of(table, problem), brief=brief)
        for problem in dict.fromkeys(entry.problem for entry in table)
    }


def markdown(scores: Sequence[TrialScore], facts: Sequence[str]) -> str:
    """``results.md``: facts, verdicts, and a table for each problem."""
    table = entries(scores)
    parts = ["# Searches compared", markdown_list(facts)]
    parts += [
        "## Who is best",
        markdown_list(verdict_lines(table)),
        markdown_table(verdict_table(table)),
    ]
    for problem, rows in results_tables(scores).items():
        parts += [f"## {markdown_text(problem)}", markdown_table(rows)]
    return "\n\n".join(parts) + "\n"


def to_csv(scores: Sequence[TrialScore]) -> str:
    """A line a search."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["problem", "method", "budget", "seed", *MEASURES, "evaluations", "seconds"])
    for score in sorted(scores, key=lambda each: str(each.cell)):
        cell = score.cell
        measured = [f"{score.value(measure):.6f}" for measure in MEASURES]
        writer.writerow(
            [cell.problem, cell.method, cell.budget, cell.seed, *measured, score.evaluations, score.seconds]
        )
    return text.getvalue()


def render_searches(scores: Sequence[TrialScore], facts: Sequence[str]) -> str:
    """The page's HTML."""
    table = entries(scores)
    lines = "".join(f"<li>{escape(line)}</li>" for line in verdict_lines(table))
    problems = "".join(
        f"<section><h2>{escape(problem)}</h2>{chart_html(f'problem-{index}', _curves(problem, _of(table, problem)))}"
        f"<details><summary>Numbers</summary>{html_table(rows)}</details></section>"
        for index, (problem, rows) in enumerate(results_tables(scores).items())
    )
    every = f"<details><summary>Every comparison</summary>{html_table(verdict_table(table))}</details>"
    return Template(asset("page.html", __package__)).substitute(
        facts="".join(f"<li>{escape(fact)}</li>" for fact in facts),
        verdicts=f"<ul>{lines}</ul>{every}",
        problems=problems,
        style=asset("page.css"),
        printing=asset("printing.js"),
    )


def _curves(problem: str, table: Sequence[Entrant]) -> Chart:
    """Every measure of one problem against evaluations, a line a method."""
    methods = dict.fromkeys(entry.method for entry in sorted(table, key=lambda each: each.method != "hybrid"))
    curves = []
    for panel, measure in enumerate(MEASURES):
        for method in methods:
            points = [entry for entry in table if entry.method == method]
            values = [entry.values(measure) for entry in points]
            curves.append(
                comparisons.SearchCurve(
                    name=method,
                    panel=panel,
                    evaluations=[entry.budget for entry in points],
                    middle=np.array([np.median(each) for each in values]),
                    low=np.array([each.min() for each in values]),
                    high=np.array([each.max() for each in values]),
                    seeds=[len(each) for each in values],
                )
            )
    return comparisons.search_curves(problem, list(MEASURES.values()), curves)


def _of(table: Sequence[Entrant], problem: str) -> list[Entrant]:
    return [entry for entry in table if entry.problem == problem]
