"""Two answers side by side, and what only the second one names."""

from rich.table import Table
from rich.text import Text

from hipp_prune.evaluation.objects import only_named
from hipp_prune.report.terminal import console

_WIDTH = 80


def marked(text: str, other: str) -> str:
    """The text with ‹ › around objects that the other one does not name."""
    for _, start, end in reversed(only_named(text, other)):
        text = f"{text[:start]}‹{text[start:end]}›{text[end:]}"
    return text


def print_beside(dense: str, pruned: str) -> None:
    """Prints both answers in two columns, 80 characters wide in all."""
    table = Table("dense", "pruned", width=_WIDTH)
    table.columns[0].ratio = table.columns[1].ratio = 1
    table.add_row(Text(dense), Text(marked(pruned, dense)))
    console.print(table)
    if added := list(dict.fromkeys(name for name, _, _ in only_named(pruned, dense))):
        console.print(f"named by the pruned model only: {', '.join(added)}", highlight=False)
