"""Calls of blocks, seen in a forward pass: they run again alike, and what is exchanged is what the model gets."""

from pathlib import Path

import torch
from torch import Tensor, nn

from hipp_prune.models import load_model
from hipp_prune.models.block_calls import BlockCall, on_block_calls
from hipp_prune.questions.question import probe
from tests.tolerance import assert_agree


@torch.no_grad()
def test_blocks_run_again_from_their_calls_alone(folders: dict[str, Path], family: str) -> None:
    adapter = load_model(folders[family])
    batch, images = adapter.encode([probe("Is there a cup?")], {})
    calls: list[BlockCall] = []
    entered: list[Tensor] = []
    left: list[Tensor] = []

    def enter(call: BlockCall, states: Tensor) -> Tensor:
        calls.append(call)
        entered.append(states)
        return states

    def leave(states: Tensor) -> Tensor:
        left.append(states)
        return states

    with on_block_calls(adapter, enter, leave):
        whole = adapter.hidden_states(batch, images)
    assert len(calls) == len(left) == len(adapter.blocks)
    states = entered[0]
    for call, expected in zip(calls, left, strict=True):
        states = call.run(states)
        assert_agree(states, expected)

    with on_block_calls(adapter, lambda _, states: states, torch.zeros_like):
        assert not torch.allclose(adapter.hidden_states(batch, images), whole)
    assert_agree(adapter.hidden_states(batch, images), whole)


def test_a_block_may_return_a_tuple() -> None:
    class Layer(nn.Module):
        def forward(self, states: Tensor, more: int) -> tuple[Tensor, str]:
            return states + more, "attention"

    call = BlockCall(layer=Layer(), places=(), named={"more": 2})
    assert call.run(torch.zeros(1)) == 2
