"""Balanced minibatches of search questions, the same for every plan of a group (common random numbers).

Pictures are drawn, and several questions of each: behind one picture they cost little more than one
(``models.packing``), and they tell two plans apart as well as questions about as many pictures do
(``benchmarks/minibatches.py``).
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from heapq import heappop, heapreplace
from itertools import islice, repeat

import numpy as np
from numpy.typing import NDArray

from hipp_prune.plans.arrays import Ints
from hipp_prune.questions.benchmarks import BENCHMARKS, role_of
from hipp_prune.questions.question import Question


class Minibatches:
    """Draws minibatches of the same questions again and again."""

    def __init__(self, questions: Sequence[Question]) -> None:
        """Numbers pictures, wordings and strata (``Benchmark.stratum``) once.

        Args:
            questions: what to draw from.
        """
        self.pictures = _numbered(question.images or index for index, question in enumerate(questions))
        self.prompts = _numbered(question.prompt for question in questions)
        self.robust = np.array([role_of(question) == "robustness" for question in questions], dtype=bool)
        self.strata = _numbered((q.benchmark, BENCHMARKS[q.benchmark].stratum(q)) for q in questions)

    def draw(
        self, size: int, rng: np.random.Generator, *, robust_share: float = 0.5, per_image: int = 1
    ) -> Ints:
        """Draws without replacement: robustness : utility at a fixed ratio, each balanced by its benchmark's strata.

        The same generator draws the smaller of two sizes from within the larger.

        Args:
            size: how many questions (fewer only where a role has no more).
            rng: source of randomness.
            robust_share: fraction of questions that serve robustness, in [0, 1]; the paper's mixed set at 1 : 1 by
                default.
            per_image: questions a role asks about one picture before it turns to the next, ≥ 1.

        Returns:
            Sorted indices into the questions, shape [≤ size].
        """
        num_robust, num_utility = int(self.robust.sum()), int((~self.robust).sum())
        share = robust_share if num_robust and num_utility else float(bool(num_robust))
        wanted = min(round(size * share), num_robust)
        order = rng.permutation(len(self.robust))
        chosen = list(islice(self._by_image(self.robust, order, per_image), wanted))
        chosen += islice(self._by_image(~self.robust, order, per_image), size - wanted)
        return np.sort(np.array(chosen, dtype=np.int64))

    def _by_image(self, members: NDArray[np.bool_], order: Ints, per_image: int) -> Iterator[int]:
        """Yields ``members`` picture by picture, and so that strata differ by at most one while they last.

        Strata take turns. Each gives a question about the picture in hand, one not yet worded so there, or else about
        the next picture; a picture comes round again when all others have.
        """
        first = np.full(self.pictures.max(initial=-1) + 1, len(order))
        np.minimum.at(first, self.pictures[order], np.arange(len(order)))
        place = first[self.pictures[order]]
        ranks = np.lexsort((np.arange(len(order)), place))
        asked: Counter[int] = Counter()
        worded: set[tuple[int, int]] = set()

        def turn(rank: int, picture: int) -> tuple[int, int, bool, int]:
            """When a question comes up within its stratum; asking another can only put it off."""
            return asked[picture] // per_image, picture, (picture, prompts[rank]) in worded, rank

        prompts = self.prompts[order].tolist()
        queues: dict[int, list[tuple[int, int, bool, int]]] = {}
        strata = self.strata[order]
        for stratum in dict.fromkeys(strata[members[order]].tolist()):
            mine = ranks[(members[order] & (strata == stratum))[ranks]]
            queues[stratum] = [
                (0, *entry) for entry in zip(place[mine].tolist(), repeat(False), mine.tolist())
            ]
        while waiting := [queue for queue in queues.values() if queue]:
            for queue in waiting:
                while (now := turn(queue[0][-1], queue[0][1])) > queue[0]:
                    heapreplace(queue, now)
                _, picture, _, rank = heappop(queue)
                asked[picture] += 1
                worded.add((picture, prompts[rank]))
                yield int(order[rank])


def draw_minibatch(
    questions: Sequence[Question],
    size: int,
    rng: np.random.Generator,
    *,
    robust_share: float = 0.5,
    per_image: int = 1,
) -> Ints:
    """Indices of one minibatch of questions; see ``Minibatches.draw``.

    Args:
        questions: from which to draw.
        size: how many to draw, if there are as many.
        rng: makes the draw.
        robust_share: share of robustness questions, in [0, 1].
        per_image: questions a role asks about one picture before it turns to the next, ≥ 1.
    """
    return Minibatches(questions).draw(size, rng, robust_share=robust_share, per_image=per_image)


def calibration_sample(asked: Sequence[Question], count: int, *, seed: int) -> list[Question]:
    """The questions that a model is calibrated on: ``count`` of ``asked``, balanced over roles and answers."""
    chosen = draw_minibatch(asked, count, np.random.default_rng([seed, 6]))
    return [asked[index] for index in chosen]


def _numbered(values: Iterable[Hashable]) -> Ints:
    """Equal values as equal numbers from 0."""
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(value, len(numbers)) for value in values], dtype=np.int64)
