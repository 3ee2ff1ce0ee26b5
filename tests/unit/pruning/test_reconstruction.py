"""Reconstruction: never worse on held-out tokens, better where there is something to learn, and no trace."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaMLP

from hipp_prune.models import load_model
from hipp_prune.models.structure import Block
from hipp_prune.pruning import reconstruction
from hipp_prune.pruning.reconstruction import Tokens, gates_and_ups, reconstruct
from tests.tolerance import assert_agree


def tokens(block: Block, count: int, seed: int) -> Tokens:
    """States drawn from a normal distribution, and what the dense block makes of them."""
    generator = torch.Generator().manual_seed(seed)
    states = torch.randn(count, block.gate.in_features, generator=generator)
    with torch.no_grad():
        targets = block.mlp(states)
    if block.down.bias is not None:
        targets = targets - block.down.bias.detach()
    return Tokens(states, targets, torch.full((count,), 1 / count))


def error(block: Block, keep: Tensor, given: Tokens, down: Tensor, gate: Tensor, up: Tensor) -> float:
    """Of a block of these weights, computed by hand."""
    bias = [0.0 if part.bias is None else part.bias.detach()[keep] for part in (block.gate, block.up)]
    inner = block.mlp.act_fn(given.states @ gate.T + bias[0]) * (given.states @ up.T + bias[1])
    return float(((given.targets - inner @ down.T).square().sum(1) * given.weights).sum())


def test_held_out_tokens_are_served_better_than_by_what_it_began_with(
    folders: dict[str, Path], family: str
) -> None:
    block = load_model(folders[family]).blocks[0]
    before = [part.weight.detach().clone() for part in (block.gate, block.up, block.down)]
    keep = torch.arange(block.down.in_features) % 2 == 0
    down = block.down.weight.detach()[:, keep].float()
    fit, held = tokens(block, 2048, 0), tokens(block, 512, 1)
    pruned = reconstruct(block, keep, down, fit, held, seconds=1.0)
    assert pruned.gate is not None
    assert pruned.up is not None
    first = error(block, keep, held, down, before[0][keep].float(), before[1][keep].float())
    assert error(block, keep, held, pruned.down, pruned.gate, pruned.up) < 0.98 * first
    for part, weight in zip((block.gate, block.up, block.down), before, strict=True):
        assert torch.equal(part.weight, weight)
        assert part.weight.grad is None


def test_what_helps_nobody_is_not_kept(folders: dict[str, Path], family: str) -> None:
    """Nothing leaves, so the dense block cannot be bettered, and it is what comes back."""
    block = load_model(folders[family]).blocks[0]
    keep = torch.ones(block.down.in_features, dtype=torch.bool)
    down = block.down.weight.detach().float()
    pruned = reconstruct(block, keep, down, tokens(block, 64, 0), tokens(block, 64, 1), seconds=0.1)
    assert_agree(pruned.down, down)
    (pair,) = gates_and_ups([pruned]) or ()
    assert_agree(pair[0], block.gate.weight.detach().float())
    assert gates_and_ups([type(pruned)(down)] * 2) is None
    with pytest.raises(AssertionError, match="fitted to another gate"):
        gates_and_ups([pruned, type(pruned)(down)])


@pytest.fixture
def ticks() -> Iterator[None]:
    """A second passes whenever somebody looks at the clock: as many steps on every machine."""
    clock = count()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reconstruction, "perf_counter", lambda: float(next(clock)))
        yield


def made_block(seed: int) -> Block:
    """A small MLP of random weights."""
    torch.manual_seed(seed)
    mlp = LlamaMLP(
        LlamaConfig(hidden_size=6, num_attention_heads=1, intermediate_size=9, mlp_bias=bool(seed % 2))
    )
    for parameter in mlp.parameters():
        nn.init.normal_(parameter)
    mlp.requires_grad_(False)
    return Block(mlp=mlp, gate=mlp.gate_proj, up=mlp.up_proj, down=mlp.down_proj, attention=None, name="made")


@pytest.mark.usefixtures("ticks")
@settings(deadline=None, max_examples=25)
@given(
    kept=st.integers(0, 9), num=st.integers(1, 20), noise=st.sampled_from([0.0, 1.0, 100.0]),
    rate=st.sampled_from([1e-3, 1.0, 1e30]), seconds=st.integers(1, 30), seed=st.integers(0, 99),
)  # fmt: skip
def test_held_out_tokens_are_never_served_worse(
    kept: int, num: int, noise: float, rate: float, seconds: int, seed: int
) -> None:
    """Whatever the targets, and steps so large that nothing is a number any more."""
    block, keep = made_block(seed), torch.arange(9) < kept
    fit, held = tokens(block, 12, seed), tokens(block, num, seed + 1)
    for each in (fit, held):
        each.targets.add_(noise * torch.randn(each.targets.shape))
    down = torch.randn(6, kept)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reconstruction, "_RATE", rate)
        pruned = reconstruct(block, keep, down, fit, held, seconds=seconds)
    assert pruned.gate is not None
    assert pruned.up is not None
    first = error(block, keep, held, down, block.gate.weight[keep], block.up.weight[keep])
    assert error(block, keep, held, pruned.down, pruned.gate, pruned.up) <= first * (1 + 1e-5)


@pytest.mark.usefixtures("ticks")
def test_no_step_begins_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = []
    step = torch.optim.Adam.step
    monkeypatch.setattr(torch.optim.Adam, "step", lambda self: (steps.append(1), step(self)))
    block, keep = made_block(0), torch.arange(9) < 5
    given = tokens(block, 12, 0)
    reconstruct(block, keep, block.down.weight[:, keep], given, given, seconds=9.0)
    assert len(steps) == 4, "a look before each step and one after it, a second each"
