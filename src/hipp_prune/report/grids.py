"""A table of texts for a page."""

from html import escape

Rows = list[tuple[str, ...]]
"""A header and the rows of a table."""


def html_table(rows: Rows) -> str:
    """The table as HTML that scrolls sideways where it is too wide."""
    header, *body = rows
    names = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    lines = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in body)
    return (
        f'<div class="wide" tabindex="0"><table class="results"><thead><tr>{names}</tr></thead>'
        f"<tbody>{lines}</tbody></table></div>"
    )
