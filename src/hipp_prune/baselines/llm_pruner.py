"""LLM-Pruner (Ma et al. 2023), block-wise: Taylor scores of coupled neurons, local ranking, outer blocks untouched.

The groups are the neurons {gate row, up row, down column}; attention is left whole, because a plan is of MLP neurons.
"""

from collections.abc import Sequence
from math import ceil

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from hipp_prune.allocation import Ints
from hipp_prune.baselines.setting import Setting, make_plan, rank
from hipp_prune.calibration.gradients import only_mlp_gradients
from hipp_prune.choices import Element
from hipp_prune.errors import BudgetError
from hipp_prune.models.adapter import Adapter, Block
from hipp_prune.plan import Plan
from hipp_prune.questions.images import read_image
from hipp_prune.questions.question import Question
from hipp_prune.space import PlanSpace

_SAMPLES = 10
"""Questions behind the gradient, as many as the original's examples."""


def llm_pruner(setting: Setting) -> Plan:
    """Neurons by the Taylor term of the next-token loss, one ratio in all blocks but the outermost.

    Raises:
        BudgetError: if the blocks in between cannot give up so much.
    """
    space = setting.space()
    chosen = np.random.default_rng(setting.config.seed).permutation(len(setting.questions))[:_SAMPLES]
    scores = taylor(setting.adapter, [setting.questions[index] for index in chosen], setting.config.element)
    kept = inner_counts(space, setting.sparsity)
    return make_plan(space, kept, rank(scores), importance=setting.config.element, seed=setting.config.seed)


def inner_counts(space: PlanSpace, sparsity: float) -> Ints:
    """Neurons kept by each block, [L]: outer blocks whole, one ratio inside, raised to meet the overall budget.

    Untouched are the first four and the last two blocks, the original's choice for 32; of fewer blocks, the first
    eighth and the last sixteenth, rounded up; of one or two, none. The box does not bind here, as in the original.

    Raises:
        BudgetError: if that ratio would be 1 or more.
    """
    blocks = space.num_units
    first, last = (min(4, ceil(blocks / 8)), min(2, ceil(blocks / 16))) if blocks > 2 else (0, 0)
    inner = np.zeros(blocks)
    inner[first : blocks - last] = 1.0
    ratio = sparsity / float(space.saved(inner))
    wide = PlanSpace(shape=space.shape, r_max=float(1 - 1 / space.widths.min()))
    if ratio > wide.r_max:
        raise BudgetError(
            f"LLM-Pruner leaves the first {first} and the last {last} of {blocks} blocks whole, so a sparsity of "
            f"{sparsity:g} would take {ratio:.3g} of every other block, more than leaves each a neuron; ask for at "
            f"most {wide.r_max * float(space.saved(inner)):.3g}"
        )
    result: Ints = wide.kept(ratio * inner[None])[0]
    return result


def taylor(adapter: Adapter, questions: Sequence[Question], element: Element) -> list[Tensor]:
    """Scores of the neurons of each block, float64 [neurons]: a weight's Taylor term, summed over the neuron.

    With g the gradient of the mean loss and F the mean of the squared gradients of single questions:

    - ``param_first``: Σ |W ⊙ g| over the gate row, the up row and the down column;
    - ``vectorize``: |Σ W ⊙ g| of each of the three, added;
    - ``param_mix``: Σ |W ⊙ g − ½ W ⊙ F ⊙ W|.
    """
    weights = [projection.weight for block in adapter.blocks for projection in _parts(block)]
    with only_mlp_gradients(adapter.model, adapter.blocks), torch.enable_grad():
        first = [torch.zeros_like(weight, dtype=torch.float32) for weight in weights]
        second = [torch.zeros_like(total) for total in first] if element == "param_mix" else []
        for question in questions:
            gradients = torch.autograd.grad(next_token_loss(adapter, question), weights)
            for index, gradient in enumerate(gradients):
                first[index] += gradient.float() / len(questions)
                if second:
                    second[index] += gradient.float().square() / len(questions)
    scores = []
    for block in range(len(adapter.blocks)):
        own = slice(3 * block, 3 * block + 3)
        scores.append(_neuron_scores(element, _terms(weights[own], first[own], second[own])))
    return scores


@torch.no_grad()
def _terms(weights: Sequence[Tensor], first: Sequence[Tensor], second: Sequence[Tensor]) -> list[Tensor]:
    """W ⊙ g of one block's gate, up and down, less ½ W ⊙ F ⊙ W where F is given; float64."""
    terms = [weight.double() * gradient for weight, gradient in zip(weights, first, strict=True)]
    if second:
        curved = [0.5 * w.double().square() * square for w, square in zip(weights, second, strict=True)]
        return [term - rest for term, rest in zip(terms, curved, strict=True)]
    return terms


def _neuron_scores(element: Element, terms: Sequence[Tensor]) -> Tensor:
    """From the terms of gate and up [N, H] and down [H, N] to neurons, [N], on the CPU."""
    gate, up, down = terms
    parts = (gate, up, down.T)
    if element == "vectorize":
        return torch.stack([part.sum(1).abs() for part in parts]).sum(0).cpu()
    return torch.stack([part.abs().sum(1) for part in parts]).sum(0).cpu()


def _parts(block: Block) -> tuple[torch.nn.Linear, torch.nn.Linear, torch.nn.Linear]:
    return block.gate, block.up, block.down


def next_token_loss(adapter: Adapter, question: Question) -> Tensor:
    """Mean −log p over the prompt's text tokens after the first, and the gold answer after them, []."""
    features = {}
    if question.image is not None:
        with torch.no_grad():
            features[question.image] = adapter.encode_images([read_image(question.image)])[0]
    batch, images = adapter.encode([question], features)
    logits = adapter.model.get_output_embeddings()(adapter.hidden_states(batch, images))[0].float()
    answer = batch.input_ids.new_tensor([adapter.answer_tokens(question.answer)[0]])
    targets = torch.cat([batch.input_ids[0, 1:], answer]).to(logits.device)
    is_text = torch.cat([~batch.image_mask[0, 1:], batch.image_mask.new_ones(1)]).to(logits.device)
    return cross_entropy(logits[is_text], targets[is_text])
