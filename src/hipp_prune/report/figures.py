"""The report's charts, from plain arrays. Colours that depend on light or dark are set in ``charts.js``.

Text from files must come escaped: plotly reads some HTML.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from hipp_prune.plans.arrays import Floats, Ints

BLUE, ORANGE, GREEN, GREY = "#3d7fc4", "#d9792b", "#3c9a6a", "#888888"
"""Legible on light and on dark."""

_METHODS = (BLUE, ORANGE, GREEN, "#c2539a", "#8a6fd1", "#b0892e", "#2f9fb0", "#c8504a", GREY)

_SENSITIVITY = {
    "max": (BLUE, "most attentive token"),
    "mean": (ORANGE, "mean"),
    "last": (GREEN, "last token"),
}
_SYMBOLS = ("circle", "diamond", "square", "star", "triangle-up", "cross")
_HOLLOW, _FILLED = "circle-open", "circle"
_MOST_LABELS = 16
"""Blocks up to which a heat map writes its numbers into its cells."""
_VIEW = (0.03, 0.08)
"""Share of plans that may fall off the lower end of an axis, and the margin around the others."""


def learning_curve(
    evaluations: Sequence[int], phases: Sequence[str], mean_return: Floats, objectives: Floats
) -> go.Figure:
    """Mean return [N] and mean raw (R_rob, R_util, s) [N, 3] against evaluations paid for, phases shaded.

    Args:
        evaluations: paid for by the end of each step, N.
        phases: of each step, N.
        mean_return: of each step, [N].
        objectives: of each step, [N, 3].
    """
    figure = make_subplots(
        rows=3, cols=1, shared_xaxes=True, vertical_spacing=0.06, row_heights=[0.4, 0.36, 0.24]
    )
    lines = [
        ("mean return", mean_return, GREY, 1, ".2f"),
        ("robustness", objectives[:, 0], BLUE, 2, ".3f"),
        ("utility", objectives[:, 1], ORANGE, 2, ".3f"),
        ("sparsity", objectives[:, 2], GREEN, 3, ".1%"),
    ]
    for name, values, color, row, digits in lines:
        line = go.Scatter(
            x=list(evaluations),
            y=values,
            name=name,
            mode="lines+markers",
            cliponaxis=False,
            line={"color": color, "width": 2},
            marker={"size": 5},
            customdata=list(phases),
            hovertemplate=f"{name} %{{y:{digits}}}<br>%{{x}} evaluations, %{{customdata}}<extra></extra>",
        )
        figure.add_trace(line, row=row, col=1)
    _shade_phases(figure, evaluations, phases)
    figure.update_yaxes(title_text="return (σ)", row=1)
    figure.update_yaxes(title_text="R", row=2)
    figure.update_yaxes(title_text="sparsity", tickformat=".0%", rangemode="tozero", row=3)
    figure.update_xaxes(title_text="plans evaluated", range=[0, max(evaluations)], row=3)
    return _finished(figure, height=520, top=40)


def plan_map(names: Sequence[str], ratios: Floats, kept: Ints, widths: Ints, unit: str) -> go.Figure:
    """Fraction removed, [rows, L], a row a plan (``rows``: two), a column a block; hover tells the counts.

    Args:
        names: of the rows, the first on top.
        ratios: fraction removed, [rows, L].
        kept: what is left, [rows, L].
        widths: what there was, [rows, L].
        unit: what is counted, in the plural.
    """
    return _finished(
        _with_map(make_subplots(rows=1, cols=1), 1, names, ratios, kept, widths, unit), height=0, top=10
    )


def sensitivity_bars(sensitivity: Mapping[str, Floats]) -> go.Figure:
    """S_l, [L], of each block by token reduction."""
    return _finished(_with_bars(make_subplots(rows=1, cols=1), 1, sensitivity), height=300, top=40)


def blocks_figure(
    sensitivity: Mapping[str, Floats],
    names: Sequence[str],
    ratios: Floats,
    kept: Ints,
    widths: Ints,
    unit: str,
) -> go.Figure:
    """``sensitivity_bars`` above ``plan_map``, block under block.

    Args:
        sensitivity: S_l of Eq. 6, [L], by token reduction.
        names: of the map's rows, the first on top.
        ratios: fraction removed, [rows, L].
        kept: what is left, [rows, L].
        widths: what there was, [rows, L].
        unit: what is counted, in the plural.
    """
    height = 260 + _map_height(len(names))
    share = 190 / (height - 90)
    figure = make_subplots(
        rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.05, row_heights=[share, 1 - share]
    )
    _with_map(_with_bars(figure, 1, sensitivity), 2, names, ratios, kept, widths, unit)
    figure.update_xaxes(title_text="", row=1)
    low, high = figure.layout.yaxis2.domain
    figure.update_layout(
        coloraxis={"colorbar": {"y": (low + high) / 2, "len": high - low, "lenmode": "fraction"}}
    )
    return _finished(figure, height=height, top=40)


def plan_cloud(points: Floats, sources: Sequence[str], front: NDArray[np.bool_]) -> go.Figure:
    """Robustness against utility of plans [N, 3], coloured by sparsity; plans on the front are larger."""
    figure = go.Figure()
    for index, source in enumerate(dict.fromkeys(sources)):
        symbol = _SYMBOLS[index % len(_SYMBOLS)]
        of_source = np.array([each == source for each in sources])
        figure.add_trace(_marks(points[of_source & ~front], source, symbol))
        figure.add_trace(_marks(points[of_source & front], f"{source}, front", symbol, on_front=True))
        in_legend = {"symbol": symbol, "size": 9, "color": GREY}
        figure.add_trace(go.Scatter(x=[None], y=[None], mode="markers", name=source, marker=in_legend))
    figure.update_layout(coloraxis={"colorbar": _colorbar("sparsity")})
    figure.update_xaxes(title_text="utility R", range=_view(points[:, 1], front))
    figure.update_yaxes(title_text="robustness R", range=_view(points[:, 0], front))
    return _finished(figure, height=480, top=40)


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


def search_curves(panels: Sequence[str], curves: Sequence[SearchCurve]) -> go.Figure:
    """Measures of searches against evaluations, a panel below the other; a legend entry toggles a method's lines."""
    figure = make_subplots(rows=len(panels), cols=1, shared_xaxes=True, vertical_spacing=0.05)
    names = list(dict.fromkeys(curve.name for curve in curves))
    for curve in curves:
        color = _METHODS[names.index(curve.name) % len(_METHODS)]
        group = {"legendgroup": curve.name, "hoverinfo": "skip", "showlegend": False, "mode": "lines"}
        edge = {"x": list(curve.evaluations), "line": {"width": 0}, **group}
        figure.add_trace(go.Scatter(y=curve.low, **edge), row=curve.panel + 1, col=1)
        band = go.Scatter(y=curve.high, fill="tonexty", fillcolor=_faint(color), **edge)
        figure.add_trace(band, row=curve.panel + 1, col=1)
        line = go.Scatter(
            x=list(curve.evaluations),
            y=curve.middle,
            name=curve.name,
            legendgroup=curve.name,
            showlegend=curve.panel == 0,
            mode="lines+markers",
            cliponaxis=False,
            line={"color": color, "width": 2},
            marker={"size": 6},
            customdata=np.stack([curve.low, curve.high, curve.seeds], axis=-1),
            hovertemplate=(
                f"{curve.name}, %{{x}} evaluations<br>%{{y:.3f}} (%{{customdata[0]:.3f}} to %{{customdata[1]:.3f}}, "
                "%{customdata[2]} seeds)<extra></extra>"
            ),
        )
        figure.add_trace(line, row=curve.panel + 1, col=1)
    ticks = sorted({count for curve in curves for count in curve.evaluations})
    figure.update_xaxes(type="log", tickvals=ticks, ticktext=[f"{count:,}" for count in ticks])
    figure.update_xaxes(title_text="evaluations (log scale)", row=len(panels))
    for row, name in enumerate(panels, start=1):
        figure.update_yaxes(title_text=name, row=row)
    return _finished(figure, height=60 + 260 * len(panels), top=60)


@dataclass(frozen=True, kw_only=True)
class Arrow:
    """What recovery makes of one contender, in ``recovery_arrows``; points are (multiple choice, POPE)."""

    name: str
    before: tuple[float, float]
    after: tuple[float, float]
    emphasis: bool
    """Whether it is drawn stronger than the others."""


def recovery_arrows(arrows: Sequence[Arrow], chance: tuple[float, float]) -> go.Figure:
    """Accuracies before (hollow) and after recovery (filled), a line a contender, and what guessing would give."""
    figure = go.Figure()
    for index, arrow in enumerate(arrows):
        color = _METHODS[index % len(_METHODS)]
        dash = "solid" if index < len(_METHODS) else "dot"
        line = go.Scatter(
            x=[arrow.before[0], arrow.after[0]],
            y=[arrow.before[1], arrow.after[1]],
            name=arrow.name,
            mode="lines+markers",
            cliponaxis=False,
            line={"color": color, "width": 3 if arrow.emphasis else 1, "dash": dash},
            marker={"size": 11 if arrow.emphasis else 8, "symbol": [_HOLLOW, _FILLED], "color": color},
            customdata=["before", "after"],
            hovertemplate=(
                f"{arrow.name}, %{{customdata}} recovery<br>robustness %{{y:.1%}}, utility %{{x:.1%}}<extra></extra>"
            ),
        )
        figure.add_trace(line)
    figure.add_vline(x=chance[0], line={"color": GREY, "dash": "dot", "width": 1})
    figure.add_hline(y=chance[1], line={"color": GREY, "dash": "dot", "width": 1})
    figure.update_xaxes(title_text="utility (dotted: chance)", tickformat=".0%")
    figure.update_yaxes(title_text="robustness, balanced accuracy", tickformat=".0%")
    return _finished(figure, height=460, top=30 + 10 * len(arrows))


def _faint(color: str) -> str:
    red, green, blue = (int(color[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.16)"


def _marks(points: Floats, name: str, symbol: str, *, on_front: bool = False) -> go.Scatter:
    return go.Scatter(
        x=points[:, 1],
        y=points[:, 0],
        mode="markers",
        showlegend=False,
        marker={
            "symbol": symbol,
            "size": 13 if on_front else 7,
            "opacity": 1.0 if on_front else 0.6,
            "color": points[:, 2],
            "coloraxis": "coloraxis",
            "line": {"width": 1.5 if on_front else 0},
        },
        customdata=points[:, 2],
        hovertemplate=(
            "sparsity %{customdata:.1%}<br>robustness %{y:.3f}<br>utility %{x:.3f}" + f"<extra>{name}</extra>"
        ),
    )


def _shade_phases(figure: go.Figure, evaluations: Sequence[int], phases: Sequence[str]) -> None:
    """Shades every other phase in all subplots, and names each at the top."""
    for index, (start, end, phase) in enumerate(_phases(evaluations, phases)):
        figure.add_vrect(
            x0=start,
            x1=end,
            fillcolor=GREY if index % 2 == 0 else "rgba(0,0,0,0)",
            opacity=0.12,
            line_width=0,
            layer="below",
        )
        figure.add_annotation(
            x=start,
            y=1,
            yref="paper",
            xanchor="left",
            yanchor="top",
            yshift=-15 * (index % 2),
            text=phase,
            showarrow=False,
        )


def _phases(evaluations: Sequence[int], phases: Sequence[str]) -> list[tuple[int, int, str]]:
    """Start, end and name of each stretch of one phase."""
    stretches: list[tuple[int, int, str]] = []
    start = 0
    for index, phase in enumerate(phases):
        if index + 1 == len(phases) or phases[index + 1] != phase:
            stretches.append((start, evaluations[index], phase))
            start = evaluations[index]
    return stretches


def _with_bars(figure: go.Figure, row: int, sensitivity: Mapping[str, Floats]) -> go.Figure:
    for tokens, values in sensitivity.items():
        color, name = _SENSITIVITY[tokens]
        bars = go.Bar(
            x=_block_numbers(len(values)),
            y=values,
            name=name,
            marker={"color": color, "line": {"width": 0}},
            hovertemplate=f"block %{{x}}<br>{name} %{{y:.3f}}<extra></extra>",
        )
        figure.add_trace(bars, row=row, col=1)
    figure.update_yaxes(
        title_text="attention to<br>the picture", tickformat=".0%", rangemode="tozero", row=row
    )
    figure.update_xaxes(
        title_text="block", showgrid=False, dtick=_tick(len(next(iter(sensitivity.values())))), row=row
    )
    return figure.update_layout(bargap=0.25, bargroupgap=0.05)


def _with_map(
    figure: go.Figure, row: int, names: Sequence[str], ratios: Floats, kept: Ints, widths: Ints, unit: str
) -> go.Figure:
    blocks = ratios.shape[1]
    cells = go.Heatmap(
        x=_block_numbers(blocks),
        y=list(names),
        z=ratios,
        coloraxis="coloraxis",
        customdata=np.stack([widths - kept, widths], axis=-1),
        text=[[f"{100 * ratio:.0f}" for ratio in of_plan] for of_plan in ratios],
        texttemplate="%{text}" if blocks <= _MOST_LABELS else None,
        hovertemplate=(
            "%{y}<br>block %{x}: %{z:.1%} removed<br>"
            f"%{{customdata[0]}} of %{{customdata[1]}} {unit}<extra></extra>"
        ),
        hoverongaps=False,
        xgap=1,
        ygap=2,
    )
    figure.add_trace(cells, row=row, col=1)
    figure.update_layout(
        coloraxis={"cmin": 0, "cmax": max(float(np.nanmax(ratios)), 0.01), "colorbar": _colorbar("removed")}
    )
    figure.update_yaxes(autorange="reversed", type="category", showgrid=False, row=row)
    return figure.update_xaxes(title_text="block", showgrid=False, dtick=_tick(blocks), tickangle=0, row=row)


def _finished(figure: go.Figure, *, height: int, top: int) -> go.Figure:
    figure.update_xaxes(zeroline=False, automargin=True)
    figure.update_yaxes(zeroline=False, automargin=True)
    return figure.update_layout(
        template="none",
        height=height or 90 + _map_height(len(figure.data[0].y)),
        margin={"l": 8, "r": 8, "t": top, "b": 8},
        legend={"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom", "yref": "paper"},
        dragmode=False,
        hovermode="closest",
    )


def _map_height(rows: int) -> int:
    return 40 + 34 * rows


def _colorbar(title: str) -> dict[str, object]:
    return {
        "title": {"text": title, "side": "right"},
        "thickness": 10,
        "tickformat": ".0%",
        "outlinewidth": 0,
    }


def _tick(blocks: int) -> int:
    return 1 if blocks <= _MOST_LABELS else 4


def _block_numbers(blocks: int) -> list[int]:
    return list(range(1, blocks + 1))


def _view(values: Floats, front: NDArray[np.bool_]) -> list[float]:
    """An axis range that shows the front and all but a few of the worst plans."""
    low = min(np.quantile(values, _VIEW[0]), values[front].min(initial=np.inf))
    margin = _VIEW[1] * max(float(values.max() - low), 1e-6)
    return [float(low - margin), float(values.max() + margin)]
