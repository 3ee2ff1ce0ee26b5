"""Charts of what experiments compare: searches over their evaluations, and pruned models before and after recovery."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from hipp_prune.plans.arrays import Floats
from hipp_prune.report.charts import Chart, Drawing
from hipp_prune.report.svg import (
    SYMBOLS,
    Axes,
    LegendLine,
    Scale,
    element,
    hint,
    legend,
    mark,
    number,
    polyline,
    round_ticks,
    value_range,
)

_LEFT, _RIGHT = 58, 14
_COLORS = 8
"""Classes ``c1`` to ``c8`` of ``page.css``; beyond them lines are dashed."""
_DASHES = (None, "7 3", "2 3")


@dataclass(frozen=True, kw_only=True)
class SearchCurve:
    """One method's line in one panel of ``search_curves``."""

    name: str
    panel: int
    """Its row, from 0."""
    evaluations: Sequence[int]
    middle: Floats
    """The line, [N]."""
    low: Floats
    """Lower edge of the band, [N]."""
    high: Floats
    seeds: Sequence[int]
    """How many each point stands for, [N]."""


def search_curves(title: str, panels: Sequence[str], curves: Sequence[SearchCurve]) -> Chart:
    """Measures of searches against evaluations, a panel below the other."""
    ends = [
        f"{panels[curve.panel]}, {curve.name}: {number(curve.middle[-1], '.3f')} at {curve.evaluations[-1]:,}"
        for curve in curves
    ]
    body = [
        (panels[curve.panel], curve.name, f"{count:,}", *_shown_at(curve, index))
        for curve in curves
        for index, count in enumerate(curve.evaluations)
    ]
    return Chart(
        title=title,
        text=f"Medians over seeds at the most evaluations. {'; '.join(ends)}.",
        draw=partial(_draw_searches, list(panels), list(curves)),
        table=[("measure", "method", "evaluations", "median", "lowest", "highest", "seeds"), *body],
    )


def _shown_at(curve: SearchCurve, index: int) -> list[str]:
    """The middle and the ends of the band at one of the counts, and how many seeds got there."""
    values = [number(values[index], ".3f") for values in (curve.middle, curve.low, curve.high)]
    return [*values, str(curve.seeds[index])]


def _draw_searches(panels: list[str], curves: list[SearchCurve], width: int) -> Drawing:
    names = list(dict.fromkeys(curve.name for curve in curves))
    entries = [_entry(name, index) for index, name in enumerate(names)]
    drawn, top = legend(entries, left=10, right=width - _RIGHT, top=0)
    ticks = sorted({count for curve in curves for count in curve.evaluations})
    low, high = (ticks[0], ticks[-1]) if ticks[0] < ticks[-1] else (ticks[0] / 2, ticks[0] * 2)
    x = Scale(low=low, high=high, start=_LEFT, end=width - _RIGHT, logarithmic=True)
    for index, name in enumerate(panels):
        top += 36
        of_panel = [curve for curve in curves if curve.panel == index]
        bottom, ceiling = value_range([each for curve in of_panel for each in (curve.low, curve.high)])
        panel = Axes(x=x, y=Scale(low=bottom, high=ceiling, start=top + 190, end=top))
        drawn += panel.frame(name=name, digits=".2f")
        for curve in of_panel:
            drawn += _band(panel, curve, entries[names.index(curve.name)])
        top += 190
    labels = [(float(count), f"{count:,}") for count in ticks]
    return Drawing(elements=drawn + panel.below(labels, name="evaluations (log scale)"), height=top + 42)


def _band(panel: Axes, curve: SearchCurve, entry: LegendLine) -> str:
    """A method's band, its line above and its marks."""
    across = panel.x.each([float(count) for count in curve.evaluations])
    low, middle, high = (panel.y.each(values) for values in (curve.low, curve.middle, curve.high))
    outline = [*zip(across, high, strict=True), *reversed([*zip(across, low, strict=True)])]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in outline)
    drawn = element("polygon", points=points, class_=f"{entry.color} band")
    drawn += polyline(across, middle, class_=f"line {entry.color}", stroke_dasharray=entry.dash)
    for index, (x, y) in enumerate(zip(across, middle, strict=True)):
        said = (
            f"{curve.name}, {curve.evaluations[index]:,} evaluations: {curve.middle[index]:.3f} "
            f"({curve.low[index]:.3f} to {curve.high[index]:.3f}, {curve.seeds[index]} seeds)"
        )
        drawn += mark(entry.symbol or "circle", x, y, 4, hint(said), class_=entry.color)
    return drawn


@dataclass(frozen=True, kw_only=True)
class Arrow:
    """What recovery makes of one contender, in ``recovery_arrows``; points are (utility, robustness)."""

    name: str
    before: tuple[float, float]
    after: tuple[float, float]
    emphasis: bool
    """Whether it is drawn stronger than the others."""


def recovery_arrows(title: str, arrows: Sequence[Arrow], chance: tuple[float, float]) -> Chart:
    """Accuracies before (hollow) and after recovery (filled), a line a contender, and what guessing would give.

    Args:
        title: what is compared.
        arrows: at least one.
        chance: what guessing scores, (utility, robustness).
    """
    told = "; ".join(
        f"{arrow.name}: robustness {arrow.before[1]:.1%} before and {arrow.after[1]:.1%} after, utility "
        f"{arrow.before[0]:.1%} and {arrow.after[0]:.1%}"
        for arrow in arrows
    )
    header = ("method", "robustness before", "robustness after", "utility before", "utility after")
    body = [(arrow.name, *map("{:.1%}".format, _both_accuracies(arrow))) for arrow in arrows]
    return Chart(
        title=title,
        text=f"Accuracy before and after the same recovery. {told}.",
        draw=partial(_draw_arrows, list(arrows), chance),
        table=[header, *body],
    )


def _both_accuracies(arrow: Arrow) -> tuple[float, float, float, float]:
    """Robustness before and after, and utility before and after."""
    return arrow.before[1], arrow.after[1], arrow.before[0], arrow.after[0]


def _draw_arrows(arrows: list[Arrow], chance: tuple[float, float], width: int) -> Drawing:
    entries = [_entry(arrow.name, index) for index, arrow in enumerate(arrows)]
    drawn, top = legend(entries, left=10, right=width - _RIGHT, top=0)
    top += 30
    height = 340 if width > 500 else 300
    points = [chance, *(arrow.before for arrow in arrows), *(arrow.after for arrow in arrows)]
    (left, right), (down, up) = (value_range([[point[axis] for point in points]]) for axis in (0, 1))
    panel = Axes(
        x=Scale(low=left, high=right, start=_LEFT, end=width - _RIGHT),
        y=Scale(low=down, high=up, start=top + height, end=top),
    )
    drawn += panel.frame(name="robustness, balanced accuracy (dotted: chance)", digits=".0%")
    across, above = panel.x(chance[0]), panel.y(chance[1])
    drawn += element("line", x1=across, x2=across, y1=top, y2=top + height, class_="chance")
    drawn += element("line", x1=_LEFT, x2=width - _RIGHT, y1=above, y2=above, class_="chance")
    for arrow, entry in zip(arrows, entries, strict=True):
        drawn += _arrow(panel, arrow, entry)
    ticks = [(value, f"{value:.0%}") for value in round_ticks(left, right, 6)]
    name = "utility (hollow: before recovery)"
    return Drawing(elements=drawn + panel.below(ticks, name=name), height=top + height + 42)


def _arrow(panel: Axes, arrow: Arrow, entry: LegendLine) -> str:
    ends = [(panel.x(x), panel.y(y)) for x, y in (arrow.before, arrow.after)]
    strength = "line strong" if arrow.emphasis else "line"
    drawn = polyline(
        (x for x, _ in ends),
        (y for _, y in ends),
        class_=f"{strength} {entry.color}",
        stroke_dasharray=entry.dash,
    )
    radius = 6.0 if arrow.emphasis else 4.5
    for (x, y), when, (utility, robustness) in zip(
        ends, ("before", "after"), (arrow.before, arrow.after), strict=True
    ):
        said = hint(f"{arrow.name}, {when} recovery: robustness {robustness:.1%}, utility {utility:.1%}")
        shape = f"{entry.color} hollow" if when == "before" else entry.color
        drawn += mark(entry.symbol or "circle", x, y, radius, said, class_=shape)
    return drawn


def _entry(name: str, index: int) -> LegendLine:
    """How the contender at this place is drawn: colours, marks and dashes, no two of the first 24 alike."""
    return LegendLine(
        name=name,
        color=f"c{1 + index % _COLORS}",
        symbol=SYMBOLS[index % len(SYMBOLS)],
        dash=_DASHES[index // _COLORS % len(_DASHES)],
    )
