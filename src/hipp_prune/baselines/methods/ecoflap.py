"""ECoFLaP (Sung et al. 2024), its coarse stage: blocks keep by how much the loss changes when they are shaken."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from hipp_prune.baselines.setting import Setting, by_score, make_plan
from hipp_prune.models.adapter import Adapter, Batch, Block, ImageFeatures
from hipp_prune.plans.allocation import waterfill_ratios
from hipp_prune.plans.arrays import Floats
from hipp_prune.plans.plan import Plan
from hipp_prune.plans.space import PlanSpace
from hipp_prune.pruning.importance import score_neurons
from hipp_prune.questions.images import read_image
from hipp_prune.questions.question import Question, pictures_of

_STEP = 1e-3
"""ε of the finite difference."""
_DRAWS = 4
"""Random directions z drawn for each block."""
_SAMPLES = 32
"""Questions behind the loss."""


def plan(setting: Setting) -> Plan:
    """Ratios from zeroth-order scores of the blocks; neurons by the common criterion."""
    space = setting.space()
    rng = np.random.default_rng(setting.settings.seed)
    chosen = rng.permutation(len(setting.questions))[:_SAMPLES]
    loss = _answer_loss(setting, [setting.questions[index] for index in chosen])
    scores = zeroth_order(setting.adapter, loss, seed=setting.settings.seed)
    kept = space.kept(keep_by_score(space, scores, setting.mlp_sparsity)[None])[0]
    neurons = score_neurons(
        setting.adapter, setting.calibration, setting.settings.importance, setting.settings.image_weight
    )
    return make_plan(
        space, kept, by_score(neurons), importance=setting.settings.importance, seed=setting.settings.seed
    )


def keep_by_score(space: PlanSpace, scores: Floats, sparsity: float) -> Floats:
    """Ratios, [L]: each block keeps 1 − r_max, and the rest of the budget is shared out in proportion to the scores.

    A block that is whole passes its surplus on to the others; where all scores are 0, all get the same ratio.
    """
    weights = space.weights
    share = np.maximum(scores, np.finfo(np.float64).tiny) / weights if scores.any() else np.ones(len(scores))
    spare = np.array([space.r_max - sparsity])
    extra = waterfill_ratios(np.log(share)[None], spare, weights=weights, r_max=space.r_max)[0]
    result: Floats = space.r_max - extra
    return result


@torch.no_grad()
def zeroth_order(
    adapter: Adapter,
    loss: Callable[[], float],
    *,
    step: float = _STEP,
    draws: int = _DRAWS,
    seed: int = 0,
) -> Floats:
    """mean over z of |loss(W + εz) − loss(W − εz)| / 2ε, z ~ N(0, 1) on a block's MLP weights, [L].

    Args:
        adapter: the model whose weights are moved, and put back.
        loss: evaluated on the model as it is.
        step: ε > 0.
        draws: directions z for each block.
        seed: of the directions.
    """
    generator = torch.Generator().manual_seed(seed)
    scores = np.zeros((len(adapter.blocks), draws))
    for index, block in enumerate(adapter.blocks):
        for draw in range(draws):
            noise = [torch.randn(weight.shape, generator=generator) for weight in _weights(block)]
            with _moved(block, noise, step):
                above = loss()
            with _moved(block, noise, -step):
                below = loss()
            scores[index, draw] = abs(above - below) / (2 * step)
    result: Floats = scores.mean(axis=1)
    return result


@contextmanager
def _moved(block: Block, noise: Sequence[Tensor], step: float) -> Iterator[None]:
    """The block's weights W + step · z inside the context; the very same tensors again afterwards."""
    weights = _weights(block)
    before = [weight.data for weight in weights]
    try:
        for weight, direction in zip(weights, noise, strict=True):
            weight.data = weight.data + step * direction.to(weight.device, weight.dtype)
        yield
    finally:
        for weight, data in zip(weights, before, strict=True):
            weight.data = data


def _weights(block: Block) -> tuple[Tensor, Tensor, Tensor]:
    return block.gate.weight, block.up.weight, block.down.weight


@torch.no_grad()
def _answer_loss(setting: Setting, questions: Sequence[Question]) -> Callable[[], float]:
    """The mean −log p(gold answer) of the questions as the weights stand when it is called."""
    adapter = setting.adapter
    paths = pictures_of(questions)
    features = {path: adapter.encode_images([read_image(path)])[0] for path in paths}
    parts = [
        questions[start : start + setting.settings.batch_size]
        for start in range(0, len(questions), setting.settings.batch_size)
    ]
    prepared = [(part, *adapter.encode(part, features)) for part in parts]
    return lambda: sum(_total(adapter, *batch) for batch in prepared) / len(questions)


@torch.no_grad()
def _total(
    adapter: Adapter, questions: Sequence[Question], batch: Batch, images: Sequence[ImageFeatures]
) -> float:
    log_probabilities = adapter.answer_logits(batch, images).double().log_softmax(-1)
    losses = [
        -row[list(adapter.answer_tokens(question.answer))].logsumexp(-1)
        for row, question in zip(log_probabilities, questions, strict=True)
    ]
    return float(torch.stack(losses).sum())
