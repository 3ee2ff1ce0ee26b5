import copy
import re
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from hipp_prune.calibration import visual
from hipp_prune.calibration.visual import (
    ATTENTION,
    HEAD_REDUCTIONS,
    TOKEN_REDUCTIONS,
    VisualSensitivity,
    counted_tokens,
    record_visual,
)
from hipp_prune.errors import UnsupportedModelError
from hipp_prune.models import load_model
from hipp_prune.models.adapter import Batch
from tests.tiny import FAMILIES
from tests.tolerance import assert_agree


def _measure(adapter, batch, images) -> VisualSensitivity:
    with torch.no_grad(), record_visual(adapter.model, adapter.blocks, batch) as recorded:
        adapter.hidden_states(batch, images)
    return recorded.sensitivity()


def _literal(attentions, batch: Batch) -> dict[tuple[str, str], list[float]]:
    """Eq. 5–6 token by token, in loops, from materialised attention."""
    found = {(tokens, heads): [] for tokens in TOKEN_REDUCTIONS for heads in HEAD_REDUCTIONS}
    for attention in attentions:
        sums = dict.fromkeys(found, 0.0)
        samples = 0
        for sample, image in enumerate(batch.image_mask):
            positions = image.nonzero().flatten().tolist()
            counted = [
                t
                for t in range(len(image))
                if positions
                and t > max(positions)
                and batch.attention_mask[sample, t]
                and not batch.marker_mask[sample, t]
            ]
            if not counted:
                continue
            samples += 1
            masses = torch.stack([attention[sample, :, t, positions].double().sum(-1) for t in counted])
            by_head = {"mean": masses.mean(1), "max": masses.amax(1), "sum": masses.sum(1)}
            for heads, m in by_head.items():
                for tokens, value in {"max": m.max(), "mean": m.mean(), "last": m[-1]}.items():
                    sums[tokens, heads] += float(value)
        for key, total in sums.items():
            found[key].append(total / max(samples, 1))
    return found


def _assert_equal_to_eager(adapter, batch, images, eager_attentions) -> None:
    measured = _measure(adapter, batch, images)
    expected = _literal(eager_attentions(adapter, batch, images), batch)
    for (tokens, heads), values in expected.items():
        got = measured.per_block(tokens=tokens, heads=heads)
        torch.testing.assert_close(got, torch.tensor(values, dtype=torch.float64), atol=1e-5, rtol=0)
    assert measured.per_block().min() > 0


def test_equals_eager_attention_with_padding_and_text_only_samples(family, eager_attentions):
    batch, images = family.encode(family.questions)
    assert not batch.attention_mask.all()
    _assert_equal_to_eager(family.adapter, batch, images, eager_attentions)


def test_equals_eager_attention_without_padding(family, eager_attentions):
    batch, images = family.encode(family.questions[:1])
    assert batch.attention_mask.all()
    _assert_equal_to_eager(family.adapter, batch, images, eager_attentions)


def test_equals_eager_attention_in_small_chunks(family, eager_attentions, monkeypatch):
    monkeypatch.setattr(visual, "_ROWS_AT_ONCE", 3)
    batch, images = family.encode(family.questions)
    _assert_equal_to_eager(family.adapter, batch, images, eager_attentions)


def _two_images(family) -> tuple[Batch, list]:
    """A sequence with two images and text between them: the prompts of two questions, one after the other."""
    pair = [family.questions[0], family.questions[2]]
    singles = [family.encode([question]) for question in pair]
    batches = [batch for batch, _ in singles]
    extras = {
        key: torch.cat([batch.extras[key] for batch in batches], dim=1 if key == "mm_token_type_ids" else 0)
        for key in batches[0].extras
    }
    joined = {
        key: torch.cat([getattr(batch, key) for batch in batches], dim=1)
        for key in ("input_ids", "attention_mask", "image_mask", "marker_mask")
    }
    last = batches[0].input_ids.shape[1] + batches[1].last
    batch = Batch(**joined, last=last, images=(0, 1), extras=extras)
    return batch, [features for _, images in singles for features in images]


def test_several_images_in_one_sequence(family, eager_attentions):
    batch, images = _two_images(family)
    _assert_equal_to_eager(family.adapter, batch, images, eager_attentions)
    first_counted = int(counted_tokens(batch)[0].nonzero()[0])
    assert first_counted > int(batch.image_mask[0].nonzero()[-1])


def _left_padded(batch: Batch) -> Batch:
    """The same questions with the padding moved to the left, where only the mask keeps it from being attended to."""

    def shift(values: torch.Tensor) -> torch.Tensor:
        lengths = batch.attention_mask.sum(1).tolist()
        return torch.stack([row.roll(len(row) - n) for row, n in zip(values, lengths, strict=True)])

    extras = {
        key: shift(value) if value.shape == batch.input_ids.shape else value
        for key, value in batch.extras.items()
    }
    return replace(
        batch,
        input_ids=shift(batch.input_ids),
        attention_mask=shift(batch.attention_mask),
        image_mask=shift(batch.image_mask),
        marker_mask=shift(batch.marker_mask),
        last=torch.full_like(batch.last, batch.input_ids.shape[1] - 1),
        extras=extras,
    )


def test_padding_is_not_attended_to(family, eager_attentions):
    batch, images = family.encode([family.questions[2], family.questions[3]])
    assert not batch.attention_mask.all()
    _assert_equal_to_eager(family.adapter, _left_padded(batch), images, eager_attentions)
    if not batch.extras:  # with absolute positions from the mask, the side of the padding does not matter
        return
    right = _measure(family.adapter, batch, images)
    left = _measure(family.adapter, _left_padded(batch), images)
    assert_agree(left.total, right.total)


def test_an_unregistered_mask_would_have_been_noticed(llava, monkeypatch):
    """Guards the test above: without our mask, left padding does change the result."""
    batch, images = llava.encode([llava.questions[2], llava.questions[3]])
    batch = _left_padded(batch)
    right = _measure(llava.adapter, batch, images)
    monkeypatch.delitem(AttentionMaskInterface._global_mapping, ATTENTION)
    wrong = _measure(llava.adapter, batch, images)
    assert (right.total - wrong.total).abs().max() > 1e-3


def test_the_last_token_is_the_last_prompt_token(family):
    batch, _ = family.encode(family.questions)
    counted = counted_tokens(batch)
    for sample in range(len(batch.last)):
        if batch.image_mask[sample].any():
            assert counted[sample].nonzero().max() == batch.last[sample]
        else:
            assert not counted[sample].any()


def test_counted_tokens_are_text_behind_the_last_image():
    ids = torch.tensor([[ord(kind) for kind in "t<vv>t<v>ttt__"]])
    batch = Batch(
        input_ids=ids,
        attention_mask=(ids != ord("_")).long(),
        image_mask=ids == ord("v"),
        marker_mask=(ids == ord("<")) | (ids == ord(">")),
        last=torch.tensor([11]),
        images=(0, 1),
        extras={},
    )
    assert counted_tokens(batch)[0].nonzero().flatten().tolist() == [9, 10, 11]


def test_text_only_batches_count_nothing(family):
    batch, images = family.encode([q for q in family.questions if not q.images])
    measured = _measure(family.adapter, batch, images)
    assert measured.count == 0
    assert not measured.total.any()
    assert measured.per_block().tolist() == [0.0] * len(family.adapter.blocks)


def test_output_is_the_stock_models(family):
    batch, images = family.encode(family.questions)
    with torch.no_grad():
        plain = family.adapter.hidden_states(batch, images)
        with record_visual(family.adapter.model, family.adapter.blocks, batch):
            observed = family.adapter.hidden_states(batch, images)
    assert_agree(observed, plain)  # the masks differ, and with them the kernels that may be taken


def _implementations(model: PreTrainedModel) -> dict[str, str]:
    named = {name: module.config for name, module in model.named_modules() if hasattr(module, "config")}
    return {name: config._attn_implementation for name, config in named.items()}


def test_the_switch_is_undone_and_spares_the_vision_tower(family):
    model, blocks = family.adapter.model, family.adapter.blocks
    batch, _ = family.encode(family.questions[:1])
    before = _implementations(model)
    language = {name for name in before if "language_model" in name}
    assert language

    def fail():
        with record_visual(model, blocks, batch):
            during = _implementations(model)
            assert {name for name in during if during[name] == ATTENTION} == language
            raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        fail()
    assert _implementations(model) == before
    assert not visual._RECORDERS


def test_a_configuration_of_its_own_for_a_block_is_switched_too(family):
    blocks = family.adapter.blocks
    batch, images = family.encode(family.questions)
    expected = _measure(family.adapter, batch, images)
    shared = blocks[1].attention.config
    blocks[1].attention.config = copy.copy(shared)
    try:
        assert_agree(_measure(family.adapter, batch, images).total, expected.total)
        assert blocks[1].attention.config._attn_implementation == shared._attn_implementation != ATTENTION
    finally:
        blocks[1].attention.config = shared


def test_a_block_that_was_not_observed_is_an_error_that_names_it(family):
    adapter = family.adapter
    batch, _ = family.encode(family.questions[:1])
    with record_visual(adapter.model, adapter.blocks, batch) as recorded:
        pass
    with pytest.raises(UnsupportedModelError, match=re.escape(adapter.blocks[0].name)):
        recorded.sensitivity()


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("mask_kind", ["none", "bool", "additive", "per head"])
def test_masks_of_every_kind(mask_kind, causal):
    """Grouped-query attention under custom masks: masses and output against the definition."""
    generator = torch.Generator().manual_seed(3)
    query, key, value = (torch.randn(2, heads, 9, 4, generator=generator) for heads in (6, 2, 2))
    allowed = torch.rand(2, 6 if mask_kind == "per head" else 1, 9, 9, generator=generator) < 0.6
    allowed |= torch.eye(9, dtype=torch.bool)
    additive = torch.zeros(allowed.shape).masked_fill(~allowed, torch.finfo(torch.float32).min)
    mask = {"none": None, "bool": allowed, "per head": allowed, "additive": additive}[mask_kind]
    image_mask = torch.zeros(2, 9, dtype=torch.bool)
    image_mask[:, 1:4] = True
    batch = Batch(
        input_ids=torch.zeros(2, 9, dtype=torch.long), attention_mask=torch.ones(2, 9, dtype=torch.long),
        image_mask=image_mask, marker_mask=torch.zeros(2, 9, dtype=torch.bool), last=torch.tensor([8, 8]),
        images=(0, 1), extras={},
    )  # fmt: skip
    module = torch.nn.Module()
    module.num_key_value_groups = 3
    recorded = visual.RecordedMass(batch, [SimpleNamespace(attention=module, name="block")])
    visual._RECORDERS[module] = recorded
    try:
        output, _ = visual._attend(module, query, key, value, mask, scaling=0.7, is_causal=causal)
    finally:
        del visual._RECORDERS[module]
    stock, _ = sdpa_attention_forward(module, query, key, value, mask, scaling=0.7, is_causal=causal)
    assert torch.equal(output, stock)  # the same call
    scores = query @ key.repeat_interleave(3, dim=1).mT * 0.7
    if mask is not None:
        seen = allowed
    else:
        seen = torch.ones(9, 9, dtype=torch.bool).tril() if causal else torch.ones(9, 9, dtype=torch.bool)
    weights = scores.masked_fill(~seen, -torch.inf).softmax(-1)
    mass = weights[:, :, 4:, 1:4].sum(-1).mean(1)
    got = recorded.sensitivity()
    torch.testing.assert_close(got.per_block().float(), mass.amax(1).mean()[None], atol=1e-6, rtol=0)
    torch.testing.assert_close(
        got.per_block(tokens="last").float(), mass[:, -1].mean()[None], atol=1e-6, rtol=0
    )


class _LargestResult(TorchDispatchMode):
    numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.numel = max(self.numel, result.numel())
        return result


def test_scores_of_64_rows_exist_at_a_time():
    samples, heads, tokens = 2, 4, 400
    image_mask = torch.zeros(samples, tokens, dtype=torch.bool)
    image_mask[:, :100] = True
    zeros = torch.zeros(samples, tokens, dtype=torch.long)
    batch = Batch(
        input_ids=zeros, attention_mask=zeros + 1, image_mask=image_mask, marker_mask=zeros.bool(),
        last=zeros[:, -1], images=(0, 1), extras={},
    )  # fmt: skip
    module = torch.nn.Module()
    recorded = visual.RecordedMass(batch, [SimpleNamespace(attention=module, name="block")])
    query = torch.randn(samples, heads, tokens, 8)
    with _LargestResult() as largest:
        mask = torch.ones(1, 1, tokens, tokens, dtype=torch.bool).tril()
        recorded.observe(module, query, query, mask, scaling=0.3, softcap=None)
    assert largest.numel == samples * heads * 64 * tokens


def test_capped_scores_equal_eager_attention(family, eager_attentions, tmp_path):
    """Gemma 2, whose stock attention is the eager one: the masses, and the states that the recorded pass gives."""
    adapter = load_model(FAMILIES["paligemma-gemma2"](tmp_path))
    capped = replace(family, adapter=adapter)
    batch, images = capped.encode(family.questions)
    _assert_equal_to_eager(adapter, batch, images, eager_attentions)
    with torch.no_grad():
        plain = adapter.hidden_states(batch, images)
        with record_visual(adapter.model, adapter.blocks, batch):
            recorded = adapter.hidden_states(batch, images)
    seen = batch.attention_mask.bool()
    assert_agree(recorded[seen], plain[seen])


def test_merging_adds_samples(family):
    whole = _measure(family.adapter, *family.encode(family.questions))
    parts = VisualSensitivity.empty(len(family.adapter.blocks))
    for question in family.questions:
        parts = parts.merge(_measure(family.adapter, *family.encode([question])))
    assert parts.count == whole.count == 5
    assert_agree(parts.total, whole.total)


def test_sum_over_heads_is_the_mean_times_heads(family):
    measured = _measure(family.adapter, *family.encode(family.questions))
    heads = family.adapter.model.config.get_text_config().num_attention_heads
    torch.testing.assert_close(
        measured.per_block(heads="sum"), heads * measured.per_block(), rtol=1e-6, atol=0
    )
