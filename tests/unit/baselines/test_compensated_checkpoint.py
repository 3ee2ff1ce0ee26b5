"""FLAP's biases in the checkpoint: our loader, plain transformers in a fresh process, and a second pruning agree."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from hipp_prune.checkpoints.pruned import prune_checkpoint
from hipp_prune.models import load_model
from hipp_prune.models.adapter import Adapter
from hipp_prune.plans.plan import Plan
from hipp_prune.pruning.masking import apply_masks
from tests.tiny import tiny_llava, tiny_qwen2_5_vl
from tests.tolerance import assert_agree
from tests.unit.checkpoints.test_remote_code import run_fresh
from tests.unit.checkpoints.tiny_plans import logits, make_plan, stock_inputs

VARIANTS: dict[str, tuple[Callable[[Path], Path], tuple[int, int]]] = {
    "llava": (tiny_llava, (30, 21)),
    "llava-biased-sharded": (lambda tmp: tiny_llava(tmp, mlp_bias=True, max_shard_size="20KB"), (30, 21)),
    "qwen2_5_vl-sharded": (lambda tmp: tiny_qwen2_5_vl(tmp, max_shard_size="40KB"), (30, 21)),
    "qwen2_5_vl-equal-widths": (tiny_qwen2_5_vl, (30, 30)),
}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders with ``source``, ``pruned``, ``expected`` logits, and what a fresh process computed."""
    tmp = tmp_path_factory.mktemp("compensated")
    folders, jobs = {}, []
    for variant, (build, kept) in VARIANTS.items():
        folder = folders[variant] = tmp / variant
        source = build(folder).rename(folder / "source")
        adapter = load_model(source)
        plan, biases = make_plan(adapter, "coupled", kept), random_biases(adapter)
        report = prune_checkpoint(source, plan, folder / "pruned", down_biases=biases)
        assert report.remote_code
        inputs = stock_inputs(adapter)
        save_file(inputs, folder / "inputs.safetensors")
        save_file({"result": by_hand(adapter, plan, biases, inputs)}, folder / "expected.safetensors")
        jobs.append(
            {
                "checkpoint": str(folder / "pruned"), "auto": "AutoModelForImageTextToText",
                "resave": str(folder / "resaved"), "inputs": str(folder / "inputs.safetensors"),
                "result": str(folder / "fresh.safetensors"),
            }
        )  # fmt: skip
    (tmp / "jobs.json").write_text(json.dumps(jobs))
    run_fresh(tmp / "jobs.json")
    return folders


def random_biases(adapter: Adapter) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(adapter.shape.hidden_size, generator=generator) for _ in adapter.blocks]


def by_hand(adapter: Adapter, plan: Plan, biases: list[Tensor], inputs: dict[str, Tensor]) -> Tensor:
    """Logits of the masked model with its down projections' biases replaced."""
    for block, bias in zip(adapter.blocks, biases, strict=True):
        block.down.bias = nn.Parameter(bias)
    with apply_masks(adapter, plan.keep_masks()):
        return logits(adapter.model, inputs)


def result(path: Path) -> Tensor:
    return load_file(path)["result"]


@pytest.mark.parametrize("variant", VARIANTS)
class TestCompensatedCheckpoint:
    def test_our_loader_computes_the_compensated_model(
        self, checkpoints: dict[str, Path], variant: str
    ) -> None:
        folder = checkpoints[variant]
        model = load_model(folder / "pruned").model
        found = logits(model, load_file(folder / "inputs.safetensors"))
        assert_agree(found, result(folder / "expected.safetensors"))

    def test_plain_transformers_computes_the_same_even_after_saving_again(
        self, checkpoints: dict[str, Path], variant: str
    ) -> None:
        folder = checkpoints[variant]
        model = load_model(folder / "pruned").model
        assert_agree(
            result(folder / "fresh.safetensors"), logits(model, load_file(folder / "inputs.safetensors"))
        )

    def test_pruning_it_again_keeps_the_biases(
        self, checkpoints: dict[str, Path], variant: str, tmp_path: Path
    ) -> None:
        adapter = load_model(checkpoints[variant] / "pruned")
        plan = make_plan(adapter, "coupled", (20, 20))
        prune_checkpoint(checkpoints[variant] / "pruned", plan, tmp_path / "twice")
        biases = [block.down.bias for block in load_model(tmp_path / "twice").blocks]
        for found, block in zip(biases, adapter.blocks, strict=True):
            assert found is not None
            assert block.down.bias is not None
            assert torch.equal(found, block.down.bias)


def test_the_report_counts_the_added_bytes(tmp_path: Path) -> None:
    source = tiny_qwen2_5_vl(tmp_path)
    adapter = load_model(source)
    plan = make_plan(adapter, "coupled", (30, 21))
    plain = prune_checkpoint(source, plan, tmp_path / "plain")
    compensated = prune_checkpoint(source, plan, tmp_path / "biased", down_biases=random_biases(adapter))
    assert compensated.bytes_after - plain.bytes_after == 2 * 32 * 4
