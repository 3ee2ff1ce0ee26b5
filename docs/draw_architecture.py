"""Draws ``architecture.svg`` and the table of rooms in ``architecture.md`` from the code itself.

Rooms and their order come from the docstring of ``hipp_prune/__init__.py``, arrows from the imports that
import-linter's graph finds. An arrow that follows from others (A uses B, B uses C, A uses C) is not drawn.

Run ``python docs/draw_architecture.py`` after a room was added or its imports changed; a test compares.
"""

import re
from html import escape
from pathlib import Path

import grimp

HERE = Path(__file__).parent
PACKAGE = "hipp_prune"
BEGIN, END = "<!-- rooms: drawn -->\n", "<!-- rooms: end -->\n"
_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 132, 40, 26, 46, 16


def rooms(docstring: str) -> dict[str, str]:
    """What each room is for, by its name, top to bottom."""
    return dict(re.findall(r"^(\w+) {2,}(\S.*)$", docstring, re.MULTILINE))


def arrows(names: list[str]) -> dict[str, set[str]]:
    """The rooms that each room imports from."""
    graph = grimp.build_graph(PACKAGE)
    found: dict[str, set[str]] = {name: set() for name in names}
    for module in graph.modules:
        for used in graph.find_modules_directly_imported_by(module):
            source, target = (name.split(".")[1] if "." in name else "" for name in (module, used))
            if source != target and source in found and target in found:
                found[source].add(target)
    return found


def below(name: str, uses: dict[str, set[str]]) -> set[str]:
    """Every room that a room reaches."""
    return uses[name].union(*(below(used, uses) for used in uses[name]), set())


def essential(uses: dict[str, set[str]]) -> dict[str, set[str]]:
    """The arrows that do not follow from others."""
    return {
        name: {used for used in own if not any(used in below(other, uses) for other in own)}
        for name, own in uses.items()
    }


def floors(names: list[str], uses: dict[str, set[str]]) -> list[list[str]]:
    """Rooms by floor, the top one first: a room stands above all that it uses."""
    floor: dict[str, int] = {}
    for name in reversed(names):
        floor[name] = 1 + max((floor[used] for used in uses[name]), default=-1)
    return [[name for name in names if floor[name] == level] for level in range(max(floor.values()), -1, -1)]


def draw(names: list[str], uses: dict[str, set[str]], says: dict[str, str]) -> str:
    """The map as SVG text."""
    rows = floors(names, uses)
    widest = max(map(len, rows))
    width = 2 * _MARGIN + widest * (_WIDTH + _GAP_X) - _GAP_X
    height = 2 * _MARGIN + len(rows) * (_HEIGHT + _GAP_Y) - _GAP_Y
    corner = {}
    for level, row in enumerate(rows):
        left = (width - len(row) * (_WIDTH + _GAP_X) + _GAP_X) / 2
        for place, name in enumerate(row):
            corner[name] = (left + place * (_WIDTH + _GAP_X), _MARGIN + level * (_HEIGHT + _GAP_Y))
    lines, boxes = [], []
    for name in names:
        x, y = corner[name]
        for used in sorted(essential(uses)[name]):
            to_x, to_y = corner[used]
            x1, x2 = x + _WIDTH / 2, to_x + _WIDTH / 2
            bend = (y + _HEIGHT + to_y) / 2
            lines.append(
                f'<path d="M{x1:g},{y + _HEIGHT:g} C{x1:g},{bend:g} {x2:g},{bend:g} {x2:g},{to_y:g}" '
                'marker-end="url(#end)"/>'
            )
        boxes.append(
            f'<g><title>{escape(says[name])}</title><rect x="{x:g}" y="{y:g}" width="{_WIDTH}" '
            f'height="{_HEIGHT}" rx="6"/><text x="{x + _WIDTH / 2:g}" y="{y + _HEIGHT / 2 + 5:g}">{name}</text></g>'
        )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
            'role="img" aria-label="Rooms of hipp-prune and what each uses">',
            "<style>rect{fill:#f4f1ea;stroke:#5b5346}path{fill:none;stroke:#8a7f6d;stroke-width:1.3}"
            "text{font:14px sans-serif;text-anchor:middle;fill:#2b2620}</style>",
            '<defs><marker id="end" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
            'orient="auto"><path d="M0,0 L8,4 L0,8 z" style="fill:#8a7f6d;stroke:none"/></marker></defs>',
            *lines,
            *boxes,
            "</svg>",
            "",
        ]
    )


def table(names: list[str], uses: dict[str, set[str]], says: dict[str, str]) -> str:
    """The rooms as a Markdown table."""
    rows = [
        f"| `{name}` | {says[name]} | {', '.join(f'`{used}`' for used in names if used in uses[name]) or '–'} |"
        for name in names
    ]
    return "\n".join(["| room | what it is for | uses |", "|---|---|---|", *rows, ""])


def write(folder: Path) -> None:
    """Writes the map and the table into ``architecture.svg`` and ``architecture.md`` of a folder."""
    docstring = (HERE.parent / "src" / PACKAGE / "__init__.py").read_text(encoding="utf-8")
    says = rooms(docstring)
    names = list(says)
    uses = arrows(names)
    page = (HERE / "architecture.md").read_text(encoding="utf-8")
    before, after = page[: page.index(BEGIN) + len(BEGIN)], page[page.index(END) :]
    (folder / "architecture.md").write_text(before + table(names, uses, says) + after, encoding="utf-8")
    (folder / "architecture.svg").write_text(draw(names, uses, says), encoding="utf-8")


if __name__ == "__main__":
    write(HERE)
