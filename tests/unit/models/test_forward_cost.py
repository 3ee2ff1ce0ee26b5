"""Counted FLOPs agree with torch's own counter; measured seconds make a table."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from hipp_prune.models import load_model
from hipp_prune.models.adapter import Adapter
from hipp_prune.models.forward_cost import flops_table, latency_table
from hipp_prune.pruning.prefix_views import sort_neurons
from tests.tiny import tiny_idefics3, tiny_internvl, tiny_llava, tiny_qwen2_5_vl

TOKENS = 23


def counted(adapter: Adapter) -> int:
    """What torch counts in a forward pass; its counter sees attention only where it is written out."""
    decoder = adapter.model.get_decoder()
    decoder.set_attn_implementation("eager")
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        output = decoder(inputs_embeds=torch.randn(1, TOKENS, adapter.shape.hidden_size), use_cache=False)
        adapter.model.get_output_embeddings()(output.last_hidden_state[:, -1])
    return int(counter.get_total_flops())


@pytest.mark.parametrize("make", [tiny_llava, tiny_qwen2_5_vl, tiny_internvl, tiny_idefics3])
def test_flops_are_those_that_torch_counts_dense_and_pruned(
    tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    adapter = load_model(make(tmp_path))
    table = flops_table(adapter, TOKENS)
    assert table.dense == counted(adapter)
    widths = np.array(adapter.shape.neurons)
    kept = widths // np.arange(2, 2 + len(widths))
    model = sort_neurons(adapter, [torch.arange(float(width)) for width in widths])
    with model.apply(kept.tolist()):
        cost = table.dense * (1 - table.saved(1 - kept / widths))
        assert cost == pytest.approx(counted(adapter))


def test_seconds_by_width_make_a_table(tmp_path: Path) -> None:
    adapter = load_model(tiny_llava(tmp_path, blocks=3))
    table = latency_table(adapter, tokens=16, batch=4)
    assert len(table.units) == 3
    assert table.units[0] == table.units[1]
    assert all(low <= high for low, high in zip(table.units[0], table.units[0][1:], strict=False))
    assert table.constant > 0
    assert "float32, 4 questions of 16 tokens" in table.conditions


def test_what_other_programs_take_from_a_processor_is_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worked = iter(range(10_000))
    passed = iter(range(0, 100_000, 10))
    monkeypatch.setattr("hipp_prune.models.forward_cost.time.process_time", lambda: next(worked))
    monkeypatch.setattr("hipp_prune.models.forward_cost.time.perf_counter", lambda: next(passed))
    table = latency_table(load_model(tiny_llava(tmp_path, blocks=1)), tokens=4, batch=1)
    assert table.dense == 1, "the second that it worked, of ten that passed"
