"""What the policy sees of a model: one vector of standardised descriptors a unit (section "State").

λ and the budget context are no part of it: they are appended inside the policy as they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hipp_prune.calibration.measurement import Calibration
from hipp_prune.calibration.reductions import TOKEN_REDUCTIONS, HeadReduction
from hipp_prune.models.adapter import Adapter, Block
from hipp_prune.plans.arrays import Float, Floats
from hipp_prune.plans.space import PlanSpace, UnitKind
from hipp_prune.search.policy.variants import VisualState

UNIT_TYPES = ("neurons", "gate_up", "down")
"""What a unit may consist of; the one-hot type of the state."""

_ERROR_SHARES = (0.75, 0.5, 0.25)
"""Shares of a block's width at which its error curve is described."""
_SILENT = 1e-12
"""Errors below this share of the output's energy are rounding."""


@dataclass(frozen=True, kw_only=True)
class UnitStates:
    """Standardised descriptors of all units."""

    names: tuple[str, ...]
    """Names of the F descriptors."""
    values: Float[Floats, "units features"]
    """[U, F]; each column has mean 0 and std 1 over units, or is 0 where it does not vary."""


def describe_units(
    adapter: Adapter,
    calibration: Calibration,
    scores: Sequence[Float[Tensor, "_"]],
    space: PlanSpace,
    *,
    image_weight: float | None = 0.5,
    visual: VisualState = "on",
    heads: HeadReduction = "mean",
    seed: int = 0,
) -> UnitStates:
    """Descriptors of every unit: position, type, size, weights, activations, neuron scores, visual sensitivity.

    Args:
        adapter: the dense model.
        calibration: its statistics.
        scores: importance of every neuron (``rows``: row) of each unit, U tensors.
        space: the units.
        image_weight: see ``Moments.rms``.
        visual: whether every block is described by its own S_l, by none (0), or by another block's.
        heads: how S_l aggregates attention heads; standardised, ``sum`` describes units as ``mean`` does.
        seed: of the shuffle.
    """
    blocks = np.arange(len(adapter.blocks))
    if visual == "shuffled":
        blocks = np.random.default_rng([seed, 8]).permutation(blocks)
    sensitivity = {
        f"visual_{tokens}": calibration.visual.per_block(tokens=tokens, heads=heads)[blocks]
        * (visual != "off")
        for tokens in TOKEN_REDUCTIONS
    }
    rows = []
    for unit in range(space.num_units):
        block, kind = _locate(unit, space.unit)
        weights = _projections(adapter.blocks[block], kind)
        moments = calibration.neurons[block] if kind == "down" else calibration.inputs[block]
        rows.append(
            {
                "position": block / len(adapter.blocks),
                **{f"type_{name}": float(name == kind) for name in UNIT_TYPES},
                "log_parameters": float(np.log(space.weights[unit])),
                **_weight_statistics(weights),
                **_norm_statistics(moments.rms(image_weight)),
                **_score_statistics(scores[unit]),
                **{name: float(values[block]) for name, values in sensitivity.items()},
            }
        )
    names = tuple(rows[0])
    table = np.array([[row[name] for name in names] for row in rows])
    return UnitStates(names=names, values=standardise(table))


def with_error_curves(states: UnitStates, curves: Sequence[Float[Tensor, "widths"]]) -> UnitStates:
    """The states with what least squares cannot repair of each block: log₁₀ e(k) / e(0) at ¾, ½ and ¼ of its width.

    A search has these columns if, and only if, its plans are compensated by ridge.

    Args:
        states: of all units, one a block.
        curves: e(k) for k = 0 … N of each block; none leaves the states as they are.
    """
    if not curves:
        return states
    shares = [
        [float(curve[round(share * (len(curve) - 1))] / curve[0].clamp(min=_SILENT)) for curve in curves]
        for share in _ERROR_SHARES
    ]
    table = np.log10(np.maximum(np.array(shares).T, _SILENT))
    return UnitStates(
        names=(*states.names, *(f"log_error_{share:.0%}" for share in _ERROR_SHARES)),
        values=np.concatenate([states.values, standardise(table)], axis=1),
    )


def standardise(table: Float[Floats, "units features"]) -> Float[Floats, "units features"]:
    """Columns of [U, F] with mean 0 and std 1 over units; a column that does not vary becomes 0."""
    centred = table - table.mean(axis=0)
    std = centred.std(axis=0)
    varies = std > 1e-9 * np.maximum(1.0, np.abs(table).max(axis=0))
    result: Float[Floats, "units features"] = np.where(varies, centred / np.where(varies, std, 1.0), 0.0)
    return result


def gini(values: Float[Tensor, "n"]) -> float:
    """Gini coefficient of non-negative values, in [0, 1): 0 if all are equal, near 1 if one holds all."""
    ordered = values.double().sort().values
    total = float(ordered.sum())
    if total == 0:
        return 0.0
    ranks = torch.arange(1, len(ordered) + 1, dtype=torch.float64)
    return float((2 * ranks - len(ordered) - 1) @ ordered / (len(ordered) * total))


def _locate(unit: int, kind: UnitKind) -> tuple[int, str]:
    """Block and type of a unit, in the order of ``PlanSpace``."""
    if kind == "coupled":
        return unit, "neurons"
    return unit // 2, "down" if unit % 2 else "gate_up"


def _projections(block: Block, kind: str) -> list[Float[Tensor, "_ _"]]:
    gate, up, down = (projection.weight.detach() for projection in (block.gate, block.up, block.down))
    return {"neurons": [gate, up, down], "gate_up": [gate, up], "down": [down]}[kind]


def _weight_statistics(weights: Sequence[Float[Tensor, "_ _"]]) -> dict[str, float]:
    norms = torch.cat([weight.float().norm(dim=1) for weight in weights]).cpu()
    mean, std = float(norms.mean()), float(norms.std())
    return {
        "weight_mean": float(np.mean([float(weight.float().abs().mean()) for weight in weights])),
        "row_norm_mean": mean,
        "row_norm_std": std,
        "row_norm_outliers": float((norms > mean + 3 * std).float().mean()),
    }


def _norm_statistics(norms: Float[Tensor, "inputs"]) -> dict[str, float]:
    return {
        "input_norm_mean": float(norms.mean()),
        "input_norm_std": float(norms.std()),
        "input_norm_max": float(norms.max()),
    }


def _score_statistics(scores: Float[Tensor, "scored"]) -> dict[str, float]:
    return {"score_mean": float(scores.mean()), "score_gini": gini(scores)}
