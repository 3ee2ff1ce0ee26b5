import numpy as np
import pytest

from hipp_prune.experiments.paper.statistics import kendall, mean_and_interval, mean_and_std, ranks, spearman


def test_equal_values_share_their_mean_rank():
    assert ranks([10, 20, 20, 5]).tolist() == [2, 3.5, 3.5, 1]


def test_spearman_by_hand():
    assert spearman([1, 2, 3], [10, 100, 1000]) == pytest.approx(1)
    assert spearman([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert spearman([1, 2, 3, 4], [2, 1, 4, 3]) == pytest.approx(
        1 - 6 * 4 / (4 * 15)
    )  # 1 − 6 Σd² / n(n² − 1)


def test_kendall_by_hand():
    assert kendall([1, 2, 3, 4], [1, 2, 4, 3]) == pytest.approx((5 - 1) / 6)
    assert kendall([1, 2, 3], [1, 2, 2]) == pytest.approx(2 / np.sqrt(3 * 2))  # τ_b: one pair is tied
    assert kendall([1, 2, 3], [9, 5, 1]) == pytest.approx(-1)


@pytest.mark.parametrize("correlation", [spearman, kendall])
def test_what_does_not_vary_correlates_with_nothing(correlation):
    assert correlation([1, 1, 1], [1, 2, 3]) is None
    assert correlation([1, 2, 3], [0.5, 0.5, 0.5]) is None


def test_summaries():
    assert mean_and_std([0.5, 0.7]) == "60.0 ± 14.1"
    assert mean_and_std([0.5]) == "50.0"
    assert mean_and_std([]) == mean_and_interval([]) == "–"
    assert mean_and_interval([0.25]) == "0.25"
    assert mean_and_interval([0.5, 0.5]) == "0.50 [0.50, 0.50]"
