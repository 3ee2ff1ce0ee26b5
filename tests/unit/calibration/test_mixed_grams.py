"""General text has its share of every Gram matrix, however image and text tokens are mixed, and of nothing else."""

import pytest
import torch
from torch import Tensor

from hipp_prune.calibration.general_text import GeneralText, add_general_text
from hipp_prune.calibration.grams import GramLayout, Grams, token_weights
from hipp_prune.calibration.held_out import one_in_eight
from hipp_prune.calibration.measurement import calibrate, observe
from tests.tolerance import assert_agree

WINDOWS = tuple(
    f"The green chair number {index} stands under a tree, {'and ' * index}so it is." for index in range(9)
)
SHARE = 0.3


def gather(family, *, share=SHARE, mixed=False, batch_size=4, held_out=()) -> Grams:
    """Of the family's questions and of ``WINDOWS``."""
    batch, _ = family.encode(family.questions)
    weights = token_weights(batch) if mixed else None
    grams = Grams.in_memory(GramLayout(widths=tuple(family.adapter.shape.neurons), weights=weights))
    observe(family.adapter, family.questions, grams=grams, held_out=held_out)
    if share:
        general = GeneralText(windows=WINDOWS, share=share)
        add_general_text(family.adapter, grams, general, batch_size=batch_size)
    return grams


def inputs_of(family, windows, block: int) -> Tensor:
    """Inputs of a block's down projection on texts, [tokens, N]."""
    batch, seen = family.adapter.encode_texts(windows, most=256), []
    handle = family.adapter.blocks[block].down.register_forward_pre_hook(
        lambda _, a: seen.append(a[0].detach())
    )
    with torch.no_grad():
        family.adapter.hidden_states(batch, [])
    handle.remove()
    return seen[0][batch.attention_mask.bool()].double()


@pytest.mark.parametrize("mixed", [False, True], ids=["apart", "mixed"])
@pytest.mark.parametrize("image_weight", [0.0, 0.4, 1.0, None])
def test_it_has_its_share_of_every_matrix(family, image_weight, mixed, monkeypatch) -> None:
    monkeypatch.setattr("hipp_prune.calibration.general_text.one_in_eight", lambda _: set())
    plain, grams = gather(family, share=0.0, mixed=mixed), gather(family, mixed=mixed)
    for block in range(2):
        texts = inputs_of(family, WINDOWS, block)
        expected = (1 - SHARE) * plain.gram(block, image_weight) + SHARE * texts.T @ texts / len(texts)
        assert_agree(grams.gram(block, image_weight), expected)


def test_one_window_in_eight_is_held_out_with_the_same_share(family, monkeypatch) -> None:
    monkeypatch.setattr("hipp_prune.calibration.grams._SKETCH", 4096)
    held_out = {family.questions[0].group}
    plain, grams = (gather(family, share=share, held_out=held_out) for share in (0.0, SHARE))
    (held,) = one_in_eight(WINDOWS)
    fitted = inputs_of(family, [window for window in WINDOWS if window != held], 0)
    assert_agree(grams.gram(0), (1 - SHARE) * plain.gram(0) + SHARE * fitted.T @ fitted / len(fitted), 1e-4)
    change = torch.randn(8, plain.layout.widths[0], generator=torch.Generator().manual_seed(0)).double()
    kept_back = inputs_of(family, [held], 0)
    task, text = (
        float((inputs @ change.T).square().sum())
        for inputs in (plain.held_out(0), kept_back / len(kept_back) ** 0.5)
    )
    found = float((grams.held_out(0) @ change.T).square().sum())
    assert found == pytest.approx((1 - SHARE) * task + SHARE * text, rel=0.1)


def test_batches_do_not_matter(family) -> None:
    one, other = (gather(family, batch_size=size) for size in (1, 9))
    assert_agree(other.gram(1), one.gram(1))


def test_nothing_else_is_measured_on_it(family) -> None:
    plain = calibrate(family.adapter, family.questions, taylor_questions=1)
    grams = Grams.in_memory(GramLayout(widths=tuple(family.adapter.shape.neurons)))
    general = GeneralText(windows=WINDOWS, share=SHARE)
    mixed = calibrate(family.adapter, family.questions, taylor_questions=1, grams=grams, general=general)
    assert all(
        torch.equal(one.square, other.square) for one, other in zip(plain.neurons, mixed.neurons, strict=True)
    )
    assert mixed.origin == plain.origin


def test_a_text_may_spell_the_image_token(family) -> None:
    spelled = family.adapter.processor.tokenizer.convert_ids_to_tokens(family.adapter._image_token)
    plain, with_token = (
        family.adapter.encode_texts([text], most=256) for text in ("a red cup", f"a red{spelled} cup")
    )
    assert torch.equal(with_token.input_ids, plain.input_ids)
    assert not with_token.image_mask.any()
    assert family.adapter.encode_texts(["a red cup"], most=2).input_ids.shape == (1, 2)
