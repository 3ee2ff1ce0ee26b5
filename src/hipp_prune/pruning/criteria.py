"""What ranks the neurons of a block: one function a criterion, all in the table ``CRITERIA``, by name.

A criterion is its function below, decorated: the name users give is the function's, with ``-`` for ``_``. Higher is
more important, and scores are compared within a block only. Shapes: N neurons, H hidden; W_gate, W_up [N, H],
W_down [H, N]. Nothing here imports torch, since the command line lists the names.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from hipp_prune.plans.arrays import Float

if TYPE_CHECKING:
    from torch import Tensor

    from hipp_prune.calibration.activations import Moments
else:
    Tensor = Moments = Any  # of tensors, shapes are checked all the same


@dataclass(frozen=True, kw_only=True)
class Neurons:
    """The neurons of one block: their weights, and what they did on the calibration questions."""

    gate: Float[Tensor, "neurons hidden"]
    """W_gate, [N, H]; row j is neuron j's."""
    up: Float[Tensor, "neurons hidden"]
    """W_up, [N, H]."""
    down: Float[Tensor, "hidden neurons"]
    """W_down, [H, N]; column j is neuron j's."""
    inputs: Moments
    """Of x, the input of gate and up, over H."""
    activations: Moments
    """Of a, the input of down, over N."""
    taylor: Float[Tensor, "neurons"]
    """Σ|W ⊙ g| over each neuron's weights, g the gradient of the answers' loss, [N]."""
    image_weight: float | None
    """Weight of image tokens in norms and variances, in [0, 1]; none to count every token alike."""

    @property
    def input_norms(self) -> Float[Tensor, "hidden"]:
        """Root mean square ‖x_i‖ of each input, float64 [H]; a common factor does not change a ranking."""
        return self.inputs.rms(self.image_weight).to(self.gate.device).double()

    @property
    def activation_norms(self) -> Float[Tensor, "neurons"]:
        """Root mean square ‖a_j‖ of each neuron's activation, float64 [N]."""
        return self.activations.rms(self.image_weight).to(self.down.device).double()

    @property
    def activation_variances(self) -> Float[Tensor, "neurons"]:
        """Var(a_j) = E[a²] − E[a]² under the mixture of image and text tokens, float64 [N], never negative."""
        mean = self.activations.mean(self.image_weight)
        spread = self.activations.rms(self.image_weight).square() - mean.square()
        return spread.clamp(min=0).to(self.down.device).double()


NeuronScore = Callable[[Neurons], Float[Tensor, "neurons"]]
"""Scores of a block's neurons, [N]."""

CRITERIA: dict[str, NeuronScore] = {}
"""The criteria by name; filled by the functions below, the default first."""


def criterion(score: NeuronScore) -> NeuronScore:
    """Puts a criterion into the table under its function's name."""
    name = score.__name__.replace("_", "-")
    assert name not in CRITERIA, f"there are two criteria {name!r}"
    CRITERIA[name] = score
    return score


@criterion
def coupled(neurons: Neurons) -> Float[Tensor, "neurons"]:
    """Eq. 10 for whole neurons: q(j) = ‖W_down[:, j]‖₂ · ‖a_j‖₂.

    What the block's output loses, in expectation, when neuron j falls silent.
    """
    return neurons.down.double().norm(dim=0) * neurons.activation_norms


@criterion
def paper(neurons: Neurons) -> Float[Tensor, "neurons"]:
    """Eq. 10 summed over the neuron's gate and up rows: q(j) = Σ_i (|W_gate[j, i]| + |W_up[j, i]|) · ‖x_i‖₂."""
    norms = neurons.input_norms
    return row_scores(neurons.gate, norms) + row_scores(neurons.up, norms)


@criterion
def magnitude(neurons: Neurons) -> Float[Tensor, "neurons"]:
    """The norm of all its weights: (‖W_gate[j]‖₂² + ‖W_up[j]‖₂² + ‖W_down[:, j]‖₂²)^½."""
    gate, up, down = neurons.gate.double(), neurons.up.double(), neurons.down.double()
    return (gate.square().sum(1) + up.square().sum(1) + down.square().sum(0)).sqrt()


@criterion
def wanda_sp(neurons: Neurons) -> Float[Tensor, "neurons"]:
    """Wanda's score, the mean of its down column: q(j) = mean_i |W_down[i, j]| · ‖a_j‖₂."""
    return neurons.down.double().abs().mean(0) * neurons.activation_norms


@criterion
def flap(neurons: Neurons) -> Float[Tensor, "neurons"]:
    """FLAP's weighted input fluctuation: q(j) = Var(a_j) · ‖W_down[:, j]‖₂²."""
    return neurons.activation_variances * neurons.down.double().square().sum(0)


@criterion
def taylor(neurons: Neurons) -> Float[Tensor, "neurons"]:
    """First-order change of the loss without the neuron: q(j) = Σ |W ⊙ g| over its weights."""
    return neurons.taylor


def row_scores(
    weight: Float[Tensor, "rows columns"], norms: Float[Tensor, "columns"]
) -> Float[Tensor, "rows"]:
    """Eq. 10: q(i) = Σ_j |W_ij| · ‖X_j‖₂, [rows].

    Args:
        weight: W, [rows, columns].
        norms: of each column's input, float64 [columns].
    """
    return weight.double().abs() @ norms


if TYPE_CHECKING:
    Criterion = str
else:
    Criterion = Literal[tuple(CRITERIA)]
