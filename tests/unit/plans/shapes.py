"""Model shapes and plans without a model."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from hipp_prune.plans.plan import Plan, keep_masks, pack_masks
from hipp_prune.plans.space import ModelShape, PlanSpace, UnitKind


def make_shape(neurons: Sequence[int] = (10, 10, 10), *, hidden: int = 6, **changes: Any) -> ModelShape:
    """A shape whose decoder blocks hold twice their MLP parameters."""
    mlp = sum(neurons) * 3 * hidden
    fields = {
        "family": "llava", "fingerprint": "abc", "hidden_size": hidden, "neurons": tuple(neurons),
        "neuron_parameters": 3 * hidden, "block_parameters": 2 * mlp, "language_parameters": 3 * mlp,
        "total_parameters": 4 * mlp,
    }  # fmt: skip
    return ModelShape(**{**fields, **changes})


def make_plan(
    shape: ModelShape, unit: UnitKind, kept: Sequence[int], *, seed: int = 0, **fields: Any
) -> Plan:
    """A plan with these counts; which neurons stay is random."""
    rng = np.random.default_rng(seed)
    space = PlanSpace(shape=shape, unit=unit, r_max=0.999)
    widths = (
        shape.neurons if unit == "coupled" else [w for n in shape.neurons for w in (n, n, shape.hidden_size)]
    )
    orders = [rng.permutation(width) for width in widths]
    return Plan(
        shape=shape, unit=unit, kept=tuple(kept), masks=pack_masks(keep_masks(unit, orders, kept)),
        ledger=space.ledger(np.array(kept)), **{"importance": "coupled", **fields},
    )  # fmt: skip
