"""Cells with answers as a test wants them."""

from collections.abc import Sequence

import numpy as np

from hipp_prune.experiments.compare.cell_results import AnswerColumns, CellResult
from hipp_prune.experiments.compare.cells import Cell, Contender
from hipp_prune.plans.modes import Compensation
from hipp_prune.plans.preference import Preference
from hipp_prune.plans.space import Ledger

LEDGER = Ledger(mlp=0.5, block=0.4, language=0.3, model=0.2)


def answers(yes: Sequence[float], no: Sequence[float], choice: Sequence[float]) -> AnswerColumns:
    """Margins of the right answer to POPE's Yes and No questions and to multiple choice; two questions a picture."""
    margin = np.array([*yes, *no, *choice])
    pope = len(yes) + len(no)
    gold = np.array(["Yes"] * len(yes) + ["No"] * len(no) + ["A"] * len(choice))
    wrong = np.array(["No"] * len(yes) + ["Yes"] * len(no) + ["B"] * len(choice))
    return AnswerColumns(
        id=np.array([str(number) for number in range(len(margin))]),
        benchmark=np.array(["pope"] * pope + ["scienceqa"] * len(choice)),
        subset=np.array((["random", "popular"] * pope)[:pope] + ["natural science"] * len(choice)),
        group=np.arange(len(margin)) // 2,
        options=np.array([2] * pope + [4] * len(choice)),
        gold=gold,
        given=np.where(margin > 0, gold, wrong),
        margin=margin,
    )


def cell_result(
    method: str = "flap",
    *,
    seed: int = 0,
    after: AnswerColumns,
    before: AnswerColumns | None = None,
    preference: str | None = None,
    budget: float | None = 0.5,
    variant: str = "",
    model: str = "vlm",
    compensation: Compensation | None = None,
) -> CellResult:
    """A finished cell."""
    cell = Cell(
        model=model,
        contender=Contender(method=method, variant=variant, compensation=compensation),
        budget=budget,
        preference=None if preference is None else Preference.parse(preference),
        seed=seed,
    )
    return CellResult(
        cell=cell,
        settings={"seed": seed},
        ledger=LEDGER,
        recovered=LEDGER,
        kept=(1, 2),
        seconds={"plan": 0.5, "evaluate": 2.0, "recover": 3.0},
        search={"seconds": 60.0, "evaluations": 500.0} if cell.search else None,
        before=before or after,
        after=after,
    )
