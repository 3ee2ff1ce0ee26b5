"""What damage found: a table and a picture for people, and the numbers for programs."""

import csv
import io
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hipp_prune.experiments.compare.cells import DENSE, SEARCHES
from hipp_prune.experiments.damage.cells import Result
from hipp_prune.experiments.damage.drawing import draw_curves
from hipp_prune.experiments.damage.standings import (
    Items,
    MethodResults,
    by_method,
    dense_row,
    gap_between,
    measures,
)
from hipp_prune.files.manifest import start_list
from hipp_prune.files.markdown import markdown_list, markdown_table
from hipp_prune.files.writing import write_text
from hipp_prune.report.grids import Rows

FILES = ("damage.md", "damage.csv", "damage.svg")
"""In the folder of the results: table, numbers and picture."""
_POINTS, _NATS = 0.05, 0.1
"""A loss that counts: of accuracy, and of KL in nats."""


def write_damage(folder: Path, results: Sequence[Result], items: Items, facts: dict[str, Any]) -> None:
    """Writes the table, the numbers and the picture.

    Args:
        folder: where.
        results: all cells.
        items: what each value is of.
        facts: what all cells share.
    """
    rows = by_method(results)
    start_list(folder)
    said = markdown_list(
        [
            f"{', '.join(f'{name} {value}' for name, value in facts.items())}",
            f"hipp-prune {version('hipp-prune')}, torch {version('torch')}, transformers {version('transformers')}, "
            f"{platform.machine()}",
            "accuracies in %, KL to the dense model in nats a token; ± is the standard deviation over seeds",
        ]
    )
    parts = ["# What pruning costs", said, markdown_table(damage_table(rows)), "## In a word"]
    parts += [markdown_list([*costless_lines(rows, items), *search_lines(rows, items)])]
    write_text(folder / "damage.md", "\n\n".join(parts) + "\n")
    write_text(folder / "damage.csv", _csv(results))
    write_text(folder / "damage.svg", draw_curves(rows))


def damage_table(rows: Sequence[MethodResults]) -> Rows:
    """A row a budget, compensation and method."""
    answered, compared = measures([result for row in rows for result in row.results])
    header = ("removed", "compensation", "method", "seeds", *answered, *(f"KL {name}" for name in compared))
    body: Rows = [
        (
            "–" if row.method == DENSE else f"{100 * row.budget:g}%",
            row.compensation,
            row.name,
            str(len(row.results)),
            *(_cell(row, name, 100, 1) for name in answered),
            *(_cell(row, name, 1, 3) for name in compared),
        )
        for row in rows
    ]
    return [header, *body]


def _cell(row: MethodResults, measure: str, scale: float, digits: int) -> str:
    middle = f"{scale * row.mean(measure):.{digits}f}"
    return f"{middle} ± {scale * row.spread(measure):.{digits}f}" if len(row.results) > 1 else middle


def costless_lines(rows: Sequence[MethodResults], items: Items) -> list[str]:
    """For each measure and compensation: up to which budget uniform pruning loses less than counts, and from which on.

    A loss is its point estimate; the interval is shown beside the first that counts.
    """
    dense, lines = dense_row(rows), list[str]()
    if dense is None:
        return lines
    answered, compared = measures(dense.results)
    for compensation in dict.fromkeys(row.compensation for row in rows if row.method == "uniform"):
        curve = [row for row in rows if row.method == "uniform" and row.compensation == compensation]
        for name in (*answered, *compared):
            lines.append(_costless(name, compensation, curve, dense, items, is_kl=name in compared))
    return lines


def _costless(
    name: str,
    compensation: str,
    curve: Sequence[MethodResults],
    dense: MethodResults,
    items: Items,
    *,
    is_kl: bool,
) -> str:
    what = f"KL {name}" if is_kl else name
    for place, row in enumerate(curve):
        found = gap_between(row, dense, name, items[name])
        loss = found.gain if is_kl else -found.gain
        if loss < (_NATS if is_kl else _POINTS):
            continue
        before = (
            f"loses less at {100 * curve[place - 1].budget:g}%" if place else "no smaller one was measured"
        )
        scale, unit = (1.0, "nats") if is_kl else (100.0, "points")
        return (
            f"{what}, {compensation}: {scale * abs(found.gain):.2f} {unit} at {100 * row.budget:g}% removed "
            f"(95% {scale * found.low:+.2f} to {scale * found.high:+.2f}); {before}"
        )
    limit = f"{_NATS:g} nats" if is_kl else f"{100 * _POINTS:g} points"
    return f"{what}, {compensation}: less than {limit} at every budget measured, up to {100 * curve[-1].budget:g}%"


def search_lines(rows: Sequence[MethodResults], items: Items) -> list[str]:
    """Each search against the best of the others with the same compensation, at every budget and by every measure."""
    lines: list[str] = []
    for ours in (row for row in rows if row.method in SEARCHES):
        rivals = [
            row
            for row in rows
            if (row.budget, row.compensation) == (ours.budget, ours.compensation)
            and row.method not in SEARCHES
            and row.method != DENSE
        ]
        answered, compared = measures(ours.results)
        for name in (*answered, *compared) if rivals else ():
            is_kl = name in compared
            best = (min if is_kl else max)(rivals, key=lambda row, name=name: row.mean(name))  # type: ignore[misc]
            lines.append(_lead(ours, best, name, items, is_kl=is_kl))
    return lines


def _lead(ours: MethodResults, best: MethodResults, name: str, items: Items, *, is_kl: bool) -> str:
    found = gap_between(ours, best, name, items[name])
    better = found.gain < 0 if is_kl else found.gain > 0
    word = "tied with" if not found.is_clear else "ahead of" if better else "behind"
    scale, unit = (1.0, "nats") if is_kl else (100.0, "points")
    return (
        f"{100 * ours.budget:g}% removed, {ours.compensation}, {'KL ' if is_kl else ''}{name}: {ours.name} is {word} "
        f"{best.name} by {scale * found.gain:+.3f} {unit} (95% {scale * found.low:+.3f} to {scale * found.high:+.3f}, "
        f"{found.seeds} seeds)"
    )


def _csv(results: Sequence[Result]) -> str:
    answered, compared = measures(results)
    text = io.StringIO()
    names = [
        "method",
        "compensation",
        "budget",
        "seed",
        "saved",
        *answered,
        *(f"kl_{name}" for name in compared),
    ]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*names, "seconds"])
    for result in sorted(results, key=lambda each: str(each.cell)):
        cell = result.cell
        shares = [f"{sum(result.right[name]) / len(result.right[name]):.4f}" for name in answered]
        nats = [f"{sum(result.kl[name]) / len(result.kl[name]):.4f}" for name in compared]
        told = [cell.method, cell.compensation, f"{cell.budget:g}", str(cell.seed), f"{result.saved:.4f}"]
        writer.writerow([*told, *shares, *nats, f"{sum(result.seconds.values()):.1f}"])
    return text.getvalue()
