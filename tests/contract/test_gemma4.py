"""Gemma 4 as its checkpoints are: blocks of two kinds, the last of which read others' keys and have wider MLPs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hipp_prune.checkpoints.configs import read_config_file, write_config_file
from hipp_prune.checkpoints.footprint import measure_footprint
from hipp_prune.checkpoints.pruned import prune_checkpoint
from hipp_prune.checkpoints.reopening import count_blocks
from hipp_prune.errors import UnsupportedModelError
from hipp_prune.models import load_model
from hipp_prune.models.adapter import Adapter
from hipp_prune.plans.plan import keep_masks
from hipp_prune.pruning.cutting import cut_neurons
from hipp_prune.pruning.masking import apply_masks
from hipp_prune.questions.question import probe
from hipp_prune.stages.trial import try_model
from tests.strangers import tiny_stranger
from tests.tiny import tiny_image
from tests.tolerance import assert_agree
from tests.unit.checkpoints.tiny_plans import make_plan

SLIDING, FULL = "sliding_attention", "full_attention"
KINDS = [SLIDING, SLIDING, FULL, SLIDING, SLIDING, SLIDING, FULL]
WIDER = {"head_dim": 16, "num_key_value_heads": 1}
TEXT: dict[str, Any] = {
    "num_hidden_layers": len(KINDS),
    "layer_types": KINDS,
    "per_layer_config": {1: {"head_dim": 8}, 2: WIDER, 6: WIDER},
    "num_kv_shared_layers": 3,
    "use_double_wide_mlp": True,
    "attention_k_eq_v": True,
}


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_stranger(tmp_path_factory.mktemp("gemma4"), "gemma4", changes={"text_config": TEXT})


@pytest.fixture(scope="module")
def adapter(dense: Path) -> Adapter:
    return load_model(dense)


@torch.no_grad()
def answer(adapter: Adapter) -> Tensor:
    picture = Path("picture")
    features = {picture: adapter.encode_images([tiny_image()])[0]}
    return adapter.answer_logits(*adapter.encode([probe("Is there a dog?", picture)], features))


def test_it_is_tried_on_blocks_of_either_kind(dense: Path, adapter: Adapter) -> None:
    assert adapter.shape.neurons == (48, 48, 48, 48, 96, 96, 96)
    assert count_blocks(adapter) == 3
    assert try_model(adapter, dense).flat_pictures
    assert try_model(adapter, adapter).flat_pictures


@pytest.mark.parametrize("kept", [(40, 48, 31, 20, 96, 60, 11), (24,) * 7], ids=["uneven", "equal"])
def test_pruned_in_files_and_in_memory_it_answers_as_masked(
    kept: tuple[int, ...], dense: Path, adapter: Adapter, tmp_path: Path
) -> None:
    """Blocks that are made equal are the stock class's, though two widths were before."""
    masks = keep_masks("coupled", [np.arange(width) for width in adapter.shape.neurons], kept)
    plan = make_plan(adapter, "coupled", kept, masks)
    with apply_masks(adapter, masks):
        expected = answer(adapter)
    prune_checkpoint(dense, plan, tmp_path / "out", shape=adapter.shape)
    again = load_model(tmp_path / "out")
    assert again.shape.neurons == kept
    assert_agree(answer(again), expected)
    assert ("auto_map" in read_config_file(tmp_path / "out" / "config.json")) == (len(set(kept)) > 1)
    assert_agree(answer(type(adapter)(cut_neurons(adapter.model, masks), adapter.processor)), expected)


def test_sizes_that_the_file_leaves_to_transformers_are_kept(
    dense: Path, adapter: Adapter, tmp_path: Path
) -> None:
    """As the hub's checkpoints say it: the sizes of all blocks with full attention, once."""
    config = read_config_file(dense / "config.json")
    del config["text_config"]["per_layer_config"]
    config["text_config"] |= {"global_head_dim": 16, "num_global_key_value_heads": 1}
    copied = tmp_path / "dense"
    copied.mkdir()
    for path in dense.iterdir():
        (copied / path.name).write_bytes(path.read_bytes())
    write_config_file(copied / "config.json", config)
    kept = (40, 48, 31, 20, 96, 60, 11)
    masks = keep_masks("coupled", [np.arange(width) for width in adapter.shape.neurons], kept)
    prune_checkpoint(
        copied, make_plan(adapter, "coupled", kept, masks), tmp_path / "out", shape=adapter.shape
    )
    with apply_masks(adapter, masks):
        assert_agree(answer(load_model(tmp_path / "out")), answer(adapter))


def test_a_token_is_cached_where_keys_are_made(dense: Path) -> None:
    """Three blocks with two heads of 8, one with one of 16; the last three keep nothing."""
    assert measure_footprint(dense).token == 2 * 4 * (3 * 2 * 8 + 16)


def test_experts_beside_the_mlp_are_refused(tmp_path: Path) -> None:
    changes = {
        "text_config": {
            "enable_moe_block": True, "num_experts": 2, "top_k_experts": 1, "moe_intermediate_size": 8,
        }
    }  # fmt: skip
    folder = tiny_stranger(tmp_path, "gemma4", changes=changes)
    with pytest.raises(UnsupportedModelError, match="mixture of experts"):
        load_model(folder)
