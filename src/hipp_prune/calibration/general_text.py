"""General text in the Gram matrices: tokens without a picture or a question, which least squares is to keep as well.

Fitted to a task's tokens alone, the neurons that stay spend what the task does not need. With a share g of general text
every set's matrix becomes (1 − g) · E_task[a aᵀ] + g · E_text[a aᵀ], so the mixture of image and text tokens stays what
it was. Only Gram matrices: scores of neurons, and what a policy sees of a block, remain those of the task.
"""

from dataclasses import dataclass

import torch

from hipp_prune import distributed
from hipp_prune.calibration.grams import Grams, draw_signs
from hipp_prune.calibration.held_out import one_in_eight
from hipp_prune.models.adapter import Adapter

_TOKENS = 256
"""Most tokens of a window."""


@dataclass(frozen=True, kw_only=True)
class GeneralText:
    """What is mixed in."""

    windows: tuple[str, ...]
    """Texts of about as many tokens each, at least one, no two alike."""
    share: float
    """g, in [0, 1)."""


@torch.no_grad()
def add_general_text(adapter: Adapter, grams: Grams, general: GeneralText, *, batch_size: int) -> None:
    """Adds the tokens of general text to Gram matrices that hold the task's; of several workers, each adds a part.

    One window in eight is held out, as questions are.

    Args:
        adapter: the dense model.
        grams: what every worker has gathered of its own questions, not added up yet.
        general: the texts and their share.
        batch_size: windows a forward pass, ≥ 1.
    """
    held_out = one_in_eight(general.windows)
    lengths = adapter.encode_texts(general.windows, most=_TOKENS).attention_mask.sum(1).cpu()
    is_held = torch.tensor([window in held_out for window in general.windows])
    ratio = general.share / (1 - general.share)
    fitted, kept_back = (
        ratio * count / lengths[chosen].sum().clamp(min=1)
        for count, chosen in zip(distributed.all_reduce(grams.counts()), (~is_held, is_held), strict=True)
    )
    own = distributed.share(general.windows)
    for start in range(0, len(own), batch_size):
        part = own[start : start + batch_size]
        batch = adapter.encode_texts(part, most=_TOKENS)
        held = torch.tensor([window in held_out for window in part], device=adapter.device)
        present = batch.attention_mask.double()
        to_fit, to_hold = (
            each.to(adapter.device)[:, None, None] * present * rows[:, None]
            for each, rows in ((fitted, ~held), (kept_back, held))
        )
        with grams.record_weighed(adapter.blocks, to_fit, to_hold, draw_signs(batch, part, held)):
            adapter.hidden_states(batch, [])
