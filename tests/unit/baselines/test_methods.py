"""What holds for every baseline: exact budget, the box, determinism, and a model left as it was."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch

from hipp_prune.baselines.config import BaselineConfig
from hipp_prune.baselines.methods import BASELINES
from hipp_prune.baselines.setting import Setting
from hipp_prune.choices import Baseline
from hipp_prune.errors import BudgetError
from hipp_prune.plan import Plan


def test_every_name_has_a_method() -> None:
    assert tuple(BASELINES) == get_args(Baseline)


@pytest.mark.parametrize("method", BASELINES)
class TestEveryMethod:
    def test_meets_the_budget_to_one_neuron_and_stays_in_the_box(
        self, setting: Setting, method: Baseline
    ) -> None:
        plan = BASELINES[method](setting)
        space = plan.space
        assert abs(plan.ledger.mlp - setting.sparsity) * space.weights.sum() <= space.costs.max()
        assert (plan.ratios <= setting.config.r_max).all()
        assert Plan.from_json(plan.to_json()).kept == plan.kept

    def test_answers_alike_twice_and_leaves_the_model_as_it_was(
        self, llava: Setting, method: Baseline
    ) -> None:
        model = llava.adapter.model
        before = {name: value.clone() for name, value in model.state_dict().items()}
        assert BASELINES[method](llava).masks == BASELINES[method](llava).masks
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
        assert all(parameter.grad is None for parameter in model.parameters())

    def test_refuses_a_sparsity_beyond_the_box(self, llava: Setting, method: Baseline) -> None:
        with pytest.raises(BudgetError, match="r_max"):
            BASELINES[method](replace(llava, sparsity=0.9))

    def test_removes_nothing_at_sparsity_0(self, llava: Setting, method: Baseline) -> None:
        plan = BASELINES[method](replace(llava, sparsity=0.0))
        assert np.array_equal(plan.kept, plan.space.widths)


@pytest.mark.parametrize("method", ["random", "random-neurons"])
def test_another_seed_draws_another_plan(llava: Setting, method: Baseline) -> None:
    other = replace(llava, config=BaselineConfig(seed=1))
    assert BASELINES[method](llava).masks != BASELINES[method](other).masks
