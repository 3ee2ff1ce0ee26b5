"""A speed that no plan has is refused by a sentence that does not contradict itself."""

from pathlib import Path

import pytest

from hipp_prune.errors import BudgetError
from hipp_prune.files.run_directory import RunDirectory
from hipp_prune.plans.costs import CostTable
from hipp_prune.plans.footprint import Footprint
from hipp_prune.stages import auto
from hipp_prune.stages.settings import QuerySettings
from hipp_prune.stages.wish import Wish

_FOOTPRINT = Footprint(weights=40, neurons=(40,), neuron_bytes=(1,), biases=0, token=None)


@pytest.mark.parametrize(
    ("asked", "units", "align", "told"),
    [
        (
            1.5,
            0.4,
            1,
            "--speed 1.5 is out of reach: with 80% of the neurons gone, .* is 1.47 × as fast here; ask",
        ),
        (
            1.43,
            0.4,
            64,
            "with 60% of the neurons gone, .* is 1.315 × as fast here; ask for no more than that",
        ),
        (
            1.001,
            0.00124,
            1,
            "--speed 1.001 is out of reach: .* is 1 × as fast here; give --sparsity or --fit instead",
        ),
        (1.0011, 0.00137, 1, "--speed 1.0011 is out of reach: .* is 1.001 × as fast here; ask for no more"),
    ],
)
def test_what_is_asked_for_is_never_said_to_be_reached(
    asked: float, units: float, align: int, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = CostTable(constant=1 - units, units=((0.0, units),), conditions="by hand")
    monkeypatch.setattr(auto, "measure_latency", lambda *_, **__: table)
    wish = Wish(
        model="toy-llava",
        questions=("toyworld",),
        out=tmp_path / "smaller",
        run=tmp_path / "run",
        target=QuerySettings(speed=asked, align=align),
    )
    with pytest.raises(BudgetError, match=told):
        auto._search_settings(wish, RunDirectory(wish.run), _FOOTPRINT)
