"""Settings of the baselines; imports nothing heavy, since the command line lists them."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Gt, Lt

from hipp_prune.files.ranges import Count, NotNegative, Seed, Share
from hipp_prune.files.strict import check_settings
from hipp_prune.plans.modes import CompensationChoice, check_reconstruction
from hipp_prune.plans.space import UnitKind
from hipp_prune.pruning.criteria import Criterion

Element = Literal["param_first", "vectorize", "param_mix"]
"""LLM-Pruner's Taylor term of a neuron: Σ|W ⊙ g|, |Σ W ⊙ g| of each projection, or Σ|W ⊙ g − ½ W ⊙ F ⊙ W|."""

Match = Literal["mlp", "block"]
"""What a baseline's sparsity is a fraction of: the MLP's prunable parameters, or all parameters of the blocks, which
methods are compared on that remove more than neurons."""


@dataclass(frozen=True, kw_only=True)
class BaselineSettings:
    """What the methods may be told; each reads what concerns it."""

    seed: Seed = 0
    """Of methods that draw, and of the calibration sample where there is no run, ≥ 0."""
    r_max: Annotated[float, Gt(0), Lt(1)] = 0.8
    """Largest fraction a block may lose, in (0, 1), as in search (llm-pruner leaves outer blocks whole instead)."""
    unit: UnitKind = "coupled"
    """What random allocates: whole neurons, or the paper's rows, ranked by its Eq. 10."""
    importance: Criterion = "coupled"
    """What ranks neurons for uniform, random, owl and ecoflap, as in search."""
    image_weight: Share | None = 0.5
    """Weight of image tokens in that criterion, in [0, 1]; none for every token alike.
    Methods with a criterion of their own count every token alike."""
    element: Element = "param_first"
    """LLM-Pruner's Taylor term."""
    attention: bool = False
    """Whether llm-pruner removes attention heads too, at the ratio of the neurons; then match blocks."""
    match: Match = "mlp"
    """What the sparsity is a fraction of: MLP parameters, or all parameters of the blocks."""
    round_to: Count = 8
    """The width of SliceGPT's residual stream is a multiple of it, ≥ 1."""
    batch_size: Count = 16
    """Questions a forward pass, ≥ 1."""
    compensation: CompensationChoice = "auto"
    """How neurons that stay answer for those that leave. Not for rows, heads and slicegpt.
    auto: as the method has it (flap: bias), otherwise ridge where the run has Gram matrices, else none."""
    reconstruct: NotNegative = 0.0
    """With sequential: minutes, ≥ 0, that gate, up and down of all blocks are fitted by gradient afterwards."""

    def __post_init__(self) -> None:
        check_settings(self)
        check_reconstruction(self.reconstruct, self.compensation)
