"""LLM-Pruner with attention: heads and neurons leave at one ratio, and the checkpoint is the masked model."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageTextToText

from hipp_prune.baselines.methods.llm_pruner import group_counts, group_scores
from hipp_prune.baselines.planning import plan_baseline, write_baseline
from hipp_prune.baselines.setting import Setting
from hipp_prune.baselines.settings import BaselineSettings
from hipp_prune.calibration.measurement import calibrate
from hipp_prune.checkpoints.heads import HeadPlan, check_heads, count_heads
from hipp_prune.checkpoints.ledger import checkpoint_ledger
from hipp_prune.checkpoints.pruned import prune_checkpoint
from hipp_prune.errors import BudgetError, UnsupportedModelError
from hipp_prune.models import load_model
from hipp_prune.models.adapter import Adapter
from hipp_prune.recovery.recover import recover_checkpoint
from tests.tiny import FAMILIES, tiny_llava, tiny_qwen2_5_vl
from tests.tolerance import assert_agree
from tests.unit.baselines.conftest import ask
from tests.unit.checkpoints.tiny_plans import logits, make_plan, stock_inputs
from tests.unit.recovery.conftest import SHORT

VARIANTS: dict[str, Callable[[Path], Path]] = {
    "llava-biased-sharded": lambda tmp: tiny_llava(tmp, blocks=4, mlp_bias=True, max_shard_size="40KB"),
    "qwen2_5_vl": lambda tmp: tiny_qwen2_5_vl(tmp, blocks=4),
}
"""Four key/value heads a block, and two of two queries each."""


@pytest.fixture(scope="module", params=VARIANTS)
def pruned(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Setting, HeadPlan, Path]:
    """A setting, its plan at a quarter of the blocks, and the checkpoint of it."""
    tmp = tmp_path_factory.mktemp("heads")
    source = VARIANTS[request.param](tmp)
    adapter, questions = load_model(source), ask(tmp)
    setting = Setting(
        adapter=adapter,
        calibration=calibrate(adapter, questions),
        questions=questions,
        sparsity=0.25,
        settings=BaselineSettings(match="block", attention=True),
    )
    planned = plan_baseline("llm-pruner", setting)
    assert isinstance(planned, HeadPlan)
    write_baseline(setting, planned, source, tmp / "out")
    return setting, planned, tmp / "out"


def zero(adapter: Adapter, planned: HeadPlan) -> None:
    """Silences what leaves: the outputs of neurons and of heads."""
    for block, neurons, heads in zip(
        adapter.blocks, planned.neurons.keep_masks(), planned.heads, strict=True
    ):
        output = block.attention.o_proj.weight.data  # type: ignore[union-attr]
        queries = np.repeat(heads, output.shape[1] // len(heads))
        output[:, ~queries] = 0
        block.down.weight.data[:, ~neurons] = 0


def test_the_checkpoint_is_the_masked_model(pruned: tuple[Setting, HeadPlan, Path]) -> None:
    setting, planned, out = pruned
    inputs = stock_inputs(setting.adapter)
    found = logits(load_model(out).model, inputs)
    plain = AutoModelForImageTextToText.from_pretrained(out, trust_remote_code=True).eval()
    assert_agree(found, logits(plain, inputs))
    before = {name: value.clone() for name, value in setting.adapter.model.state_dict().items()}
    try:
        zero(setting.adapter, planned)
        assert_agree(found, logits(setting.adapter.model, inputs))
    finally:
        setting.adapter.model.load_state_dict(before)


def test_the_ledger_is_what_was_counted_and_meets_the_budget(
    pruned: tuple[Setting, HeadPlan, Path],
) -> None:
    setting, planned, out = pruned
    shape, after = setting.adapter.shape, load_model(out).shape
    ledger = checkpoint_ledger(out)
    assert ledger == planned.ledger
    assert ledger.block == pytest.approx(1 - after.block_parameters / shape.block_parameters)
    assert ledger.language == pytest.approx(1 - after.language_parameters / shape.language_parameters)
    assert ledger.model == pytest.approx(1 - after.total_parameters / shape.total_parameters)
    assert abs(ledger.block - 0.25) * shape.block_parameters <= shape.neuron_parameters


def test_the_outer_blocks_stay_whole_and_every_block_keeps_a_head(
    pruned: tuple[Setting, HeadPlan, Path],
) -> None:
    _, planned, _ = pruned
    assert [keep.all() for keep in planned.heads] == [True, False, False, True]
    assert all(keep.any() for keep in planned.heads)


def test_one_ratio_holds_for_heads_and_neurons(pruned: tuple[Setting, HeadPlan, Path]) -> None:
    setting, _, _ = pruned
    told = replace(setting, sparsity=0.25, settings=BaselineSettings(match="mlp", attention=True))
    neurons, heads = group_counts(told, told.any_space())
    # half of all MLPs are prunable: a quarter of all is half of those, and of their heads
    assert (1 - neurons / told.adapter.shape.neurons).tolist() == [0, 0.5, 0.5, 0]
    present = count_heads(told.adapter.blocks[0])
    assert heads.tolist() == [present, present // 2, present // 2, present]


def test_the_rows_of_a_head_are_scored_together() -> None:
    """Two heads of two query rows and one row of keys each."""
    queries = torch.tensor([[1.0, -2.0], [3.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    keys = torch.tensor([[1.0, 1.0], [5.0, -5.0]])
    assert group_scores("param_first", (queries, keys), 2).tolist() == [6 + 2, 1 + 10]
    assert group_scores("vectorize", (queries, keys), 2).tolist() == [1 + 3 + 2, 1 + 0]


def test_it_is_recovered_and_pruned_further(pruned: tuple[Setting, HeadPlan, Path], tmp_path: Path) -> None:
    _, planned, out = pruned
    recover_checkpoint(out, load_model(out), ask(tmp_path), tmp_path / "recovered", SHORT)
    after = checkpoint_ledger(tmp_path / "recovered")
    assert after is not None
    assert after.block == planned.ledger.block
    adapter = load_model(out)
    plan = make_plan(adapter, "coupled", (10,) * 4)
    prune_checkpoint(out, plan, tmp_path / "narrower")
    narrower = load_model(tmp_path / "narrower")
    assert list(map(count_heads, narrower.blocks)) == list(map(count_heads, adapter.blocks))
    assert checkpoint_ledger(tmp_path / "narrower") == plan.ledger


def test_more_than_the_inner_blocks_hold_is_refused(pruned: tuple[Setting, HeadPlan, Path]) -> None:
    with pytest.raises(BudgetError, match=r"outer blocks whole \(2 of 4\).*cannot remove 0\.6.*at most 0\.4"):
        plan_baseline("llm-pruner", replace(pruned[0], sparsity=0.6))


@pytest.mark.parametrize(
    ("family", "said"),
    [
        ("llava-phi3", "expected q_proj, k_proj, v_proj and o_proj"),
        ("minicpmv4_6", "queries carry something else too"),
        ("gemma4", "read the keys and values of others"),
        ("qwen3_5", r"expected q_proj, k_proj, v_proj and o_proj in model\.language_model\.layers\.0"),
    ],
)
def test_heads_that_are_not_those_of_queries_and_keys_cannot_leave(
    family: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(UnsupportedModelError, match=f"{said}.*prune its neurons alone"):
        check_heads(load_model(FAMILIES[family](tmp_path)))
