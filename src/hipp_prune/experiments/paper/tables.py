"""How results are written: what contenders score, and how far apart they are."""

from collections.abc import Sequence

import numpy as np

from hipp_prune.experiments.compare.cell_results import CellResult
from hipp_prune.experiments.compare.standings import ACCURACIES, Row, difference, make_rows
from hipp_prune.experiments.paper.statistics import mean_and_std

CONTENDER = ("seeds", "sparsity", "POPE before", "choice before", "POPE after", "choice after")
"""What ``contender_cells`` says: accuracies in %, before and after recovery, mean ± sample std over seeds."""


def paragraphs(*parts: str) -> str:
    """Those that are not empty, with a blank line between two."""
    return "\n\n".join(part for part in parts if part)


def find_row(rows: Sequence[Row], model: str, budget: float | None, label: str) -> Row | None:
    """The row of a contender; None where it has no finished cell.

    Args:
        rows: of all contenders.
        model: whose checkpoints count.
        budget: share removed; None for the dense model.
        label: the contender's, as in tables.
    """
    for row in rows:
        if (row.model, row.budget, row.contender.label) == (model, budget, label):
            return row
    return None


def contender_cells(before: Row, after: Row) -> tuple[str, ...]:
    """What a contender scores; see ``CONTENDER``."""
    sparsity = [result.ledger.mlp for result in after.results]
    return (
        str(len(after.seeds)),
        f"{np.mean(sparsity):.3f}",
        *(
            mean_and_std(row.over_seeds(measure))
            for row in (before, after)
            for measure in ("robustness", "utility")
        ),
    )


def gain_cells(row: Row, base: Row | None) -> tuple[str, ...]:
    """How far a row is ahead of another in each of ``ACCURACIES``, in points with 95% intervals."""
    found = None if base is None else difference(row, base)
    if found is None:
        return ("–",) * len(ACCURACIES)
    return tuple(
        f"{100 * gain:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"
        for gain, (low, high) in list(zip(found.gain, found.intervals, strict=True))[: len(ACCURACIES)]
    )


def both_stages(results: Sequence[CellResult]) -> list[tuple[Row, Row]]:
    """Rows before and after recovery."""
    return list(zip(make_rows(results, "before"), make_rows(results, "after"), strict=True))
