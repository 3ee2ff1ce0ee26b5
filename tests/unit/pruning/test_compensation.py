"""Least squares on the down projection's input: one factorisation, every width, and what theory says of each."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hipp_prune.pruning import compensation
from hipp_prune.pruning.compensation import (
    DEFAULT_FACTOR,
    RIDGE_FACTORS,
    choose_factor,
    fit_kept,
    mean_bias,
    nest,
    output_error,
    reorder,
    ridge_strength,
)

HIDDEN = 5


@st.composite
def blocks(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Inputs a [tokens, N] of any rank, some neurons dead and some twice there, and W [hidden, N]."""
    neurons, tokens = draw(st.integers(1, 9)), draw(st.integers(1, 30))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    scales = 10 ** torch.empty(neurons).uniform_(-2, 2, generator=generator)
    inputs = torch.randn(tokens, neurons, generator=generator, dtype=torch.float64) * scales
    for neuron in draw(st.sets(st.integers(0, neurons - 1))):
        inputs[:, neuron] = 0 if draw(st.booleans()) else inputs[:, draw(st.integers(0, neurons - 1))]
    return inputs, torch.randn(HIDDEN, neurons, generator=generator, dtype=torch.float64)


def gram_of(inputs: Tensor) -> Tensor:
    return inputs.T @ inputs / len(inputs)


def by_hand(inputs: Tensor, weight: Tensor, keep: Tensor, ridge: float) -> Tensor:
    """W'_P by an ordinary least-squares solver: the ridge is √(T μ) I below the tokens, its target W_P."""
    shrinkage = (len(inputs) * ridge) ** 0.5 * torch.eye(int(keep.sum()), dtype=torch.float64)
    rows = torch.cat([inputs[:, keep], shrinkage])
    target = torch.cat([inputs @ weight.T, shrinkage @ weight[:, keep].T])
    return torch.linalg.lstsq(rows, target, driver="gelsd").solution.T


def error(inputs: Tensor, weight: Tensor, fitted: Tensor) -> float:
    return output_error(weight, fitted, inputs) / len(inputs)


factors = st.sampled_from(RIDGE_FACTORS)


class TestNested:
    @settings(max_examples=60, deadline=None)
    @given(block=blocks(), factor=factors)
    def test_every_width_is_the_direct_ridge_solution(
        self, block: tuple[Tensor, Tensor], factor: float
    ) -> None:
        inputs, weight = block
        gram = gram_of(inputs)
        ridge = ridge_strength(gram, factor)
        nested = nest(gram, weight, ridge)
        for width in range(1, weight.shape[1] + 1):
            keep = torch.arange(weight.shape[1]) < width
            expected = by_hand(inputs, weight, keep, ridge)
            torch.testing.assert_close(nested.weight(width), expected, rtol=1e-6, atol=1e-6)
            torch.testing.assert_close(fit_kept(gram, weight, keep, ridge), expected, rtol=1e-6, atol=1e-6)

    @settings(max_examples=60, deadline=None)
    @given(block=blocks(), factor=factors)
    def test_the_error_curve_is_what_is_measured_on_the_tokens(
        self, block: tuple[Tensor, Tensor], factor: float
    ) -> None:
        inputs, weight = block
        gram = gram_of(inputs)
        nested = nest(gram, weight, ridge_strength(gram, factor))
        errors = nested.errors()
        assert len(errors) == weight.shape[1] + 1
        assert (errors[:-1] >= errors[1:]).all()
        for width, expected in enumerate(errors.tolist()):
            change = weight.clone()
            change[:, :width] -= nested.weight(width)
            found = error(inputs, weight, nested.weight(width)) + nested.ridge * float(change.square().sum())
            assert found == pytest.approx(expected, rel=1e-6, abs=1e-9 * float(errors[0]))

    @settings(max_examples=60, deadline=None)
    @given(block=blocks(), factor=factors)
    def test_never_worse_than_none_on_the_calibration_tokens(
        self, block: tuple[Tensor, Tensor], factor: float
    ) -> None:
        inputs, weight = block
        gram = gram_of(inputs)
        nested = nest(gram, weight, ridge_strength(gram, factor))
        most = error(inputs, weight, weight[:, :0])
        for width in range(weight.shape[1] + 1):
            plain = error(inputs, weight, weight[:, :width])
            assert error(inputs, weight, nested.weight(width)) <= plain + 1e-9 * most

    @settings(max_examples=40, deadline=None)
    @given(block=blocks(), factor=factors)
    def test_all_neurons_give_the_weight_back_and_all_widths_are_finite(
        self, block: tuple[Tensor, Tensor], factor: float
    ) -> None:
        inputs, weight = block
        gram = gram_of(inputs)
        nested = nest(gram, weight, ridge_strength(gram, factor))
        torch.testing.assert_close(nested.weight(weight.shape[1]), weight, rtol=1e-6, atol=1e-9)
        assert all(torch.isfinite(nested.weight(width)).all() for width in range(weight.shape[1] + 1))

    def test_a_twin_takes_over_what_its_twin_did(self) -> None:
        inputs = torch.randn(50, 3, dtype=torch.float64)
        inputs = torch.cat([inputs, inputs[:, :1]], dim=1)
        weight = torch.randn(HIDDEN, 4, dtype=torch.float64)
        gram = gram_of(inputs)
        fitted = nest(gram, weight, ridge_strength(gram, 1e-9)).weight(3)
        torch.testing.assert_close(fitted[:, 0], weight[:, 0] + weight[:, 3], rtol=1e-5, atol=1e-5)
        assert error(inputs, weight, fitted) < 1e-9

    def test_a_block_that_never_fires_keeps_its_weights(self) -> None:
        weight = torch.randn(HIDDEN, 4, dtype=torch.float64)
        gram = torch.zeros(4, 4, dtype=torch.float64)
        torch.testing.assert_close(nest(gram, weight, ridge_strength(gram, 1e-4)).weight(2), weight[:, :2])

    def test_what_rounding_left_indefinite_is_factorised_all_the_same(self) -> None:
        gram = torch.ones(6, 6, dtype=torch.float64)
        gram[0, 1] = gram[1, 0] = 1 + 1e-3
        weight = torch.randn(HIDDEN, 6, dtype=torch.float64)
        nested = nest(gram, weight, 1e-7)
        assert nested.ridge > 1e-7
        assert torch.isfinite(nested.weight(3)).all()


@pytest.mark.parametrize("neurons", [1, 3, 4, 11])
def test_neurons_change_places_in_the_memory_that_a_gram_matrix_has(
    monkeypatch: pytest.MonkeyPatch, neurons: int
) -> None:
    monkeypatch.setattr(compensation, "_STRIP", 4)
    drawn = torch.Generator().manual_seed(neurons)
    gram = gram_of(torch.randn(20, neurons, generator=drawn, dtype=torch.float64))
    order = torch.randperm(neurons, generator=drawn)
    expected = gram[order][:, order]
    found = reorder(gram, order)
    assert found.data_ptr() == gram.data_ptr()
    assert torch.equal(found, expected)


class TestSinglePrecision:
    def test_a_good_factor_is_kept_in_single_precision(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(compensation, "_EXACT_WIDTH", 4)
        inputs, weight = torch.randn(200, 40, dtype=torch.float64), torch.randn(HIDDEN, 40)
        gram = gram_of(inputs)
        nested = nest(gram, weight, ridge_strength(gram, 1e-4))
        assert nested.factor.dtype == torch.float32
        keep = torch.arange(40) < 25
        expected = by_hand(inputs, weight.double(), keep, nested.ridge)
        torch.testing.assert_close(nested.weight(25).double(), expected, rtol=1e-3, atol=1e-3)

    def test_a_bad_one_is_made_again_in_double_precision(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(compensation, "_EXACT_WIDTH", 4)
        monkeypatch.setattr(compensation, "_TOLERANCE", 0.0)
        inputs = torch.randn(200, 40, dtype=torch.float64)
        nested = nest(gram_of(inputs), torch.randn(HIDDEN, 40), 1e-4)
        assert nested.factor.dtype == torch.float64

    def test_one_that_fails_is_made_again_in_double_precision(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(compensation, "_EXACT_WIDTH", 4)
        once = torch.randn(1, 40, dtype=torch.float64)
        nested = nest(once.T @ once, torch.randn(HIDDEN, 40), 1e-10)
        assert nested.factor.dtype == torch.float64

    def test_what_is_summed_in_single_precision_stays_in_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(compensation, "_EXACT_WIDTH", 4)
        once = torch.randn(1, 40)
        nested = nest(once.T @ once, torch.randn(HIDDEN, 40), 1e-10)
        assert nested.factor.dtype == torch.float32
        assert nested.ridge > 1e-10


class TestChoosingTheRidge:
    def block(self, tokens: int, noise: float) -> tuple[Tensor, Tensor, Tensor]:
        """Few directions and noise: fitted to few tokens, a small ridge fits the noise."""
        generator = torch.Generator().manual_seed(0)
        basis = torch.randn(4, 32, generator=generator, dtype=torch.float64)

        def draw(count: int) -> Tensor:
            clean = torch.randn(count, 4, generator=generator, dtype=torch.float64) @ basis
            return clean + noise * torch.randn(count, 32, generator=generator, dtype=torch.float64)

        return gram_of(draw(tokens)), torch.randn(8, 32, generator=generator), draw(400)

    def test_few_noisy_tokens_want_more_of_it_than_many(self) -> None:
        few = choose_factor([lambda: self.block(12, 0.3)])
        assert few == max(RIDGE_FACTORS)
        assert choose_factor([lambda: self.block(20_000, 0.01)]) < few

    def test_it_is_the_best_of_all_on_the_held_out_tokens(self) -> None:
        gram, weight, inputs = self.block(30, 0.1)
        found = {
            factor: sum(
                output_error(weight, fitted, inputs) / output_error(weight, weight[:, :width], inputs)
                for width in (24, 16)
                for fitted in [nest(gram, weight, ridge_strength(gram, factor)).weight(width)]
            )
            for factor in RIDGE_FACTORS
        }
        assert choose_factor([lambda: (gram, weight, inputs)]) == min(found, key=found.__getitem__)

    def test_without_held_out_tokens_it_is_the_default(self) -> None:
        gram, weight, inputs = self.block(30, 0.1)
        assert choose_factor([lambda: (gram, weight, inputs[:0])]) == DEFAULT_FACTOR
        assert choose_factor([lambda: (gram, weight, torch.zeros_like(inputs))]) == DEFAULT_FACTOR


class TestBias:
    @settings(max_examples=30, deadline=None)
    @given(block=blocks(), data=st.data())
    def test_the_mean_output_stays(self, block: tuple[Tensor, Tensor], data: st.DataObject) -> None:
        inputs, weight = block
        keep = torch.tensor(
            data.draw(st.lists(st.booleans(), min_size=weight.shape[1], max_size=weight.shape[1]))
        )
        bias = torch.randn(HIDDEN, dtype=torch.float64)
        found = inputs[:, keep] @ weight[:, keep].T + mean_bias(weight, inputs.mean(0), keep, bias)
        torch.testing.assert_close(found.mean(0), (inputs @ weight.T + bias).mean(0), rtol=1e-7, atol=1e-7)

    def test_without_a_bias_before_it_is_what_left(self) -> None:
        weight, mean = torch.tensor([[1.0, 2.0]]), torch.tensor([3.0, 4.0])
        assert mean_bias(weight, mean, torch.tensor([True, False]), None).tolist() == [8.0]
