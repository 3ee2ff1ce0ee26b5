"""Curves of uniform pruning as SVG: accuracies above, KL to the dense model below, a line a measure and mode."""

from collections.abc import Mapping, Sequence
from html import escape

from hipp_prune.experiments.damage.standings import MethodResults, dense_row, measures

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 460, 300, 52, 12, 34, 44
_COLOURS = ("#3366aa", "#cc4422", "#228844", "#aa7711", "#7744aa", "#2299aa", "#555555", "#bb3388")
_DASHES = {"none": "2 4", "ridge": "7 3", "sequential": ""}
_MOST_NATS = 4.0
"""Where the axis of KL ends at most: beyond it nothing is left to tell apart."""


def draw_curves(rows: Sequence[MethodResults]) -> str:
    """Two panels side by side and a key below."""
    dense = dense_row(rows)
    curves = [row for row in rows if row.method == "uniform"]
    answered, compared = measures([result for row in rows for result in row.results])
    colours = dict(zip([*answered, *compared], _COLOURS * 3, strict=False))
    panels = [
        _panel("answered right, %", answered, curves, dense, colours, scale=100.0, most=100.0),
        _panel(
            "KL to the dense model, nats",
            compared,
            curves,
            dense,
            colours,
            scale=1.0,
            most=_top(curves, compared),
        ),
    ]
    drawn = [
        f'<g transform="translate({number * _WIDTH},0)">{panel}</g>' for number, panel in enumerate(panels)
    ]
    key, height = _key(colours, [row.compensation for row in curves])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * _WIDTH} {_HEIGHT + height}" '
        f'font-family="sans-serif" font-size="12"><rect width="{2 * _WIDTH}" height="{_HEIGHT + height}" '
        f'fill="white"/>{"".join(drawn)}<g transform="translate({_LEFT},{_HEIGHT + 8})">{key}</g></svg>\n'
    )


def _top(curves: Sequence[MethodResults], compared: Sequence[str]) -> float:
    largest = max((row.mean(name) for row in curves for name in compared), default=1.0)
    return max(0.1, min(_MOST_NATS, largest))


def _panel(
    title: str,
    names: Sequence[str],
    curves: Sequence[MethodResults],
    dense: MethodResults | None,
    colours: Mapping[str, str],
    *,
    scale: float,
    most: float,
) -> str:
    """One panel.

    Args:
        title: of its vertical axis.
        names: of what it shows.
        curves: of uniform pruning.
        dense: where every line begins.
        colours: by measure.
        scale: from values to the axis.
        most: where the axis ends.
    """
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT

    def place(budget: float, value: float) -> str:
        x = _LEFT + budget / 0.8 * (right - _LEFT)
        return f"{x:.1f},{bottom - min(value * scale, most) / most * (bottom - _TOP):.1f}"

    parts = [
        f'<text x="{_LEFT}" y="20">{escape(title)}</text>',
        f'<path d="M{_LEFT} {_TOP}V{bottom}H{right}" fill="none" stroke="#888"/>',
        f'<text x="{(_LEFT + right) / 2}" y="{_HEIGHT - 8}" text-anchor="middle">MLP neurons removed, %</text>',
    ]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = bottom - share * (bottom - _TOP)
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.0f}" text-anchor="end">{share * most:.3g}</text>')
        x = _LEFT + share * (right - _LEFT)
        parts.append(f'<text x="{x:.0f}" y="{bottom + 16}" text-anchor="middle">{80 * share:.0f}</text>')
    for compensation in dict.fromkeys(row.compensation for row in curves):
        line = [row for row in curves if row.compensation == compensation]
        for name in names:
            start = [] if dense is None else [place(0.0, dense.mean(name))]
            points = " ".join([*start, *(place(row.budget, row.mean(name)) for row in line)])
            parts.append(
                f'<polyline points="{points}" fill="none" stroke="{colours[name]}" stroke-width="1.8" '
                f'stroke-dasharray="{_DASHES[compensation]}"><title>{escape(name)}, {compensation}</title></polyline>'
            )
    return "".join(parts)


def _key(colours: Mapping[str, str], compensations: Sequence[str]) -> tuple[str, int]:
    """What colours and dashes mean, and how high that is."""
    lines = [(name, colour, "") for name, colour in colours.items()]
    lines += [(f"compensation: {mode}", "#222", _DASHES[mode]) for mode in dict.fromkeys(compensations)]
    parts = []
    for number, (name, colour, dash) in enumerate(lines):
        x, y = 215 * (number % 4), 12 + 20 * (number // 4)
        parts.append(
            f'<path d="M{x} {y - 4}h26" stroke="{colour}" stroke-width="1.8" stroke-dasharray="{dash}"/>'
            f'<text x="{x + 32}" y="{y}">{escape(name)}</text>'
        )
    return "".join(parts), 24 + 20 * -(-len(lines) // 4)
