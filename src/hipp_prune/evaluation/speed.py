"""Wall time of a pruned model against the dense one, measured honestly on this machine."""

import logging
import math
import time
from collections.abc import Sequence

import numpy as np

from hipp_prune.evaluation.evaluator import Evaluator
from hipp_prune.files.progress import Progress
from hipp_prune.models.adapter import Adapter
from hipp_prune.questions.question import Question

ROUND_SECONDS = 60.0
"""That a round of all models takes at most, about: slow ones are asked fewer questions."""
FEWEST = 4
"""Questions that models are timed on, however slow they are."""
_log = logging.getLogger("hipp_prune")


def measure_speedups(
    dense: Adapter,
    pruned: Sequence[Adapter],
    questions: Sequence[Question],
    *,
    rounds: int = 5,
    round_seconds: float = math.inf,
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
        round_seconds: that all models together may take for one, about; our logger is told how many questions that
            leaves, spread evenly over all.
        progress: told (turns done, turns in all).

    Returns:
        One ratio a pruned model; above 1 where it is faster.
    """
    models = (dense, *pruned)
    if math.isfinite(round_seconds):
        questions = _asked_within(round_seconds / len(models), dense, questions)
    evaluators = [Evaluator(adapter, questions, packed=False) for adapter in models]
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


def count_within(seconds: float, each: float, count: int) -> int:
    """How many of ``count`` questions are asked within a time, but at least ``FEWEST``.

    Args:
        seconds: a turn of one model.
        each: seconds of a question, > 0.
        count: questions that there are.
    """
    return min(count, max(FEWEST, int(seconds / each)))


def _asked_within(seconds: float, adapter: Adapter, questions: Sequence[Question]) -> list[Question]:
    """The questions that a model answers in so many seconds, judged by a few that it is asked twice."""
    few = _spread(questions, min(FEWEST, len(questions)))
    evaluator = Evaluator(adapter, few, packed=False)
    prepared = evaluator.prepare()
    evaluator.scores(prepared)
    start = time.perf_counter()
    evaluator.scores(prepared)
    each = (time.perf_counter() - start) / len(few)
    count = count_within(seconds, each, len(questions))
    of_all = f" of {len(questions)}, so that a round stays short" if count < len(questions) else ""
    _log.info("speed: timed on %d questions%s", count, of_all)
    return _spread(questions, count)


def _spread(questions: Sequence[Question], count: int) -> list[Question]:
    """So many questions, evenly from first to last."""
    return [questions[index * len(questions) // count] for index in range(count)]
