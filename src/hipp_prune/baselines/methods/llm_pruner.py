"""LLM-Pruner (Ma et al. 2023), block-wise: Taylor scores of coupled groups, local ranking, outer blocks untouched.

The groups are the neurons {gate row, up row, down column} and, if asked for, the heads {q, k, v rows, o columns}.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import ceil, floor
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from hipp_prune.baselines.setting import Setting, by_score, make_plan
from hipp_prune.baselines.settings import BaselineSettings, Element
from hipp_prune.calibration.gradients import encode_alone, only_mlp_gradients
from hipp_prune.checkpoints.heads import HeadPlan, check_heads, count_heads, head_flops, head_parameters
from hipp_prune.errors import BudgetError
from hipp_prune.models.adapter import Adapter, Block
from hipp_prune.plans.arrays import Floats, Ints
from hipp_prune.plans.plan import Plan, keep_masks
from hipp_prune.plans.space import Ledger, PlanSpace
from hipp_prune.questions.question import Question

_SAMPLES = 10
"""Questions behind the gradient, as many as the original's examples."""

GroupedProjection = tuple[nn.Linear, int]
"""A projection, and the axis of its weight that groups lie along."""


def plan(setting: Setting) -> Plan | HeadPlan:
    """Groups by the Taylor term of the next-token loss, one ratio in all blocks but the outermost.

    Raises:
        BudgetError: if the blocks in between cannot give up so much.
    """
    settings = setting.settings
    chosen = np.random.default_rng(settings.seed).permutation(len(setting.questions))[:_SAMPLES]
    questions = [setting.questions[index] for index in chosen]
    if settings.attention:
        return _with_attention(setting, questions)
    space = setting.space()
    mlps = [_mlp(block) for block in setting.adapter.blocks]
    scores = taylor_scores(setting.adapter, mlps, space.shape.neurons, questions, settings.element)
    kept = inner_counts(space, setting.mlp_sparsity)
    return make_plan(space, kept, by_score(scores), importance=settings.element, seed=settings.seed)


def only_neurons(settings: BaselineSettings) -> bool:
    """Unless heads leave too."""
    return not settings.attention


def refuse_model(adapter: Adapter) -> None:
    """Refuses a model whose heads cannot leave."""
    check_heads(adapter)


def _with_attention(setting: Setting, questions: Sequence[Question]) -> HeadPlan:
    blocks, settings, space = setting.adapter.blocks, setting.settings, setting.any_space()
    neurons, heads = group_counts(setting, space)
    present = [count_heads(block) for block in blocks]
    parts = [*map(_mlp, blocks), *map(_attention, blocks)]
    scores = taylor_scores(
        setting.adapter, parts, [*space.shape.neurons, *present], questions, settings.element
    )
    rankings = by_score(scores)
    pruned = make_plan(
        space, neurons, rankings[: len(blocks)], importance=settings.element, seed=settings.seed
    )
    removed = sum(present) - int(heads.sum())
    return HeadPlan(
        neurons=pruned,
        heads=tuple(keep_masks("coupled", rankings[len(blocks) :], heads.tolist())),
        ledger=with_heads(pruned, blocks[0], removed, tokens=setting.tokens),
        notes={**pruned.notes, "heads_removed": removed},
    )


def inner_blocks(blocks: int) -> Floats:
    """1 for blocks that are pruned, 0 for those left whole, [L].

    Untouched are the first four and the last two blocks, the original's choice for 32; of fewer blocks, the first
    eighth and the last sixteenth, rounded up; of one or two, none.
    """
    first, last = (min(4, ceil(blocks / 8)), min(2, ceil(blocks / 16))) if blocks > 2 else (0, 0)
    inner = np.zeros(blocks)
    inner[first : blocks - last] = 1.0
    return inner


def inner_counts(space: PlanSpace, sparsity: float) -> Ints:
    """Neurons kept by each block, [L]: outer blocks whole, one ratio inside, raised to meet the overall budget.

    The box does not bind here, as in the original.

    Raises:
        BudgetError: if that ratio would be 1 or more.
    """
    inner = inner_blocks(space.num_units)
    ratio = sparsity / float(space.saved(inner))
    wide = PlanSpace(shape=space.shape, r_max=float(1 - 1 / space.widths.min()))
    if ratio > wide.r_max:
        first, last = int(inner.argmax()), int(inner[::-1].argmax())
        raise BudgetError(
            f"LLM-Pruner leaves the first {first} and the last {last} of {len(inner)} blocks whole, so a sparsity of "
            f"{sparsity:g} of the MLPs would take {ratio:.3g} of every other one, more than leaves each a neuron; ask "
            f"for at most {wide.r_max * float(space.saved(inner)):.3g} of the MLPs"
        )
    result: Ints = wide.kept(ratio * inner[None])[0]
    return result


def group_counts(setting: Setting, space: PlanSpace) -> tuple[Ints, Ints]:
    """Neurons and heads kept by each block, [L] each: one ratio for both, in all blocks but the outermost.

    Heads are rounded down to whole ones, spread evenly, and one stays in every block; if the budget is of the blocks,
    neurons make up for it.

    Raises:
        BudgetError: if they cannot.
    """
    blocks, shape = setting.adapter.blocks, setting.adapter.shape
    inner, heads = inner_blocks(len(blocks)), np.array([count_heads(block) for block in blocks])
    head, neuron = head_parameters(blocks[0]), shape.neuron_parameters
    mlps = neuron * float(space.widths.sum())
    if setting.settings.match == "mlp":
        removed, prunable = setting.sparsity * mlps, neuron * float(inner @ space.widths)
    else:
        removed = setting.sparsity * shape.block_parameters
        prunable = float(inner @ (head * heads + neuron * space.widths))
    most = int(inner @ (heads - 1))
    largest = (most * head + neuron * float(inner @ (space.widths - 1))) / shape.block_parameters
    if setting.settings.match == "block" and setting.sparsity > largest:
        raise BudgetError(
            f"LLM-Pruner leaves the outer blocks whole ({int((1 - inner).sum())} of {len(inner)}), and a head and a "
            f"neuron in every other one, so it cannot remove {setting.sparsity:g} of the block parameters; ask for at "
            f"most {largest:.3g}"
        )
    whole = min(floor(removed / prunable * float(inner @ heads) + 1e-9), most)
    if setting.settings.match == "block":
        removed -= whole * head
    of_heads = PlanSpace(shape=replace(shape, neurons=tuple(heads.tolist()), neuron_parameters=head))
    kept = inner_counts(of_heads, whole / float(heads.sum())) if whole else heads
    return inner_counts(space, max(0.0, removed / mlps)), kept


def with_heads(plan: Plan, block: Block, removed: int, *, tokens: float) -> Ledger:
    """The ledger of a plan of neurons with ``removed`` heads like those of ``block`` added.

    Args:
        plan: whose neurons leave.
        block: what one of its heads holds is what each saves.
        removed: key/value heads that leave, over all blocks.
        tokens: prompt length in tokens, for FLOPs.
    """
    shape, ledger, flops = plan.shape, plan.ledger, plan.tables.flops
    assert flops is not None, "whole neurons have a table of FLOPs"
    assert ledger.flops is not None, "and a plan of them says what it saves"
    parameters = removed * head_parameters(block)
    return replace(
        ledger,
        block=ledger.block + parameters / shape.block_parameters,
        language=ledger.language + parameters / shape.language_parameters,
        model=ledger.model + parameters / shape.total_parameters,
        flops=ledger.flops + removed * head_flops(block, tokens) / flops.dense,
    )


def taylor_scores(
    adapter: Adapter,
    parts: Sequence[Sequence[GroupedProjection]],
    groups: Sequence[int],
    questions: Sequence[Question],
    element: Element,
) -> list[Tensor]:
    """Scores of the groups of each block, float64 [groups]: a weight's Taylor term, summed over the group.

    With g the gradient of the mean loss and F the mean of the squared gradients of single questions:

    - ``param_first``: Σ |W ⊙ g| over the group's rows and columns;
    - ``vectorize``: |Σ W ⊙ g| of each of them, added;
    - ``param_mix``: Σ |W ⊙ g − ½ W ⊙ F ⊙ W|.

    Args:
        adapter: the model.
        parts: the projections of each block that its groups are spread over.
        groups: how many each block has, evenly spaced in its projections.
        questions: those of the loss.
        element: the term.
    """
    weights = [linear.weight for block in parts for linear, _ in block]
    with only_mlp_gradients(adapter.model, adapter.blocks), torch.enable_grad():
        for weight in weights:
            weight.requires_grad_(True)
        first = [torch.zeros_like(weight, dtype=torch.float32) for weight in weights]
        second = [torch.zeros_like(total) for total in first] if element == "param_mix" else []
        for question in questions:
            gradients = torch.autograd.grad(prompt_loss(adapter, question), weights)
            for index, gradient in enumerate(gradients):
                first[index] += gradient.float() / len(questions)
                if second:
                    second[index] += gradient.float().square() / len(questions)
    scores, start = [], 0
    for block, count in zip(parts, groups, strict=True):
        own = slice(start, start := start + len(block))
        terms = _terms(weights[own], first[own], second[own])
        rows = [term if axis == 0 else term.T for (_, axis), term in zip(block, terms, strict=True)]
        scores.append(group_scores(element, rows, count))
    return scores


@torch.no_grad()
def _terms(weights: Sequence[Tensor], first: Sequence[Tensor], second: Sequence[Tensor]) -> list[Tensor]:
    """W ⊙ g of one block's weights, less ½ W ⊙ F ⊙ W where F is given; float64."""
    terms = [weight.double() * gradient for weight, gradient in zip(weights, first, strict=True)]
    if second:
        curved = [0.5 * w.double().square() * square for w, square in zip(weights, second, strict=True)]
        return [term - rest for term, rest in zip(terms, curved, strict=True)]
    return terms


def group_scores(element: Element, parts: Sequence[Tensor], groups: int) -> Tensor:
    """From terms whose rows belong to groups, several in a row to each, to the groups, [groups], on the CPU."""
    rows = [part.sum(1).abs() if element == "vectorize" else part.abs().sum(1) for part in parts]
    return torch.stack([row.reshape(groups, -1).sum(1) for row in rows]).sum(0).cpu()


def _mlp(block: Block) -> list[GroupedProjection]:
    return [(block.gate, 0), (block.up, 0), (block.down, 1)]


def _attention(block: Block) -> list[GroupedProjection]:
    attention: Any = block.attention
    return [(attention.q_proj, 0), (attention.k_proj, 0), (attention.v_proj, 0), (attention.o_proj, 1)]


def prompt_loss(adapter: Adapter, question: Question) -> Tensor:
    """Mean −log p over the prompt's text tokens after the first, and the gold answer after them, []."""
    batch, images = encode_alone(adapter, question)
    logits = adapter.model(**adapter._forward_inputs(batch, images)).logits[0].float()
    answer = batch.input_ids.new_tensor([adapter.answer_tokens(question.answer)[0]])
    targets = torch.cat([batch.input_ids[0, 1:], answer]).to(logits.device)
    is_text = torch.cat([~batch.image_mask[0, 1:], batch.image_mask.new_ones(1)]).to(logits.device)
    return cross_entropy(logits[is_text], targets[is_text])
