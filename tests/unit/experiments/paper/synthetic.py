"""Finished cells with scores of our choice, without a model."""

from collections.abc import Mapping
from zlib import crc32

import numpy as np

from hipp_prune.experiments.compare.cell_results import AnswerColumns, CellResult
from hipp_prune.experiments.compare.cells import Cell
from hipp_prune.plans.space import Ledger

SPLITS = ("random", "popular", "adversarial")
POPE, CHOICE = 240, 120
"""Questions of each benchmark, four a picture."""


def answers(pope: float, choice: float, *, by_split: Mapping[str, float] | None = None) -> AnswerColumns:
    """Answers of which these shares are right, the same questions first: what is better is right wherever worse is."""
    rank = np.random.default_rng(0).permutation(CHOICE) / CHOICE
    yes = np.arange(POPE) % 2 == 0
    split = np.array(SPLITS)[np.arange(POPE) // 2 % 3]
    shares = np.array([(by_split or {}).get(name, pope) for name in split])
    place = np.empty(POPE)
    for name in SPLITS:
        for label in (True, False):
            own = (split == name) & (yes == label)
            place[own] = np.random.default_rng(1).permutation(own.sum()) / own.sum()
    margin = np.concatenate([shares - place, choice - rank])
    margin = np.where(margin > 1e-9, margin + 0.01, margin - 0.01)
    right = margin > 0
    gold = np.array(["Yes" if each else "No" for each in yes] + ["A"] * CHOICE)
    wrong = np.array(["No" if each else "Yes" for each in yes] + ["B"] * CHOICE)
    return AnswerColumns(
        id=np.array([str(number) for number in range(POPE + CHOICE)]),
        benchmark=np.array(["pope"] * POPE + ["scienceqa"] * CHOICE),
        subset=np.concatenate([split, np.array(["natural"] * CHOICE)]),
        group=np.arange(POPE + CHOICE) // 4,
        options=np.array([2] * POPE + [4] * CHOICE),
        gold=gold,
        given=np.where(right, gold, wrong),
        margin=margin,
    )


def result(
    cell: Cell,
    after: tuple[float, float],
    *,
    before: tuple[float, float] | None = None,
    sparsity: float | None = None,
    by_split: Mapping[str, float] | None = None,
) -> CellResult:
    """A cell whose checkpoint scores (POPE, multiple choice) ``after`` recovery and ``before`` it, or as much."""
    saved = (cell.budget or 0.0) if sparsity is None else sparsity
    ledger = Ledger(mlp=saved, block=saved / 2, language=saved / 3, model=saved / 4)
    return CellResult(
        cell=cell,
        settings={},
        ledger=ledger,
        recovered=ledger,
        kept=(round(1000 * (1 - saved)),),
        seconds={"plan": 0.1, "evaluate": 1.0, "recover": 2.0},
        search=None,
        before=answers(*(before or after)),
        after=answers(*after, by_split=by_split),
    )


def jitter(cell: Cell) -> float:
    """A little that differs from seed to seed and is the same for all contenders."""
    return 0.02 * (crc32(f"{cell.model} {cell.seed}".encode()) % 5 - 2) / 2
