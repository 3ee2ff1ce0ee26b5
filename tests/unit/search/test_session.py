from dataclasses import replace

import numpy as np
import pytest

from hipp_prune.experiments.search_bench.landscape import Landscape
from hipp_prune.search.archive import Archive
from hipp_prune.search.loop import search
from hipp_prune.search.session import Session
from hipp_prune.search.settings import SearchSettings

WORLD = Landscape(blocks=4)
PLANS = np.array([[300, 300, 300, 300], [200, 300, 300, 300], [300, 200, 300, 300]])


def _session(archive: Archive | None = None, **settings) -> Session:
    settings = SearchSettings(**{"evaluations": 10, "minibatch": 64, **settings})
    return Session(problem=WORLD, settings=settings, archive=Archive() if archive is None else archive)


def test_the_price_of_an_evaluation_is_its_questions():
    session = _session()
    assert session.affordable() == 10
    assert session.affordable(16) == 40
    session.evaluate(PLANS, "few", "test", size=16)
    assert session.asked == 48
    assert session.spent == 0.75
    assert session.used == 0.075
    assert session.affordable() == 9
    assert session.affordable(16) == 37
    session.evaluate(PLANS, "whole", "test")
    assert session.spent == 3.75


def test_a_share_of_the_budget_is_all_that_a_phase_can_afford():
    session = _session()
    assert session.affordable(share=0.3) == 3
    assert session.affordable(16, share=0.3) == 12
    session.evaluate(PLANS, "whole", "test")
    assert session.affordable(16, share=0.3) == 0
    assert session.affordable(16, share=0.4) == 4


def test_a_plan_is_paid_for_once_and_counted_each_time():
    archive = Archive()
    first = _session(archive).evaluate(PLANS, "m", "test")
    again = _session(archive)
    assert again.evaluate(PLANS, "m", "test") == first
    assert len(archive) == 3
    assert again.spent == 3
    assert again.seconds == pytest.approx(sum(evaluation.seconds for evaluation in first))


def test_a_plan_named_twice_is_evaluated_once():
    archive = Archive()
    found = _session(archive).evaluate(PLANS[[0, 1, 0]], "m", "test")
    assert found[0] == found[2] != found[1]
    assert len(archive) == 2


def test_what_the_archive_keeps_of_a_draw():
    session = _session()
    draws = [{"preference": (1.0, 0.0, 0.0), "log_prob": float(number)} for number in range(3)]
    found = session.evaluate(PLANS, "m", "test", size=8, draws=draws)
    assert [evaluation.log_prob for evaluation in found] == [0.0, 1.0, 2.0]
    assert found[0].questions == 8
    assert found[0].source == "test"
    assert found[0].sparsity == pytest.approx(52 / 352)


def test_minutes_end_a_search_too():
    archive = Archive()
    _session(archive).evaluate(PLANS, "m", "test")
    for evaluation in list(archive):
        archive._evaluations[evaluation.key] = replace(evaluation, seconds=10.0)
    session = _session(archive, evaluations=None, minutes=1.0)
    session.evaluate(PLANS, "m", "test")
    assert session.used == pytest.approx(0.5)
    assert session.affordable(share=0.5) == 0
    assert session.affordable(share=0.51) > 0


@pytest.mark.parametrize("method", ["hybrid", "evopress", "knapsack", "nsga2", "random"])
def test_a_search_of_minutes_ends_and_answers(method):
    settings = replace(SearchSettings().for_method(method), evaluations=None, minutes=0.02 / 60)
    result = search(WORLD, settings, Archive())
    kept = result.answers.kept(np.eye(3), np.full((3, 2), 0.3))
    np.testing.assert_allclose(WORLD.space.sparsity(kept), 0.3, atol=1e-3)


def test_randomness_of_a_phase_does_not_depend_on_others():
    session = _session()
    first = session.rng(2, 0).random()
    session.rng(1).random()
    assert session.rng(2, 0).random() == first
    assert session.rng(2, 1).random() != first
    assert _session(seed=1).rng(2, 0).random() != first
