import pytest
import torch

from hipp_prune.calibration import gradients
from hipp_prune.calibration.gradients import answer_loss, only_mlp_gradients, score_taylor
from tests.tolerance import GRADIENTS, assert_agree


def test_equals_the_definition(family):
    """Against one gradient of the mean loss, taken the plain way over one padded batch."""
    adapter, questions = family.adapter, family.questions
    batch, images = family.encode(questions)
    weights = [p.weight for block in adapter.blocks for p in (block.gate, block.up, block.down)]
    probabilities = adapter.answer_logits(batch, images).softmax(-1)
    gold = [
        probabilities[row, list(adapter.answer_tokens(question.answer))].sum()
        for row, question in enumerate(questions)
    ]
    found = torch.autograd.grad(-torch.stack(gold).log().mean(), weights)
    changes = [(weight * gradient).abs().detach() for weight, gradient in zip(weights, found, strict=True)]
    scores = score_taylor(adapter, questions)
    for index, score in enumerate(scores):
        gate, up, down = changes[3 * index : 3 * index + 3]
        assert score.shape == adapter.blocks[index].gate.weight.shape[:1]
        torch.testing.assert_close(score, gate.sum(1) + up.sum(1) + down.sum(0), rtol=1e-3, atol=1e-6)
        assert score.min() > 0


def test_equals_gradients_that_are_all_kept(family):
    """Question by question through the whole model, as it was done before blocks took turns."""
    adapter, questions = family.adapter, family.questions
    weights = [p.weight for block in adapter.blocks for p in (block.gate, block.up, block.down)]
    sums = [torch.zeros_like(weight) for weight in weights]
    for question in questions:
        found = torch.autograd.grad(answer_loss(adapter, question) / len(questions), weights)
        sums = [total + gradient for total, gradient in zip(sums, found, strict=True)]
    for index, score in enumerate(score_taylor(adapter, questions)):
        gate, up, down = (
            (w * g).abs().detach() for w, g in zip(weights[3 * index :][:3], sums[3 * index :], strict=False)
        )
        assert_agree(score, gate.sum(1) + up.sum(1) + down.sum(0), 1e-6)


def test_equals_the_whole_graph_where_something_happens_between_blocks(llava):
    """What a model does to the residual stream outside its blocks is differentiated too."""
    adapter, question = llava.adapter, llava.questions[0]
    second = adapter.model.get_submodule(adapter.blocks[1].name)
    scaled = second.register_forward_pre_hook(lambda _, places: (places[0] * 3.0, *places[1:]))
    weight = adapter.blocks[0].gate.weight
    try:
        (expected,) = torch.autograd.grad(answer_loss(adapter, question), [weight])
        with only_mlp_gradients(adapter.model, adapter.blocks):
            calls = gradients._differentiate_head(adapter, question, 1.0)
            scaled.remove()  # it is ahead of the block, no part of it
            for call in reversed(calls):
                call.differentiate()
            assert_agree(weight.grad, expected, GRADIENTS)
    finally:
        scaled.remove()


def test_loss_is_the_log_probability_of_all_spellings(family):
    question = family.questions[0]
    batch, images = family.encode([question])
    with torch.no_grad():
        probabilities = family.adapter.answer_logits(batch, images)[0].softmax(-1)
        loss = answer_loss(family.adapter, question)
    spelled = probabilities[list(family.adapter.answer_tokens(question.answer))].sum()
    assert loss.item() == pytest.approx(-spelled.log().item(), rel=1e-5)


def _state(model):
    return [(p.requires_grad, p.grad) for p in model.parameters()]


def test_only_one_blocks_mlp_has_gradients_at_a_time_and_none_stays(llava, monkeypatch):
    adapter = llava.adapter
    parameters = list(adapter.model.parameters())
    parameters[0].requires_grad_(False)
    kept = torch.ones_like(adapter.blocks[0].up.weight)
    adapter.blocks[0].up.weight.grad = kept
    before = _state(adapter.model)
    own = [{id(p.weight) for p in (block.gate, block.up, block.down)} for block in adapter.blocks]
    during: list[set[int]] = []
    plain = gradients._take_scores

    def spy(block):
        during.append({id(p) for p in parameters if p.grad is not None})
        return plain(block)

    monkeypatch.setattr(gradients, "_take_scores", spy)
    try:
        scores = score_taylor(adapter, llava.questions[:2])
        assert during == own[::-1]
        assert [flag for flag, _ in _state(adapter.model)] == [flag for flag, _ in before]
        assert adapter.blocks[0].up.weight.grad is kept
        assert torch.equal(kept, torch.ones_like(kept))
        adapter.blocks[0].up.weight.grad = None
        assert all(gradient is None for _, gradient in _state(adapter.model))
        assert not any(score.requires_grad for score in scores)
    finally:
        adapter.blocks[0].up.weight.grad = None
        parameters[0].requires_grad_(True)


def test_flags_come_back_after_an_error(llava, monkeypatch):
    adapter = llava.adapter
    before = _state(adapter.model)

    def fail(*_):
        raise RuntimeError("boom")

    monkeypatch.setattr(gradients, "answer_loss", fail)
    with pytest.raises(RuntimeError, match="boom"):
        score_taylor(adapter, llava.questions[:1])
    assert _state(adapter.model) == before


def test_works_where_gradients_are_switched_off(llava):
    with torch.no_grad():
        quiet = score_taylor(llava.adapter, llava.questions[:1])
    loud = score_taylor(llava.adapter, llava.questions[:1])
    for silent, audible in zip(quiet, loud, strict=True):
        assert_agree(silent, audible, GRADIENTS)
