"""A trained policy that answers preferences with plans in milliseconds, without its model."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from hipp_prune.errors import IncompleteRunError
from hipp_prune.files.manifest import check_whole
from hipp_prune.files.ranges import NotNegative
from hipp_prune.files.strict import parse_json
from hipp_prune.files.system import cause
from hipp_prune.files.writing import atomic_path
from hipp_prune.plans.arrays import Floats, Ints
from hipp_prune.plans.costs import Costs
from hipp_prune.plans.modes import compensation_notes
from hipp_prune.plans.plan import Plan, keep_masks, pack_masks
from hipp_prune.plans.preference import Preference
from hipp_prune.plans.space import ModelShape, PlanSpace
from hipp_prune.search.record import StoredSettings
from hipp_prune.search.settings import SearchSettings
from hipp_prune.search.solutions import Solution, restore_solution

_PREFIX = "answers."
_METADATA = "planner"
_REMEDY = "train one with `hipp-prune search` on its run directory"


@dataclass(frozen=True, kw_only=True)
class _Learnt:
    """What a planner's file says beside its tensors."""

    settings: StoredSettings
    shape: ModelShape
    costs: Costs
    features: tuple[str, ...]
    scale: tuple[NotNegative, NotNegative, NotNegative]
    questions: str
    answers: str


@dataclass(frozen=True, kw_only=True)
class Planner:
    """Solution, unit descriptors and neuron rankings: all that a query needs."""

    answers: Solution
    """What a preference is answered with."""
    space: PlanSpace
    settings: SearchSettings
    """The settings it was trained with."""
    state: Floats
    """Descriptors of the units, [U, F]."""
    features: tuple[str, ...]
    """Names of the descriptors, F."""
    orders: tuple[Ints, ...]
    """Ranking behind each mask of a plan, most important first (``Plan.masks`` says which)."""
    scale: tuple[float, float, float]
    """σ of (R_rob, R_util, R_comp): the units in which a preference weighs objectives."""
    questions: str
    """Fingerprint of the search split; the model's is in the space's shape."""

    def query(self, preference: Preference, *, sparsity: float | None = None, align: int = 1) -> Plan:
        """The plan for a preference (Eq. 4): one policy call, its mean action, whole neurons.

        Args:
            preference: λ.
            sparsity: fixes the overall sparsity instead of leaving it to the budget head, in [0, r_max].
            align: kept counts are multiples of this.

        Raises:
            BudgetError: if the box does not allow the sparsity or the alignment.
        """
        settings = self.settings
        budget = (settings.s_min, settings.s_max)
        if sparsity is not None:
            self.space.check_budget(sparsity)
            budget = (sparsity, sparsity)
        kept = self.answers.kept(preference.vector[None], np.array([budget]), align=align)[0]
        if sparsity is not None and settings.allocation == "waterfill":
            self.space.check_met(kept, sparsity, align=align)
        return self.plan(kept, preference=preference, sparsity=sparsity, align=align)

    def plan(self, kept: Ints, *, preference: Preference | None = None, **notes: object) -> Plan:
        """A whole plan from kept counts [U], with the neurons this run's ranking keeps.

        Args:
            kept: neurons each unit keeps.
            preference: λ it answers.
            notes: what else its file is to say of where it comes from, beside the search's own settings.
        """
        counts = tuple(int(count) for count in kept)
        return Plan(
            shape=self.space.shape,
            unit=self.space.unit,
            kept=counts,
            masks=pack_masks(keep_masks(self.space.unit, self.orders, counts)),
            ledger=self.space.ledger(np.array(counts)),
            tables=self.space.tables,
            importance=self.settings.importance,
            preference=preference,
            notes={
                **notes,
                "compression": self.settings.compression,
                "method": self.settings.method,
                "seed": self.settings.seed,
                "questions": self.questions,
                **compensation_notes(self.settings.mode(has_grams=False), self.settings.image_weight),
            },
        )

    def save(self, path: Path) -> None:
        """Writes the planner as safetensors, atomically."""
        metadata = {
            "settings": asdict(self.settings),
            "shape": asdict(self.space.shape),
            "costs": asdict(self.space.tables),
            "features": self.features,
            "scale": self.scale,
            "questions": self.questions,
            "answers": self.answers.kind,
        }
        tensors = {f"{_PREFIX}{name}": value for name, value in self.answers.tensors().items()}
        tensors["state"] = torch.from_numpy(self.state)
        for index, order in enumerate(self.orders):
            tensors[f"order.{index}"] = torch.from_numpy(order.astype(np.int32))
        with atomic_path(path) as temporary:
            save_file(tensors, temporary, metadata={_METADATA: json.dumps(metadata)})

    @classmethod
    def load(cls, path: Path) -> "Planner":
        """Reads the file that ``save`` wrote.

        Raises:
            IncompleteRunError: if the file is missing, cut off or of another version.
            RunError: if it is no longer what we wrote.
        """
        check_whole(path)
        try:
            with safe_open(path, framework="pt") as file:
                text = (file.metadata() or {}).get(_METADATA)
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no iterator)
        except (OSError, SafetensorError) as error:
            raise IncompleteRunError(
                f"{path} is not a trained planner ({cause(error)}); {_REMEDY}"
            ) from error
        learnt = parse_json(text or "", _Learnt, where=str(path), remedy=_REMEDY, error=IncompleteRunError)
        try:
            return cls._of(learnt, tensors)
        except (KeyError, TypeError, ValueError, IndexError, RuntimeError) as error:
            reason = str(error).partition("\n")[0]
            raise IncompleteRunError(f"{path}: its tensors are no planner's ({reason}); {_REMEDY}") from error

    @classmethod
    def _of(cls, learnt: "_Learnt", tensors: dict[str, Tensor]) -> "Planner":
        settings = learnt.settings
        space = PlanSpace(
            shape=learnt.shape,
            unit=settings.unit,
            r_max=settings.r_max,
            compression=settings.compression,
            tables=learnt.costs,
        )
        state = tensors["state"].numpy()
        orders = [tensors[f"order.{index}"].long().numpy() for index in range(_num_orders(space))]
        if len(state) != space.num_units or not all(_is_ranking(order) for order in orders):
            raise ValueError("its descriptors or rankings do not fit its model")
        ours = {
            name.removeprefix(_PREFIX): value for name, value in tensors.items() if name.startswith(_PREFIX)
        }
        return cls(
            answers=restore_solution(learnt.answers, ours, state=state, space=space, settings=settings),
            space=space,
            settings=settings,
            state=state,
            features=learnt.features,
            orders=tuple(orders),
            scale=learnt.scale,
            questions=learnt.questions,
        )


def _num_orders(space: PlanSpace) -> int:
    return space.shape.num_blocks * (1 if space.unit == "coupled" else 3)


def _is_ranking(order: Ints) -> bool:
    return bool((np.sort(order) == np.arange(len(order))).all())
