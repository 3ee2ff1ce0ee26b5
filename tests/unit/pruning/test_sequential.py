"""Sequential compensation: what it minimises, that it leaves no trace, and where it is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hipp_prune.calibration.measurement import batches
from hipp_prune.errors import InputError, UnsupportedModelError
from hipp_prune.models import load_model
from hipp_prune.models.adapter import Adapter
from hipp_prune.models.block_calls import BlockCall
from hipp_prune.plans.arrays import Bools
from hipp_prune.pruning import sequential, streams
from hipp_prune.pruning.compensation import correct, explained
from hipp_prune.pruning.reconstruction import PrunedMlp
from hipp_prune.pruning.sequential import fit_plans, fit_sequentially
from hipp_prune.pruning.streams import token_shares
from hipp_prune.questions.question import Question
from tests.tolerance import assert_agree

QUESTIONS = [
    Question(
        benchmark="pope", id=str(index), prompt=f"Is there a cup number {index} in the picture? " * (1 + index % 3),
        images=(), answers=("Yes", "No"), gold=0, subset="random", group=str(index),
    )
    for index in range(24)
]  # fmt: skip


def half(adapter: Adapter) -> list[Bools]:
    """Every other neuron stays."""
    return [np.arange(neurons) % 2 == 0 for neurons in adapter.shape.neurons]


def stand_in(adapter: Adapter, masks: list[Bools], fitted: list[PrunedMlp] | None) -> None:
    """Zeros where neurons leave, and what was fitted where they stay."""
    for index, (block, mask) in enumerate(zip(adapter.blocks, masks, strict=True)):
        keep = torch.from_numpy(mask)
        weight = torch.zeros_like(block.down.weight.data)
        weight[:, keep] = block.down.weight.data[:, keep] if fitted is None else fitted[index].down
        block.down.weight.data = weight


@torch.no_grad()
def last_states(adapter: Adapter) -> Tensor:
    """What the head reads of all questions, [questions, hidden]."""
    states = []
    for batch, images in batches(adapter, QUESTIONS, 8):
        hidden = adapter.hidden_states(batch, images)
        states.append(hidden[torch.arange(len(batch.last)), batch.last])
    return torch.cat(states)


def test_the_model_comes_nearer_to_what_it_was_and_keeps_no_trace(
    folders: dict[str, Path], family: str
) -> None:
    adapter = load_model(folders[family])
    before = {name: tensor.clone() for name, tensor in adapter.model.state_dict().items()}
    dense, masks = last_states(adapter), half(adapter)
    fitted = fit_sequentially(adapter, QUESTIONS, masks)
    assert all(torch.equal(before[name], tensor) for name, tensor in adapter.model.state_dict().items())
    assert not any(block.down._forward_hooks for block in adapter.blocks)

    distance = {}
    for name, weights in (("none", None), ("sequential", fitted)):
        pruned = load_model(folders[family])
        stand_in(pruned, masks, weights)
        distance[name] = float((last_states(pruned) - dense).norm())
    assert distance["sequential"] < 0.9 * distance["none"]


def test_nothing_removed_changes_nothing(folders: dict[str, Path], family: str) -> None:
    adapter = load_model(folders[family])
    masks = [np.ones(neurons, dtype=bool) for neurons in adapter.shape.neurons]
    for block, mlp in zip(adapter.blocks, fit_sequentially(adapter, QUESTIONS, masks), strict=True):
        assert_agree(mlp.down, block.down.weight.detach().float())


def test_the_batch_size_does_not_matter(folders: dict[str, Path], family: str) -> None:
    adapter = load_model(folders[family])
    masks = half(adapter)
    one, other = (
        fit_sequentially(adapter, QUESTIONS, masks, image_weight=None, batch_size=size) for size in (24, 7)
    )
    for first, second in zip(one, other, strict=True):
        assert_agree(first.down, second.down)


def test_several_plans_at_once_are_fitted_as_one_after_the_other(
    folders: dict[str, Path], family: str
) -> None:
    adapter = load_model(folders[family])
    other = [~mask for mask in half(adapter)]
    other[0] = np.ones_like(other[0])
    together = fit_plans(adapter, QUESTIONS, [half(adapter), other], batch_size=7)
    for masks, fitted in zip((half(adapter), other), together, strict=True):
        for one, alone in zip(fitted, fit_sequentially(adapter, QUESTIONS, masks, batch_size=7), strict=True):
            assert_agree(one.down, alone.down)


def test_what_memory_does_not_hold_is_computed_again(
    folders: dict[str, Path], family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter, ran = load_model(folders[family]), []
    run = BlockCall.run
    monkeypatch.setattr(BlockCall, "run", lambda call, states: ran.append(call) or run(call, states))
    fits, counts = [], []
    for held in (2**30, 0):
        for module in (sequential, streams):
            monkeypatch.setattr(module, "HELD_BYTES", held)
        fits.append(fit_sequentially(adapter, QUESTIONS, half(adapter), batch_size=12))
        counts.append(len(ran))
        ran.clear()
    for one, other in zip(*fits, strict=True):
        assert_agree(one.down, other.down)
    once = len(adapter.blocks) * len(list(sequential._apart(adapter, QUESTIONS, 12)))
    checks = len(adapter.blocks)
    assert counts == [once + checks, 3 * once + checks]


def test_later_blocks_answer_for_earlier_ones(folders: dict[str, Path], family: str) -> None:
    """A block that loses nothing still changes where one before it lost something, and only there."""
    adapter = load_model(folders[family])
    masks = [np.ones(neurons, dtype=bool) for neurons in adapter.shape.neurons]
    masks[0] = np.arange(len(masks[0])) < 1
    fitted = fit_sequentially(adapter, QUESTIONS, masks)
    last = adapter.blocks[-1].down.weight.detach().float()
    assert float((fitted[-1].down - last).norm()) > 1e-3 * float(last.norm())


def test_a_block_with_a_norm_behind_its_mlp_is_refused(
    folders: dict[str, Path], family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = load_model(folders[family])
    mlp = adapter.blocks[0].mlp
    forward = mlp.forward
    monkeypatch.setattr(mlp, "forward", lambda states: 2 * forward(states))
    with pytest.raises(UnsupportedModelError, match="does not add its MLP's output"):
        fit_sequentially(adapter, QUESTIONS, half(adapter))


def test_too_few_questions_to_judge_a_reconstruction_are_refused(
    folders: dict[str, Path], family: str
) -> None:
    adapter = load_model(folders[family])
    with pytest.raises(InputError, match="held out, found 7 questions and none to spare; calibrate on more"):
        fit_sequentially(adapter, QUESTIONS[:7], half(adapter), minutes=1.0)


def test_what_no_fit_helps_stays_as_it_was() -> None:
    """Held-out tokens that point the other way: the correction is none at all."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(50, 4, generator=generator)
    missing = inputs @ torch.randn(4, 3, generator=generator)
    weight, ones = torch.zeros(3, 4), torch.ones(50)
    fit, held = sequential._Sums.zeros(weight), sequential._Sums.zeros(weight)
    fit.add(inputs, missing, ones)
    held.add(inputs, -missing, ones)
    assert not sequential._correction(fit, held).any()
    held = sequential._Sums.zeros(weight)
    held.add(inputs, missing, ones)
    assert_agree(inputs @ sequential._correction(fit, held).float().T, missing, rounding=1e-3)


@settings(deadline=None, max_examples=30)
@given(
    kept=st.integers(1, 6), hidden=st.integers(1, 5), tokens=st.integers(1, 30),
    ridge=st.sampled_from([1e-4, 1e-2, 1.0]), seed=st.integers(0, 99),
)  # fmt: skip
def test_the_correction_is_the_weighted_least_squares_solution(
    kept: int, hidden: int, tokens: int, ridge: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(tokens, kept, generator=generator, dtype=torch.float64)
    missing = torch.randn(tokens, hidden, generator=generator, dtype=torch.float64)
    weights = torch.rand(tokens, generator=generator, dtype=torch.float64)
    weighed = inputs * weights[:, None]
    gram, cross = weighed.T @ inputs, missing.T @ weighed
    correction = correct(gram, cross, ridge)

    root = weights.sqrt()[:, None]
    stacked = torch.cat([root * inputs, ridge**0.5 * torch.eye(kept, dtype=torch.float64)])
    target = torch.cat([root * missing, torch.zeros(kept, hidden, dtype=torch.float64)])
    assert_agree(correction, torch.linalg.lstsq(stacked, target, driver="gelsd").solution.T, rounding=1e-6)

    left = missing - inputs @ correction.T
    saved = float((root * missing).square().sum() - (root * left).square().sum())
    assert explained(gram, cross, correction) == pytest.approx(saved, rel=1e-6, abs=1e-9)
    assert saved >= -1e-9


def test_tokens_have_their_shares_whatever_the_batches(folders: dict[str, Path], family: str) -> None:
    """Half of all belongs to the tokens that are answered from, whose own share as text comes on top."""
    adapter = load_model(folders[family])
    for size in (24, 7):
        asked = [batch for batch, _ in batches(adapter, QUESTIONS, size)]
        shares = token_shares(asked, None, 0.5)
        assert sum(float(weights.sum()) for weights in shares) == pytest.approx(1)
        for batch, weights in zip(asked, shares, strict=True):
            rows = torch.arange(len(batch.last))
            assert not weights[~batch.attention_mask.bool()].any()
            num_tokens = sum(int(each.attention_mask.sum()) for each in asked)
            assert weights[rows, batch.last].tolist() == pytest.approx(
                [0.5 / 24 + 0.5 / num_tokens] * len(rows)
            )
