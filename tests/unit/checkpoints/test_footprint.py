"""What a checkpoint takes, told without its weights."""

from pathlib import Path

import numpy as np
import pytest

from hipp_prune.checkpoints.footprint import measure_footprint
from hipp_prune.checkpoints.pruned import prune_checkpoint
from hipp_prune.errors import CheckpointError
from hipp_prune.models import load_model
from tests.tiny import tiny_llava, tiny_qwen2_5_vl
from tests.unit.plans.shapes import make_plan


@pytest.mark.parametrize("make", [tiny_llava, tiny_qwen2_5_vl])
def test_it_is_what_pruning_leaves(make, tmp_path: Path) -> None:
    source = make(tmp_path / "dense", blocks=3)
    shape, footprint = load_model(source).shape, measure_footprint(source)
    assert footprint.neurons == shape.neurons
    plan = make_plan(shape, "coupled", [count - 2 - block for block, count in enumerate(shape.neurons)])
    written = prune_checkpoint(source, plan, tmp_path / "pruned")
    assert written.bytes_before == footprint.weights
    assert written.bytes_after == footprint.pruned(np.array(plan.kept))
    again = measure_footprint(tmp_path / "pruned")
    assert again.neurons == plan.kept
    assert (again.weights, again.neuron_bytes, again.token) == (
        written.bytes_after,
        footprint.neuron_bytes,
        footprint.token,
    )


def test_the_cache_of_a_token(tmp_path: Path) -> None:
    source = tiny_qwen2_5_vl(tmp_path / "dense", blocks=3)
    model = load_model(source).model
    text = model.config.get_text_config(decoder=True)
    size = text.hidden_size // text.num_attention_heads
    assert measure_footprint(source).token == 3 * text.num_key_value_heads * size * 2 * 4
    assert measure_footprint(source).cache(context=10, batch=3) == 30 * measure_footprint(source).token


def test_no_language_model(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(CheckpointError):
        measure_footprint(tmp_path)
