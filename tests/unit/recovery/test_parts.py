from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hipp_prune.errors import InputError
from hipp_prune.models import load_model
from hipp_prune.models.adapter import Adapter
from hipp_prune.recovery.parts import unfreeze
from hipp_prune.recovery.settings import RecoverySettings
from tests.unit.recovery.conftest import SHORT

FEW = RecoverySettings(head=False, norm=False, projector=False, lora_blocks=1, lora_rank=2)


def trained(adapter: Adapter) -> set[str]:
    return {name for name, parameter in adapter.model.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize(
    ("part", "ending"),
    [("head", "lm_head.weight"), ("norm", "language_model.norm.weight"), ("projector", "")],
)
def test_each_part_is_switched_on_alone(folder: Path, part: str, ending: str):
    adapter = load_model(folder)
    parts = unfreeze(adapter, replace(FEW, lora_blocks=0, **{part: True}))
    assert trained(adapter) == set(parts.parameters) != set()
    inside = ("projector", "merger") if part == "projector" else (ending,)
    assert all(any(word in name for word in inside) for name in parts.parameters)


def test_lora_goes_around_the_last_blocks_and_nothing_else(folder: Path):
    adapter = load_model(folder)
    parts = unfreeze(adapter, FEW)
    assert {name.rsplit(".", 1)[1] for name in parts.lora} == {
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
    }  # fmt: skip
    assert all(name.startswith(adapter.blocks[-1].name) for name in parts.lora)
    assert all(".lora_" in name for name in trained(adapter))
    assert all((tensor == 0).all() for name, tensor in parts.factors.items() if "lora_B" in name)


def test_a_tied_head_is_untied_before_it_is_trained(uneven: dict[str, Path]):
    adapter = load_model(uneven["qwen2_5_vl"])
    embeddings = adapter.model.get_input_embeddings().weight
    parts = unfreeze(adapter, SHORT)
    head = adapter.model.get_output_embeddings().weight
    assert parts.untied == head.numel()
    assert torch.equal(head, embeddings)
    assert head.requires_grad
    assert not embeddings.requires_grad
    assert not adapter.model.config.tie_word_embeddings


@pytest.mark.parametrize("family", ["llava", "qwen2_5_vl"])
def test_nothing_is_untied_without_need(uneven: dict[str, Path], family: str):
    assert unfreeze(load_model(uneven[family]), replace(SHORT, head=False)).untied == 0
    assert unfreeze(load_model(uneven["llava"]), SHORT).untied == 0


def test_more_blocks_than_the_model_has_are_refused(folder: Path):
    with pytest.raises(InputError, match=r"--lora-blocks must lie in \[0, 2\].*got 3"):
        unfreeze(load_model(folder), replace(SHORT, lora_blocks=3))
