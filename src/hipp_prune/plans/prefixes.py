"""Plans as prefixes: one order of every block's neurons in which each of several plans keeps the first so many."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from hipp_prune.errors import PlanError
from hipp_prune.plans.arrays import Bools, Ints
from hipp_prune.plans.plan import Plan
from hipp_prune.plans.space import UnitKind


def order_ranks(order: Ints) -> Ints:
    """Rank of each index in ``order``, 0 the most important, [neurons]."""
    found = np.empty_like(order)
    found[order] = np.arange(len(order))
    return found


def neuron_ranks(unit: UnitKind, rankings: Sequence[Ints]) -> list[Ints]:
    """How important the neurons of each block are, L arrays [neurons], 0 the most; one of rows is as its worse row.

    Args:
        unit: what is ranked.
        rankings: most important first: neurons, length L; ``rows``: gate, up and down rows of each block, length 3 L.
    """
    found = [order_ranks(order) for order in rankings]
    if unit == "coupled":
        return found
    return [np.maximum(gate, up) for gate, up in zip(found[0::3], found[1::3], strict=True)]


def living_neurons(plan: Plan) -> list[Bools]:
    """True where a neuron still says something, [neurons] a block; of a ``rows`` plan, where gate and up both do."""
    masks = plan.keep_masks()
    if plan.unit == "coupled":
        return masks
    return [gate & up for gate, up in zip(masks[0::3], masks[1::3], strict=True)]


def nested_orders(plans: Mapping[str, Plan], rankings: Sequence[Ints] | None = None) -> list[Ints]:
    """Orders of each block's neurons in which every plan keeps the first so many, L arrays [neurons].

    What more plans keep comes first; among neurons that the same plans keep, the more important one.

    Args:
        plans: of one model, by name; at least one.
        rankings: of each block's neurons, 0 the most important, as ``neuron_ranks`` says; their index by default.

    Raises:
        PlanError: naming two plans each of which keeps neurons that the other removes, or plans of different models.
    """
    living = {name: living_neurons(plan) for name, plan in plans.items()}
    shapes = {name: plan.shape for name, plan in plans.items()}
    (first, shape), *others = shapes.items()
    for name, other in others:
        if other.fingerprint != shape.fingerprint:
            raise PlanError(
                f"plans {first} and {name} were made for different models (fingerprints {shape.fingerprint} and "
                f"{other.fingerprint}); give plans of one model"
            )
    orders = []
    for block, width in enumerate(shape.neurons):
        masks = {name: masks[block] for name, masks in living.items()}
        _check_nested(block, masks, plans)
        rank = np.arange(width) if rankings is None else rankings[block]
        orders.append(np.lexsort((rank, -np.sum(list(masks.values()), axis=0))))
    return orders


def _check_nested(block: int, masks: Mapping[str, Bools], plans: Mapping[str, Plan]) -> None:
    """Refuses plans none of which is within the other.

    Args:
        block: its index.
        masks: neurons that live, by the plan's name.
        plans: by name.
    """
    by_width = sorted(masks, key=lambda name: int(masks[name].sum()))
    for smaller, larger in pairwise(by_width):
        apart = int((masks[smaller] & ~masks[larger]).sum())
        if apart:
            raise PlanError(
                f"plans {smaller} and {larger} cannot be prefixes of one order: in block {block} {apart} neurons stay "
                f"in {smaller} that leave in {larger}, though it keeps no fewer (ranked by "
                f"{plans[smaller].importance} and {plans[larger].importance}); give plans of one run, or of one "
                "criterion on one calibration"
            )
