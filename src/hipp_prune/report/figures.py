"""The report's charts, from plain arrays: pure functions that draw to a width, say it in words and list the numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from hipp_prune.plans.arrays import Floats, Ints
from hipp_prune.questions.benchmark import ROLES, Role
from hipp_prune.report.charts import Chart, Drawing
from hipp_prune.report.grids import Rows
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
    polyline,
    round_ticks,
    value_range,
    words,
)

SHADES = 7
"""Steps of the scale of one colour, classes ``q0`` to ``q6``, from none to all."""
TOKENS = {"max": "most attentive token", "mean": "mean", "last": "last token"}
"""Token reductions in words, drawn in this order."""

_LEFT, _RIGHT = 52, 10
_FEWEST_PIXELS = 21
"""Width of a cell that a number is written into."""
_PHASES = 32
"""Height of the strip with the names of phases."""
_LINE, _LABEL = 28, 17
"""Height of a plan's row, and of its name where that stands above."""


def learning_curve(
    evaluations: Sequence[int],
    phases: Sequence[str],
    mean_return: Floats,
    objectives: Floats,
    measured: Sequence[Role] = ROLES,
) -> Chart:
    """Mean return [N] and mean raw (R_rob, R_util, s) [N, 3] against evaluations paid for, phases shaded.

    Args:
        evaluations: paid for by the end of each step, N.
        phases: of each step, N.
        mean_return: of each step, [N].
        objectives: of each step, [N, 3].
        measured: roles that questions asked about; the others' zeros are not shown.
    """
    lines = [_Line("mean return", mean_return, "c8", 0, ".2f")]
    lines += [
        _Line(role, objectives[:, column], f"c{column + 1}", 1, ".3f")
        for column, role in enumerate(ROLES)
        if role in measured
    ]
    lines.append(_Line("sparsity", objectives[:, 2], "c3", 2, ".1%"))
    told = ", ".join(
        f"{line.name} from {number(line.values[0], line.digits)} to {number(line.values[-1], line.digits)}"
        for line in lines
    )
    stretches = phase_stretches(evaluations, phases)
    header = ("evaluations", "phase", *(line.name for line in lines))
    body: Rows = [
        (str(count), phase, *(number(line.values[step], line.digits) for line in lines))
        for step, (count, phase) in enumerate(zip(evaluations, phases, strict=True))
    ]
    return Chart(
        title="How the search went",
        text=f"Over {evaluations[-1]:,} evaluations: {told}. Phases: "
        + ", ".join(f"{phase} up to {end:,}" for _, end, phase in stretches)
        + ".",
        draw=partial(_draw_curve, list(evaluations), stretches, lines, list(phases)),
        table=[header, *body],
    )


@dataclass(frozen=True)
class _Line:
    name: str
    values: Floats
    color: str
    panel: int
    digits: str


def phase_stretches(evaluations: Sequence[int], phases: Sequence[str]) -> list[tuple[int, int, str]]:
    """Start, end and name of each stretch of one phase."""
    stretches: list[tuple[int, int, str]] = []
    start = 0
    for index, phase in enumerate(phases):
        if index + 1 == len(phases) or phases[index + 1] != phase:
            stretches.append((start, evaluations[index], phase))
            start = evaluations[index]
    return stretches


_CURVE_PANELS = (("return (σ)", ".1f", 150), ("R", ".2f", 140), ("sparsity", ".0%", 90))
"""Name, digits and height of each."""


def _draw_curve(
    evaluations: list[int],
    stretches: list[tuple[int, int, str]],
    lines: list[_Line],
    phases: list[str],
    width: int,
) -> Drawing:
    entries = [
        LegendLine(name=line.name, color=line.color, symbol=SYMBOLS[i]) for i, line in enumerate(lines)
    ]
    drawn, top = legend(entries, left=_LEFT, right=width - _RIGHT, top=0)
    x = Scale(low=0, high=max(evaluations), start=_LEFT, end=width - _RIGHT)
    for index, (name, digits, height) in enumerate(_CURVE_PANELS):
        top += 34
        of_panel = [line for line in lines if line.panel == index]
        low, high = value_range([line.values for line in of_panel], zero=name == "sparsity")
        room = _PHASES if index == 0 else 0
        panel = Axes(x=x, y=Scale(low=low, high=high, start=top + room + height, end=top + room))
        drawn += _shades(panel, stretches, room)
        drawn += panel.frame(name=name, digits=digits, ticks=4, above=room)
        for line in of_panel:
            across, up = x.each(list(map(float, evaluations))), panel.y.each(line.values)
            symbol = SYMBOLS[lines.index(line)]
            drawn += polyline(across, up, class_=f"line {line.color}")
            for step, (right, down) in enumerate(zip(across, up, strict=True)):
                value = number(line.values[step], line.digits)
                said = f"{line.name} {value}, {evaluations[step]} evaluations, {phases[step]}"
                drawn += mark(symbol, right, down, 3, hint(said), class_=line.color)
        top += room + height
    ticks = [(value, f"{value:,.0f}") for value in round_ticks(0, max(evaluations), 6 if width > 500 else 4)]
    drawn += panel.below(ticks, name="plans evaluated")
    return Drawing(elements=drawn, height=top + 42)


def _shades(panel: Axes, stretches: list[tuple[int, int, str]], room: int) -> str:
    """Shades every other phase; where there is room above, names each there, in two lines by turns."""
    drawn, top = "", panel.y.end - room
    for index, (start, end, phase) in enumerate(stretches):
        left, right = panel.x(start), panel.x(end)
        if index % 2 == 0:
            height = panel.y.start - top
            drawn += element("rect", x=left, y=top, width=right - left, height=height, class_="shade")
        if room:
            late = left + 6 + LETTER * len(phase) > panel.x.end
            x, anchor = (right - 3, "end") if late else (left + 3, "start")
            drawn += words(x, top + 12 + 14 * (index % 2), phase, anchor=anchor, class_="tick")
    return drawn


@dataclass(frozen=True, kw_only=True)
class PlanRows:
    """Rows of a map of plans: a row a plan (``rows``: two), a column a block."""

    names: Sequence[str]
    ratios: Floats
    """Fraction removed, [rows, L]."""
    kept: Ints
    """What is left, [rows, L]."""
    widths: Ints
    """What there was, [rows, L]."""
    unit: str
    """What is counted, in the plural."""


def blocks_chart(sensitivity: Mapping[str, Floats] | None, plans: PlanRows | None) -> Chart:
    """How much each block looks at the picture, above what each plan takes from it; either may be missing.

    Args:
        sensitivity: S_l of Eq. 6, [L], by token reduction.
        plans: what is removed of the same L blocks.
    """
    assert sensitivity or plans, "there is something to draw"
    said = []
    if sensitivity:
        top = {TOKENS[name]: int(values.argmax()) + 1 for name, values in sensitivity.items()}
        said.append(
            "The block that looks at the picture most: "
            + ", ".join(f"{block} ({name})" for name, block in top.items())
        )
    for name, ratios in zip(plans.names, plans.ratios, strict=True) if plans else ():
        most, least = int(ratios.argmax()), int(ratios.argmin())
        said.append(
            f"{name} removes most of block {most + 1} ({ratios[most]:.0%}) and least of block {least + 1} "
            f"({ratios[least]:.0%})"
        )
    return Chart(
        title="What each plan removes, block by block",
        text=". ".join(said) + ".",
        draw=partial(_draw_blocks, sensitivity, plans),
        table=_block_table(sensitivity, plans),
    )


def _block_table(sensitivity: Mapping[str, Floats] | None, plans: PlanRows | None) -> Rows:
    columns: list[tuple[str, list[str]]] = [
        (f"attention, {TOKENS[name]}", [f"{value:.1%}" for value in values])
        for name, values in (sensitivity or {}).items()
    ]
    if plans:
        for name, kept, widths in zip(plans.names, plans.kept, plans.widths, strict=True):
            cells = [f"{width - left} of {width}" for left, width in zip(kept, widths, strict=True)]
            columns.append((f"{name}: {plans.unit} removed", cells))
    body = zip(*(cells for _, cells in columns), strict=True)
    return [
        ("block", *(name for name, _ in columns)),
        *((str(index), *row) for index, row in enumerate(body, start=1)),
    ]


def _draw_blocks(sensitivity: Mapping[str, Floats] | None, plans: PlanRows | None, width: int) -> Drawing:
    beside = plans is not None and width > 500
    longest = max(len(name) for name in plans.names) if plans else 0
    left = max(_LEFT, 10 + LETTER * longest) if beside else _LEFT
    blocks = plans.ratios.shape[1] if plans else len(next(iter((sensitivity or {}).values())))
    x = Scale(low=0.5, high=blocks + 0.5, start=left, end=width - _RIGHT)
    drawn, top = "", 0.0
    if sensitivity:
        entries = [
            LegendLine(name=TOKENS[name], color=f"c{i}", symbol="square")
            for i, name in enumerate(sensitivity, 1)
        ]
        drawn, top = legend(entries, left=10, right=width - _RIGHT, top=0)
        top += 30
        high = value_range(sensitivity.values(), zero=True)[1]
        panel = Axes(x=x, y=Scale(low=0, high=high, start=top + 130, end=top))
        drawn += panel.frame(name="attention to the picture", digits=".0%", ticks=4) + _bars(
            panel, sensitivity
        )
        top += 130
    if plans:
        cells, top = _map(plans, x, top + 22, beside=beside)
        drawn += cells
    every = 1 if blocks <= 16 and width > 500 else max(1, -(-blocks // 12))
    labels = [(float(block), str(block)) for block in range(1, blocks + 1) if (block - 1) % every == 0]
    floor = Axes(x=x, y=Scale(low=0, high=1, start=top, end=0))
    return Drawing(elements=drawn + floor.below(labels, name="block"), height=top + 42)


def _bars(panel: Axes, sensitivity: Mapping[str, Floats]) -> str:
    drawn, count = "", len(sensitivity)
    each = (panel.x(2) - panel.x(1)) * 0.75 / count
    for place, (name, values) in enumerate(sensitivity.items()):
        for block, value in enumerate(values, start=1):
            x, y = panel.x(block) + (place - count / 2) * each, panel.y(float(value))
            drawn += element(
                "rect",
                hint(f"block {block}: {TOKENS[name]} {value:.1%}"),
                x=x,
                y=y,
                width=max(each - 0.5, 0.5),
                height=max(panel.y.start - y, 0.0),
                class_=f"c{place + 1} bar",
            )
    return drawn


def _map(plans: PlanRows, x: Scale, top: float, *, beside: bool) -> tuple[str, float]:
    """The cells, names beside or above them; returns them and where they end."""
    largest = max(float(plans.ratios.max()), 0.01)
    wide = x(2) - x(1) if plans.ratios.shape[1] > 1 else x.end - x.start
    drawn = ""
    for row, name in enumerate(plans.names):
        if not beside:
            drawn += words(10, top + 12, name, class_="tick")
            top += _LABEL
        else:
            drawn += words(x.start - 8, top + 18, name, anchor="end", class_="tick")
        for block, ratio in enumerate(plans.ratios[row], start=1):
            left, shade = x(block - 0.5), shade_of(float(ratio), largest)
            gone, there = (
                plans.widths[row, block - 1] - plans.kept[row, block - 1],
                plans.widths[row, block - 1],
            )
            said = hint(f"{name}, block {block}: {ratio:.1%} removed, {gone} of {there} {plans.unit}")
            drawn += element(
                "rect", said, x=left + 0.5, y=top, width=wide - 1, height=_LINE - 3, class_=f"q{shade}"
            )
            if wide >= _FEWEST_PIXELS:
                drawn += words(
                    x(block), top + 17, f"{100 * ratio:.0f}", anchor="middle", class_=f"cell on{shade}"
                )
        top += _LINE
    return drawn, top


def shade_of(value: float, largest: float) -> int:
    """The step of the scale for a value in [0, largest], from 0 to ``SHADES`` − 1."""
    return min(SHADES - 1, int(SHADES * max(value, 0.0) / largest))
