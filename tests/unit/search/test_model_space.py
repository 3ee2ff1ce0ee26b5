"""What forward passes cost is measured once and then read."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from hipp_prune.errors import BudgetError, IncompleteRunError
from hipp_prune.models import load_model
from hipp_prune.models.adapter import Adapter
from hipp_prune.plans.costs import CostTable
from hipp_prune.search import model_space
from hipp_prune.search.settings import SearchSettings
from tests.tiny import tiny_llava

LATENCY = SearchSettings(compression="latency", s_min=0.0, s_max=0.3)


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Adapter:
    return load_model(tiny_llava(tmp_path_factory.mktemp("llava")))


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Tokens and batch of every measurement; each table is different."""
    asked: list[tuple[int, int]] = []

    def latency_table(adapter: Adapter, *, tokens: int, batch: int) -> CostTable:
        asked.append((tokens, batch))
        units = ((0.0, float(len(asked))),) * len(adapter.blocks)
        return CostTable(constant=1.0, units=units, conditions="made up")

    monkeypatch.setattr(model_space, "latency_table", latency_table)
    return asked


def make_space(
    adapter: Adapter, path: Path, settings: SearchSettings, **options: object
) -> model_space.PlanSpace:
    counted = SimpleNamespace(inputs=[SimpleNamespace(count=torch.tensor([90.0, 33.0]))], num_questions=10)
    return model_space.plan_space(adapter, counted, settings, latency=path, batch_size=8, **options)


def test_seconds_are_measured_once(adapter, measured, tmp_path):
    path = tmp_path / "run" / "latency.json"
    first = make_space(adapter, path, LATENCY)
    assert measured == [(12, 8)]  # 12.3 tokens a question
    assert make_space(adapter, path, LATENCY) == first
    assert len(measured) == 1
    assert make_space(adapter, path, LATENCY, force=True) != first
    assert len(measured) == 2


def test_other_searches_measure_nothing_but_show_what_is_known(adapter, measured, tmp_path):
    path = tmp_path / "latency.json"
    space = make_space(adapter, path, SearchSettings())
    assert not measured
    assert space.tables.latency is None
    assert space.tables.flops is not None
    assert "12 tokens" in space.tables.flops.conditions
    make_space(adapter, path, LATENCY)
    assert make_space(adapter, path, SearchSettings()).tables.latency is not None


def test_rows_have_no_costs(adapter, measured, tmp_path):
    space = make_space(adapter, tmp_path / "latency.json", SearchSettings(unit="rows"))
    assert (space.tables.flops, space.tables.latency) == (None, None)


def test_a_budget_out_of_reach_is_refused_before_the_search(adapter, measured, tmp_path):
    settings = SearchSettings(compression="latency", s_max=0.7)  # 0.8 of two thirds is attainable
    with pytest.raises(BudgetError, match=r"latency to save must lie in \[0, 0\.5333\].*got 0\.7"):
        make_space(adapter, tmp_path / "latency.json", settings)


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"constant": 1.0}', '{"constant": 1, "units": [[1, 0]], "conditions": ""}']
)
def test_a_damaged_table_is_named(adapter, tmp_path, content):
    path = tmp_path / "latency.json"
    path.write_text(content)
    with pytest.raises(
        IncompleteRunError, match=r"latency\.json: .*; delete it, and `hipp-prune search` measures"
    ):
        make_space(adapter, path, LATENCY)
