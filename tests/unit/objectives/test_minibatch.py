from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hipp_prune.objectives.minibatch import draw_minibatch
from tests.unit.objectives.questions import pope, scienceqa

SUBSETS = ("random", "popular", "adversarial")


def _questions(num_pope: int = 240, num_utility: int = 100) -> list:
    asked = [
        pope(i, (i // 3) % 4 == 0, SUBSETS[i % 3]) for i in range(num_pope)
    ]  # one Yes... in four is gold
    return asked + [scienceqa(i, i % 3) for i in range(num_utility)]


def _drawn(questions, size, seed=0, **options):
    indices = draw_minibatch(questions, size, np.random.default_rng(seed), **options)
    assert (np.diff(indices) > 0).all()  # sorted, none twice
    return [questions[index] for index in indices]


@pytest.mark.parametrize(("share", "expected"), [(0.5, 32), (0.25, 16), (0.0, 0), (1.0, 64)])
def test_size_and_share_of_pope(share, expected):
    drawn = _drawn(_questions(), 64, pope_share=share)
    assert len(drawn) == 64
    assert sum(question.benchmark == "pope" for question in drawn) == expected


@given(st.integers(1, 100), st.integers(0, 2**32))
def test_pope_is_balanced_by_label_and_subset_within_one(size, seed):
    drawn = _drawn(_questions(), size, seed, pope_share=1.0)
    counts = Counter((question.subset, question.gold) for question in drawn)
    strata = [counts[subset, gold] for subset in SUBSETS for gold in (0, 1)]
    assert sum(strata) == size
    assert max(strata) - min(strata) <= 1


def test_balance_while_strata_last():
    questions = [pope(i, 0) for i in range(3)] + [pope(i, 1, "popular") for i in range(50)]
    drawn = _drawn(questions, 20)
    assert Counter(question.gold for question in drawn) == {0: 3, 1: 17}


def test_the_odd_question_goes_to_no_fixed_stratum():
    questions = _questions()
    first = {
        (question.subset, question.gold)
        for seed in range(60)
        for question in _drawn(questions, 1, seed, pope_share=1.0)
    }
    assert len(first) == 6


def test_deterministic_given_the_generator():
    questions = _questions()
    draw = [draw_minibatch(questions, 64, np.random.default_rng(seed)).tolist() for seed in (1, 1, 2)]
    assert draw[0] == draw[1] != draw[2]


def test_one_benchmark_alone_fills_the_minibatch():
    assert len(_drawn(_questions(240, 0), 30)) == 30
    assert len(_drawn(_questions(0, 100), 30)) == 30


def test_too_few_questions():
    assert len(_drawn(_questions(10, 5), 64)) == 15
    assert len(_drawn(_questions(10, 100), 64)) == 64  # utility fills what POPE lacks
    assert len(_drawn(_questions(100, 3), 64)) == 35  # 32 of POPE, all of utility
    assert _drawn([], 64) == []
