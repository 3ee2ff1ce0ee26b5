"""Padded checkpoints: stock models that compute what the uneven ones do."""

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForImageTextToText

from hipp_prune.checkpoints.ledger import checkpoint_ledger
from hipp_prune.checkpoints.pruned import prune_checkpoint
from hipp_prune.errors import CheckpointError, OutputExistsError, PlanError, UnsupportedModelError
from hipp_prune.export.exported import check_plan
from hipp_prune.export.pad import write_padded
from hipp_prune.files.manifest import accept_files
from hipp_prune.models import load_model
from tests.tiny import tiny_llava, tiny_qwen2_5_vl
from tests.tolerance import assert_agree
from tests.unit.checkpoints.tiny_plans import fit_somehow, logits, make_plan, stock_inputs

VARIANTS = {
    "llava-biased": lambda tmp: tiny_llava(tmp, mlp_bias=True),
    "llava-sharded-bf16": lambda tmp: tiny_llava(tmp, max_shard_size="40KB", dtype=torch.bfloat16),
    "qwen2_5_vl": tiny_qwen2_5_vl,
}


@pytest.fixture(params=VARIANTS)
def pruned(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A checkpoint of 30 and 21 neurons; Qwen's is compensated by least squares."""
    source = VARIANTS[request.param](tmp_path)
    plan = make_plan(load_model(source), "coupled", (30, 21))
    fitted = fit_somehow(plan) if request.param == "qwen2_5_vl" else None
    prune_checkpoint(source, plan, tmp_path / "pruned", down_weights=fitted)
    return tmp_path / "pruned"


def test_a_stock_class_computes_the_same(pruned: Path, tmp_path: Path) -> None:
    write_padded(pruned, tmp_path / "padded")
    config = json.loads((tmp_path / "padded" / "config.json").read_text())
    assert "auto_map" not in config
    assert config["text_config"]["intermediate_size"] == 30
    assert not list((tmp_path / "padded").glob("*.py"))
    uneven = load_model(pruned)
    stock = AutoModelForImageTextToText.from_pretrained(tmp_path / "padded").eval()
    assert stock.dtype == uneven.model.dtype
    inputs = stock_inputs(uneven)
    assert_agree(logits(stock.float(), inputs), logits(uneven.model.float(), inputs))


def test_a_padded_projection_is_the_uneven_one_and_zeros(pruned: Path, tmp_path: Path) -> None:
    write_padded(pruned, tmp_path / "padded")
    uneven, padded = (load_model(folder).blocks for folder in (pruned, tmp_path / "padded"))
    for block, wider in zip(uneven, padded, strict=True):
        width = block.gate.out_features
        for name in ("gate", "up", "down"):
            tensor, filled = (getattr(each, name).weight for each in (block, wider))
            kept, added = (filled.T if name == "down" else filled).split([width, 30 - width])
            assert torch.equal(kept.T if name == "down" else kept, tensor)
            assert not added.any()


def test_the_ledger_says_what_is_left_of_the_saving(pruned: Path, tmp_path: Path) -> None:
    exported = write_padded(pruned, tmp_path / "padded")
    before, after = checkpoint_ledger(pruned), checkpoint_ledger(tmp_path / "padded")
    neurons = load_model(pruned).shape.neurons
    assert before is not None
    assert after is not None
    assert 0 < after.mlp < before.mlp
    dense = json.loads((tmp_path / "padded" / "ledger.json").read_text())["model"]["neurons"]
    assert after.mlp == pytest.approx(1 - 30 / dense[0])
    assert exported.num_bytes > exported.bytes_before
    assert f"the blocks had {neurons[0]} {neurons[1]}" in exported.summary
    assert not (tmp_path / "padded" / "plan.json").exists()


def test_it_can_be_pruned_again(pruned: Path, tmp_path: Path) -> None:
    write_padded(pruned, tmp_path / "padded")
    plan = make_plan(load_model(tmp_path / "padded"), "coupled", (25, 25))
    prune_checkpoint(tmp_path / "padded", plan, tmp_path / "again")
    assert load_model(tmp_path / "again").shape.neurons == (25, 25)


# Refusals


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("mlp_down_bias", True, "biases of its down projections"),
        ("block_key_value_heads", [3, 2], "heads that left"),
        ("residual_width", 20, r"SliceGPT"),
    ],
)
def test_what_zeros_cannot_make_good_is_refused(
    setting: str, value: object, words: str, tmp_path: Path
) -> None:
    source = tiny_llava(tmp_path)
    config = json.loads((source / "config.json").read_text())
    config["text_config"][setting] = value
    (source / "config.json").write_text(json.dumps(config))
    with pytest.raises(UnsupportedModelError, match=words):
        write_padded(source, tmp_path / "padded")
    assert not (tmp_path / "padded").exists()


def test_a_plan_of_another_checkpoint_is_refused(tmp_path: Path) -> None:
    source = tiny_llava(tmp_path)
    adapter = load_model(source)
    prune_checkpoint(source, make_plan(adapter, "coupled", (30, 21)), tmp_path / "pruned")
    (tmp_path / "pruned" / "plan.json").write_text(make_plan(adapter, "coupled", (31, 21)).to_json())
    accept_files(tmp_path / "pruned")
    with pytest.raises(CheckpointError, match=r"leaves blocks of 31 21 neurons, the weights .* have 30 21"):
        write_padded(tmp_path / "pruned", tmp_path / "padded")


def test_rows_save_nothing_and_are_exported_only_if_asked(tmp_path: Path) -> None:
    source = tiny_llava(tmp_path)
    prune_checkpoint(source, make_plan(load_model(source), "rows", (20, 30, 25, 16)), tmp_path / "rows")
    with pytest.raises(PlanError, match=r"saves nothing .*--masked"):
        check_plan(tmp_path / "rows", masked=False)
    check_plan(tmp_path / "rows", masked=True)
    check_plan(source, masked=False)


def test_a_folder_is_not_replaced_unasked(pruned: Path, tmp_path: Path) -> None:
    write_padded(pruned, tmp_path / "padded")
    with pytest.raises(OutputExistsError, match="--force"):
        write_padded(pruned, tmp_path / "padded")
    write_padded(pruned, tmp_path / "padded", force=True)
