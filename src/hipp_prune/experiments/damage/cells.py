"""What is measured: a method at a budget, compensated in a way, at a seed; and the file that each leaves."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

from hipp_prune.errors import IncompleteRunError
from hipp_prune.experiments.compare.cells import DENSE
from hipp_prune.experiments.damage.settings import DamageCompensation
from hipp_prune.files.ranges import Natural, NotNegative, Seed, Share
from hipp_prune.files.reading import read_document
from hipp_prune.files.writing import write_json

_REMEDY = "delete it and start the command again"


@dataclass(frozen=True, kw_only=True)
class DamageCell:
    """One pruned model."""

    method: str
    """A baseline, a search, or ``dense``."""
    compensation: DamageCompensation
    budget: Share
    """Fraction of the MLP neurons that leave; 0 of the dense model."""
    seed: Seed
    """Of the calibration sample, the search and all that a method draws."""

    def __str__(self) -> str:
        if self.method == DENSE:
            return DENSE
        return f"{self.method} {self.compensation} {self.budget:g} seed {self.seed}"

    def path(self, root: Path) -> Path:
        """Where its result is kept."""
        return root / "cells" / f"{str(self).replace(' ', '-')}.json"


DENSE_CELL = DamageCell(method=DENSE, compensation="none", budget=0.0, seed=0)
"""What all others are compared with."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one of them did, item by item; see ``yardstick.Measured``."""

    cell: DamageCell
    saved: Share
    """Fraction of the MLP neurons that left."""
    kept: tuple[Natural, ...]
    """Neurons that each block keeps."""
    right: dict[str, list[Natural]]
    kl: dict[str, list[NotNegative]]
    seconds: dict[str, NotNegative]
    """Of planning, fitting and measuring."""

    def save(self, root: Path) -> None:
        """Writes its file whole, or not at all."""
        write_json(self.cell.path(root), asdict(self))

    @classmethod
    def load(cls, path: Path) -> "Result":
        """The result that a cell's file holds.

        Raises:
            IncompleteRunError: if it is damaged.
        """
        return read_document(path, cls, remedy=_REMEDY, error=IncompleteRunError)


def read_results(root: Path) -> list[Result]:
    """Every finished cell of a folder."""
    return [Result.load(path) for path in sorted((root / "cells").glob("*.json"))]


def schedule(
    methods: Sequence[str],
    compensations: Sequence[DamageCompensation],
    budgets: Sequence[float],
    seeds: Iterable[int],
) -> list[DamageCell]:
    """All cells, the dense model first, then seed by seed: stopped at any time, none is a seed ahead of another.

    Args:
        methods: who prunes.
        compensations: how neurons that stay answer for the others.
        budgets: fractions that leave.
        seeds: of everything that is drawn.
    """
    others = [
        DamageCell(method=method, compensation=compensation, budget=budget, seed=seed)
        for seed, compensation, budget, method in product(seeds, compensations, budgets, methods)
        if method != DENSE
    ]
    return [DENSE_CELL, *dict.fromkeys(others)]
