"""Annotated shapes are checked here, and nowhere else."""

import subprocess
import sys

import numpy as np
import pytest
from jaxtyping import TypeCheckError

from hipp_prune.plans.allocation import paper_ratios, waterfill_ratios
from hipp_prune.plans.space import PlanSpace
from tests.unit.plans.shapes import make_shape

TWO_PLANS = np.zeros((2, 3))


def test_one_name_is_one_length_within_a_call() -> None:
    assert paper_ratios(TWO_PLANS, np.full(2, 0.2), r_max=0.5).shape == (2, 3)
    with pytest.raises(TypeCheckError, match="sparsity"):
        paper_ratios(TWO_PLANS, np.full(3, 0.2), r_max=0.5)
    with pytest.raises(TypeCheckError, match="weights"):
        waterfill_ratios(TWO_PLANS, np.full(2, 0.2), weights=np.ones(2), r_max=0.5)


def test_kept_counts_are_whole_numbers() -> None:
    space = PlanSpace(shape=make_shape((10, 10)))
    assert space.sparsity(np.array([5, 10])) == pytest.approx(0.25)
    with pytest.raises(TypeCheckError, match="kept"):
        space.sparsity(np.array([5.0, 10.0]))


@pytest.mark.parametrize("module", ["plans.space", "objectives.band", "pruning.criteria", "cli"])
def test_elsewhere_a_shape_costs_nothing(module: str) -> None:
    code = f"""
import sys
import hipp_prune.{module}
from hipp_prune.plans.arrays import Float, Floats
assert Float[Floats, "plans units"] is Floats
assert "jaxtyping" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
