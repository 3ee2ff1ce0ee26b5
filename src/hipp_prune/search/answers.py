"""What a finished search answers preferences with: a policy, a surrogate's optimum, or a table of plans."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

from hipp_prune.allocation import Floats, Ints
from hipp_prune.objectives.returns import compression_return
from hipp_prune.plan import PlanSpace
from hipp_prune.policy.action import decode_actions, make_context
from hipp_prune.policy.network import PlanPolicy
from hipp_prune.search.config import SearchConfig
from hipp_prune.search.surrogate import Surrogate, best_ratios

_NEAREST = 0.1
"""Share of a table's plans, nearest in sparsity, that compete for a budget that none of them meets."""


class Answers(Protocol):
    """Plans for preferences, without an evaluation."""

    kind: ClassVar[str]

    def kept(self, preferences: Floats, budget: Floats, *, align: int = 1) -> Ints:
        """Kept counts [P, U] for preferences λ [P, 3] within budget intervals (s_min, s_max) [P, 2]."""

    def tensors(self) -> dict[str, Tensor]:
        """What a file must hold to make the same answers again."""


@dataclass(frozen=True, kw_only=True)
class PolicyAnswers:
    """The mean action of a trained policy (Eq. 4)."""

    kind: ClassVar[str] = "policy"
    policy: PlanPolicy
    state: Floats
    """Descriptors, [U, F]."""
    space: PlanSpace
    config: SearchConfig

    def kept(self, preferences: Floats, budget: Floats, *, align: int = 1) -> Ints:
        """See ``Answers``. The policy sees budgets within the range it was trained on."""
        config = self.config
        context = make_context(np.clip(budget, config.s_min, config.s_max), preferences)
        with torch.inference_mode():
            mean = self.policy(torch.from_numpy(self.state).float(), context).mean
        z = mean.double().numpy()
        return decode_actions(
            z, budget, self.space, rule=config.allocation, kappa=config.kappa, align=align
        ).kept

    def tensors(self) -> dict[str, Tensor]:
        """The policy's weights."""
        return {name: value.contiguous() for name, value in self.policy.state_dict().items()}


@dataclass(frozen=True, kw_only=True)
class SurrogateAnswers:
    """The surrogate's exact optimum."""

    kind: ClassVar[str] = "surrogate"
    surrogate: Surrogate
    scale: Floats
    """σ of (R_rob, R_util, R_comp), [3]."""
    space: PlanSpace
    config: SearchConfig

    def kept(self, preferences: Floats, budget: Floats, *, align: int = 1) -> Ints:
        """See ``Answers``."""
        ratios, _ = best_ratios(
            self.surrogate,
            self.space,
            preferences,
            budget,
            scale=self.scale,
            compression_range=(self.config.s_min, self.config.s_max),
        )
        return self.space.kept(ratios, align=align)

    def tensors(self) -> dict[str, Tensor]:
        """Coefficients and scale."""
        tables = {
            "linear": self.surrogate.linear,
            "quadratic": self.surrogate.quadratic,
            "scale": np.asarray(self.scale),
        }
        return {name: torch.from_numpy(table.copy()) for name, table in tables.items()}


@dataclass(frozen=True, kw_only=True)
class TableAnswers:
    """The best of N plans that were evaluated, moved along its allocation to the budget asked for."""

    kind: ClassVar[str] = "table"
    plans: Ints
    """Kept counts, [N, U]."""
    objectives: Floats
    """(R_rob, R_util, s) as the searcher estimates them, [N, 3]."""
    scale: Floats
    """σ of (R_rob, R_util, R_comp), [3]."""
    space: PlanSpace
    config: SearchConfig

    def kept(self, preferences: Floats, budget: Floats, *, align: int = 1) -> Ints:
        """See ``Answers``."""
        values = self.objectives.copy()
        values[:, 2] = compression_return(values[:, 2], s_lo=self.config.s_min, s_hi=self.config.s_max)
        values = np.divide(values, self.scale, out=np.zeros_like(values), where=np.asarray(self.scale) > 0)
        chosen = [
            self._best(values @ preference, interval)
            for preference, interval in zip(preferences, budget, strict=True)
        ]
        ratios = 1.0 - self.plans[chosen] / self.space.widths
        sparsity = np.clip(self.space.sparsity(self.plans[chosen]), budget[:, 0], budget[:, 1])
        return self.space.kept(self.space.ratios(np.log(ratios + 1e-9), sparsity), align=align)

    def _best(self, values: Floats, interval: Floats) -> int:
        """The best plan whose sparsity lies in the interval, or of those nearest to it."""
        sparsity = self.objectives[:, 2]
        distance = np.maximum(0.0, np.maximum(interval[0] - sparsity, sparsity - interval[1]))
        nearest = np.sort(distance)[int(_NEAREST * (len(distance) - 1))]
        return int(np.where(distance <= nearest, values, -np.inf).argmax())

    def tensors(self) -> dict[str, Tensor]:
        """Plans, objectives and scale."""
        return {
            "plans": torch.from_numpy(self.plans.copy()),
            "objectives": torch.from_numpy(self.objectives.copy()),
            "scale": torch.from_numpy(np.array(self.scale)),
        }


def restore_answers(
    kind: str, tensors: Mapping[str, Tensor], *, state: Floats, space: PlanSpace, config: SearchConfig
) -> Answers:
    """The answers that ``tensors()`` described.

    Raises:
        KeyError, ValueError, RuntimeError: if they do not fit together.
    """
    if kind == PolicyAnswers.kind:
        policy = PlanPolicy(state.shape[1])
        policy.load_state_dict(dict(tensors))
        return PolicyAnswers(policy=policy.eval(), state=state, space=space, config=config)
    if kind == SurrogateAnswers.kind:
        tables = {name: value.numpy() for name, value in tensors.items()}
        surrogate = Surrogate(linear=tables["linear"], quadratic=tables["quadratic"])
        return SurrogateAnswers(surrogate=surrogate, scale=tables["scale"], space=space, config=config)
    if kind == TableAnswers.kind:
        tables = {name: value.numpy() for name, value in tensors.items()}
        return TableAnswers(**tables, space=space, config=config)
    raise ValueError(f"answers of kind {kind!r} are unknown to this version")
