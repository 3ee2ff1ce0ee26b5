"""Each baseline's arithmetic against numbers worked out by hand."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hipp_prune.baselines.methods import ecoflap, flap, llm_pruner, magnitude, owl, wanda_coupled, wanda_rows
from hipp_prune.baselines.setting import (
    Setting,
    global_counts,
    shifted_ratios,
    standardised,
    uniform_counts,
)
from hipp_prune.baselines.settings import Element
from hipp_prune.calibration.activations import Moments
from hipp_prune.calibration.measurement import observe
from hipp_prune.errors import BudgetError
from hipp_prune.models.adapter import Adapter
from hipp_prune.models.structure import Block
from hipp_prune.plans.space import ModelShape, PlanSpace
from hipp_prune.pruning.compensated import down_biases
from hipp_prune.pruning.masking import apply_masks
from hipp_prune.questions.question import Question


def space(neurons: tuple[int, ...], r_max: float = 0.8) -> PlanSpace:
    shape = ModelShape(
        family="llava", fingerprint="0" * 16, hidden_size=4, neurons=neurons, neuron_parameters=12,
        block_parameters=24 * sum(neurons), language_parameters=30 * sum(neurons),
        total_parameters=40 * sum(neurons),
    )  # fmt: skip
    return PlanSpace(shape=shape, r_max=r_max)


class TestAllocation:
    def test_uniform_spreads_the_rounding_over_blocks(self) -> None:
        assert uniform_counts(space((10, 10)), 0.25).sum() == 15

    def test_one_global_threshold_takes_the_lowest_and_stops_at_the_box(self) -> None:
        scores = [torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([5.0, 6.0, 7.0, 8.0])]
        assert global_counts(space((4, 4), r_max=0.75), scores, 0.5).tolist() == [1, 3]
        assert global_counts(space((4, 4), r_max=0.5), scores, 0.5).tolist() == [2, 2]

    def test_the_threshold_leaves_the_scores_alone(self) -> None:
        score = torch.tensor([1.0, 2.0], dtype=torch.float64)
        global_counts(space((2,)), [score], 0.5)
        assert score.tolist() == [1, 2]

    def test_standardising_makes_blocks_comparable(self) -> None:
        first, second, flat = standardised(
            [torch.tensor([1.0, 2, 3]), torch.tensor([10.0, 20, 30]), torch.ones(3)]
        )
        assert first.tolist() == pytest.approx([-1, 0, 1])
        assert second.tolist() == pytest.approx([-1, 0, 1])
        assert flat.tolist() == [0, 0, 0]

    def test_shifting_meets_the_budget_within_the_box(self) -> None:
        shifted = shifted_ratios(space((10, 10)), np.array([0.0, 1.0]), 0.6)
        assert shifted == pytest.approx([0.4, 0.8])

    def test_tokens_count_alike(self) -> None:
        moments = Moments.empty(1).merge(
            Moments(
                count=torch.tensor([9.0, 1.0]), total=torch.zeros(2, 1),
                square=torch.tensor([[9.0], [41.0]]), maximum=torch.zeros(2, 1),
            )
        )  # fmt: skip
        assert moments.rms(None).square().item() == pytest.approx(50 / 10)


class TestOwl:
    def test_blocks_with_more_outliers_keep_more(self) -> None:
        ratios = owl.owl_ratios(np.array([0.0, 0.01, 0.02]), 0.3, spread=0.08)
        assert ratios == pytest.approx([0.38, 0.30, 0.22])

    def test_equal_shares_are_uniform(self) -> None:
        assert owl.owl_ratios(np.full(3, 0.01), 0.3) == pytest.approx([0.3] * 3)

    def test_outliers_are_counted_against_the_mean_of_the_block(self) -> None:
        block = block_of(gate=[[1.0, 1.0]], up=[[1.0, -29.0]], down=[[1.0], [1.0]])
        ones = moments_of([1.0, 1.0])
        # scores 1 1 1 29 1 1, mean 34/6 ≈ 5.67: one of six lies above 5 · 5.67 = 28.3
        assert owl.outlier_share(block, ones, moments_of([1.0])) == pytest.approx(1 / 6)
        # the same weight behind an input twice as small: 14.5 against 5 · 3.25 = 16.25
        assert owl.outlier_share(block, moments_of([1.0, 0.5]), moments_of([1.0])) == 0


class TestEcoflap:
    def test_the_budget_above_the_floor_follows_the_scores(self) -> None:
        ratios = ecoflap.keep_by_score(space((10, 10)), np.array([1.0, 2.0]), 0.5)
        assert ratios == pytest.approx([0.6, 0.4])

    def test_a_whole_block_passes_its_surplus_on(self) -> None:
        ratios = ecoflap.keep_by_score(space((10, 10)), np.array([1.0, 99.0]), 0.3)
        assert ratios == pytest.approx([0.6, 0.0])

    def test_blocks_that_do_not_matter_are_treated_alike(self) -> None:
        assert ecoflap.keep_by_score(space((10, 10)), np.zeros(2), 0.3) == pytest.approx([0.3, 0.3])

    def test_the_score_of_a_linear_loss_is_its_slope(self, llava: Setting) -> None:
        weight = llava.adapter.blocks[1].up.weight

        def loss() -> float:
            return 3.0 * float(weight[0, 0])

        scores = ecoflap.zeroth_order(llava.adapter, loss, draws=400)
        assert scores[[0, 2]].tolist() == [0, 0]
        assert scores[1] == pytest.approx(3 * (2 / np.pi) ** 0.5, rel=0.15)  # E|3 z|, z normal


class TestLlmPruner:
    def test_the_outer_blocks_stay_whole_and_the_rest_makes_up_for_them(self) -> None:
        kept = llm_pruner.inner_counts(space((1000,) * 32), 0.225)
        ratios = 1 - kept / 1000
        assert ratios[:4].tolist() == [0] * 4
        assert ratios[-2:].tolist() == [0] * 2
        assert ratios[4:-2] == pytest.approx([0.277] * 26, abs=2e-3)
        assert ratios.mean() == pytest.approx(0.225, abs=1e-5)

    def test_of_thirty_six_blocks_thirty_are_pruned(self) -> None:
        assert (llm_pruner.inner_counts(space((1000,) * 36), 0.225) < 1000).sum() == 30

    def test_what_the_inner_blocks_do_not_hold_is_refused(self) -> None:
        with pytest.raises(BudgetError, match=r"first 1 and the last 1 of 3 blocks whole.*at most 0\.3"):
            llm_pruner.inner_counts(space((10,) * 3), 0.5)

    @pytest.mark.parametrize(("element", "expected"), [("param_first", 9.0), ("vectorize", 5.0)])
    def test_terms_are_summed_over_the_neuron(self, element: str, expected: float) -> None:
        gate, up, down = (
            torch.tensor([[1.0, -2.0]]),
            torch.tensor([[3.0, 1.0]]),
            torch.tensor([[-1.0], [1.0]]),
        )
        found = llm_pruner.group_scores(element, (gate, up, down.T), 1)  # type: ignore[arg-type]
        assert found.tolist() == [expected]

    def test_the_mixed_term_of_one_question_is_its_second_order_expansion(self, llava: Setting) -> None:
        adapter, question = llava.adapter, llava.questions[0]
        block = adapter.blocks[0]
        weights = (block.gate.weight, block.up.weight, block.down.weight)
        gradients = torch.autograd.grad(llm_pruner.prompt_loss(adapter, question), weights)
        terms = [w * g - 0.5 * w * g * g * w for w, g in zip(weights, gradients, strict=True)]
        expected = terms[0].abs().sum(1) + terms[1].abs().sum(1) + terms[2].abs().sum(0)
        found = neuron_scores(adapter, [question], "param_mix")[0]
        assert torch.allclose(found.float(), expected, rtol=1e-4)

    def test_gradients_of_questions_are_averaged_before_they_are_weighed(self, llava: Setting) -> None:
        adapter, questions = llava.adapter, llava.questions[:2]
        weight = adapter.blocks[2].up.weight
        loss = sum(llm_pruner.prompt_loss(adapter, question) for question in questions) / 2
        rows = (weight * torch.autograd.grad(loss, weight)[0]).abs().sum(1)
        with_rest = neuron_scores(adapter, questions, "param_first")[2]
        assert (with_rest > rows * (1 - 1e-5)).all()
        assert not torch.allclose(with_rest, neuron_scores(adapter, questions[:1], "param_first")[2])

    def test_the_loss_is_that_of_the_stock_model(self, setting: Setting) -> None:
        question = next(question for question in setting.questions if not question.images)
        adapter = setting.adapter
        assert llm_pruner.prompt_loss(adapter, question).item() == pytest.approx(
            stock_loss(setting, question), rel=1e-5
        )


def neuron_scores(adapter: Adapter, questions: Sequence[Question], element: Element) -> list[Tensor]:
    mlps = [llm_pruner._mlp(block) for block in adapter.blocks]
    return llm_pruner.taylor_scores(adapter, mlps, adapter.shape.neurons, questions, element)


def stock_loss(setting: Setting, question: Question) -> float:
    adapter = setting.adapter
    prompt = adapter.encode([question], {})[0].input_ids
    answer = torch.tensor([[adapter.answer_tokens(question.answer)[0]]])
    ids = torch.cat([prompt, answer], dim=1)
    with torch.no_grad():
        return float(adapter.model(input_ids=ids, labels=ids).loss)


class TestFlap:
    def test_a_constant_neuron_goes_before_one_that_varies(self, llava: Setting) -> None:
        plan = flap.plan(llava)
        weight = llava.adapter.blocks[0].down.weight.double()
        neurons = llava.calibration.neurons[0]
        spread = neurons.rms(None).square() - neurons.mean(None).square()
        scores = (spread * weight.square().sum(0)).detach()
        keep = plan.keep_masks()[0]
        assert scores[keep].min() >= scores[~keep].max()

    def test_the_bias_keeps_the_mean_of_the_output(self, setting: Setting) -> None:
        plan = flap.plan(setting)
        assert (plan.compensation, plan.image_weight) == ("bias", None)
        masks = plan.keep_masks()
        biases = down_biases(setting.adapter, setting.calibration, masks, plan.image_weight)
        for index, (bias, keep) in enumerate(zip(biases, masks, strict=True)):
            down, neurons = setting.adapter.blocks[index].down, setting.calibration.neurons[index]
            weight, mean = down.weight.detach().double(), neurons.total.sum(0) / neurons.count.sum()
            old = 0 if down.bias is None else down.bias.detach().double()
            assert torch.allclose(weight[:, keep] @ mean[keep] + bias, weight @ mean + old)
        assert not all(keep.all() for keep in plan.keep_masks())


class TestWanda:
    def test_each_block_is_scored_after_the_blocks_before_it_are_pruned(self, llava: Setting) -> None:
        plan = wanda_coupled.plan(llava)
        masks = plan.keep_masks()
        for index, block in enumerate(llava.adapter.blocks):
            before = masks[:index] + [np.ones(48, dtype=bool)] * (3 - index)
            with apply_masks(llava.adapter, before):
                neurons = observe(llava.adapter, llava.questions).neurons[index]
            norms = (neurons.square.sum(0) / neurons.count.sum()).sqrt()
            scores = block.down.weight.detach().double().abs().mean(0) * norms
            assert masks[index].sum() == plan.kept[index]
            assert scores[masks[index]].min() > scores[~masks[index]].max()

    def test_rows_masks_the_lowest_rows_of_each_projection(self, llava: Setting) -> None:
        plan = wanda_rows.plan(llava)
        moments = llava.calibration.inputs[0]
        norms = (moments.square.sum(0) / moments.count.sum()).sqrt()
        gate = llava.adapter.blocks[0].gate.weight.detach().double().abs() @ norms
        keep = plan.keep_masks()[0]
        assert gate[keep].min() >= gate[~keep].max()
        assert plan.ratios == pytest.approx(np.full(6, 0.25), abs=0.02)


def test_magnitude_ignores_what_was_measured(llava: Setting) -> None:
    plan = magnitude.plan(llava)
    other = replace(llava, calibration=replace(llava.calibration, neurons=llava.calibration.neurons[::-1]))
    assert magnitude.plan(other).masks == plan.masks
    block = llava.adapter.blocks[1]
    parts = (block.gate.weight, block.up.weight, block.down.weight.T)
    norms = torch.cat([part.detach().double() for part in parts], dim=1).norm(dim=1)
    keep = plan.keep_masks()[1]
    assert norms[keep].min() >= norms[~keep].max()


def block_of(gate: list[list[float]], up: list[list[float]], down: list[list[float]]) -> Block:
    return Block(
        mlp=nn.Module(),
        gate=linear(gate),
        up=linear(up),
        down=linear(down),
        attention=nn.Module(),
        name="block",
    )


def linear(rows: list[list[float]]) -> nn.Linear:
    result = nn.Linear(len(rows[0]), len(rows), bias=False)
    result.weight.data = torch.tensor(rows)
    return result


def moments_of(norms: list[float]) -> Moments:
    """Moments of one text token with these magnitudes."""
    values = torch.tensor([[norms]])
    return Moments.of(values, torch.zeros(1, 1, dtype=torch.bool), torch.ones(1, 1, dtype=torch.bool))
