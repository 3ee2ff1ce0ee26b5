"""The recipe in miniature, and what it writes."""

from pathlib import Path

import pytest
import torch
from toy_rows import make_packer, some_rows
from transformers import AutoModelForImageTextToText

from hipp_prune.experiments.toy.families import ToyFamily
from hipp_prune.experiments.toy.growth import confine_gradients, deal_out, neuron_shares
from hipp_prune.experiments.toy.learning import LanguageOptimiser, target_logits
from hipp_prune.experiments.toy.train import Recipe, fresh_model, train
from tests.tolerance import assert_agree

MINIATURE = Recipe(
    blocks=4,
    growth=2,
    named_scenes=20,
    drawn_scenes=20,
    held_out_scenes=10,
    held_out_rows=2,
    rows=2,
    read_steps=2,
    reread_steps=2,
    see_steps=2,
    see_pictures=4,
    look_steps=2,
    check_every=1,
    final_exam=False,
)


def test_a_step_lowers_the_loss_of_its_batch(family: ToyFamily) -> None:
    torch.manual_seed(0)
    packer = make_packer(family)
    model = fresh_model(family, packer.tokenizer.get_vocab(), 1, 16)
    batch = packer.collate(some_rows(packer, 3))
    learner = LanguageOptimiser(
        model, [*model.model.language_model.parameters(), *model.lm_head.parameters()], 1e-3
    )
    losses = [learner.step(batch, None, 1.0) for _ in range(5)]
    assert losses[-1] < losses[0]
    assert torch.isfinite(target_logits(model, batch, None)).all()


def test_growing_keeps_every_neuron_and_the_first_attention(family: ToyFamily) -> None:
    packer = make_packer(family)
    ids = packer.tokenizer.get_vocab()
    shallow, deep = fresh_model(family, ids, 1, 24), fresh_model(family, ids, 3, 8)
    deal_out(shallow, deep)
    (source,), targets = (model.model.language_model.layers for model in (shallow, deep))
    dealt = torch.cat([block.mlp.down_proj.weight for block in targets], dim=1)
    for one, other in ((dealt, source.mlp.down_proj.weight), (deep.lm_head.weight, shallow.lm_head.weight)):
        assert torch.equal(one.sort().values, other.sort().values)
    assert torch.equal(targets[0].self_attn.o_proj.weight, source.self_attn.o_proj.weight)
    assert not any(block.self_attn.o_proj.weight.any() for block in targets[1:])


def test_each_deep_block_holds_one_share_of_a_shallow_one() -> None:
    assert [shares.tolist() for shares in neuron_shares(2, 4, 2, dealt=False)] == [[0, 0, 1, 1]] * 2
    assert [shares.tolist() for shares in neuron_shares(3, 2, 2, dealt=True)] == [[0, 0], [1, 1], [0, 0]]


@pytest.mark.parametrize("dealt", [False, True])
def test_a_step_moves_no_neuron_of_another_share(family: ToyFamily, dealt: bool) -> None:
    torch.manual_seed(0)
    packer = make_packer(family)
    model = fresh_model(family, packer.tokenizer.get_vocab(), 2, 16)
    blocks = model.model.language_model.layers
    before = [block.mlp.down_proj.weight.detach().clone() for block in blocks]
    shares = neuron_shares(2, 16, 2, dealt=dealt)
    learner = LanguageOptimiser(
        model, [*model.model.language_model.parameters(), *model.lm_head.parameters()], 1e-2
    )
    batch = packer.collate(some_rows(packer, 3))
    learner.step(batch, None, 1.0, confine=lambda: confine_gradients(model, shares, 1))
    decay = 1 - 1e-2 * 0.01
    for block, old, owners in zip(blocks, before, shares, strict=True):
        new = block.mlp.down_proj.weight.detach()
        still = torch.isclose(new, old, atol=0, rtol=1e-6) | torch.isclose(
            new, old * decay, atol=0, rtol=1e-6
        )
        assert still[:, owners == 0].all()
        assert not still[:, owners == 1].any() or not (owners == 1).any()


@torch.no_grad()
def test_growing_a_model_whose_mlps_add_nothing_changes_no_logit(family: ToyFamily) -> None:
    packer = make_packer(family)
    ids = packer.tokenizer.get_vocab()
    shallow, deep = fresh_model(family, ids, 2, 16), fresh_model(family, ids, 4, 8)
    for block in shallow.model.language_model.layers:
        block.mlp.down_proj.weight.zero_()
    deal_out(shallow, deep)
    batch = packer.collate(some_rows(packer, 4))
    assert_agree(target_logits(deep, batch, None), target_logits(shallow, batch, None))


@pytest.mark.filterwarnings("ignore")
def test_the_recipe_writes_a_checkpoint_and_a_log(family: ToyFamily, tmp_path: Path) -> None:
    lines: list[str] = []
    threads = torch.get_num_threads()
    train(
        family.name, tmp_path / "out", seed=3, log=tmp_path / "log", progress=lines.append, recipe=MINIATURE
    )
    assert torch.get_num_threads() == threads
    assert (tmp_path / "log").read_text().splitlines() == lines
    for stage in (
        "seed 3",
        "read    2",
        "grown to 4 language blocks",
        "see     2",
        "look    2",
        "written to",
    ):
        assert any(stage in line for line in lines), stage
    model = AutoModelForImageTextToText.from_pretrained(tmp_path / "out")
    assert len(model.model.language_model.layers) == MINIATURE.blocks


@pytest.mark.filterwarnings("ignore")
def test_the_same_seed_trains_the_same_model(family: ToyFamily, tmp_path: Path) -> None:
    for name in ("one", "two"):
        train(family.name, tmp_path / name, seed=1, recipe=MINIATURE)
    one, two = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two"))
    assert one == two
