from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hipp_prune.questions.minibatches import draw_minibatch
from tests.unit.questions.made import pope, scienceqa

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
    drawn = _drawn(_questions(), 64, robust_share=share)
    assert len(drawn) == 64
    assert sum(question.benchmark == "pope" for question in drawn) == expected


@given(st.integers(1, 100), st.integers(0, 2**32))
def test_pope_is_balanced_by_label_and_subset_within_one(size, seed):
    drawn = _drawn(_questions(), size, seed, robust_share=1.0)
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
        for question in _drawn(questions, 1, seed, robust_share=1.0)
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


def _about_pictures(num_pictures: int = 20) -> list:
    """POPE as it comes: of each picture three questions a split and label, a Yes worded alike in every split."""
    asked = []
    for picture in range(num_pictures):
        for subset in SUBSETS:
            for i in range(6):
                thing = f"thing {i}" if i % 2 else f"{subset} thing {i}"
                asked.append(
                    pope(
                        len(asked), i % 2, subset, image=Path(f"{picture}.png"), prompt=f"Is there a {thing}?"
                    )
                )
    return asked


@pytest.mark.parametrize(("per_image", "pictures"), [(1, 20), (2, 18), (3, 12), (6, 6), (12, 3), (18, 2)])
def test_several_questions_are_asked_about_a_picture(per_image, pictures):
    drawn = _drawn(_about_pictures(), 36, per_image=per_image)
    assert len({question.images for question in drawn}) == pictures
    asked = Counter(question.images for question in drawn)
    assert max(asked.values()) <= max(per_image, 2)  # 36 questions about 20 pictures: some come round again
    counts = Counter((question.subset, question.gold) for question in drawn)
    assert set(counts.values()) == {6}


@given(st.integers(0, 2**32), st.sampled_from([1, 3, 6, 18]), st.integers(1, 80), st.integers(0, 40))
def test_the_smaller_draw_lies_within_the_larger(seed, per_image, size, more):
    questions = _about_pictures(6) + [scienceqa(i, i % 3) for i in range(40)]
    small, large = (
        draw_minibatch(questions, count, np.random.default_rng(seed), per_image=per_image)
        for count in (size, size + more)
    )
    assert set(small) <= set(large)


@pytest.mark.parametrize("seed", range(5))
def test_a_picture_is_asked_nothing_twice_while_there_is_something_else(seed):
    drawn = _drawn(_about_pictures(), 36, seed, per_image=6)
    assert len({(question.images, question.prompt) for question in drawn}) == 36


def test_multiple_choice_is_about_the_same_pictures_where_it_can_be():
    questions = _about_pictures() + [
        scienceqa(i, i % 3, image=Path(f"{i % 20}.png"), prompt=f"Which is {i}?") for i in range(60)
    ]
    drawn = _drawn(questions, 36, per_image=3)
    about = [
        {question.images for question in drawn if question.benchmark == name}
        for name in ("pope", "scienceqa")
    ]
    assert about[0] == about[1]
    assert len(about[0]) == 6


def test_pictures_come_round_again_when_all_have_been_asked():
    drawn = _drawn(_about_pictures(3), 54, per_image=2)
    assert Counter(question.images for question in drawn) == {(Path(f"{i}.png"),): 18 for i in range(3)}


def test_questions_without_a_picture_each_stand_alone():
    assert len(_drawn(_questions(), 64, per_image=6)) == 64
