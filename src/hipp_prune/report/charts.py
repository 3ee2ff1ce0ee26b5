"""A chart: a drawing for wide and one for narrow pages, what it shows in words, and its numbers as a table."""

from collections.abc import Callable
from dataclasses import dataclass
from html import escape

from hipp_prune.report.grids import Rows, html_table
from hipp_prune.report.svg import element

WIDTHS = {"wide": 760, "narrow": 358}
"""Pixels of the two drawings; ``page.css`` shows the one that fits."""


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """Elements of a drawing, and how high it is in pixels."""

    elements: str
    height: float


@dataclass(frozen=True, kw_only=True)
class Chart:
    """What a chart shows, three times: drawn, said and listed."""

    title: str
    text: str
    """A sentence or two for those who do not see it."""
    draw: Callable[[int], Drawing]
    """Draws it so many pixels wide."""
    table: Rows
    """A header, and a row a mark."""


def chart_html(name: str, chart: Chart) -> str:
    """A figure of both drawings, with the table folded up below.

    Args:
        name: its id on the page.
        chart: text from files is escaped here.
    """
    drawn = "".join(_svg(f"{name}-{kind}", kind, chart, width) for kind, width in WIDTHS.items())
    numbers = f"<summary>{escape(chart.title)}: the numbers</summary>{html_table(chart.table)}"
    return f'<figure class="chart" id="{name}">{drawn}<details class="numbers">{numbers}</details></figure>'


def _svg(name: str, kind: str, chart: Chart, width: int) -> str:
    drawing = chart.draw(width)
    height = round(drawing.height)
    return element(
        "svg",
        element("title", escape(chart.title), id=f"{name}-title"),
        element("desc", escape(chart.text), id=f"{name}-text"),
        drawing.elements,
        viewBox=f"0 0 {width} {height}",
        class_=kind,
        role="img",
        aria_labelledby=f"{name}-title {name}-text",
    )
