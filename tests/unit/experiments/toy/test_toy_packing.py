"""A question in a packed sequence is answered as on its own by the stock model."""

from typing import Any

import pytest
import torch
from toy_rows import make_packer, some_rows, some_scenes

from hipp_prune.experiments.toy import pictures
from hipp_prune.experiments.toy.curriculum import TASKS
from hipp_prune.experiments.toy.families import LLAVA, ToyFamily
from hipp_prune.experiments.toy.learning import target_logits
from hipp_prune.experiments.toy.packing import PAD_SEGMENT, TargetKind, tree_mask
from hipp_prune.experiments.toy.train import fresh_model
from hipp_prune.questions.toyworld.scenes import GRID
from tests.tolerance import assert_agree


def _alone(
    model: Any, family: ToyFamily, prefix: tuple[int, ...], ids: tuple[int, ...], inputs: dict[str, Any]
) -> Any:
    tokens = torch.tensor([[*prefix, *ids]])
    if family is not LLAVA:
        inputs = inputs | {"mm_token_type_ids": (tokens == model.config.image_token_id).int()}
    return model(input_ids=tokens, **inputs).logits[0]


@torch.no_grad()
@pytest.mark.parametrize("position", range(len(TASKS)), ids=TASKS)
def test_packed_logits_equal_those_of_the_stock_model(family: ToyFamily, position: int) -> None:
    torch.manual_seed(0)
    packer = make_packer(family)
    ids = packer.tokenizer.get_vocab()
    model = fresh_model(family, ids, 2, 16).eval()
    rows = some_rows(packer, len(TASKS), rendered=True)
    shown = pictures.prepare(family, some_scenes(), ids)
    batch = packer.collate(rows)
    packed = target_logits(model, batch, pictures.features(model, shown))
    packed = packed[batch.target_rows == position]
    row = rows[position]
    prefix, inputs = packer.without_picture.ids, {}
    if row.patches:
        prefix = packer.with_picture.ids
        one = shown.part(torch.tensor([row.picture]))
        inputs = {"pixel_values": one.pixels if one.grids is None else one.pixels[0]}
        inputs |= {} if one.grids is None else {"image_grid_thw": one.grids}
    expected = [
        _alone(model, family, prefix, asked.ids, inputs)[
            [len(prefix) + offset for offset, _, _ in asked.targets(packer.end)]
        ]
        for asked in row.asked
    ]
    assert_agree(packed, torch.cat(expected))


def test_positions_equal_the_stock_model_s(family: ToyFamily) -> None:
    if family is LLAVA:
        pytest.skip("one axis: positions are the token's index")
    packer = make_packer(family)
    model = fresh_model(family, packer.tokenizer.get_vocab(), 1, 16)
    row = some_rows(packer, 1)[0]
    batch = packer.collate([row])
    prefix = packer.with_picture
    tokens = torch.tensor([[*prefix.ids, *row.asked[0].ids]])
    grid = torch.tensor([[1, 2 * GRID, 2 * GRID]])
    stock, _ = model.model.get_rope_index(tokens, (tokens == model.config.image_token_id).int(), grid)
    assert torch.equal(batch.positions[:, :, : tokens.shape[1]], stock)


def test_the_tree_mask_hides_other_questions_the_future_and_padding() -> None:
    visible = tree_mask(torch.tensor([[0, 0, 1, 1, 2, PAD_SEGMENT]]))[0, 0] == 0
    expected = [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 0, 0],
        [1, 1, 0, 0, 1, 0],
        [0, 0, 0, 0, 0, 1],
    ]
    assert torch.equal(visible, torch.tensor(expected, dtype=torch.bool))


def test_every_question_has_claims_one_answer_and_one_end(family: ToyFamily) -> None:
    packer = make_packer(family)
    rows = some_rows(packer)
    batch = packer.collate(rows)
    count = sum(len(row.asked) for row in rows)
    found = {kind: batch.target_ids[batch.target_kinds == kind].tolist() for kind in TargetKind}
    ids = packer.tokenizer.get_vocab()
    assert len(found[TargetKind.ANSWER]) == count
    assert set(found[TargetKind.ANSWER]) <= {ids[word] for word in ("Yes", "No", *"ABCDE")}
    assert found[TargetKind.END] == [ids[family.eos]] * count
    assert set(found[TargetKind.CLAIM]) == {ids["Yes"], ids["No"]}
