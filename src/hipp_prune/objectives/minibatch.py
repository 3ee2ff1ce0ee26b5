"""Balanced minibatches of search questions, the same for every plan of a group (common random numbers)."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hipp_prune.questions.question import Question

Ints = NDArray[np.int64]


def draw_minibatch(
    questions: Sequence[Question], size: int, rng: np.random.Generator, *, pope_share: float = 0.5
) -> Ints:
    """Draws question indices without replacement: POPE : utility at a fixed ratio, POPE balanced by label and split.

    Args:
        questions: what to draw from.
        size: how many questions (fewer only where a benchmark has no more).
        rng: source of randomness.
        pope_share: fraction of POPE questions, in [0, 1]; the paper's mixed set at 1 : 1 by default.

    Returns:
        Sorted indices into ``questions``, shape [≤ size].
    """
    pope = [index for index, question in enumerate(questions) if question.benchmark == "pope"]
    utility = [index for index, question in enumerate(questions) if question.benchmark != "pope"]
    share = pope_share if pope and utility else float(bool(pope))
    num_pope = min(round(size * share), len(pope))
    strata: dict[tuple[str, int], list[int]] = defaultdict(list)
    for index in pope:
        strata[questions[index].subset, questions[index].gold].append(index)
    chosen = _draw_balanced(list(strata.values()), num_pope, rng)
    chosen += rng.permutation(utility)[: size - num_pope].tolist()
    return np.sort(np.array(chosen, dtype=np.int64))


def _draw_balanced(strata: Sequence[Sequence[int]], count: int, rng: np.random.Generator) -> list[int]:
    """Draws round-robin over shuffled strata, so that their sizes differ by at most one while they last."""
    shuffled = [rng.permutation(stratum).tolist() for stratum in strata]
    order = rng.permutation(len(shuffled))
    chosen: list[int] = []
    while len(chosen) < count:
        for position in order:
            if shuffled[position] and len(chosen) < count:
                chosen.append(int(shuffled[position].pop()))
    return chosen
