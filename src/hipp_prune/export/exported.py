"""What every export returns, and what every one refuses first."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hipp_prune.checkpoints.ledger import PLAN_FILE
from hipp_prune.errors import CheckpointError, PlanError
from hipp_prune.models.adapter import Adapter
from hipp_prune.plans.plan import Plan


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was written for another runtime."""

    path: Path
    """The file or folder that was written."""
    num_bytes: int
    """Of the weights as written."""
    bytes_before: int
    """Of the checkpoint's weight files."""
    notes: tuple[str, ...] = ()
    """What was checked, and what to know before it is used; a sentence each."""

    def noting(self, notes: Sequence[str]) -> "Exported":
        """The same with further notes."""
        return replace(self, notes=(*self.notes, *notes))

    @property
    def summary(self) -> str:
        """Sizes before and after, and the notes; a line each."""
        sizes = f"{self.path}: {self.bytes_before:,} bytes of weights → {self.num_bytes:,} bytes"
        return "\n".join((sizes, *self.notes))


def check_plan(source: Path, *, masked: bool) -> None:
    """Refuses a checkpoint whose plan saves nothing.

    Raises:
        PlanError: if rows were zeroed instead of neurons removed, and ``masked`` is false.
    """
    path = source / PLAN_FILE
    if path.is_file() and not masked and Plan.load(path).unit == "rows":
        raise PlanError(
            f"{path} zeroes rows, which saves nothing in any runtime: every tensor keeps its size; prune with the "
            "coupled unit, or add --masked to export the zeros"
        )


def check_widths(source: Path, adapter: Adapter) -> None:
    """Refuses a checkpoint whose weights are not what its plan left.

    Raises:
        PlanError: if a plan of another family lies in it.
        CheckpointError: if its blocks are not as wide as the plan says.
    """
    path = source / PLAN_FILE
    if not path.is_file():
        return
    plan, shape = Plan.load(path), adapter.shape
    if plan.shape.family != shape.family:
        raise PlanError(f"{path} was made for a {plan.shape.family} model, the checkpoint is {shape.family}")
    left = plan.kept if plan.unit == "coupled" else plan.shape.neurons
    if left != shape.neurons:
        raise CheckpointError(
            f"{path} leaves blocks of {_list(left)} neurons, the weights beside it have {_list(shape.neurons)}; the "
            "plan belongs to another checkpoint, so write this one again with `hipp-prune prune`"
        )


def _list(numbers: tuple[int, ...]) -> str:
    return " ".join(map(str, numbers))
