"""Taylor importance of neurons: |W ⊙ g| of the answer's loss, over few calibration questions.

The absolute value is of the gradient of all questions together, so none may be forgotten before the last; and the
gradients of all blocks are as large as their weights. Therefore blocks take turns instead of questions: the forward
passes keep what went into each block and nothing else, and the last block is passed through again first, by one
question after the other, now with a graph. What it yields is reduced to a score a neuron before the block
ahead of it has its turn. Beside the weights there exist the gradients of one block, the graph of one question in it,
and the states between blocks.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from hipp_prune.files.progress import Progress
from hipp_prune.models.adapter import Adapter, Batch, Block, ImageFeatures
from hipp_prune.models.block_calls import BlockCall, on_block_calls
from hipp_prune.questions.images import read_image
from hipp_prune.questions.question import Question

_AT_ONCE = 512
"""Rows of a projection that are converted to float32 together."""


def score_taylor(
    adapter: Adapter, questions: Sequence[Question], *, progress: Progress | None = None
) -> tuple[Tensor, ...]:
    """First-order change of the mean answer loss when a neuron's weights go to zero, entry by entry.

    Σ |W ⊙ g| over the neuron's gate row, up row and down column, where g is the gradient of the mean of
    ``answer_loss``. Every block is passed through twice, and only the MLP weights of one block have a gradient at any
    moment; none is left behind.

    Args:
        adapter: the dense model.
        questions: at least one; what is kept of each is its states between blocks, [L, tokens, hidden].
        progress: told, block by block, the questions' worth of work that is done, and their number.

    Returns:
        L scores in float32 on the CPU, [neurons].
    """
    assert questions, "Taylor importance needs at least one question"
    scores: list[Tensor] = []
    with only_mlp_gradients(adapter.model, adapter.blocks), torch.enable_grad():
        passes = [_differentiate_head(adapter, question, 1 / len(questions)) for question in questions]
        for done, block in enumerate(reversed(adapter.blocks), start=1):
            for each in passes:
                each.pop().differentiate()
            scores.append(_take_scores(block))
            if progress is not None:
                progress(done * len(questions) // len(adapter.blocks), len(questions))
    return tuple(reversed(scores))


class _Pass:
    """One pass through a block: what went in, so that it can be repeated, and the gradient of what came out.

    Args:
        call: the block, and what it was given beside the states.
        states: its input; the output of the block ahead, or computed from it.
    """

    def __init__(self, call: BlockCall, states: Tensor) -> None:
        self._call, self._states = call, states
        self._output: Tensor | None = None

    def cut(self, output: Tensor) -> Tensor:
        """The block's output as what follows gets it: without a graph behind it, its gradient to be kept here."""
        self._output = output.detach().requires_grad_()
        return self._output

    def differentiate(self) -> None:
        """Repeats the pass with a graph: adds to the gradients of the block's weights and of what came out ahead."""
        assert self._output is not None
        assert self._output.grad is not None, "the loss does not depend on a block"
        states = self._states.detach().requires_grad_(self._states.requires_grad)
        torch.autograd.backward(self._call.run(states), self._output.grad)
        if self._states.requires_grad:
            torch.autograd.backward(self._states, states.grad)


def _differentiate_head(adapter: Adapter, question: Question, share: float) -> list[_Pass]:
    """Asks one question, and takes the gradient of its share of the loss as far as the last block's output.

    Returns:
        Its passes through the blocks, first to last: the graph is cut at every one.
    """
    passes: list[_Pass] = []

    def enter(call: BlockCall, states: Tensor) -> Tensor:
        passes.append(_Pass(call, states))
        return states.detach()

    with on_block_calls(adapter, enter, lambda states: passes[-1].cut(states)):
        loss = answer_loss(adapter, question)
    assert len(passes) == len(adapter.blocks), f"{len(passes)} passes through {len(adapter.blocks)} blocks"
    torch.autograd.backward(loss * share)
    return passes


def answer_loss(adapter: Adapter, question: Question) -> Tensor:
    """−log p(gold answer) at the last prompt token, its single-token spellings taken together, [].

    Of an answer that its first token does not tell, the mean over its tokens.
    """
    if question.is_open or not adapter.spelling.tells_apart(question.answers):
        tokens = adapter.spelling.sequence(question.answer)
        batch, images = encode_alone(adapter, question, tokens)
        along = adapter.answer_logits(batch, images)[: len(tokens)].log_softmax(-1)
        return -along.gather(1, along.new_tensor(tokens, dtype=torch.long)[:, None]).mean()
    batch, images = encode_alone(adapter, question)
    log_probabilities = adapter.answer_logits(batch, images)[0].log_softmax(-1)
    return -log_probabilities[list(adapter.answer_tokens(question.answer))].logsumexp(-1)


def encode_alone(
    adapter: Adapter, question: Question, forced: Sequence[int] = ()
) -> tuple[Batch, list[ImageFeatures]]:
    """A batch of one question and its pictures' features, through which no gradient flows; see ``Adapter.encode``."""
    with torch.no_grad():
        features = {path: adapter.encode_images([read_image(path)])[0] for path in question.images}
    return adapter.encode([question], features, [forced])


@torch.no_grad()
def _take_scores(block: Block) -> Tensor:
    """Scores of a block's neurons, on the CPU; its gradients are gone afterwards."""
    gate, up, down = (_taylor(projection, axis) for projection, axis in _projections(block))
    for projection, _ in _projections(block):
        projection.weight.grad = None
    return (gate + up + down).cpu()


def _projections(block: Block) -> tuple[tuple[nn.Linear, int], ...]:
    """Projections and the axis along which a neuron's weights lie."""
    return (block.gate, 1), (block.up, 1), (block.down, 0)


def _taylor(projection: nn.Linear, axis: int) -> Tensor:
    """Σ |W ⊙ g| along an axis of one projection, float32."""
    weight, gradient = projection.weight, projection.weight.grad
    assert gradient is not None, "the loss does not depend on a block's MLP"
    parts = zip(weight.split(_AT_ONCE), gradient.split(_AT_ONCE), strict=True)
    sums = [(rows.float() * slopes.float()).abs_().sum(axis) for rows, slopes in parts]
    return torch.cat(sums) if axis == 1 else torch.stack(sums).sum(0)


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
