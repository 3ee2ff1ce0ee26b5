"""Elements of a drawing, as text, and the rectangle with two axes that every chart is made of.

Colours are classes of ``page.css``, so that one drawing serves light, dark and paper. Texts are escaped here.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from hipp_prune.plans.arrays import Floats

LETTER = 6.4
"""Width of a letter of a chart's text, in pixels, on average and rounded up."""
SYMBOLS = ("circle", "diamond", "square", "triangle", "cross", "star")
"""Marks that are told apart without colour."""


def element(name: str, *children: str, **attributes: object) -> str:
    """An element; ``class_`` is the attribute class, and ``stroke_width`` stroke-width."""
    said = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_shown(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{said}>{''.join(children)}</{name}>" if children else f"<{name}{said}/>"


def words(x: float, y: float, said: str, *, anchor: str = "start", **attributes: object) -> str:
    """Text at a point.

    Args:
        x: where it starts, is centred or ends.
        y: of its baseline.
        said: not yet escaped.
        anchor: ``start``, ``middle`` or ``end``, whichever lies at ``x``.
        attributes: of the element.
    """
    return element("text", escape(said), x=x, y=y, text_anchor=anchor, **attributes)


def hint(said: str) -> str:
    """What a pointer over a mark is told."""
    return element("title", escape(said))


def polyline(x: Iterable[float], y: Iterable[float], **attributes: object) -> str:
    """A line through points."""
    points = " ".join(f"{_shown(a)},{_shown(b)}" for a, b in zip(x, y, strict=True))
    return element("polyline", points=points, fill="none", **attributes)


def mark(symbol: str, x: float, y: float, radius: float, *children: str, **attributes: object) -> str:
    """A mark that is told apart without its colour.

    Args:
        symbol: one of ``SYMBOLS``.
        x: of its middle.
        y: of its middle.
        radius: of the circle that has about its area.
        children: elements within, such as a ``hint``.
        attributes: of the element.
    """
    if symbol == "circle":
        return element("circle", *children, cx=x, cy=y, r=radius, **attributes)
    corners = (
        f"{_shown(x + radius * right)},{_shown(y + radius * down)}" for right, down in _CORNERS[symbol]
    )
    return element("polygon", *children, points=" ".join(corners), **attributes)


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Values to pixels, linearly or by their logarithm."""

    low: float
    high: float
    start: float
    """Where ``low`` lies, in pixels."""
    end: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        """The pixel of a value, in or beyond the range."""
        low, high = self._place(self.low), self._place(self.high)
        return self.start + (self._place(value) - low) / (high - low) * (self.end - self.start)

    def each(self, values: Floats | Sequence[float]) -> list[float]:
        """The pixels of many."""
        return [self(float(value)) for value in values]

    def _place(self, value: float) -> float:
        return math.log(value) if self.logarithmic else value


def round_ticks(low: float, high: float, most: int) -> list[float]:
    """At most so many numbers within [low, high], 1, 2 or 5 times a power of ten apart."""
    rough = (high - low) / max(most, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(step * power for step in (1, 2, 5, 10) if step * power >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def value_range(values: Iterable[Floats | Sequence[float]], *, zero: bool = False) -> tuple[float, float]:
    """The range of all values, or of a unit around the only one; from zero on where that is asked for."""
    every = np.concatenate([np.asarray(each, dtype=np.float64) for each in values])
    low, high = float(every.min()), float(every.max())
    if zero:
        low = min(low, 0.0)
    if high - low < 1e-9:
        return (low, low + 1.0) if zero else (low - 0.5, high + 0.5)
    return (low if zero else low - 0.05 * (high - low)), high + 0.05 * (high - low)


@dataclass(frozen=True, kw_only=True)
class Axes:
    """A rectangle with an axis below and one at the left."""

    x: Scale
    y: Scale

    def frame(self, *, name: str, digits: str, ticks: int = 5, above: float = 0) -> str:
        """Lines across at round values with their numbers at the left, and above them the axis's name.

        Args:
            name: of the vertical axis.
            digits: format of its numbers, e.g. ``.0%``.
            ticks: how many numbers at the most.
            above: pixels between the rectangle and the name.
        """
        lines = []
        for value in round_ticks(self.y.low, self.y.high, ticks):
            y = self.y(value)
            lines.append(element("line", x1=self.x.start, x2=self.x.end, y1=y, y2=y, class_="grid"))
            lines.append(words(self.x.start - 6, y + 4, number(value, digits), anchor="end", class_="tick"))
        return "".join(lines) + words(self.x.start, self.y.end - above - 7, name, class_="axis")

    def below(self, ticks: Iterable[tuple[float, str]], *, name: str) -> str:
        """Labels below the rectangle, those left out that would run into the one before, and the axis's name."""
        drawn, free = [], -math.inf
        y = self.y.start
        for value, said in ticks:
            x, half = self.x(value), LETTER * len(said) / 2
            drawn.append(element("line", x1=x, x2=x, y1=y, y2=y + 4, class_="grid"))
            if x - half >= free:
                drawn.append(words(x, y + 17, said, anchor="middle", class_="tick"))
                free = x + half + 6
        return "".join(drawn) + words(
            (self.x.start + self.x.end) / 2, y + 35, name, anchor="middle", class_="axis"
        )


def number(value: float, digits: str) -> str:
    """A number as a chart writes it, with a minus sign that is one."""
    return format(value, digits).replace("-", "−")


@dataclass(frozen=True, kw_only=True)
class LegendLine:
    """One line of a legend: a sample of how it is drawn, and what it stands for."""

    name: str
    color: str
    """Class of ``page.css``, e.g. ``c1``."""
    symbol: str | None = None
    """A mark instead of a stretch of line."""
    dash: str | None = None


def legend(entries: Sequence[LegendLine], *, left: float, right: float, top: float) -> tuple[str, float]:
    """Entries side by side in as many rows as they need; returns them and the height of the rows.

    Args:
        entries: in the order of reading.
        left: where each row begins.
        right: what no entry passes.
        top: of the first row.
    """
    drawn, x, y = [], left, top + 10
    for entry in entries:
        width = 26 + LETTER * len(entry.name) + 14
        if x > left and x + width > right:
            x, y = left, y + 18
        if entry.symbol is None:
            drawn.append(
                element(
                    "line",
                    x1=x,
                    x2=x + 20,
                    y1=y - 4,
                    y2=y - 4,
                    class_=f"line {entry.color}",
                    stroke_dasharray=entry.dash,
                )
            )
        else:
            drawn.append(mark(entry.symbol, x + 10, y - 4, 5, class_=entry.color))
        drawn.append(words(x + 26, y, entry.name, class_="tick"))
        x += width
    return "".join(drawn), y + 8 - top


def _shown(value: object) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)


def _star() -> list[tuple[float, float]]:
    radii = (1.35, 0.55)
    return [
        (radii[index % 2] * math.sin(index * math.pi / 5), -radii[index % 2] * math.cos(index * math.pi / 5))
        for index in range(10)
    ]


_CORNERS: dict[str, list[tuple[float, float]]] = {
    "diamond": [(0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)],
    "square": [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
    "triangle": [(0, -1.25), (1.15, 0.9), (-1.15, 0.9)],
    "cross": [
        (-0.4, -1.2), (0.4, -1.2), (0.4, -0.4), (1.2, -0.4), (1.2, 0.4), (0.4, 0.4),
        (0.4, 1.2), (-0.4, 1.2), (-0.4, 0.4), (-1.2, 0.4), (-1.2, -0.4), (-0.4, -0.4),
    ],
    "star": _star(),
}  # fmt: skip
