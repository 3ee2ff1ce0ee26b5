"""SynFlow stability: the log-ratio ℓ of a plan (Eq. 13).

ℓ needs no forward pass. With neurons sorted once, the flow a block keeps is a cumulative sum, so ℓ of a
``coupled`` plan costs one look-up a block.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from hipp_prune.plans.arrays import Bool, Bools, Float, Floats, Int, Ints

Projections = tuple[
    Float[Tensor, "neurons hidden"], Float[Tensor, "neurons hidden"], Float[Tensor, "hidden neurons"]
]
"""Weights of gate [n, H], up [n, H] and down [H, n] of one block."""


def inflow(
    gate: Float[Tensor, "neurons hidden"], up: Float[Tensor, "neurons hidden"]
) -> Float[Tensor, "neurons"]:
    """(|W_gate| 1 ⊙ |W_up| 1)^½: absolute flow into each neuron, float64, [n]."""
    gate_flow, up_flow = (weight.detach().abs().sum(dim=1, dtype=torch.float64) for weight in (gate, up))
    return (gate_flow * up_flow).sqrt()


def neuron_flow(
    gate: Float[Tensor, "neurons hidden"],
    up: Float[Tensor, "neurons hidden"],
    down: Float[Tensor, "hidden neurons"],
) -> Float[Floats, "neurons"]:
    """Flow through each neuron, 1ᵀ|W_down| diag(inflow), [n]; their sum is SF_l of the dense block."""
    outflow = down.detach().abs().sum(dim=0, dtype=torch.float64)
    result: Float[Floats, "neurons"] = (inflow(gate, up) * outflow).cpu().numpy()
    return result


def synflow_table(flows: Sequence[Float[Floats, "_"]]) -> list[Float[Floats, "_"]]:
    """log SF_l(k) − log SF_l(n) for every kept count k.

    Args:
        flows: of each block's neurons, most important neuron first, [n] each.

    Returns:
        For each block, shape [n + 1]: entry k is block l's share of ℓ if its first k neurons stay.
    """
    tables = []
    for flow in flows:
        kept = np.concatenate([[0.0], np.cumsum(flow)])
        with np.errstate(divide="ignore"):
            tables.append(np.log(kept) - np.log(kept[-1]))
    return tables


def coupled_log_ratio(
    tables: Sequence[Float[Floats, "_"]], kept: Int[Ints, "plans blocks"]
) -> Float[Floats, "plans"]:
    """Eq. 13 for ``coupled`` plans: ℓ = Σ_l log SF_l(k_l) − log SF_l(n_l).

    Args:
        tables: from ``synflow_table``.
        kept: kept counts, [P, L].

    Returns:
        ℓ ≤ 0 of each plan, [P].
    """
    result: Float[Floats, "plans"] = np.sum(
        [table[kept[:, block]] for block, table in enumerate(tables)], axis=0
    )
    return result


def rows_log_ratio(projections: Sequence[Projections], masks: Sequence[Bool[Bools, "_"]]) -> float:
    """Eq. 13 for a ``rows`` plan, computed directly from its masks (gate, up, down of each block)."""
    total = 0.0
    for block, (gate, up, down) in enumerate(projections):
        keep_gate, keep_up, keep_down = (
            torch.from_numpy(m).to(gate.device) for m in masks[3 * block : 3 * block + 3]
        )
        arriving = inflow(gate, up)
        magnitudes = down.detach().abs().double()
        kept = float((magnitudes @ (arriving * (keep_gate & keep_up)))[keep_down].sum())
        dense = float((magnitudes @ arriving).sum())
        total += np.log(kept / dense) if kept > 0 else -np.inf
    return float(total)


def chained_log_flow(
    projections: Sequence[Projections], masks: Sequence[Bool[Bools, "_"]] | None = None
) -> float:
    """Eq. 13's literal chain, log 1ᵀ Π_l |M_l ⊙ W_l| 1, through gate, up and down of all blocks (``paper``).

    Gate and up stand side by side, so a block maps x to |W_down| (|W_gate| x ⊙ |W_up| x)^½; the vector is
    rescaled after each block and the scales are summed as logarithms, in fp64.

    Args:
        projections: weights of all blocks.
        masks: keep-masks of gate, up and down rows of each block; none for the dense model.
    """
    vector = projections[0][0].new_ones(projections[0][0].shape[1], dtype=torch.float64)
    log_scale = 0.0
    for block, (gate, up, down) in enumerate(projections):
        vector = vector.to(gate.device)
        flow = ((gate.detach().abs().double() @ vector) * (up.detach().abs().double() @ vector)).sqrt()
        keep = (
            None
            if masks is None
            else [torch.from_numpy(m).to(flow) for m in masks[3 * block : 3 * block + 3]]
        )
        vector = down.detach().abs().double() @ (flow if keep is None else flow * keep[0] * keep[1])
        vector = vector if keep is None else vector * keep[2]
        peak = float(vector.max())
        if peak == 0:
            return -np.inf
        vector = vector / peak
        log_scale += np.log(peak)
    return float(log_scale + np.log(float(vector.sum())))
