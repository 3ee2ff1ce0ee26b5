"""What holds for every baseline that plans neurons: exact budget, the box, determinism, and a model left as it was."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hipp_prune.baselines.methods import BASELINES, Baseline, load_baseline
from hipp_prune.baselines.setting import Setting
from hipp_prune.baselines.settings import BaselineSettings
from hipp_prune.errors import BudgetError
from hipp_prune.plans.plan import Plan

PLANNERS = [method for method in BASELINES if method != "slicegpt"]
"""All but the one that leaves neurons alone."""


@pytest.mark.parametrize("method", PLANNERS)
class TestEveryPlanner:
    def test_meets_the_budget_to_one_neuron_and_stays_in_the_box(
        self, setting: Setting, method: Baseline
    ) -> None:
        plan = load_baseline(method).plan(setting)
        space = plan.space
        assert abs(plan.ledger.mlp - setting.sparsity) * space.weights.sum() <= space.costs.max()
        assert (plan.ratios <= setting.settings.r_max).all()
        assert Plan.from_json(plan.to_json()).kept == plan.kept

    def test_answers_alike_twice_and_leaves_the_model_as_it_was(
        self, llava: Setting, method: Baseline
    ) -> None:
        model = llava.adapter.model
        before = {name: value.clone() for name, value in model.state_dict().items()}
        assert load_baseline(method).plan(llava).masks == load_baseline(method).plan(llava).masks
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
        assert all(parameter.grad is None for parameter in model.parameters())

    def test_refuses_a_sparsity_beyond_the_box(self, llava: Setting, method: Baseline) -> None:
        with pytest.raises(BudgetError, match="r_max"):
            load_baseline(method).plan(replace(llava, sparsity=0.9))

    def test_a_share_of_the_blocks_is_that_many_parameters(self, llava: Setting, method: Baseline) -> None:
        told = replace(llava, sparsity=0.1, settings=BaselineSettings(match="block"))
        plan = load_baseline(method).plan(told)
        space = plan.space
        removed = plan.ledger.mlp * space.weights.sum()
        assert abs(removed - 0.1 * plan.shape.block_parameters) <= space.costs.max()

    def test_removes_nothing_at_sparsity_0(self, llava: Setting, method: Baseline) -> None:
        plan = load_baseline(method).plan(replace(llava, sparsity=0.0))
        assert np.array_equal(plan.kept, plan.space.widths)


def test_more_of_the_blocks_than_their_neurons_hold_is_refused(llava: Setting) -> None:
    told = replace(llava, sparsity=0.5, settings=BaselineSettings(match="block"))
    with pytest.raises(BudgetError, match=r"they hold 0\.5\d+ of these.*r_max = 0\.8.*at most 0\.4"):
        load_baseline("uniform").plan(told)


@pytest.mark.parametrize("method", ["random", "random-neurons"])
def test_another_seed_draws_another_plan(llava: Setting, method: Baseline) -> None:
    other = replace(llava, settings=BaselineSettings(seed=1))
    assert load_baseline(method).plan(llava).masks != load_baseline(method).plan(other).masks


def test_random_allocates_rows_too(setting: Setting) -> None:
    plan = load_baseline("random").plan(replace(setting, settings=BaselineSettings(unit="rows")))
    assert (plan.unit, plan.importance) == ("rows", "paper")
    assert len(set(plan.ratios[::2])) > 1
    assert abs(plan.ledger.mlp - setting.sparsity) * plan.space.weights.sum() <= plan.space.costs.max()
