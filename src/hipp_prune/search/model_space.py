"""The space that a search of a real model moves in: its units, and what its forward passes cost."""

from dataclasses import asdict
from pathlib import Path

from hipp_prune import distributed
from hipp_prune.calibration.measurement import Calibration
from hipp_prune.errors import IncompleteRunError
from hipp_prune.files.reading import read_text
from hipp_prune.files.strict import parse_json
from hipp_prune.files.writing import write_json
from hipp_prune.models.adapter import Adapter
from hipp_prune.models.forward_cost import flops_table, latency_table
from hipp_prune.plans.costs import Costs, CostTable
from hipp_prune.plans.space import PlanSpace
from hipp_prune.search.settings import SearchSettings

_REMEDY = "delete it, and `hipp-prune search` measures the seconds of this model again"


def plan_space(
    adapter: Adapter,
    calibration: Calibration,
    settings: SearchSettings,
    *,
    latency: Path,
    batch_size: int = 64,
    force: bool = False,
) -> PlanSpace:
    """The plans of ``adapter``'s model, and what they save in ``settings.compression``.

    FLOPs are always counted, for a prompt of the calibration questions' mean length. Seconds are measured only if
    they are what a search saves, and once: whoever comes later, on whatever machine, reads the same file.

    Args:
        adapter: the dense model.
        calibration: its statistics.
        settings: unit, box, measure and budget range.
        latency: file of the measured table.
        batch_size: questions a forward pass.
        force: measures again even if the file is there.

    Raises:
        BudgetError: if no plan in the box saves ``settings.s_max``.
        IncompleteRunError: if the file is damaged.
    """
    tables = Costs()
    if settings.unit == "coupled":
        tokens = float(calibration.inputs[0].count.sum()) / calibration.num_questions

        def measured() -> str | None:
            if settings.compression == "latency" and (force or not latency.exists()):
                write_json(latency, asdict(latency_table(adapter, tokens=round(tokens), batch=batch_size)))
            return read_text(latency, remedy=_REMEDY, error=IncompleteRunError) if latency.exists() else None

        text = distributed.once(measured)
        seconds = None if text is None else parse_latency(text, latency)
        tables = Costs(flops=flops_table(adapter, tokens), latency=seconds)
    space = PlanSpace(
        shape=adapter.shape,
        unit=settings.unit,
        r_max=settings.r_max,
        compression=settings.compression,
        tables=tables,
    )
    space.check_budget(settings.s_max)
    return space


def parse_latency(text: str, latency: Path) -> CostTable:
    """The seconds by block width that a search measured.

    Raises:
        IncompleteRunError: if ``text``, the file's, is damaged.
    """
    return parse_json(text, CostTable, where=str(latency), remedy=_REMEDY, error=IncompleteRunError)
