"""What a finished search answers preferences with: a policy, a surrogate's optimum, or a table of plans."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

from hipp_prune.objectives.returns import compression_return
from hipp_prune.plans.arrays import Floats, Ints
from hipp_prune.plans.preference import ANCHORS
from hipp_prune.plans.space import PlanSpace
from hipp_prune.search.actor import Actor
from hipp_prune.search.cloning import Clone
from hipp_prune.search.policy.action import decode_actions
from hipp_prune.search.policy.network import PlanPolicy
from hipp_prune.search.settings import SearchSettings
from hipp_prune.search.surrogate import Surrogate, best_ratios

_NEAREST = 0.1
"""Share of a table's plans, nearest in sparsity, that compete for a budget that none of them meets."""

_CLONE = "clone."
"""Prefix of the surrogate's coefficients among a policy's tensors."""


class Solution(Protocol):
    """Plans for preferences, without an evaluation."""

    kind: ClassVar[str]

    def kept(self, preferences: Floats, budget: Floats, *, align: int = 1) -> Ints:
        """Kept counts [P, U] for preferences λ [P, 3] within budget intervals (s_min, s_max) [P, 2]."""

    def tensors(self) -> dict[str, Tensor]:
        """What a file must hold to make the same answers again."""


@dataclass(frozen=True, kw_only=True)
class PolicySolution:
    """The mean action of a trained policy (Eq. 4)."""

    kind: ClassVar[str] = "policy"
    policy: PlanPolicy
    state: Floats
    """Descriptors of the units, [U, F]."""
    space: PlanSpace
    settings: SearchSettings
    clone: Clone | None = None
    """What the policy corrects, if it started from a surrogate."""

    def kept(self, preferences: Floats, budget: Floats, *, align: int = 1) -> Ints:
        """See ``Solution``."""
        settings = self.settings
        actor = Actor(network=self.policy, state=self.state, settings=settings, clone=self.clone)
        with torch.inference_mode():
            z = actor.distribution(preferences, budget).mean.double().numpy()
        return decode_actions(
            z, budget, self.space, rule=settings.allocation, kappa=settings.kappa, align=align
        ).kept

    def tensors(self) -> dict[str, Tensor]:
        """The policy's weights, and the surrogate's coefficients."""
        weights = {name: value.contiguous() for name, value in self.policy.state_dict().items()}
        if self.clone is None:
            return weights
        tables = _surrogate_tensors(self.clone.surrogate, self.clone.scale)
        return weights | {f"{_CLONE}{name}": value for name, value in tables.items()}


@dataclass(frozen=True, kw_only=True)
class SurrogateSolution:
    """The surrogate's exact optimum."""

    kind: ClassVar[str] = "surrogate"
    surrogate: Surrogate
    scale: Floats
    """σ of (R_rob, R_util, R_comp), [3]."""
    space: PlanSpace
    settings: SearchSettings

    def kept(self, preferences: Floats, budget: Floats, *, align: int = 1) -> Ints:
        """See ``Solution``."""
        ratios, _ = best_ratios(
            self.surrogate,
            self.space,
            preferences,
            budget,
            scale=self.scale,
            compression_range=(self.settings.s_min, self.settings.s_max),
        )
        return self.space.kept(ratios, align=align)

    def tensors(self) -> dict[str, Tensor]:
        """The surrogate's coefficients and the scale σ."""
        return _surrogate_tensors(self.surrogate, self.scale)


@dataclass(frozen=True, kw_only=True)
class TableSolution:
    """The best of N plans that were evaluated, moved along its allocation to the budget asked for."""

    kind: ClassVar[str] = "table"
    plans: Ints
    """Kept counts, [N, U]."""
    objectives: Floats
    """(R_rob, R_util, s) as the searcher estimates them, [N, 3]."""
    scale: Floats
    """σ of (R_rob, R_util, R_comp), [3]."""
    space: PlanSpace
    settings: SearchSettings

    def kept(self, preferences: Floats, budget: Floats, *, align: int = 1) -> Ints:
        """See ``Solution``."""
        values = self.objectives.copy()
        values[:, 2] = compression_return(values[:, 2], s_lo=self.settings.s_min, s_hi=self.settings.s_max)
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


@dataclass(frozen=True, kw_only=True)
class AnchoredSolution:
    """One policy for each anchor preference; the nearest anchor's answers."""

    kind: ClassVar[str] = "anchored"
    experts: tuple[PolicySolution, ...]
    """In the order of ``ANCHORS``."""

    def kept(self, preferences: Floats, budget: Floats, *, align: int = 1) -> Ints:
        """See ``Solution``. An expert is asked for its own anchor, whatever the preference."""
        nearest = np.linalg.norm(preferences[:, None] - ANCHORS, axis=2).argmin(axis=1)
        plans = [
            self.experts[anchor].kept(ANCHORS[[anchor]], interval[None], align=align)
            for anchor, interval in zip(nearest.tolist(), budget, strict=True)
        ]
        return np.concatenate(plans)

    def tensors(self) -> dict[str, Tensor]:
        """Every expert's weights."""
        return {
            f"{number}.{name}": value
            for number, expert in enumerate(self.experts)
            for name, value in expert.tensors().items()
        }


def restore_solution(
    kind: str, tensors: Mapping[str, Tensor], *, state: Floats, space: PlanSpace, settings: SearchSettings
) -> Solution:
    """The solution whose ``tensors()`` were saved.

    Args:
        kind: ``Solution.kind`` of it.
        tensors: as saved.
        state: descriptors of the units, [U, F].
        space: units and box.
        settings: of the search.

    Raises:
        KeyError, ValueError, RuntimeError: if they do not fit together.
    """
    if kind == PolicySolution.kind:
        return _restore_policy(tensors, state=state, space=space, settings=settings)
    if kind == AnchoredSolution.kind:
        weights = [_with_prefix(tensors, f"{number}.") for number in range(len(ANCHORS))]
        return AnchoredSolution(
            experts=tuple(
                _restore_policy(own, state=state, space=space, settings=settings) for own in weights
            )
        )
    if kind == SurrogateSolution.kind:
        surrogate, scale = _restore_surrogate(tensors)
        return SurrogateSolution(surrogate=surrogate, scale=scale, space=space, settings=settings)
    if kind == TableSolution.kind:
        tables = {name: value.numpy() for name, value in tensors.items()}
        return TableSolution(**tables, space=space, settings=settings)
    raise ValueError(f"answers of kind {kind!r} are unknown to this version")


def _restore_policy(
    tensors: Mapping[str, Tensor], *, state: Floats, space: PlanSpace, settings: SearchSettings
) -> PolicySolution:
    policy = PlanPolicy(state.shape[1])
    policy.load_state_dict({name: value for name, value in tensors.items() if not name.startswith(_CLONE)})
    clone = None
    if tables := _with_prefix(tensors, _CLONE):
        surrogate, scale = _restore_surrogate(tables)
        clone = Clone(surrogate=surrogate, scale=scale, space=space, settings=settings)
    return PolicySolution(policy=policy.eval(), state=state, space=space, settings=settings, clone=clone)


def _surrogate_tensors(surrogate: Surrogate, scale: Floats) -> dict[str, Tensor]:
    tables = asdict(surrogate) | {"scale": scale}
    return {name: torch.from_numpy(np.array(table, order="C")) for name, table in tables.items()}


def _restore_surrogate(tensors: Mapping[str, Tensor]) -> tuple[Surrogate, Floats]:
    tables = {name: value.numpy() for name, value in tensors.items()}
    return Surrogate(**{name: tables[name] for name in ("linear", "quadratic", "cubic")}), tables["scale"]


def _with_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
