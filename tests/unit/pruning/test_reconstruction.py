"""Reconstruction: never worse on held-out tokens, better where there is something to learn, and no trace."""

from pathlib import Path

import torch
from torch import Tensor

from hipp_prune.models import load_model
from hipp_prune.models.structure import Block
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
    assert gates_and_ups([pruned, type(pruned)(down)]) is None
