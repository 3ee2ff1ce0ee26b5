"""The look of every thing, as shapes in the unit square (x to the right, y down)."""

from dataclasses import dataclass
from typing import Literal

Form = Literal["oval", "box", "polygon", "line"]

PALETTE = {
    "red": (214, 48, 49),
    "orange": (240, 138, 36),
    "yellow": (250, 211, 44),
    "green": (46, 150, 72),
    "blue": (52, 120, 216),
    "purple": (136, 76, 190),
    "pink": (240, 120, 176),
    "brown": (139, 90, 52),
    "white": (248, 248, 244),
    "gray": (150, 156, 164),
    "black": (44, 46, 54),
    "glass": (190, 226, 244),
    "skin": (226, 186, 146),
}
"""Paint by name, red-green-blue of 0–255."""


@dataclass(frozen=True)
class Shape:
    """One outlined shape; ``points`` are corners (oval, box: two of them)."""

    form: Form
    paint: str
    points: tuple[tuple[float, float], ...]
    width: float = 0.0
    """Stroke of a line, as a share of the square's side."""


def _pairs(numbers: tuple[float, ...]) -> tuple[tuple[float, float], ...]:
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


def oval(paint: str, *box: float) -> Shape:
    """An ellipse filling the box from (x0, y0) to (x1, y1)."""
    return Shape("oval", paint, _pairs(box))


def box(paint: str, *corners: float) -> Shape:
    """A rectangle from (x0, y0) to (x1, y1)."""
    return Shape("box", paint, _pairs(corners))


def polygon(paint: str, *corners: float) -> Shape:
    """A filled polygon with the corners ``x0, y0, x1, y1, …``."""
    return Shape("polygon", paint, _pairs(corners))


def line(paint: str, width: float, *points: float) -> Shape:
    """An open stroke through the points ``x0, y0, x1, y1, …``."""
    return Shape("line", paint, _pairs(points), width)


def _wheel(x: float, y: float, radius: float) -> tuple[Shape, ...]:
    inner = radius * 0.45
    return (
        oval("black", x - radius, y - radius, x + radius, y + radius),
        oval("gray", x - inner, y - inner, x + inner, y + inner),
    )


ICONS: dict[str, tuple[Shape, ...]] = {
    "cup": (
        oval("blue", 0.5, 0.34, 0.9, 0.7),
        oval("white", 0.6, 0.43, 0.8, 0.61),
        polygon("blue", 0.14, 0.26, 0.7, 0.26, 0.64, 0.84, 0.2, 0.84),
        oval("brown", 0.14, 0.2, 0.7, 0.34),
    ),
    "kettle": (
        line("black", 0.07, 0.3, 0.4, 0.34, 0.14, 0.64, 0.14, 0.7, 0.4),
        polygon("gray", 0.7, 0.5, 0.95, 0.3, 0.98, 0.38, 0.76, 0.7),
        polygon("gray", 0.3, 0.36, 0.68, 0.36, 0.84, 0.86, 0.14, 0.86),
        oval("black", 0.44, 0.27, 0.56, 0.38),
    ),
    "lemon": (
        polygon("yellow", 0.04, 0.54, 0.2, 0.44, 0.2, 0.64),
        polygon("yellow", 0.96, 0.46, 0.8, 0.36, 0.8, 0.58),
        oval("yellow", 0.12, 0.24, 0.88, 0.78),
        polygon("green", 0.5, 0.26, 0.7, 0.06, 0.74, 0.2),
    ),
    "banana": (
        polygon(
            "yellow",
            *(0.12, 0.2, 0.24, 0.14, 0.32, 0.46, 0.56, 0.66, 0.92, 0.66),
            *(0.94, 0.76, 0.66, 0.9, 0.34, 0.84, 0.14, 0.56),
        ),
        polygon("brown", 0.11, 0.1, 0.22, 0.06, 0.24, 0.16, 0.13, 0.22),
    ),
    "bread": (
        box("brown", 0.14, 0.4, 0.86, 0.84),
        oval("brown", 0.08, 0.2, 0.92, 0.56),
        line("skin", 0.07, 0.3, 0.3, 0.38, 0.5),
        line("skin", 0.07, 0.5, 0.3, 0.58, 0.5),
        line("skin", 0.07, 0.7, 0.3, 0.76, 0.46),
    ),
    "car": (
        polygon("red", 0.24, 0.5, 0.36, 0.26, 0.68, 0.26, 0.82, 0.5),
        polygon("glass", 0.34, 0.48, 0.4, 0.33, 0.64, 0.33, 0.72, 0.48),
        box("red", 0.06, 0.48, 0.95, 0.72),
        *_wheel(0.28, 0.74, 0.13),
        *_wheel(0.74, 0.74, 0.13),
    ),
    "bus": (
        box("orange", 0.05, 0.18, 0.95, 0.76),
        *(box("glass", x, 0.26, x + 0.17, 0.46) for x in (0.11, 0.32, 0.53, 0.74)),
        *_wheel(0.25, 0.78, 0.11),
        *_wheel(0.75, 0.78, 0.11),
    ),
    "bicycle": (
        oval("black", 0.02, 0.46, 0.42, 0.86),
        oval("white", 0.08, 0.52, 0.36, 0.8),
        oval("black", 0.58, 0.46, 0.98, 0.86),
        oval("white", 0.64, 0.52, 0.92, 0.8),
        line("blue", 0.07, 0.22, 0.66, 0.38, 0.34, 0.7, 0.34, 0.5, 0.68, 0.22, 0.66),
        line("blue", 0.07, 0.78, 0.66, 0.66, 0.18, 0.82, 0.18),
        line("black", 0.08, 0.28, 0.28, 0.48, 0.28),
    ),
    "sign": (
        box("gray", 0.46, 0.6, 0.54, 0.98),
        polygon(
            "red",
            *(0.34, 0.06, 0.66, 0.06, 0.86, 0.26, 0.86, 0.5),
            *(0.66, 0.7, 0.34, 0.7, 0.14, 0.5, 0.14, 0.26),
        ),
        box("white", 0.24, 0.32, 0.76, 0.44),
    ),
    "lamp": (
        box("black", 0.46, 0.34, 0.54, 0.94),
        box("black", 0.32, 0.88, 0.68, 0.96),
        polygon("yellow", 0.34, 0.14, 0.66, 0.14, 0.6, 0.4, 0.4, 0.4),
        polygon("black", 0.3, 0.16, 0.5, 0.02, 0.7, 0.16),
    ),
    "flower": (
        line("green", 0.07, 0.5, 0.5, 0.5, 0.96),
        polygon("green", 0.5, 0.86, 0.76, 0.66, 0.7, 0.84),
        *(
            oval("pink", x - 0.16, y - 0.16, x + 0.16, y + 0.16)
            for x, y in ((0.5, 0.18), (0.28, 0.32), (0.72, 0.32))
        ),
        *(oval("pink", x - 0.16, y - 0.16, x + 0.16, y + 0.16) for x, y in ((0.36, 0.55), (0.64, 0.55))),
        oval("yellow", 0.38, 0.28, 0.62, 0.5),
    ),
    "tree": (
        box("brown", 0.42, 0.6, 0.58, 0.96),
        oval("green", 0.1, 0.28, 0.56, 0.7),
        oval("green", 0.44, 0.28, 0.9, 0.7),
        oval("green", 0.24, 0.04, 0.76, 0.54),
    ),
    "snail": (
        polygon("skin", 0.04, 0.84, 0.7, 0.7, 0.76, 0.44, 0.92, 0.44, 0.94, 0.84),
        line("skin", 0.05, 0.8, 0.46, 0.74, 0.24),
        line("skin", 0.05, 0.88, 0.46, 0.92, 0.24),
        oval("brown", 0.14, 0.26, 0.7, 0.8),
        oval("skin", 0.28, 0.4, 0.56, 0.66),
        oval("brown", 0.36, 0.47, 0.5, 0.59),
    ),
    "butterfly": (
        polygon("purple", 0.5, 0.48, 0.1, 0.1, 0.04, 0.44),
        polygon("purple", 0.5, 0.48, 0.9, 0.1, 0.96, 0.44),
        polygon("pink", 0.5, 0.52, 0.14, 0.58, 0.24, 0.9),
        polygon("pink", 0.5, 0.52, 0.86, 0.58, 0.76, 0.9),
        oval("black", 0.44, 0.22, 0.56, 0.84),
        line("black", 0.04, 0.38, 0.06, 0.5, 0.26, 0.62, 0.06),
    ),
    "carrot": (
        polygon("green", 0.5, 0.34, 0.3, 0.04, 0.44, 0.1, 0.52, 0.02, 0.58, 0.1, 0.74, 0.06),
        polygon("orange", 0.28, 0.3, 0.72, 0.3, 0.5, 0.98),
        line("brown", 0.04, 0.36, 0.46, 0.5, 0.46),
        line("brown", 0.04, 0.5, 0.62, 0.6, 0.62),
    ),
    "umbrella": (
        line("black", 0.06, 0.5, 0.1, 0.5, 0.84, 0.6, 0.92, 0.68, 0.84),
        polygon(
            "purple",
            *(0.04, 0.5, 0.2, 0.22, 0.5, 0.1, 0.8, 0.22, 0.96, 0.5),
            *(0.8, 0.44, 0.65, 0.5, 0.5, 0.44, 0.35, 0.5, 0.2, 0.44),
        ),
        polygon("white", 0.35, 0.5, 0.5, 0.1, 0.65, 0.5, 0.5, 0.44),
    ),
    "ball": (
        oval("pink", 0.1, 0.1, 0.9, 0.9),
        polygon("white", 0.5, 0.1, 0.66, 0.5, 0.5, 0.9, 0.34, 0.5),
        oval("yellow", 0.42, 0.42, 0.58, 0.58),
    ),
    "crab": (
        line("red", 0.06, 0.06, 0.84, 0.3, 0.66, 0.7, 0.66, 0.94, 0.84),
        line("red", 0.06, 0.2, 0.94, 0.36, 0.72, 0.64, 0.72, 0.8, 0.94),
        line("red", 0.08, 0.26, 0.54, 0.14, 0.3),
        line("red", 0.08, 0.74, 0.54, 0.86, 0.3),
        polygon("red", 0.02, 0.3, 0.06, 0.08, 0.16, 0.18, 0.28, 0.12, 0.24, 0.34),
        polygon("red", 0.98, 0.3, 0.94, 0.08, 0.84, 0.18, 0.72, 0.12, 0.76, 0.34),
        oval("red", 0.2, 0.42, 0.8, 0.82),
        oval("white", 0.36, 0.36, 0.46, 0.5),
        oval("white", 0.54, 0.36, 0.64, 0.5),
    ),
    "boat": (
        line("black", 0.05, 0.48, 0.08, 0.48, 0.66),
        polygon("white", 0.52, 0.1, 0.88, 0.58, 0.52, 0.58),
        polygon("glass", 0.44, 0.2, 0.18, 0.58, 0.44, 0.58),
        polygon("brown", 0.04, 0.66, 0.96, 0.66, 0.78, 0.92, 0.22, 0.92),
    ),
    "fish": (
        polygon("blue", 0.66, 0.5, 0.96, 0.24, 0.96, 0.76),
        polygon("blue", 0.3, 0.34, 0.5, 0.1, 0.58, 0.34),
        oval("blue", 0.04, 0.26, 0.76, 0.76),
        oval("white", 0.14, 0.38, 0.28, 0.52),
        oval("black", 0.18, 0.42, 0.25, 0.49),
    ),
    "book": (
        polygon("green", 0.14, 0.12, 0.78, 0.06, 0.86, 0.86, 0.2, 0.94),
        polygon("white", 0.78, 0.1, 0.86, 0.14, 0.92, 0.84, 0.86, 0.88),
        polygon("yellow", 0.3, 0.28, 0.66, 0.24, 0.68, 0.4, 0.32, 0.44),
    ),
    "clock": (
        oval("black", 0.06, 0.06, 0.94, 0.94),
        oval("white", 0.14, 0.14, 0.86, 0.86),
        line("black", 0.07, 0.5, 0.24, 0.5, 0.5, 0.7, 0.62),
    ),
    "pencil": (
        polygon("yellow", 0.2, 0.66, 0.7, 0.14, 0.86, 0.3, 0.34, 0.8),
        polygon("skin", 0.2, 0.66, 0.34, 0.8, 0.08, 0.92),
        polygon("black", 0.12, 0.82, 0.18, 0.88, 0.08, 0.92),
        polygon("pink", 0.7, 0.14, 0.8, 0.04, 0.96, 0.2, 0.86, 0.3),
    ),
    "laptop": (
        box("gray", 0.16, 0.14, 0.84, 0.66),
        box("glass", 0.22, 0.2, 0.78, 0.6),
        polygon("gray", 0.16, 0.66, 0.84, 0.66, 0.98, 0.86, 0.02, 0.86),
        polygon("black", 0.22, 0.7, 0.78, 0.7, 0.84, 0.78, 0.16, 0.78),
    ),
    "key": (
        box("black", 0.4, 0.44, 0.96, 0.56),
        box("black", 0.78, 0.5, 0.86, 0.74),
        box("black", 0.64, 0.5, 0.72, 0.68),
        oval("black", 0.04, 0.26, 0.5, 0.74),
        oval("white", 0.16, 0.39, 0.38, 0.61),
    ),
    "sheep": (
        *(box("black", x, 0.66, x + 0.08, 0.92) for x in (0.3, 0.46, 0.62, 0.74)),
        oval("white", 0.2, 0.28, 0.6, 0.72),
        oval("white", 0.44, 0.24, 0.94, 0.74),
        oval("black", 0.04, 0.24, 0.34, 0.56),
        oval("white", 0.12, 0.32, 0.18, 0.4),
    ),
    "duck": (
        polygon("orange", 0.02, 0.34, 0.2, 0.26, 0.2, 0.42),
        polygon("yellow", 0.22, 0.6, 0.98, 0.4, 0.8, 0.84, 0.34, 0.86),
        oval("yellow", 0.2, 0.5, 0.86, 0.9),
        oval("yellow", 0.14, 0.12, 0.5, 0.5),
        oval("black", 0.24, 0.24, 0.32, 0.32),
        polygon("orange", 0.4, 0.62, 0.74, 0.58, 0.6, 0.78),
    ),
    "tractor": (
        box("gray", 0.8, 0.1, 0.86, 0.4),
        polygon("green", 0.16, 0.5, 0.2, 0.12, 0.54, 0.12, 0.56, 0.5),
        box("glass", 0.26, 0.18, 0.48, 0.42),
        box("green", 0.2, 0.4, 0.96, 0.66),
        *_wheel(0.28, 0.68, 0.25),
        *_wheel(0.82, 0.78, 0.14),
    ),
    "pumpkin": (
        polygon("green", 0.46, 0.26, 0.5, 0.06, 0.62, 0.08, 0.58, 0.28),
        oval("orange", 0.04, 0.26, 0.5, 0.88),
        oval("orange", 0.5, 0.26, 0.96, 0.88),
        oval("orange", 0.28, 0.22, 0.72, 0.92),
    ),
    "egg": (
        polygon(
            "white",
            *(0.5, 0.06, 0.62, 0.12, 0.74, 0.32, 0.82, 0.58, 0.76, 0.8, 0.62, 0.92),
            *(0.38, 0.92, 0.24, 0.8, 0.18, 0.58, 0.26, 0.32, 0.38, 0.12),
        ),
        oval("yellow", 0.34, 0.46, 0.66, 0.78),
    ),
}
"""Shapes of every thing, painted in order."""
