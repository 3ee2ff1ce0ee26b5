"""What came of a try, and the table of all."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

TITLES = {
    "kills": "killed, then given again",
    "pairs": "two at once",
    "damage": "file damaged",
    "reading": "damaged file read",
    "fuzz": "fuzzed file read",
}
"""What was tried, by kind."""


@dataclass(frozen=True, kw_only=True)
class Tally:
    """A try, or several."""

    kind: str
    """One of ``TITLES``."""
    name: str
    """Which stage, file or reader."""
    done: int = 1
    """How many tries."""
    faults: list[str] = field(default_factory=list)
    """A sentence for each that went wrong."""


def table(tallies: Iterable[Tally]) -> str:
    """Markdown: a row a kind and name."""
    rows: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for tally in tallies:
        for name in (tally.name, "all"):
            rows[tally.kind, name][0] += tally.done
            rows[tally.kind, name][1] += len(tally.faults)
    lines = ["| what | where | tries | went wrong |", "|---|---|---:|---:|"]
    for kind, title in TITLES.items():
        mine = [(name, *counts) for (each, name), counts in rows.items() if each == kind]
        mine.sort(key=lambda row: row[0] == "all")
        lines += [f"| {title} | {name} | {done:,} | {wrong:,} |" for name, done, wrong in mine]
    return "\n".join(lines) + "\n"
