"""Wall time of a pruned model against the dense one, measured honestly on this machine."""

import time
from collections.abc import Sequence

import numpy as np

from hipp_prune.evaluation.evaluator import Evaluator
from hipp_prune.files.progress import Progress
from hipp_prune.models.adapter import Adapter
from hipp_prune.questions.question import Question


def measure_speedups(
    dense: Adapter,
    pruned: Sequence[Adapter],
    questions: Sequence[Question],
    *,
    rounds: int = 5,
    progress: Progress | None = None,
) -> list[float]:
    """Dense wall time over each pruned model's, forward passes over the same questions.

    The models take turns, so that whatever else the machine does hits all alike; a ratio is the median over rounds of
    the ratio within a round.

    Args:
        dense: the reference.
        pruned: models of the same family.
        questions: what they are asked; image features are computed beforehand.
        rounds: how often each model takes its turn, after one turn to warm up.
        progress: told (turns done, turns in all).

    Returns:
        One ratio a pruned model; above 1 where it is faster.
    """
    evaluators = [Evaluator(adapter, questions, packed=False) for adapter in (dense, *pruned)]
    prepared = [evaluator.prepare() for evaluator in evaluators]
    seconds = np.zeros((rounds + 1, len(evaluators)))
    for turn in range(rounds + 1):
        for index, evaluator in enumerate(evaluators):
            start = time.perf_counter()
            evaluator.scores(prepared[index])
            seconds[turn, index] = time.perf_counter() - start
        if progress:
            progress(turn + 1, rounds + 1)
    return np.median(seconds[1:, :1] / seconds[1:, 1:], axis=0).tolist()
