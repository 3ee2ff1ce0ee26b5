import numpy as np
import pytest

from hipp_prune.experiments.search_bench.landscape import Landscape
from hipp_prune.search.archive import Archive
from hipp_prune.search.phases import propose, refit, warm_up
from hipp_prune.search.session import Session, random_ratios
from hipp_prune.search.settings import SearchSettings


def _session(noise: float = 0.05, **settings) -> Session:
    settings = SearchSettings(**{"evaluations": 60, "warm_up": 0.5, "proposals": 0.5, **settings})
    return Session(problem=Landscape(blocks=6, noise=noise), settings=settings, archive=Archive())


def test_warm_up_and_proposals_spend_the_budget():
    session = _session()
    known = warm_up(session)
    assert session.spent == 30
    assert {e.questions for e in known} == {32}
    assert len(propose(session, known)) == 120
    assert session.spent == 60


def test_proposals_are_better_than_random_plans_of_their_sparsity():
    session = _session(s_min=0.3, s_max=0.3)
    known = propose(session, warm_up(session))
    world = session.problem
    values = {
        source: np.mean([world.objectives(np.array(e.kept)).sum() for e in known if e.source == source])
        for source in ("warm-up", "surrogate")
    }
    assert values["surrogate"] > 0.8 * values["warm-up"]  # both are negative


def test_units_of_preferences_do_not_grow_with_the_noise_of_few_questions():
    session = _session(noise=0.3, evaluations=400)
    known = warm_up(session)
    refit(session, known)
    ratios = random_ratios(session.problem, session.settings, 2000, np.random.default_rng(5))
    truth = session.problem.objectives((1 - ratios) * 352).std(axis=0)
    observed = session.returns(known)[:, :2].std(axis=0)
    assert (observed > 1.5 * truth).all()
    assert session.normaliser.std[:2] == pytest.approx(truth, rel=0.35)


def test_no_warm_up_leaves_the_units_alone():
    session = _session(warm_up=0.0, proposals=0.0)
    assert propose(session, warm_up(session)) == []
    assert session.normaliser.count == 0
