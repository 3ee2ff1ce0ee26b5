"""Which neurons matter least: scores of whole neurons (``coupled``) and of rows (the paper's Eq. 10).

Higher is more important; scores are compared within a block only. Activation norms mix image and text tokens
by ``image_weight`` (see ``Moments.rms``). Shapes: N neurons, H hidden; W_gate, W_up [N, H], W_down [H, N].
"""

from typing import get_args

import torch
from torch import Tensor

from hipp_prune.calibration import Calibration
from hipp_prune.calibration.activations import Moments
from hipp_prune.errors import InputError
from hipp_prune.models.adapter import Adapter, Block
from hipp_prune.plans.choices import Criterion


def score_neurons(
    adapter: Adapter,
    calibration: Calibration,
    criterion: Criterion = "coupled",
    image_weight: float | None = 0.5,
) -> list[Tensor]:
    """Scores of every neuron of every block, by a named criterion.

    Args:
        adapter: the dense model, neurons in their original order.
        calibration: its statistics.
        criterion: see the function of each name below; ``paper`` is Eq. 10 summed over gate and up rows.
        image_weight: weight of image tokens in activation norms, in [0, 1]; ``magnitude`` and ``taylor`` have
            none.

    Returns:
        L scores, float64 on the CPU, [neurons] each.

    Raises:
        InputError: if there is no such criterion or the calibration is of another model.
    """
    if criterion not in get_args(Criterion):
        names = ", ".join(get_args(Criterion))
        raise InputError(f"there is no importance criterion {criterion!r}; choose one of {names}")
    _check(adapter, calibration)
    return [
        _score_block(block, calibration, index, criterion, image_weight).double().cpu()
        for index, block in enumerate(adapter.blocks)
    ]


def score_rows(
    adapter: Adapter, calibration: Calibration, image_weight: float | None = 0.5
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Eq. 10 literally: the score of every row of gate, up and down.

    Returns:
        For each block: gate [neurons], up [neurons], down [hidden]; float64 on the CPU.

    Raises:
        InputError: if the calibration is of another model.
    """
    _check(adapter, calibration)
    scores = []
    for index, block in enumerate(adapter.blocks):
        x = calibration.inputs[index].rms(image_weight)
        a = calibration.neurons[index].rms(image_weight)
        parts = (row_norm(block.gate.weight, x), row_norm(block.up.weight, x), row_norm(block.down.weight, a))
        gate, up, down = (part.double().cpu() for part in parts)
        scores.append((gate, up, down))
    return scores


@torch.no_grad()
def row_norm(weight: Tensor, norms: Tensor) -> Tensor:
    """Eq. 10: q(i) = Σ_j |W_ij| · ‖X_j‖₂, [rows].

    Args:
        weight: W, [rows, columns].
        norms: root mean square of each input, [columns]; a common factor does not change the ranking.
    """
    return weight.double().abs() @ norms.to(weight.device, torch.float64)


@torch.no_grad()
def output_norm(down: Tensor, norms: Tensor) -> Tensor:
    """``coupled``, Eq. 10 for whole neurons: q(j) = ‖W_down[:, j]‖₂ · ‖a_j‖₂, [neurons].

    What the block's output loses, in expectation, when neuron j falls silent.

    Args:
        down: W_down, [hidden, neurons].
        norms: root mean square activation of each neuron, [neurons].
    """
    return down.double().norm(dim=0) * norms.to(down.device, torch.float64)


@torch.no_grad()
def magnitude(gate: Tensor, up: Tensor, down: Tensor) -> Tensor:
    """``magnitude``: (‖W_gate[j]‖₂² + ‖W_up[j]‖₂² + ‖W_down[:, j]‖₂²)^½, [neurons] (a group norm)."""
    squares = gate.double().square().sum(1) + up.double().square().sum(1) + down.double().square().sum(0)
    return squares.sqrt()


@torch.no_grad()
def wanda_sp(down: Tensor, norms: Tensor) -> Tensor:
    """``wanda-sp``: q(j) = mean_i |W_down[i, j]| · ‖a_j‖₂, [neurons] (Wanda's, column mean)."""
    return down.double().abs().mean(0) * norms.to(down.device, torch.float64)


@torch.no_grad()
def fluctuation(down: Tensor, variance: Tensor) -> Tensor:
    """``flap``: q(j) = Var(a_j) · ‖W_down[:, j]‖₂², [neurons] (FLAP's weighted input fluctuation).

    Args:
        down: W_down, [hidden, neurons].
        variance: variance of each neuron's activation over tokens, [neurons].
    """
    return variance.to(down.device, torch.float64) * down.double().square().sum(0)


def variance(moments: Moments, image_weight: float | None) -> Tensor:
    """E[x²] − E[x]² under the mixture of image and text tokens, [D], never negative."""
    spread: Tensor = moments.rms(image_weight).square() - moments.mean(image_weight).square()
    return spread.clamp(min=0)


def _score_block(
    block: Block, calibration: Calibration, index: int, criterion: Criterion, image_weight: float | None
) -> Tensor:
    gate, up, down = block.gate.weight, block.up.weight, block.down.weight
    inputs, neurons = calibration.inputs[index], calibration.neurons[index]
    if criterion == "paper":
        x = inputs.rms(image_weight)
        return row_norm(gate, x) + row_norm(up, x)
    if criterion == "magnitude":
        return magnitude(gate, up, down)
    if criterion == "wanda-sp":
        return wanda_sp(down, neurons.rms(image_weight))
    if criterion == "flap":
        return fluctuation(down, variance(neurons, image_weight))
    if criterion == "taylor":
        return calibration.taylor[index]
    return output_norm(down, neurons.rms(image_weight))


def _check(adapter: Adapter, calibration: Calibration) -> None:
    expected = [(block.gate.out_features, block.gate.in_features) for block in adapter.blocks]
    found = [
        (neurons.square.shape[1], inputs.square.shape[1])
        for inputs, neurons in zip(calibration.inputs, calibration.neurons, strict=True)
    ]
    if expected != found:
        raise InputError(
            f"the calibration is of another model: it has {len(found)} blocks, the first (neurons, hidden) "
            f"{found[:1]}, the model {len(expected)}, the first {expected[:1]}; calibrate this model"
        )
