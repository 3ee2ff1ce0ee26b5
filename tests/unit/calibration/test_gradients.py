import pytest
import torch

from hipp_prune.calibration import gradients
from hipp_prune.calibration.gradients import answer_loss, score_taylor
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


def test_only_mlp_weights_get_gradients_and_none_stays(llava, monkeypatch):
    adapter = llava.adapter
    parameters = list(adapter.model.parameters())
    parameters[0].requires_grad_(False)
    kept = torch.ones_like(adapter.blocks[0].up.weight)
    adapter.blocks[0].up.weight.grad = kept
    before = _state(adapter.model)
    mlp = {id(p.weight) for block in adapter.blocks for p in (block.gate, block.up, block.down)}
    during: set[int] = set()
    plain = gradients._neuron_scores

    def spy(block):
        during.update(id(p) for p in parameters if p.grad is not None)
        return plain(block)

    monkeypatch.setattr(gradients, "_neuron_scores", spy)
    try:
        scores = score_taylor(adapter, llava.questions[:2])
        assert during == mlp
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
