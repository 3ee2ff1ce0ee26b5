"""A search whose second objective is fidelity: how near a plan stays to the dense model on general text."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from hipp_prune.experiments.damage.compensating import CalibratedModel
from hipp_prune.experiments.damage.settings import DamageCompensation, DamageSettings
from hipp_prune.experiments.damage.yardstick import TextYardstick, mean
from hipp_prune.objectives.returns import PlanScores
from hipp_prune.plans.arrays import Bools, Ints
from hipp_prune.plans.plan import keep_masks
from hipp_prune.plans.preference import Preference
from hipp_prune.questions.question import Question
from hipp_prune.search.archive import Archive
from hipp_prune.search.loop import search
from hipp_prune.search.model_problem import ModelProblem
from hipp_prune.search.settings import SearchSettings


class FidelityProblem(ModelProblem):
    """R_rob is the return of the questions, both roles alike, and R_util is −KL(dense ∥ plan) on windows of text.

    Args:
        calibrated: the dense model.
        questions: the search split.
        windows: of general text; none leaves R_util at 0.
        settings: of the search.
    """

    def __init__(
        self,
        calibrated: CalibratedModel,
        questions: Sequence[Question],
        windows: Sequence[str],
        settings: SearchSettings,
    ) -> None:
        grams = calibrated.grams if settings.compensation == "ridge" else None
        super().__init__(calibrated.adapter, calibrated.calibration, questions, settings, grams=grams)
        self._texts = TextYardstick(calibrated.adapter, windows) if windows else None

    def evaluate(self, kept: Ints, minibatch: str, size: int) -> PlanScores:
        """What a plan scores; all plans are asked the same windows."""
        asked = super().evaluate(kept, minibatch, size)
        if self._texts is None:
            return replace(asked, robustness=(asked.robustness + asked.utility) / 2, utility=0.0)
        with self.sorted.apply(kept.tolist()):
            kl = mean(self._texts.divergences())
        return replace(asked, robustness=(asked.robustness + asked.utility) / 2, utility=-kl)


def searched_masks(
    calibrated: CalibratedModel,
    questions: Sequence[Question],
    windows: Sequence[str],
    settings: DamageSettings,
    *,
    method: str,
    compensation: DamageCompensation,
    seed: int,
    budgets: Sequence[float],
    archive: Path,
) -> dict[float, list[Bools]]:
    """Keep-masks of the plans that a search answers with, one a budget; the model is as before afterwards.

    Args:
        calibrated: the dense model.
        questions: the search split.
        windows: of general text.
        settings: what the search may pay, and what it is asked for.
        method: of searching.
        compensation: how its plans are compensated.
        seed: of the search.
        budgets: sparsities.
        archive: file of the evaluations that are paid for: killed, it goes on from there.
    """
    choices = settings.search(seed, compensation, method)
    problem = FidelityProblem(calibrated, questions, windows, choices)
    try:
        archive.parent.mkdir(parents=True, exist_ok=True)
        answers = search(problem, choices, Archive(archive)).answers
        told = Preference.parse(settings.preference)
        wanted = np.array([[told.robustness, told.utility, told.compression]])
        masks = {}
        for budget in budgets:
            kept = answers.kept(wanted, np.array([[budget, budget]]))[0]
            masks[budget] = keep_masks("coupled", problem.sorted.orders, kept.tolist())
        return masks
    finally:
        problem.sorted.restore()
