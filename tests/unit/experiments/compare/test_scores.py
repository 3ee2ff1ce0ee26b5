"""Scores worked out by hand, and the counts that give the same."""

import numpy as np
import pytest

from hipp_prune.experiments.compare.scores import accuracies, auc, picture_counts, score_columns
from tests.unit.experiments.compare.made import answers


def test_scores_of_answers_worked_out_by_hand() -> None:
    scores = score_columns(answers(yes=[1.0, 1.0, -1.0, 1.0], no=[1.0, -2.0], choice=[1.0, -1.0]))
    assert scores.robustness == pytest.approx((3 / 4 + 1 / 2) / 2)
    # random asks the first, third and fifth question, popular the others
    assert scores.splits == {"popular": pytest.approx((1 + 0) / 2), "random": pytest.approx((1 / 2 + 1) / 2)}
    assert scores.yes_rate == pytest.approx(4 / 6)
    # margins of Yes over No: 1, 1, −1, 1 where Yes is right, −1 and 2 where No is
    assert scores.auc == pytest.approx((3 * 1 + 0.5) / 8)
    assert (scores.utility, scores.chance) == (0.5, 0.25)
    assert (scores.num_robustness, scores.num_utility) == (6, 2)
    assert scores.mean == pytest.approx((0.625 + 0.5) / 2)


def test_auc_does_not_move_with_a_bias_towards_yes() -> None:
    rng = np.random.default_rng(0)
    values, positive = rng.normal(size=50), rng.random(50) < 0.5
    assert auc(values + 100.0, positive) == pytest.approx(auc(values, positive))
    assert auc(-values, positive) == pytest.approx(1 - auc(values, positive))
    assert auc(np.zeros(50), positive) == 0.5
    assert np.isnan(auc(values, np.ones(50, dtype=bool)))


def test_counts_by_picture_give_the_accuracies_again() -> None:
    rng = np.random.default_rng(1)
    made = answers(
        yes=rng.normal(size=31).tolist(), no=rng.normal(size=17).tolist(), choice=rng.normal(size=9).tolist()
    )
    counts, scores = picture_counts(made), score_columns(made)
    assert counts.shape == (29, 6)
    assert accuracies(counts.sum(axis=0)) == pytest.approx(
        [scores.robustness, scores.utility, scores.mean, scores.mean]
    )
    assert accuracies(counts.sum(axis=0), robustness_share=0.2)[3] == pytest.approx(
        0.2 * scores.robustness + 0.8 * scores.utility
    )
    assert scores.asked(0.2) == pytest.approx(0.2 * scores.robustness + 0.8 * scores.utility)


def test_a_benchmark_that_was_not_asked_has_no_score() -> None:
    scores = score_columns(answers(yes=[1.0], no=[1.0], choice=[]))
    assert scores.robustness == 1.0
    assert np.isnan(scores.utility)
    assert np.isnan(scores.mean)
