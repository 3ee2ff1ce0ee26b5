"""Sequential compensation: block after block on the pruned stream, so that later blocks answer for earlier ones.

``ridge`` fits every block as if all others were dense. But behind the first pruned block the residual stream is
another, and errors that each block keeps small add up: toy-qwen2.5-vl pruned by half answers worse with it. Here

    W'_P = argmin_V Σ_t ω_t ‖(h_t − r̃_t) − V ã_Pt‖² + μ ‖V − W_P‖²                              (sequential)

over calibration tokens t: h is the residual stream behind the block in the dense model, r̃ the pruned one's before the
block's down projection adds to it, ã that projection's input, both with all earlier blocks pruned and fitted. So a
block corrects what the earlier ones did, as far as its neurons can. Both streams move on block by block: one block's
sums exist at any moment, beside two residual streams of the calibration questions. Several plans share the dense one.

Tokens do not count alike. Image and text tokens have their shares as in Eq. 10, and the tokens that are answered from
count as much as all others together: what is wrong there is wrong in the answer. μ is chosen in every block by
questions that are held out; where no fit helps these, the block keeps W_P.

``pruning.reconstruction`` goes on from there by gradient, block by block, where it is given time.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hipp_prune.calibration.held_out import held_out_groups
from hipp_prune.calibration.measurement import batches
from hipp_prune.errors import InputError, UnsupportedModelError
from hipp_prune.files.progress import Progress
from hipp_prune.models.adapter import Adapter, Batch, Block, ImageFeatures
from hipp_prune.plans.arrays import Bools, Float
from hipp_prune.pruning.compensation import correct, explained, ridge_strength
from hipp_prune.pruning.reconstruction import PrunedMlp, Tokens, reconstruct
from hipp_prune.pruning.streams import HELD_BYTES, Computed, Stream, enter_streams, mlp_traffic, standing_in
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
    fitted = fit_plans(
        adapter, questions, [masks], image_weight=image_weight, batch_size=batch_size, minutes=minutes,
        progress=progress,
    )  # fmt: skip
    return fitted[0]


@torch.no_grad()
def fit_plans(
    adapter: Adapter,
    questions: Sequence[Question],
    plans: Sequence[Sequence[Bools]],
    *,
    image_weight: float | None = 0.5,
    batch_size: int = 16,
    minutes: float = 0.0,
    progress: Progress | None = None,
) -> list[list[PrunedMlp]]:
    """``fit_sequentially`` under several plans at once, in less time than under one after the other.

    Args:
        adapter: the dense model, its neurons in original order.
        questions: the calibration questions, at least one.
        plans: of each, True where a neuron of a block stays.
        image_weight: share of image tokens.
        batch_size: questions a forward pass, > 0.
        minutes: that reconstruction takes of all blocks of each plan, ≥ 0.
        progress: told (blocks done, blocks in all).

    Raises:
        InputError: if there are ``minutes``, and too few questions to hold any out.
    """
    if minutes and not held_out_groups(questions):
        raise InputError(
            f"--reconstruct is judged by one question in eight that is held out, found {len(questions)} questions "
            "and none to spare; calibrate on more, or leave --reconstruct out"
        )
    streams = enter_streams(
        adapter, _apart(adapter, questions, batch_size), len(plans), image_weight, ANSWER_SHARE
    )
    return _fit(adapter, streams, plans, minutes=minutes, progress=progress)


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
    streams = enter_streams(adapter, asked, 1, image_weight, answer_share)
    return _fit(adapter, streams, [masks], minutes=minutes, progress=progress)[0]


def _fit(
    adapter: Adapter,
    streams: Sequence[Stream],
    plans: Sequence[Sequence[Bools]],
    *,
    minutes: float,
    progress: Progress | None,
) -> list[list[PrunedMlp]]:
    """Leads the streams through all blocks, and fits each block under each plan."""
    assert streams, "nothing to fit on"
    fitted: list[list[PrunedMlp]] = [[] for _ in plans]
    seconds = 60 * minutes / len(adapter.blocks)
    for index, block in enumerate(adapter.blocks):
        for stream in streams:
            stream.enter(index)
        for plan, masks in enumerate(plans):
            keep = torch.from_numpy(masks[index]).to(block.down.weight.device)
            pruned, computed = _fit_block(block, index, plan, keep, streams, seconds=seconds)
            _move_on(block, index, plan, pruned, keep, zip(streams, computed, strict=True))
            fitted[plan].append(pruned.cpu())
        if progress is not None:
            progress(index + 1, len(adapter.blocks))
    return fitted


def _move_on(
    block: Block,
    index: int,
    plan: int,
    pruned: PrunedMlp,
    keep: Tensor,
    streams: Iterable[tuple[Stream, Computed | None]],
) -> None:
    """Leads a plan's stream through a fitted block.

    Args:
        block: the dense block.
        index: its place.
        plan: whose stream.
        pruned: what was fitted.
        keep: True where a neuron stays.
        streams: of all batches, and what the block has computed of them already, if memory held it.
    """
    for stream, computed in streams:
        states = stream.pruned[plan]
        if computed is not None and pruned.gate is None:
            stream.pruned[plan] = computed.behind(block, pruned.down, states.dtype)
        else:
            with standing_in(block, pruned, keep):
                stream.pruned[plan] = stream.calls[index].run(states)


def _apart(
    adapter: Adapter, questions: Sequence[Question], batch_size: int
) -> Iterator[tuple[Batch, Sequence[ImageFeatures], bool]]:
    """Batches of the questions that are fitted to, then of those that are held out."""
    groups = held_out_groups(questions)
    for held in (False, True):
        part = [question for question in questions if (question.group in groups) is held]
        yield from ((batch, images, held) for batch, images in batches(adapter, part, batch_size))


def _fit_block(
    block: Block, index: int, plan: int, keep: Tensor, streams: Sequence[Stream], *, seconds: float
) -> tuple[PrunedMlp, list[Computed | None]]:
    """One block's weights under one plan, whose stream is still before it; the dense one is behind it already.

    Args:
        block: the dense block.
        index: its place.
        plan: which of the pruned streams.
        keep: True where a neuron stays, [N].
        streams: of all batches.
        seconds: that reconstruction takes, ≥ 0.

    Returns:
        What was fitted, and what the block has computed of each batch, as far as memory holds it.
    """
    original = block.down.weight[:, keep].float()
    fit, held = _Sums.zeros(original), _Sums.zeros(original)
    tokens: dict[bool, list[Tokens]] = {False: [], True: []}
    computed: list[Computed | None] = []
    room = HELD_BYTES
    for number, stream in enumerate(streams):
        with mlp_traffic(block) as seen:
            whole = stream.calls[index].run(stream.pruned[plan])
        states, inputs, output = seen
        if not number:
            _check_added(block, index, stream.pruned[plan], stream, whole, output)
        found = Computed(whole.float() - output.float(), inputs[..., keep])
        room -= found.num_bytes
        computed.append(found if room >= 0 else None)
        weights = stream.weights.to(inputs.device)
        present = weights > 0
        kept = found.inputs[present].float()
        target = stream.dense[present].float() - found.rest[present]
        if block.down.bias is not None:
            target -= block.down.bias.float()
        (held if stream.held else fit).add(kept, target - kept @ original.T, weights[present])
        if seconds:
            read = Tokens(states[present], target.to(states.dtype), weights[present])
            tokens[stream.held].append(read)
    down = original + _correction(fit, held).to(original.dtype)
    if seconds:
        fitted = reconstruct(
            block, keep, down, Tokens.cat(tokens[False]), Tokens.cat(tokens[True]), seconds=seconds
        )
        return fitted, computed
    return PrunedMlp(down), computed


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


def _check_added(
    block: Block, index: int, states: Tensor, stream: Stream, whole: Tensor, output: Tensor
) -> None:
    """Whether the stream without the MLP's output is what the block leaves when there is none.

    Args:
        block: the dense block.
        index: its place.
        states: that enter it.
        stream: whose they are.
        whole: the stream behind it.
        output: its MLP's.

    Raises:
        UnsupportedModelError: if it is not.
    """
    hook = block.down.register_forward_hook(lambda _, __, result: torch.zeros_like(result))
    try:
        without = stream.calls[index].run(states)
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
