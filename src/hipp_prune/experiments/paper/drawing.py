"""A scatter plot as SVG: small, static, and shown by any page that can show a picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from hipp_prune.plans.arrays import Floats

_WIDTH, _HEIGHT, _MARGIN, _KEY = 420, 340, 58, 30
_DARK, _LIGHT = (68, 1, 84), (253, 200, 37)
"""Colours of the largest and the smallest sparsity."""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One cloud of checkpoints, and its front."""

    title: str
    points: Floats
    """(POPE, multiple choice, sparsity), shares, [N, 3]."""
    front: NDArray[np.bool_]
    """Which of them are not dominated, [N]."""


def draw_clouds(panels: Sequence[Panel]) -> str:
    """POPE against multiple choice, a panel beside the other, two a row; colours tell sparsity over all of them."""
    everything = np.concatenate([panel.points[:, 2] for panel in panels]) if panels else np.zeros(1)
    low, high = float(everything.min()), float(everything.max())
    drawn = []
    for number, panel in enumerate(panels):
        x, y = (number % 2) * _WIDTH, (number // 2) * _HEIGHT
        drawn.append(f'<g transform="translate({x},{y})">{_panel(panel, low, high)}</g>')
    width, bottom = 2 * _WIDTH, max(1, -(-len(panels) // 2)) * _HEIGHT
    drawn.append(f'<g transform="translate({_MARGIN},{bottom + _KEY / 2})">{_key(low, high)}</g>')
    height = bottom + _KEY
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        f'font-size="12"><rect width="{width}" height="{height}" fill="white"/>{"".join(drawn)}</svg>\n'
    )


def _panel(panel: Panel, low: float, high: float) -> str:
    spans = [_span(panel.points[:, column]) for column in (1, 0)]
    left, right, top, bottom = _MARGIN, _WIDTH - 20, 34, _HEIGHT - 46
    places = [
        start + (panel.points[:, column] - span[0]) / (span[1] - span[0]) * (end - start)
        for column, span, (start, end) in zip((1, 0), spans, ((left, right), (bottom, top)), strict=True)
    ]
    parts = [
        f'<text x="{_WIDTH / 2}" y="20" text-anchor="middle">{escape(panel.title)}</text>',
        f'<path d="M{left} {top}V{bottom}H{right}" fill="none" stroke="#888"/>',
        f'<text x="{_WIDTH / 2}" y="{_HEIGHT - 10}" text-anchor="middle">multiple choice, %</text>',
        f'<text transform="translate(14,{_HEIGHT / 2}) rotate(-90)" text-anchor="middle">POPE, %</text>',
    ]
    for share in (0.0, 0.5, 1.0):
        x, y = left + share * (right - left), bottom + share * (top - bottom)
        values = [100 * (span[0] + share * (span[1] - span[0])) for span in spans]
        parts += [
            f'<text x="{x:.0f}" y="{bottom + 16}" text-anchor="middle">{values[0]:.1f}</text>',
            f'<text x="{left - 6}" y="{y + 4:.0f}" text-anchor="end">{values[1]:.1f}</text>',
        ]
    for index in np.argsort(panel.front, kind="stable").tolist():  # the front is drawn last
        colour = _colour((panel.points[index, 2] - low) / (high - low) if high > low else 0.0)
        radius, opacity = (6, 1.0) if panel.front[index] else (3, 0.6)
        parts.append(
            f'<circle cx="{places[0][index]:.1f}" cy="{places[1][index]:.1f}" r="{radius}" fill="{colour}" '
            f'fill-opacity="{opacity}" stroke="#333" stroke-width="0.5">'
            f"<title>sparsity {panel.points[index, 2]:.3f}</title></circle>"
        )
    return "".join(parts)


def _key(low: float, high: float) -> str:
    """What colours and sizes mean, on one line."""
    parts = ['<text x="0" y="4">sparsity</text>']
    for number, share in enumerate((0.0, 0.5, 1.0)):
        x = 74 + 64 * number
        parts.append(
            f'<circle cx="{x}" cy="0" r="5" fill="{_colour(share)}" stroke="#333" stroke-width="0.5"/>'
            f'<text x="{x + 10}" y="4">{low + share * (high - low):.0%}</text>'
        )
    parts.append('<text x="290" y="4">large: on the front of POPE, multiple choice and sparsity</text>')
    return "".join(parts)


def _span(values: Floats) -> tuple[float, float]:
    """What an axis shows: the values with a little around them."""
    margin = max(0.08 * float(np.ptp(values)), 0.002)
    return float(values.min()) - margin, float(values.max()) + margin


def _colour(share: float) -> str:
    red, green, blue = (round(a + share * (b - a)) for a, b in zip(_LIGHT, _DARK, strict=True))
    return f"rgb({red},{green},{blue})"
