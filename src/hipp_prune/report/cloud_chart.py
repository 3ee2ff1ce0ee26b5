"""The cloud of plans as a chart: two objectives as axes, and the third one's colour."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from hipp_prune.plans.arrays import Floats
from hipp_prune.questions.benchmark import ROLES, Role
from hipp_prune.report.charts import Chart, Drawing
from hipp_prune.report.figures import SHADES, shade_of
from hipp_prune.report.svg import (
    LETTER,
    SYMBOLS,
    Axes,
    LegendLine,
    Scale,
    element,
    hint,
    legend,
    mark,
    number,
    round_ticks,
    words,
)

_LEFT, _RIGHT = 52, 10
_VIEW = (0.03, 0.08)
"""Share of plans that may fall off the lower end of an axis, and the margin around the others."""
_OBJECTIVES = (
    ("robustness", " R", ".3f", ".2f"),
    ("utility", " R", ".3f", ".2f"),
    ("sparsity", "", ".1%", ".0%"),
)
"""What a point of the cloud holds: name, what an axis adds to it, digits in words and at an axis."""


def cloud_axes(measured: Sequence[Role]) -> tuple[int, int]:
    """What is drawn upwards and to the right: both returns, or the one that was measured against sparsity."""
    up, right, *_ = [*(ROLES.index(role) for role in measured), 2]
    return up, right


def plan_cloud(
    points: Floats, sources: Sequence[str], front: NDArray[np.bool_], axes: tuple[int, int] = (0, 1)
) -> Chart:
    """Two objectives of plans [N, 3], coloured by sparsity; plans on the front are larger.

    Args:
        points: (R_rob, R_util, s) of each plan.
        sources: what proposed each.
        front: which of them no other beats.
        axes: columns that are drawn upwards and to the right, see ``cloud_axes``.
    """
    best = points[front] if front.any() else points
    order = np.argsort(-best[:, axes[0]], kind="stable")
    columns = sorted({*axes, 2})
    reach = ", ".join(
        f"{_objective(column, best[:, column].min(), 'reaches from')} to {_objective(column, best[:, column].max())}"
        for column in columns
    )
    return Chart(
        title="What can be had at once",
        text=f"{len(points)} plans, {int(front.sum())} on the Pareto front. On the front {reach}.",
        draw=partial(_draw_cloud, points, list(sources), front, axes),
        table=[
            tuple(_OBJECTIVES[column][0] + _OBJECTIVES[column][1] for column in columns),
            *(tuple(_objective(column, row[column]) for column in columns) for row in best[order]),
        ],
    )


def _objective(column: int, value: float, after_name: str | None = None) -> str:
    """A value of the cloud in words, with its name where something stands between the two."""
    name, _, digits, _ = _OBJECTIVES[column]
    return ("" if after_name is None else f"{name} {after_name}".strip() + " ") + number(value, digits)


def cloud_view(
    points: Floats, front: NDArray[np.bool_], axes: tuple[int, int] = (0, 1)
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Ranges of both axes that show the front and all but a few of the worst plans."""
    up, right = (_view(points[:, column], front) for column in axes)
    return up, right


def _draw_cloud(
    points: Floats,
    sources: list[str],
    front: NDArray[np.bool_],
    axes: tuple[int, int],
    width: int,
) -> Drawing:
    (down, up), (left, right) = cloud_view(points, front, axes)
    named = [_OBJECTIVES[column][0] + _OBJECTIVES[column][1] for column in axes]
    shown = sorted({*axes, 2})
    names = list(dict.fromkeys(sources))
    symbols = {name: SYMBOLS[index % len(SYMBOLS)] for index, name in enumerate(names)}
    entries = [LegendLine(name=name, color="c8", symbol=symbols[name]) for name in names]
    entries.append(LegendLine(name="on the front (outlined)", color="c8 front", symbol="circle"))
    drawn, top = legend(entries, left=10, right=width - _RIGHT, top=0)
    low, high = float(points[:, 2].min()), float(points[:, 2].max())
    scale, tall = _shade_scale(low, high, left=10, top=top + 4)
    top += tall + 30
    height = 340 if width > 500 else 280
    panel = Axes(
        x=Scale(low=left, high=right, start=_LEFT, end=width - _RIGHT),
        y=Scale(low=down, high=up, start=top + height, end=top),
    )
    drawn += scale + panel.frame(name=named[0], digits=_OBJECTIVES[axes[0]][3])
    above, along = points[:, axes[0]], points[:, axes[1]]
    seen = (above >= down) & (along >= left)
    for index in [*np.flatnonzero(seen & ~front), *np.flatnonzero(seen & front)]:
        point = points[index]
        said = f"{sources[index]}: {', '.join(_objective(column, point[column], '') for column in shown)}"
        shade = shade_of(point[2] - low, max(high - low, 0.01))
        drawn += mark(
            symbols[sources[index]],
            panel.x(along[index]),
            panel.y(above[index]),
            6.0 if front[index] else 3.5,
            *([hint(said)] if width > 500 else []),
            class_=f"q{shade} front" if front[index] else f"q{shade} dot",
        )
    ticks = [(value, number(value, _OBJECTIVES[axes[1]][3])) for value in round_ticks(left, right, 6)]
    return Drawing(elements=drawn + panel.below(ticks, name=named[1]), height=top + height + 42)


def _shade_scale(low: float, high: float, *, left: float, top: float) -> tuple[str, float]:
    """The scale of one colour with its ends' sparsities; returns it and its height."""
    start = left + LETTER * 15
    drawn = words(left, top + 11, f"sparsity {low:.0%}", class_="tick")
    for shade in range(SHADES):
        drawn += element("rect", x=start + 18 * shade, y=top, width=18, height=13, class_=f"q{shade}")
    return drawn + words(start + 18 * SHADES + 6, top + 11, f"{high:.0%}", class_="tick"), 18.0


def _view(values: Floats, front: NDArray[np.bool_]) -> tuple[float, float]:
    """An axis range that shows the front and all but a few of the worst plans."""
    low = min(np.quantile(values, _VIEW[0]), values[front].min(initial=np.inf))
    margin = _VIEW[1] * max(float(values.max() - low), 1e-6)
    return float(low - margin), float(values.max() + margin)
