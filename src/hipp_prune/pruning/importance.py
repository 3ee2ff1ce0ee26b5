"""Which neurons matter least: scores of whole neurons by a named criterion, and of rows (the paper's Eq. 10).

Higher is more important; scores are compared within a block only. Activation norms mix image and text tokens
by ``image_weight`` (see ``Moments.rms``).
"""

from torch import Tensor

from hipp_prune.calibration.activations import Moments
from hipp_prune.calibration.measurement import Calibration
from hipp_prune.errors import InputError
from hipp_prune.models.adapter import Adapter, Block
from hipp_prune.plans.arrays import Float
from hipp_prune.pruning.criteria import CRITERIA, Criterion, Neurons, row_scores

RowScores = tuple[Float[Tensor, "neurons"], Float[Tensor, "neurons"], Float[Tensor, "hidden"]]
"""Scores of the rows of gate, up and down of one block."""


def score_neurons(
    adapter: Adapter,
    calibration: Calibration,
    criterion: Criterion = "coupled",
    image_weight: float | None = 0.5,
) -> list[Float[Tensor, "_"]]:
    """Scores of every neuron of every block, by a named criterion.

    Args:
        adapter: the dense model, neurons in their original order.
        calibration: its statistics.
        criterion: a name in ``criteria.CRITERIA``.
        image_weight: weight of image tokens in activation norms, in [0, 1], none to count every token alike;
            ``magnitude`` and ``taylor`` have none.

    Returns:
        L scores, float64 on the CPU, [neurons] each.

    Raises:
        InputError: if there is no such criterion or the calibration is of another model.
    """
    if criterion not in CRITERIA:
        raise InputError(
            f"there is no importance criterion {criterion!r}; choose one of {', '.join(CRITERIA)}"
        )
    score = CRITERIA[criterion]
    return [score(neurons).double().cpu() for neurons in _neurons(adapter, calibration, image_weight)]


def score_rows(
    adapter: Adapter, calibration: Calibration, image_weight: float | None = 0.5
) -> list[RowScores]:
    """Eq. 10 literally: the score of every row of gate, up and down.

    Returns:
        For each block: gate [neurons], up [neurons], down [hidden]; float64 on the CPU.

    Raises:
        InputError: if the calibration is of another model.
    """
    return [block_rows(neurons) for neurons in _neurons(adapter, calibration, image_weight)]


def block_rows(neurons: Neurons) -> RowScores:
    """``score_rows`` for one block."""
    inputs, activations = neurons.input_norms, neurons.activation_norms
    return (
        row_scores(neurons.gate, inputs).cpu(),
        row_scores(neurons.up, inputs).cpu(),
        row_scores(neurons.down, activations).cpu(),
    )


def block_neurons(
    block: Block,
    inputs: Moments,
    activations: Moments,
    *,
    taylor: Float[Tensor, "neurons"],
    image_weight: float | None,
) -> Neurons:
    """What a criterion is told of one block.

    Args:
        block: its projections.
        inputs: moments of the input of gate and up.
        activations: moments of the input of down.
        taylor: Taylor scores of its neurons, [neurons].
        image_weight: see ``score_neurons``.
    """
    return Neurons(
        gate=block.gate.weight.detach(),
        up=block.up.weight.detach(),
        down=block.down.weight.detach(),
        inputs=inputs,
        activations=activations,
        taylor=taylor,
        image_weight=image_weight,
    )


def _neurons(adapter: Adapter, calibration: Calibration, image_weight: float | None) -> list[Neurons]:
    """What a criterion is told of each block.

    Raises:
        InputError: if the calibration is of another model.
    """
    _check(adapter, calibration)
    statistics = zip(adapter.blocks, calibration.inputs, calibration.neurons, calibration.taylor, strict=True)
    return [
        block_neurons(block, inputs, activations, taylor=taylor, image_weight=image_weight)
        for block, inputs, activations, taylor in statistics
    ]


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
