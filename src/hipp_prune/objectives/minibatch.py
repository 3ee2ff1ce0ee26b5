"""Balanced minibatches of search questions, the same for every plan of a group (common random numbers).

Pictures are drawn, and several questions of each: behind one picture they cost little more than one
(``models.packing``), and they tell two plans apart as well as questions about as many pictures do
(``benchmarks/minibatches.py``).
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Sequence
from heapq import heapify, heappop, heapreplace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from hipp_prune.questions.question import Question

Ints = NDArray[np.int64]


def draw_minibatch(
    questions: Sequence[Question],
    size: int,
    rng: np.random.Generator,
    *,
    pope_share: float = 0.5,
    per_image: int = 1,
) -> Ints:
    """Draws question indices without replacement: POPE : utility at a fixed ratio, POPE balanced by label and split.

    The same generator draws the smaller of two sizes from within the larger.

    Args:
        questions: what to draw from.
        size: how many questions (fewer only where a benchmark has no more).
        rng: source of randomness.
        pope_share: fraction of POPE questions, in [0, 1]; the paper's mixed set at 1 : 1 by default.
        per_image: questions a benchmark asks about one picture before it turns to the next, ≥ 1.

    Returns:
        Sorted indices into ``questions``, shape [≤ size].
    """
    pope = [index for index, question in enumerate(questions) if question.benchmark == "pope"]
    utility = [index for index, question in enumerate(questions) if question.benchmark != "pope"]
    share = pope_share if pope and utility else float(bool(pope))
    num_pope = min(round(size * share), len(pope))
    order = rng.permutation(len(questions)).tolist()
    chosen = list(islice(_by_image(questions, pope, order, per_image), num_pope))
    chosen += islice(_by_image(questions, utility, order, per_image), size - num_pope)
    return np.sort(np.array(chosen, dtype=np.int64))


def calibration_sample(asked: Sequence[Question], count: int, *, seed: int) -> list[Question]:
    """The questions that a model is calibrated on: ``count`` of ``asked``, balanced over benchmarks and answers."""
    chosen = draw_minibatch(asked, count, np.random.default_rng([seed, 6]))
    return [asked[index] for index in chosen]


def _by_image(
    questions: Sequence[Question], members: Sequence[int], order: Sequence[int], per_image: int
) -> Iterator[int]:
    """Yields ``members`` picture by picture, and so that strata differ by at most one while they last.

    Strata (a POPE split and label; all utility questions) take turns. Each gives a question about the picture in hand,
    one not yet worded so there, or else about the next picture; a picture comes round again when all others have.
    """
    rank = {index: place for place, index in enumerate(order)}
    numbers: dict[Hashable, int] = {}
    pictures = {index: numbers.setdefault(questions[index].image or index, len(numbers)) for index in order}
    asked: Counter[int] = Counter()
    worded: set[tuple[int, str]] = set()

    def turn(index: int) -> tuple[int, int, bool, int]:
        """When a question comes up within its stratum; asking another can only put it off."""
        picture = pictures[index]
        return asked[picture] // per_image, picture, (picture, questions[index].prompt) in worded, rank[index]

    queues: dict[tuple[str, int], list[tuple[int, int, bool, int]]] = defaultdict(list)
    for index in sorted(members, key=rank.__getitem__):
        question = questions[index]
        stratum = (question.subset, question.gold) if question.benchmark == "pope" else ("", 0)
        queues[stratum].append(turn(index))
    for queue in queues.values():
        heapify(queue)
    while waiting := [queue for queue in queues.values() if queue]:
        for queue in waiting:
            while (now := turn(order[queue[0][-1]])) > queue[0]:
                heapreplace(queue, now)
            index = order[heappop(queue)[-1]]
            asked[pictures[index]] += 1
            worded.add((pictures[index], questions[index].prompt))
            yield index
