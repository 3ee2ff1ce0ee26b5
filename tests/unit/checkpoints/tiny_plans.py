"""Stock inputs, logits and plans for two-block random models."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hipp_prune.models.adapter import Adapter
from hipp_prune.plans.plan import Plan, pack_masks
from hipp_prune.plans.space import PlanSpace, UnitKind
from hipp_prune.pruning.compensated import DownWeight
from hipp_prune.pruning.compensation import fit_kept
from hipp_prune.pruning.masking import Mask
from hipp_prune.questions.question import Question
from tests.tiny import tiny_image


def stock_inputs(adapter: Adapter) -> dict[str, Tensor]:
    """A question with a picture as the stock forward takes it: token ids and pixels."""
    picture = Path("picture")
    question = Question(
        benchmark="pope", id="1", prompt="Is there a red cup in the image?", images=(picture,),
        answers=("Yes", "No"), gold=0, subset="random", group="1",
    )  # fmt: skip
    features = adapter.encode_images([tiny_image()])[0]
    batch, _ = adapter.encode([question], {picture: features})
    pixels = adapter.processor.pixels([tiny_image()])
    return {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask, **batch.extras, **pixels}


@torch.no_grad()
def logits(model: torch.nn.Module, inputs: dict[str, Tensor]) -> Tensor:
    """Logits of every token, [1, T, V], through vision tower and all."""
    result: Tensor = model(**inputs).logits
    return result


def random_masks(adapter: Adapter, unit: UnitKind, kept: Sequence[int], seed: int = 0) -> list[Mask]:
    """Random keep-masks with these counts."""
    rng = np.random.default_rng(seed)
    hidden = adapter.shape.hidden_size
    masks = []
    for block, neurons in enumerate(adapter.shape.neurons):
        if unit == "coupled":
            wanted = [(kept[block], neurons)]
        else:
            rows, outputs = kept[2 * block : 2 * block + 2]
            wanted = [(rows, neurons), (rows, neurons), (outputs, hidden)]
        masks += [rng.permutation(np.arange(width) < count) for count, width in wanted]
    return masks


def make_plan(
    adapter: Adapter, unit: UnitKind, kept: Sequence[int], masks: Sequence[Mask] | None = None
) -> Plan:
    """A plan with these counts, its neurons random unless given."""
    chosen = random_masks(adapter, unit, kept) if masks is None else masks
    space = PlanSpace(shape=adapter.shape, unit=unit, r_max=0.99)
    return Plan(
        shape=adapter.shape, unit=unit, kept=tuple(kept), masks=pack_masks(chosen),
        ledger=space.ledger(np.array(kept)), importance="random",
    )  # fmt: skip


def fit_somehow(plan: Plan) -> DownWeight:
    """Down projections fitted anew to a random Gram matrix, as ridge compensation leaves them."""

    def fitted(block: int, weight: Tensor) -> Tensor:
        tokens = torch.randn(64, weight.shape[1], generator=torch.Generator().manual_seed(block))
        keep = torch.from_numpy(plan.keep_masks()[block])
        return fit_kept(tokens.T @ tokens / 64, weight.float(), keep, 0.1)

    return fitted
