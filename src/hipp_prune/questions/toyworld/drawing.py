"""Draws scenes: a place's backdrop and the icon of each thing, jittered, four times too large, then reduced."""

from collections.abc import Callable
from random import Random

from PIL import Image, ImageDraw

from hipp_prune.questions.toyworld.icons import ICONS, PALETTE, Shape
from hipp_prune.questions.toyworld.scenes import GRID, Scene, rng_for

CELL = 24
"""Side of a cell in pixels: one patch of the embedded models' vision towers."""
SIDE = GRID * CELL
"""Side of a picture in pixels."""

_SCALE = 4
"""Pictures are drawn this many times larger, and reduced for smooth edges."""
_OUTLINE = (40, 36, 44)
_SIZES = (0.78, 0.96)
"""Range of an icon's side, as a share of the cell."""
_HUE_JITTER = 14
"""Largest change of a colour channel, of 255."""

Color = tuple[int, int, int]


def draw(scene: Scene) -> Image.Image:
    """``scene`` as an RGB picture of ``SIDE`` × ``SIDE`` pixels; equal scenes give equal pixels."""
    rng = rng_for(scene.drawing_seed)
    large = SIDE * _SCALE
    picture = Image.new("RGB", (large, large))
    pen = ImageDraw.Draw(picture)
    _BACKDROPS[scene.place](pen, rng)
    for cell, name in enumerate(scene.cells):
        if name is not None:
            _draw_icon(pen, ICONS[name], cell, rng)
    return picture.reduce(_SCALE)


def _draw_icon(pen: ImageDraw.ImageDraw, shapes: tuple[Shape, ...], cell: int, rng: Random) -> None:
    side = CELL * _SCALE
    size = side * rng.uniform(*_SIZES)
    row, column = divmod(cell, GRID)
    left = column * side + rng.uniform(0, side - size)
    top = row * side + rng.uniform(0, side - size)
    mirrored = rng.random() < 0.5
    shift = tuple(rng.randint(-_HUE_JITTER, _HUE_JITTER) for _ in range(3))
    for shape in shapes:
        points = [(left + size * (1 - x if mirrored else x), top + size * y) for x, y in shape.points]
        _draw_shape(pen, shape, points, _shifted(PALETTE[shape.paint], shift), size)


def _draw_shape(
    pen: ImageDraw.ImageDraw, shape: Shape, points: list[tuple[float, float]], color: Color, size: float
) -> None:
    if shape.form == "line":
        pen.line(points, fill=color, width=round(shape.width * size), joint="curve")
    elif shape.form == "polygon":
        pen.polygon(points, fill=color, outline=_OUTLINE, width=_SCALE // 2)
    else:
        (x0, y0), (x1, y1) = points
        corners = (min(x0, x1), y0, max(x0, x1), y1)
        stroke = pen.ellipse if shape.form == "oval" else pen.rectangle
        stroke(corners, fill=color, outline=_OUTLINE, width=_SCALE // 2)


def _shifted(color: Color, shift: tuple[int, ...]) -> Color:
    red, green, blue = (
        min(255, max(0, channel + change)) for channel, change in zip(color, shift, strict=True)
    )
    return red, green, blue


def _fill(pen: ImageDraw.ImageDraw, rng: Random, color: Color, top: float = 0.0, bottom: float = 1.0) -> None:
    """A band over the whole width between two heights given as shares of the side."""
    large = SIDE * _SCALE
    shift = tuple(rng.randint(-6, 6) for _ in range(3))
    pen.rectangle((0, top * large, large, bottom * large), fill=_shifted(color, shift))


def _kitchen(pen: ImageDraw.ImageDraw, rng: Random) -> None:
    _fill(pen, rng, (250, 238, 214))
    step = SIDE * _SCALE // 8
    for at in range(0, SIDE * _SCALE, step):
        pen.line((at, 0, at, SIDE * _SCALE), fill=(222, 200, 168), width=_SCALE)
        pen.line((0, at, SIDE * _SCALE, at), fill=(222, 200, 168), width=_SCALE)


def _street(pen: ImageDraw.ImageDraw, rng: Random) -> None:
    _fill(pen, rng, (120, 122, 130))
    dash = SIDE * _SCALE // 8
    for row in range(1, GRID):
        y = row * CELL * _SCALE
        for x in range(rng.randrange(dash), SIDE * _SCALE, 2 * dash):
            pen.rectangle((x, y - 4, x + dash, y + 4), fill=(236, 236, 226))


def _garden(pen: ImageDraw.ImageDraw, rng: Random) -> None:
    _fill(pen, rng, (150, 208, 116))
    for _ in range(120):
        x, y = (rng.uniform(0, SIDE * _SCALE) for _ in range(2))
        pen.line((x, y, x + rng.uniform(-6, 6), y - 14), fill=(104, 168, 78), width=3)


def _beach(pen: ImageDraw.ImageDraw, rng: Random) -> None:
    _fill(pen, rng, (244, 220, 160))
    for _ in range(160):
        x, y = (rng.uniform(0, SIDE * _SCALE) for _ in range(2))
        pen.ellipse((x, y, x + 5, y + 5), fill=(214, 184, 122))
    _fill(pen, rng, (110, 196, 222), bottom=rng.uniform(0.1, 0.2))


def _office(pen: ImageDraw.ImageDraw, rng: Random) -> None:
    _fill(pen, rng, (206, 214, 228))
    step = SIDE * _SCALE // 6
    for x in range(rng.randrange(step), SIDE * _SCALE, step):
        pen.rectangle((x, 0, x + step // 3, SIDE * _SCALE), fill=(190, 199, 216))


def _farm(pen: ImageDraw.ImageDraw, rng: Random) -> None:
    _fill(pen, rng, (196, 158, 104))
    step = SIDE * _SCALE // 10
    for y in range(rng.randrange(step), SIDE * _SCALE + step, step):
        pen.line((0, y, SIDE * _SCALE, y - step), fill=(158, 120, 74), width=6)


_BACKDROPS: dict[str, Callable[[ImageDraw.ImageDraw, Random], None]] = {
    "kitchen": _kitchen,
    "street": _street,
    "garden": _garden,
    "beach": _beach,
    "office": _office,
    "farm": _farm,
}
