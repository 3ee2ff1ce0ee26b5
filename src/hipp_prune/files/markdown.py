"""Markdown that holds what users and files say: names, labels and answers, which must not become markup."""

from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby


class Markup(str):
    """Text that is Markdown already: a link or emphasis of ours. It goes into a page as it is."""


def markdown_text(text: str) -> str:
    """The text on one line, with ``&``, ``<``, ``>``, ``"``, backslashes and the middle of links escaped."""
    if isinstance(text, Markup):
        return text
    line = " ".join(text.split()).replace("\\", "\\\\")
    return escape(line, quote=False).replace('"', "&quot;").replace("](", "]\\(")


def markdown_code(text: str) -> Markup:
    """The text as code on one line; its fence is longer than any backticks within."""
    line = " ".join(text.split())
    longest = max((len(list(run)) for mark, run in groupby(line) if mark == "`"), default=0)
    fence, space = "`" * (longest + 1), " " if longest else ""
    return Markup(f"{fence}{space}{line}{space}{fence}")


def markdown_list(lines: Iterable[str]) -> str:
    """A bullet a line."""
    return "\n".join(f"- {markdown_text(line)}" for line in lines)


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """A header and rows as a table, a line a row."""
    header, *body = [[markdown_text(cell).replace("|", "\\|") for cell in row] for row in rows]
    lines = [header, ["---"] * len(header), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
