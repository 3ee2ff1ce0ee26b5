from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hipp_prune.experiments.search_bench.landscape import Landscape
from hipp_prune.plans.preference import ANCHORS, Preference
from hipp_prune.search.archive import Archive
from hipp_prune.search.loop import search
from hipp_prune.search.methods import METHODS
from hipp_prune.search.policy.network import PlanPolicy
from hipp_prune.search.query.planner import Planner
from hipp_prune.search.settings import SearchSettings
from hipp_prune.search.solutions import AnchoredSolution, PolicySolution, TableSolution, restore_solution

WORLD = Landscape(blocks=4)
CONFIG = SearchSettings(evaluations=20, groups=2, group=4)
ONE_NEURON = 1 / (4 * 352)


def _table(
    plans: list[list[int]], quality: list[tuple[float, float]], scale=(1.0, 1.0, 1.0)
) -> TableSolution:
    kept = np.array(plans)
    objectives = np.concatenate([quality, WORLD.space.sparsity(kept)[:, None]], axis=1)
    return TableSolution(
        plans=kept, objectives=objectives, scale=np.array(scale), space=WORLD.space, settings=CONFIG
    )


def _budget(low: float, high: float, count: int = 1) -> np.ndarray:
    return np.tile([low, high], (count, 1)).astype(float)


@pytest.mark.parametrize("method", METHODS)
def test_every_methods_answers_survive_a_file(method, tmp_path: Path):
    settings = replace(CONFIG.for_method(method), unit="coupled")
    result = search(WORLD, settings, Archive())
    planner = Planner(
        answers=result.answers, space=WORLD.space, settings=settings, state=WORLD.state, scale=result.scale,
        questions="0123456789abcdef",
        features=("position", "hint_rob", "hint_util"), orders=tuple(np.arange(352) for _ in range(4)),
    )  # fmt: skip
    planner.save(tmp_path / "planner.safetensors")
    loaded = Planner.load(tmp_path / "planner.safetensors")
    assert loaded.answers.kind == result.answers.kind
    for text in ("1,0,0", "0,1,0", "1,2,3"):
        for sparsity in (None, 0.3):
            preference = Preference.parse(text)
            assert loaded.query(preference, sparsity=sparsity) == planner.query(preference, sparsity=sparsity)


def test_a_table_gives_the_best_plan_for_each_preference():
    """Two plans of one sparsity, each better at one thing."""
    table = _table([[352, 352, 176, 352], [352, 176, 352, 352]], [(-1.0, -3.0), (-3.0, -1.0)])
    kept = table.kept(np.eye(3)[:2], _budget(0.125, 0.125, 2))
    assert kept.tolist() == [[352, 352, 176, 352], [352, 176, 352, 352]]


def test_a_table_weighs_objectives_in_units_of_their_scale():
    plans, quality = [[352, 352, 176, 352], [352, 176, 352, 352]], [(-1.0, -30.0), (-3.0, -10.0)]
    even, budget = np.array([[0.5, 0.5, 0.0]]), _budget(0.125, 0.125)
    assert _table(plans, quality).kept(even, budget)[0, 1] == 176
    assert _table(plans, quality, scale=(1.0, 100.0, 1.0)).kept(even, budget)[0, 2] == 176
    assert _table(plans, quality, scale=(1.0, 0.0, 1.0)).kept(even, budget)[0, 2] == 176


def test_a_table_moves_the_nearest_plan_along_its_allocation():
    table = _table([[352, 176, 264, 352], [176, 176, 176, 176]], [(-1.0, -1.0), (-0.1, -0.1)])
    (kept,) = table.kept(np.array([[0.5, 0.5, 0.0]]), _budget(0.3, 0.3))
    removed = (352 - kept) / 352
    assert WORLD.space.sparsity(kept) == pytest.approx(0.3, abs=ONE_NEURON)
    assert removed[1] == pytest.approx(2 * removed[2], rel=0.05)  # 0.1875 is nearer to 0.3 than 0.5 is
    assert removed[0] == removed[3] == 0


def test_a_table_leaves_the_sparsity_to_the_preference_within_an_interval():
    table = _table([[317] * 4, [176] * 4], [(0.0, 0.0), (-0.2, -0.2)])
    kept = table.kept(np.array([[1.0, 0, 0], [0, 0, 1.0]]), _budget(0.05, 0.5, 2))
    assert kept[0].tolist() == [317] * 4
    assert kept[1].tolist() == [176] * 4


def test_anchored_answers_come_from_the_nearest_anchors_policy():
    experts = []
    for number in range(len(ANCHORS)):
        torch.manual_seed(number)
        policy = PlanPolicy(3)
        torch.nn.init.normal_(policy.allocation_head.weight, std=0.5)
        experts.append(PolicySolution(policy=policy, state=WORLD.state, space=WORLD.space, settings=CONFIG))
    anchored = AnchoredSolution(experts=tuple(experts))
    asked = np.array([[0.9, 0.05, 0.05], [0.5, 0.45, 0.05], [0.3, 0.3, 0.4]])
    budget = _budget(0.3, 0.3, 3)
    kept = anchored.kept(asked, budget)
    for row, anchor in enumerate([0, 3, 6]):
        own = experts[anchor].kept(ANCHORS[[anchor]], budget[:1])[0]
        assert kept[row].tolist() == own.tolist()
    assert len({tuple(plan) for plan in kept.tolist()}) == 3


def test_answers_of_an_unknown_kind():
    with pytest.raises(ValueError, match="'oracle' are unknown"):
        restore_solution("oracle", {}, state=WORLD.state, space=WORLD.space, settings=CONFIG)
