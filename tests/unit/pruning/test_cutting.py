"""A model cut in memory is the checkpoint that surgery writes, and the model it was cut from stays as it was."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForImageTextToText

from hipp_prune.checkpoints.pruned import prune_checkpoint
from hipp_prune.models import load_model, loaded
from hipp_prune.models.adapter import Adapter
from hipp_prune.pruning.cutting import cut_neurons
from hipp_prune.pruning.masking import apply_masks
from tests.tolerance import assert_agree
from tests.unit.checkpoints.tiny_plans import fit_somehow, logits, make_plan, stock_inputs


@pytest.mark.parametrize("kept", [(30, 21), (24, 24)], ids=["uneven", "even"])
def test_it_is_the_checkpoint_that_surgery_writes(
    folder: Path, adapter: Adapter, kept: tuple[int, int], tmp_path: Path
) -> None:
    plan, inputs = make_plan(adapter, "coupled", kept), stock_inputs(adapter)
    before = {name: tensor.clone() for name, tensor in adapter.model.state_dict().items()}
    smaller = cut_neurons(adapter.model, plan.keep_masks())
    prune_checkpoint(folder, plan, tmp_path / "surgery")
    opened = load_model(tmp_path / "surgery").model
    assert all(
        torch.equal(tensor, smaller.state_dict()[name]) for name, tensor in opened.state_dict().items()
    )
    assert_agree(logits(smaller, inputs), logits(opened, inputs))
    with apply_masks(adapter, plan.keep_masks()):
        assert_agree(logits(smaller, inputs), logits(adapter.model, inputs))
    after = adapter.model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    smaller.save_pretrained(tmp_path / "saved")
    saved = AutoModelForImageTextToText.from_pretrained(
        tmp_path / "saved", trust_remote_code=kept[0] != kept[1]
    )
    assert_agree(logits(saved.eval(), inputs), logits(smaller, inputs))


def test_only_what_shrinks_takes_memory(adapter: Adapter) -> None:
    plan = make_plan(adapter, "coupled", (30, 21))
    smaller = cut_neurons(adapter.model, plan.keep_masks())
    dense = {parameter.data_ptr() for parameter in adapter.model.parameters()}
    own = {name for name, each in smaller.named_parameters() if each.data_ptr() not in dense}
    assert own
    assert all(".layers." in name and ".mlp." in name and "down_proj.bias" not in name for name in own)


def test_in_place_and_compensated(folder: Path, adapter: Adapter, tmp_path: Path) -> None:
    plan, inputs = make_plan(adapter, "coupled", (30, 21)), stock_inputs(adapter)
    biases = [torch.full((adapter.shape.hidden_size,), 0.1)] * 2
    options = {"down_weights": fit_somehow(plan), "down_biases": biases}
    prune_checkpoint(folder, plan, tmp_path / "surgery", **options)
    smaller = cut_neurons(adapter.model, plan.keep_masks(), in_place=True, **options)
    assert smaller is adapter.model
    assert_agree(logits(smaller, inputs), logits(load_model(tmp_path / "surgery").model, inputs))


def test_a_smaller_model_can_be_cut_again(adapter: Adapter) -> None:
    smaller = loaded(
        cut_neurons(adapter.model, make_plan(adapter, "coupled", (30, 21)).keep_masks()), adapter.processor
    )
    again = cut_neurons(smaller.model, make_plan(smaller, "coupled", (9, 21)).keep_masks())
    assert loaded(again, adapter.processor).shape.neurons == (9, 21)
