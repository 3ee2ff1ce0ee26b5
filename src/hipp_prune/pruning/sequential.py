"""Sequential compensation: block after block on the pruned stream, so that later blocks answer for earlier ones.

``ridge`` fits every block as if all others were dense. But behind the first pruned block the residual stream is
another, and errors that each block keeps small add up: toy-qwen2.5-vl pruned by half answers worse with it. Here

    W'_P = argmin_V Σ_t ω_t ‖(h_t − r̃_t) − V ã_Pt‖² + μ ‖V − W_P‖²                              (sequential)

over calibration tokens t: h is the residual stream behind the block in the dense model, r̃ the pruned one's before the
block's down projection adds to it, ã that projection's input, both with all earlier blocks pruned and fitted. So a
block corrects what the earlier ones did, as far as its neurons can. Both streams move on block by block: one block's
sums exist at any moment, beside two residual streams of the calibration questions.

Tokens do not count alike. Image and text tokens have their shares as in Eq. 10, and the tokens that are answered from
count as much as all others together: what is wrong there is wrong in the answer. μ is chosen in every block by
questions that are held out; where no fit helps these, the block keeps W_P.

``pruning.reconstruction`` goes on from there by gradient, block by block, where it is given time.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hipp_prune.calibration.held_out import held_out_groups
from hipp_prune.calibration.measurement import batches
from hipp_prune.errors import InputError, UnsupportedModelError
from hipp_prune.files.progress import Progress
from hipp_prune.models.adapter import Adapter, Batch, Block, ImageFeatures
from hipp_prune.models.block_calls import BlockCall, on_block_calls
from hipp_prune.plans.arrays import Bools, Float
from hipp_prune.pruning.compensation import correct, explained, ridge_strength
from hipp_prune.pruning.reconstruction import PrunedMlp, Tokens, reconstruct
from hipp_prune.questions.question import Question

_FACTORS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""μ as a multiple of the mean diagonal of Σ ω ã_P ã_Pᵀ: what each block chooses from."""

_USUAL_FACTOR = 1e-2
"""Where no question was held out."""

ANSWER_SHARE = 0.5
"""What the tokens that are answered from count for, of all: what is wrong there is wrong in the answer."""
_NOT_ADDED = 0.05
"""Largest part of an MLP's output that may be missing from what the block adds to the stream: half precision rounds."""


@dataclass
class _Stream:
    """A batch on its way through the blocks, in the dense model and in the pruned one."""

    calls: list[BlockCall]
    """How the model calls each block."""
    between: dict[int, Tensor]
    """What the model itself adds to the states before a block, by the block's index."""
    dense: Tensor
    """Residual stream of the dense model, [B, T, H]."""
    pruned: Tensor
    """The same with all blocks so far pruned and fitted."""
    weights: Tensor
    """ω, float32 [B, T]; 0 at padding."""
    held: bool
    """Whether these questions are held out."""

    def enter(self, block: int) -> None:
        """Adds what the model adds before a block."""
        if block in self.between:
            self.dense = self.dense + self.between[block]
            self.pruned = self.pruned + self.between[block]


@dataclass
class _Sums:
    """What a block's fit needs of its tokens; batches add up."""

    gram: Float[Tensor, "kept kept"]
    """Σ ω ã_P ã_Pᵀ."""
    cross: Float[Tensor, "hidden kept"]
    """Σ ω ρ ã_Pᵀ, where ρ is what W_P leaves of the target."""

    @classmethod
    def zeros(cls, weight: Tensor) -> "_Sums":
        """No token seen, for W_P [hidden, kept]."""
        hidden, kept = weight.shape
        exact = torch.float32 if weight.device.type == "mps" else torch.float64  # which mps has not
        return cls(weight.new_zeros(kept, kept, dtype=exact), weight.new_zeros(hidden, kept, dtype=exact))

    def add(self, inputs: Tensor, missing: Tensor, weights: Tensor) -> None:
        """Adds tokens: ã_P [T, kept], ρ [T, hidden] and ω [T], float32."""
        weighed = inputs * weights[:, None]
        self.gram += weighed.T @ inputs
        self.cross += missing.T @ weighed


@torch.no_grad()
def fit_sequentially(
    adapter: Adapter,
    questions: Sequence[Question],
    masks: Sequence[Bools],
    *,
    image_weight: float | None = 0.5,
    batch_size: int = 16,
    minutes: float = 0.0,
    progress: Progress | None = None,
) -> list[PrunedMlp]:
    """W'_P of every block under one plan; the model is as before afterwards.

    Args:
        adapter: the dense model, its neurons in original order.
        questions: the calibration questions, at least one.
        masks: True where a neuron of a block stays, in original order.
        image_weight: share of image tokens, in [0, 1]; None to count every token alike.
        batch_size: questions a forward pass, > 0.
        minutes: that reconstruction takes of all blocks together, ≥ 0; each has the same share.
        progress: told (blocks done, blocks in all).

    Returns:
        L weights in float32 on the CPU; gate and up only where ``minutes`` were given.

    Raises:
        UnsupportedModelError: if a block does not add its MLP's output to the residual stream.
        InputError: if there are ``minutes``, and too few questions to hold any out.
        ImageError: if a question's picture cannot be read.
    """
    if minutes and not held_out_groups(questions):
        raise InputError(
            f"--reconstruct is judged by one question in eight that is held out, found {len(questions)} questions "
            "and none to spare; calibrate on more, or leave --reconstruct out"
        )
    asked = _apart(adapter, questions, batch_size)
    return fit_batches(adapter, asked, masks, image_weight=image_weight, minutes=minutes, progress=progress)


@torch.no_grad()
def fit_batches(
    adapter: Adapter,
    asked: Iterable[tuple[Batch, Sequence[ImageFeatures], bool]],
    masks: Sequence[Bools],
    *,
    image_weight: float | None = 0.5,
    answer_share: float = ANSWER_SHARE,
    minutes: float = 0.0,
    progress: Progress | None = None,
) -> list[PrunedMlp]:
    """``fit_sequentially`` on batches, whatever they are of.

    Args:
        adapter: the dense model.
        asked: batches, the pictures' features of each, and whether it is held out; at least one that is not.
        masks: True where a neuron of a block stays.
        image_weight: share of image tokens of what is left.
        answer_share: of the last token of each row, in [0, 1).
        minutes: that reconstruction takes, ≥ 0; where it takes any, some batches are held out.
        progress: told (blocks done, blocks in all).
    """
    streams = _enter(adapter, asked, image_weight, answer_share)
    assert streams, "nothing to fit on"
    fitted = []
    for index, (block, mask) in enumerate(zip(adapter.blocks, masks, strict=True)):
        keep = torch.from_numpy(mask).to(block.down.weight.device)
        for stream in streams:
            stream.enter(index)
        pruned = _fit_block(block, index, keep, streams, seconds=60 * minutes / len(masks))
        with standing_in(block, pruned, keep):
            for stream in streams:
                stream.pruned = stream.calls[index].run(stream.pruned)
        fitted.append(pruned.cpu())
        if progress is not None:
            progress(index + 1, len(adapter.blocks))
    return fitted


def _apart(
    adapter: Adapter, questions: Sequence[Question], batch_size: int
) -> Iterator[tuple[Batch, Sequence[ImageFeatures], bool]]:
    """Batches of the questions that are fitted to, then of those that are held out."""
    groups = held_out_groups(questions)
    for held in (False, True):
        part = [question for question in questions if (question.group in groups) is held]
        yield from ((batch, images, held) for batch, images in batches(adapter, part, batch_size))


def _enter(
    adapter: Adapter,
    asked: Iterable[tuple[Batch, Sequence[ImageFeatures], bool]],
    image_weight: float | None,
    answer_share: float,
) -> list[_Stream]:
    """Batches before the first block."""
    entered, streams = [], []
    for batch, images, held in asked:
        calls, between, states = _record(adapter, batch, images)
        streams.append(_Stream(calls, between, states, states, states, held))
        entered.append(batch)
    for stream, weights in zip(streams, _token_shares(entered, image_weight, answer_share), strict=True):
        stream.weights = weights
    return streams


def _token_shares(asked: Sequence[Batch], image_weight: float | None, answer_share: float) -> list[Tensor]:
    """ω of all batches' tokens, a share of everything each, float32 [B, T]: batches of other sizes weigh them alike."""
    present = [batch.attention_mask.bool() for batch in asked]
    images = [batch.image_mask & tokens for batch, tokens in zip(asked, present, strict=True)]
    num_tokens, num_image = (float(sum(mask.sum() for mask in masks)) for masks in (present, images))
    num_answers = sum(len(batch.last) for batch in asked)
    num_text = num_tokens - num_image
    if image_weight is None or not num_image or not num_text:
        image = text = 1 / num_tokens
    else:
        image, text = image_weight / num_image, (1 - image_weight) / num_text
    shares = []
    for batch, tokens, of_image in zip(asked, present, images, strict=True):
        weights = (1 - answer_share) * torch.where(of_image, image, text) * tokens
        answered = torch.full_like(weights[:, :1], answer_share / num_answers)
        shares.append(weights.scatter_add(1, batch.last[:, None], answered))
    return shares


def _record(
    adapter: Adapter, batch: Batch, images: Sequence[ImageFeatures]
) -> tuple[list[BlockCall], dict[int, Tensor], Tensor]:
    """How the model calls its blocks on a batch, what it adds before some, and the states before the first."""
    calls: list[BlockCall] = []
    between: dict[int, Tensor] = {}
    first: list[Tensor] = []
    last: list[Tensor] = []

    def enter(call: BlockCall, states: Tensor) -> Tensor:
        if not calls:
            first.append(states)
        elif not torch.equal(states, last[0]):
            between[len(calls)] = states - last[0]
        calls.append(call)
        return states

    def leave(states: Tensor) -> Tensor:
        last[:] = [states]
        return states

    with on_block_calls(adapter, enter, leave):
        adapter.hidden_states(batch, images)
    return calls, between, first[0]


def _fit_block(
    block: Block, index: int, keep: Tensor, streams: Sequence[_Stream], *, seconds: float
) -> PrunedMlp:
    """One block's weights; the dense stream is behind the block then, the pruned one still before it.

    Args:
        block: the dense block.
        index: its place.
        keep: True where a neuron stays, [N].
        streams: both streams of all batches.
        seconds: that reconstruction takes, ≥ 0.
    """
    original = block.down.weight[:, keep].float()
    fit, held = _Sums.zeros(original), _Sums.zeros(original)
    tokens: dict[bool, list[Tokens]] = {False: [], True: []}
    for number, stream in enumerate(streams):
        stream.dense = stream.calls[index].run(stream.dense)
        with _watching(block) as seen:
            whole = stream.calls[index].run(stream.pruned)
        states, inputs, output = seen
        if not number:
            _check_added(block, index, stream, whole, output)
        weights = stream.weights.to(inputs.device)
        present = weights > 0
        kept = inputs[present][:, keep].float()
        target = (stream.dense - whole)[present].float() + output[present].float()
        if block.down.bias is not None:
            target -= block.down.bias.float()
        (held if stream.held else fit).add(kept, target - kept @ original.T, weights[present])
        if seconds:
            read = Tokens(states[present], target.to(states.dtype), weights[present])
            tokens[stream.held].append(read)
    down = original + _correction(fit, held).to(original.dtype)
    if seconds:
        return reconstruct(
            block, keep, down, Tokens.cat(tokens[False]), Tokens.cat(tokens[True]), seconds=seconds
        )
    return PrunedMlp(down)


def _correction(fit: _Sums, held: _Sums) -> Tensor:
    """V − W_P: the ridge is the one that says most about the held-out tokens, and the fit then uses all of them."""
    factor = _USUAL_FACTOR
    if held.gram.any():
        fits = [correct(fit.gram, fit.cross, ridge_strength(fit.gram, each)) for each in _FACTORS]
        gains = [explained(held.gram, held.cross, each) for each in fits]
        factor = _FACTORS[max(range(len(_FACTORS)), key=gains.__getitem__)]
        if max(gains) <= 0:
            return torch.zeros_like(fit.cross)
    gram = fit.gram + held.gram
    return correct(gram, fit.cross + held.cross, ridge_strength(gram, factor))


def _check_added(block: Block, index: int, stream: _Stream, whole: Tensor, output: Tensor) -> None:
    """Whether the stream without the MLP's output is what the block leaves when there is none.

    Raises:
        UnsupportedModelError: if it is not.
    """
    hook = block.down.register_forward_hook(lambda _, __, result: torch.zeros_like(result))
    try:
        without = stream.calls[index].run(stream.pruned)
    finally:
        hook.remove()
    present = (stream.weights > 0).to(whole.device)
    missing = (whole.float() - output.float() - without.float())[present].norm()
    rounding = torch.finfo(whole.dtype).eps * whole[present].float().norm()
    if missing > _NOT_ADDED * output[present].float().norm() + rounding:
        raise UnsupportedModelError(
            f"{block.name} does not add its MLP's output to the residual stream as it is (a norm or a scale stands "
            "between), which sequential compensation needs; choose --compensation ridge"
        )


@contextmanager
def _watching(block: Block) -> Iterator[list[Tensor]]:
    """What the MLP reads, and what down reads and returns, inside the context: [states, input, output]."""
    seen: list[Tensor] = []

    def enter(_: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        seen[:] = arguments[:1]

    def leave(_: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
        seen[1:] = [arguments[0], output]

    hooks = [block.gate.register_forward_pre_hook(enter), block.down.register_forward_hook(leave)]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def standing_in(block: Block, pruned: PrunedMlp, keep: Tensor) -> Iterator[None]:
    """The block computes as if it were pruned: zeros in down where neurons leave."""
    parts = [(block.down, pruned.down.T), (block.gate, pruned.gate), (block.up, pruned.up)]
    before = [part.weight.data for part, _ in parts]
    for part, rows in parts:
        if rows is not None:
            part.weight.data = _in_place(part is block.down, part.weight.data, rows, keep)
    try:
        yield
    finally:
        for (part, _), weight in zip(parts, before, strict=True):
            part.weight.data = weight


def _in_place(of_columns: bool, weight: Tensor, rows: Tensor, keep: Tensor) -> Tensor:
    """Zeros of a weight's shape, but for a row, or a column, of every neuron that stays, [kept, hidden]."""
    masked = torch.zeros_like(weight)
    (masked.T if of_columns else masked)[keep] = rows.to(weight.dtype)
    return masked
