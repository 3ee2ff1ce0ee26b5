"""A synthetic pruning problem whose optimum is known: for tests of a search, and for comparing searches."""

from dataclasses import dataclass, field

import numpy as np

from hipp_prune.objectives.returns import PlanScores
from hipp_prune.plans.arrays import Floats, Ints
from hipp_prune.plans.space import ModelShape, PlanSpace

_QUESTIONS = 64
"""Questions of an evaluation whose noise is ``noise``; it falls with the square root of their number."""


@dataclass(frozen=True, kw_only=True)
class Landscape:
    """Convex damage of each block on two objectives, with neighbouring blocks interacting, observed with noise.

    f_k(r) = −Σ_l d_kl r_l^p_kl − interaction · Σ_l r_l r_{l+1}, plus noise: one part common to a minibatch, one
    part of a plan and a minibatch.
    """

    blocks: int = 12
    neurons: int = 352
    noise: float = 0.05
    """Std of the noise, in units of the damage of uniform pruning at 50%."""
    interaction: float = 0.1
    seed: int = 0
    sensitivity: Floats = field(init=False)
    """d, [2, blocks]; its logarithm is known to the state up to noise."""
    power: Floats = field(init=False)
    """Exponent p of each objective's loss, [2, blocks]."""
    features: Floats = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng([self.seed, 7])
        sensitivity = np.exp(rng.normal(scale=1.0, size=(2, self.blocks)))
        sensitivity /= sensitivity.mean(axis=1, keepdims=True) * self.blocks * 0.25
        hints = np.log(sensitivity).T + rng.normal(scale=1.0, size=(self.blocks, 2))
        features = np.concatenate([np.arange(self.blocks)[:, None], hints], axis=1)
        object.__setattr__(self, "sensitivity", sensitivity)
        object.__setattr__(self, "power", rng.uniform(1.5, 3.0, size=(2, self.blocks)))
        object.__setattr__(self, "features", (features - features.mean(axis=0)) / features.std(axis=0))

    @property
    def space(self) -> PlanSpace:
        """One unit a block."""
        parameters = self.blocks * self.neurons * 384
        return PlanSpace(
            shape=ModelShape(
                family="landscape",
                fingerprint=f"landscape-{self.seed}",
                hidden_size=128,
                neurons=(self.neurons,) * self.blocks,
                neuron_parameters=384,
                block_parameters=2 * parameters,
                language_parameters=2 * parameters,
                total_parameters=2 * parameters,
            ),
            r_max=0.8,
        )

    @property
    def state(self) -> Floats:
        """Position and two noisy hints, [blocks, 3]."""
        return self.features

    def log_ratio(self, kept: Ints) -> Floats:
        """ℓ of evenly spread flow."""
        result: Floats = np.log(np.maximum(kept, 1) / self.neurons).sum(axis=1)
        return result

    def objectives(self, kept: Ints | Floats) -> Floats:
        """True (R_rob, R_util) of kept counts [..., blocks], [..., 2]."""
        ratios = 1.0 - kept / self.neurons
        own = -(self.sensitivity * ratios[..., None, :] ** self.power).sum(axis=-1)
        coupled = (ratios[..., 1:] * ratios[..., :-1]).mean(axis=-1)
        result: Floats = own - self.interaction * coupled[..., None]
        return result

    def evaluate(self, kept: Ints, minibatch: str, size: int) -> PlanScores:
        """Noisy objectives; the same plan on the same minibatch always gives the same values."""
        seed = [self.seed, size, *minibatch.encode()]
        noise = self.noise * (_QUESTIONS / size) ** 0.5
        common = np.random.default_rng(seed).normal(scale=noise, size=2)
        own = np.random.default_rng([*seed, *kept.tolist()]).normal(scale=noise, size=2)
        robustness, utility = (self.objectives(kept) + common + own).tolist()
        return PlanScores(
            robustness=robustness,
            utility=utility,
            accuracies={
                name: min(1.0, float(np.exp(value)))  # noise may lift a share above 1
                for name, value in (("pope", robustness), ("scienceqa", utility))
            },
        )
