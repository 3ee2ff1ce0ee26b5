"""Each criterion against its formula, written out with loops."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from hipp_prune.calibration.activations import Moments
from hipp_prune.calibration.measurement import Calibration
from hipp_prune.calibration.visual import VisualSensitivity
from hipp_prune.errors import InputError
from hipp_prune.models import load_model
from hipp_prune.models.adapter import Adapter
from hipp_prune.pruning.criteria import CRITERIA, coupled
from hipp_prune.pruning.importance import block_neurons, score_neurons, score_rows
from hipp_prune.questions.fingerprint import Origin

WEIGHT = 0.3


def moments_of(image: Tensor, text: Tensor) -> Moments:
    tokens = torch.cat([image, text])[None]
    is_image = torch.arange(tokens.shape[1])[None] < len(image)
    return Moments.of(tokens, is_image, ~is_image)


class Known:
    """A calibration made of tokens that the test still has."""

    def __init__(self, adapter: Adapter) -> None:
        generator = torch.Generator().manual_seed(0)

        def tokens(width: int) -> tuple[Tensor, Tensor]:
            drawn = torch.randn(12, width, generator=generator).double() + 0.5
            return drawn[:9], drawn[9:]

        self.inputs = [tokens(adapter.shape.hidden_size) for _ in adapter.blocks]
        self.neurons = [tokens(n) for n in adapter.shape.neurons]
        self.calibration = Calibration(
            inputs=tuple(moments_of(*pair) for pair in self.inputs),
            neurons=tuple(moments_of(*pair) for pair in self.neurons),
            taylor=tuple(torch.rand(n, generator=generator) for n in adapter.shape.neurons),
            visual=VisualSensitivity.empty(len(adapter.blocks)),
            num_questions=1,
            origin=Origin(weights=adapter.shape.fingerprint, questions="none"),
        )


def mixed(pair: tuple[Tensor, Tensor], column: int, power: int) -> float:
    """w · E_img[x^p] + (1 − w) · E_txt[x^p] of one column."""
    image, text = (float((part[:, column] ** power).mean()) for part in pair)
    return WEIGHT * image + (1 - WEIGHT) * text


@pytest.fixture
def known(adapter: Adapter) -> Known:
    return Known(adapter)


@dataclass(frozen=True, kw_only=True)
class Neuron:
    """What a formula may speak of."""

    gate: Tensor
    """Its row of W_gate, [H]."""
    up: Tensor
    """Its row of W_up, [H]."""
    down: Tensor
    """Its column of W_down, [H]."""
    inputs: list[float]
    """Root mean square of each input x_i."""
    mean: float
    """E[a]."""
    square: float
    """E[a²]."""
    taylor: float
    """Σ|W ⊙ g|."""

    @staticmethod
    def of(adapter: Adapter, known: Known, index: int, j: int) -> "Neuron":
        """Neuron j of block ``index``."""
        block = adapter.blocks[index]
        gate, up, down = (part.weight.detach().double() for part in (block.gate, block.up, block.down))
        return Neuron(
            gate=gate[j],
            up=up[j],
            down=down[:, j],
            inputs=[mixed(known.inputs[index], i, 2) ** 0.5 for i in range(gate.shape[1])],
            mean=mixed(known.neurons[index], j, 1),
            square=mixed(known.neurons[index], j, 2),
            taylor=float(known.calibration.taylor[index][j]),
        )


FORMULAS: dict[str, Callable[[Neuron], float]] = {
    "coupled": lambda n: float(n.down.norm()) * n.square**0.5,
    "paper": lambda n: sum(
        (abs(float(n.gate[i])) + abs(float(n.up[i]))) * norm for i, norm in enumerate(n.inputs)
    ),
    "magnitude": lambda n: sum(float((part**2).sum()) for part in (n.gate, n.up, n.down)) ** 0.5,
    "wanda-sp": lambda n: float(n.down.abs().mean()) * n.square**0.5,
    "flap": lambda n: float((n.down**2).sum()) * (n.square - n.mean**2),
    "taylor": lambda n: n.taylor,
}
"""Of every criterion, by name."""


@pytest.mark.parametrize("criterion", CRITERIA)
def test_scores_are_their_formula(adapter: Adapter, known: Known, criterion: str) -> None:
    scores = score_neurons(adapter, known.calibration, criterion, WEIGHT)
    for index, own in enumerate(scores):
        assert own.dtype == torch.float64
        for j in (0, 7, len(own) - 1):
            expected = FORMULAS[criterion](Neuron.of(adapter, known, index, j))
            assert float(own[j]) == pytest.approx(expected, rel=1e-9)


def test_rows_are_eq_10(adapter: Adapter, known: Known) -> None:
    for index, (block, scores) in enumerate(
        zip(adapter.blocks, score_rows(adapter, known.calibration, WEIGHT), strict=True)
    ):
        inputs = (known.inputs[index], known.inputs[index], known.neurons[index])
        for projection, score, pair in zip((block.gate, block.up, block.down), scores, inputs, strict=True):
            row = projection.weight.detach().double()[3]
            expected = sum(abs(float(row[j])) * mixed(pair, j, 2) ** 0.5 for j in range(len(row)))
            assert score.shape == (projection.out_features,)
            assert float(score[3]) == pytest.approx(expected, rel=1e-9)


def test_coupled_is_what_the_output_loses(adapter: Adapter, known: Known) -> None:
    """E‖W_down[:, j] a_j‖² is the square of the default score."""
    statistics = known.calibration.inputs[0], known.calibration.neurons[0]
    taylor = known.calibration.taylor[0]
    score = coupled(block_neurons(adapter.blocks[0], *statistics, taylor=taylor, image_weight=None))
    down, activations = adapter.blocks[0].down.weight.detach(), torch.cat(known.neurons[0])
    for j in range(4):
        lost = (activations[:, j, None] * down.double()[:, j]).square().sum(1).mean()
        assert float(score[j] ** 2) == pytest.approx(float(lost))


def test_an_unknown_criterion_lists_the_known(adapter: Adapter, known: Known) -> None:
    with pytest.raises(InputError, match="no importance criterion 'luck'; choose one of coupled, paper"):
        score_neurons(adapter, known.calibration, "luck")


def test_a_calibration_of_another_model_is_refused(folders: dict, known: Known, family: str) -> None:
    other = load_model(folders["llava" if family == "qwen2_5_vl" else "qwen2_5_vl"])
    for score in (score_neurons, score_rows):
        with pytest.raises(InputError, match="calibrate this model"):
            score(other, known.calibration)  # type: ignore[operator]
