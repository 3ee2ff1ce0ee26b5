"""Taylor importance of neurons: |W ⊙ g| of the answer's loss, over few calibration questions."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from hipp_prune.files.progress import Progress
from hipp_prune.models.adapter import Adapter, Batch, Block, ImageFeatures
from hipp_prune.questions.images import read_image
from hipp_prune.questions.question import Question


def score_taylor(
    adapter: Adapter, questions: Sequence[Question], *, progress: Progress | None = None
) -> tuple[Tensor, ...]:
    """First-order change of the mean answer loss when a neuron's weights go to zero, entry by entry.

    Σ |W ⊙ g| over the neuron's gate row, up row and down column, where g is the gradient of the mean of
    ``answer_loss``. Questions are differentiated one at a time, so that only one graph exists at any moment;
    only the MLP weights of the blocks get a gradient, and none is left behind.

    Returns:
        L scores in float32 on the CPU, [neurons].
    """
    assert questions, "Taylor importance needs at least one question"
    with only_mlp_gradients(adapter.model, adapter.blocks), torch.enable_grad():
        for done, question in enumerate(questions, start=1):
            torch.autograd.backward(answer_loss(adapter, question) / len(questions))
            if progress is not None:
                progress(done, len(questions))
        return tuple(_neuron_scores(block) for block in adapter.blocks)


def answer_loss(adapter: Adapter, question: Question) -> Tensor:
    """−log p(gold answer) at the last prompt token, its single-token spellings taken together, []."""
    batch, images = encode_alone(adapter, question)
    log_probabilities = adapter.answer_logits(batch, images)[0].log_softmax(-1)
    return -log_probabilities[list(adapter.answer_tokens(question.answer))].logsumexp(-1)


def encode_alone(adapter: Adapter, question: Question) -> tuple[Batch, list[ImageFeatures]]:
    """A batch of one question and its picture's features, through which no gradient flows."""
    features = {}
    if question.image is not None:
        with torch.no_grad():
            features[question.image] = adapter.encode_images([read_image(question.image)])[0]
    return adapter.encode([question], features)


def _neuron_scores(block: Block) -> Tensor:
    with torch.no_grad():
        rows = _taylor(block.gate).sum(1) + _taylor(block.up).sum(1)
        return (rows + _taylor(block.down).sum(0)).cpu()


def _taylor(projection: nn.Linear) -> Tensor:
    gradient = projection.weight.grad
    assert gradient is not None, "the loss does not depend on a block's MLP"
    return (projection.weight.float() * gradient.float()).abs()


@contextmanager
def only_mlp_gradients(model: nn.Module, blocks: Sequence[Block]) -> Iterator[None]:
    """Gradients for the blocks' MLP weights alone; flags and earlier gradients come back on every way out."""
    before = [(parameter, parameter.requires_grad, parameter.grad) for parameter in model.parameters()]
    try:
        model.requires_grad_(False)
        for block in blocks:
            for projection in (block.gate, block.up, block.down):
                projection.weight.requires_grad_(True)
                projection.weight.grad = None
        yield
    finally:
        for parameter, requires_grad, gradient in before:
            parameter.requires_grad_(requires_grad)
            parameter.grad = gradient
