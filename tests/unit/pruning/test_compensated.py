"""A compensated model: what a search evaluates as views is what a checkpoint holds, and it leaves no trace."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from hipp_prune.calibration.grams import GramLayout, Grams
from hipp_prune.calibration.measurement import Calibration, calibrate
from hipp_prune.checkpoints.pruned import prune_checkpoint
from hipp_prune.errors import InputError
from hipp_prune.models import load_model
from hipp_prune.models.adapter import Adapter
from hipp_prune.plans.arrays import Ints
from hipp_prune.plans.modes import Compensation
from hipp_prune.plans.plan import Plan, pack_masks
from hipp_prune.plans.space import PlanSpace
from hipp_prune.pruning import compensated as module
from hipp_prune.pruning.compensated import (
    BiasDowns,
    RidgeDowns,
    choose_ridge,
    compensate,
    down_biases,
    fitted_downs,
)
from hipp_prune.pruning.compensation import RIDGE_FACTORS
from hipp_prune.pruning.importance import score_neurons
from hipp_prune.pruning.prefix_views import SortedNeurons, sort_neurons
from hipp_prune.questions.question import Question
from tests.tolerance import assert_agree
from tests.unit.checkpoints.tiny_plans import logits, stock_inputs

MODES: tuple[Compensation, ...] = ("bias", "ridge")


@dataclass(frozen=True)
class Measured:
    folder: Path
    adapter: Adapter
    """Dense."""
    calibration: Calibration
    grams: Grams
    inputs: dict[str, Tensor]

    def sort(self, adapter: Adapter, mode: Compensation) -> SortedNeurons:
        def made(orders: list[Ints]) -> object:
            return compensate(mode, adapter, self.calibration, orders, grams=self.grams, image_weight=0.5)

        return sort_neurons(adapter, score_neurons(adapter, self.calibration), made)

    def plan(self, model: SortedNeurons, kept: tuple[int, ...]) -> Plan:
        space = PlanSpace(shape=self.adapter.shape)
        return Plan(
            shape=self.adapter.shape, unit="coupled", kept=kept, masks=pack_masks(model.keep_masks(kept)),
            ledger=space.ledger(np.array(kept)), importance="coupled",
        )  # fmt: skip


@pytest.fixture(scope="module")
def measured(folders: dict[str, Path]) -> dict[str, Measured]:
    made = {}
    for family, folder in folders.items():
        adapter = load_model(folder)
        questions = [
            Question(
                benchmark="pope", id=str(index), prompt=f"Is there a cup number {index} in the picture?",
                images=(), answers=("Yes", "No"), gold=0, subset="random", group=str(index),
            )
            for index in range(16)
        ]  # fmt: skip
        grams = Grams.in_memory(GramLayout(widths=tuple(adapter.shape.neurons)))
        calibration = calibrate(adapter, questions, taylor_questions=1, grams=grams)
        grams.factor = choose_ridge(adapter, calibration, grams)
        made[family] = Measured(folder, adapter, calibration, grams, stock_inputs(adapter))
    return made


@pytest.fixture(scope="module")
def sorted_models(
    measured: dict[str, Measured],
) -> dict[tuple[str, Compensation], tuple[Adapter, SortedNeurons]]:
    made = {}
    for family, each in measured.items():
        for mode in MODES:
            adapter = load_model(each.folder)
            made[family, mode] = adapter, each.sort(adapter, mode)
    return made


@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_checkpoint_is_what_the_search_evaluated(  # type: ignore[no-untyped-def]
    measured, sorted_models, family: str, mode: Compensation, tmp_path_factory, data: st.DataObject
) -> None:
    dense, (adapter, model) = measured[family], sorted_models[family, mode]
    kept = tuple(data.draw(st.integers(1, neurons)) for neurons in dense.adapter.shape.neurons)
    with model.apply(kept):
        evaluated = logits(adapter.model, dense.inputs)
    plan, out = dense.plan(model, kept), tmp_path_factory.mktemp("pruned") / "out"
    masks = plan.keep_masks()
    biases = down_biases(dense.adapter, dense.calibration, masks, 0.5) if mode == "bias" else None
    weights = fitted_downs(dense.grams, masks, 0.5) if mode == "ridge" else None
    report = prune_checkpoint(dense.folder, plan, out, down_weights=weights, down_biases=biases)
    assert_agree(logits(load_model(out).model, dense.inputs), evaluated)
    if mode == "ridge":
        plain = prune_checkpoint(dense.folder, plan, out.with_name("plain"))
        assert report.bytes_after == plain.bytes_after


@pytest.mark.parametrize("mode", MODES)
def test_it_differs_from_the_uncompensated_and_leaves_no_trace(  # type: ignore[no-untyped-def]
    measured, family: str, mode: Compensation
) -> None:
    dense, adapter = measured[family], load_model(measured[family].folder)
    model, kept = dense.sort(adapter, mode), [20, 30]
    with model.apply(kept):
        evaluated = logits(adapter.model, dense.inputs)
    plain_adapter = load_model(dense.folder)
    plain = sort_neurons(plain_adapter, score_neurons(plain_adapter, dense.calibration))
    with plain.apply(kept):
        assert not torch.allclose(logits(plain_adapter.model, dense.inputs), evaluated, rtol=0, atol=1e-5)
    with model.apply(dense.adapter.shape.neurons):
        assert_agree(logits(adapter.model, dense.inputs), logits(dense.adapter.model, dense.inputs))
    model.restore()
    before, after = dense.adapter.model.state_dict(), adapter.model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def orders_of(each: Measured) -> list[Ints]:
    scores = score_neurons(each.adapter, each.calibration)
    return [score.argsort(descending=True, stable=True).numpy() for score in scores]


class TestRidgeDowns:
    def test_the_cache_is_bounded_and_forgets_the_eldest(  # type: ignore[no-untyped-def]
        self, measured, family: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        each = measured[family]
        monkeypatch.setattr(module, "_CACHE", 0)
        downs = RidgeDowns(each.adapter, each.grams, orders_of(each), image_weight=0.5)
        most = sum(block.down.weight.nbytes for block in each.adapter.blocks)
        first = downs.values(0, 40)[0][1]
        assert downs.values(0, 40)[0][1] is first
        for width in range(1, 40):
            downs.values(1, width)
        assert sum(fitted.nbytes for fitted in downs._cache.values()) <= most
        again = downs.values(0, 40)[0][1]
        assert again is not first
        assert torch.equal(again, first)

    def test_factors_in_files_are_those_in_memory(  # type: ignore[no-untyped-def]
        self, measured, family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        each = measured[family]
        in_memory = RidgeDowns(each.adapter, each.grams, orders_of(each), image_weight=0.5, folder=tmp_path)
        assert list(tmp_path.iterdir()) == []
        monkeypatch.setattr(module, "_IN_MEMORY", 0)
        in_files = RidgeDowns(each.adapter, each.grams, orders_of(each), image_weight=0.5, folder=tmp_path)
        assert {path.name for path in tmp_path.iterdir()} == {"0.safetensors", "1.safetensors"}
        assert torch.equal(in_files.values(1, 17)[0][1], in_memory.values(1, 17)[0][1])

    def test_factors_are_made_again_only_where_something_is_another(  # type: ignore[no-untyped-def]
        self, measured, family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        each, made = measured[family], []
        plain = module.nest
        monkeypatch.setattr(module, "_IN_MEMORY", 0)
        monkeypatch.setattr(module, "nest", lambda *given: made.append(1) or plain(*given))
        orders = orders_of(each)

        def start() -> tuple[int, Tensor]:
            made.clear()
            downs = RidgeDowns(each.adapter, each.grams, orders, image_weight=0.5, folder=tmp_path)
            return len(made), downs.values(1, 17)[0][1]

        first, again = start(), start()
        assert (first[0], again[0]) == (2, 0)
        assert torch.equal(first[1], again[1])
        orders = [orders[0], orders[1][::-1]]
        assert [start()[0], start()[0]] == [1, 0]
        (tmp_path / "0.safetensors").write_bytes(b"damaged")
        assert start()[0] == 1
        monkeypatch.setattr(module, "ridge_strength", lambda *_: 0.5)
        assert [start()[0], start()[0]] == [2, 0]

    def test_all_neurons_leave_the_weights_alone(self, measured, family: str) -> None:  # type: ignore[no-untyped-def]
        each = measured[family]
        downs = RidgeDowns(each.adapter, each.grams, orders_of(each), image_weight=0.5)
        assert downs.values(0, each.adapter.shape.neurons[0]) == []


def test_biases_are_added_only_where_there_are_none(measured, family: str) -> None:  # type: ignore[no-untyped-def]
    each = measured[family]
    had = [block.down.bias is not None for block in each.adapter.blocks]
    downs = BiasDowns(each.adapter, each.calibration, orders_of(each), image_weight=0.5)
    assert all(block.down.bias is not None for block in each.adapter.blocks)
    downs.release()
    assert [block.down.bias is not None for block in each.adapter.blocks] == had


def test_the_ridge_is_chosen_among_the_factors(measured, family: str) -> None:  # type: ignore[no-untyped-def]
    assert measured[family].grams.factor in RIDGE_FACTORS


def test_ridge_without_gram_matrices_says_what_to_do(measured, family: str) -> None:  # type: ignore[no-untyped-def]
    each = measured[family]
    with pytest.raises(InputError, match=r"needs the Gram matrices of a run.*calibrate --compensation ridge"):
        compensate("ridge", each.adapter, each.calibration, [], grams=None, image_weight=0.5)
