"""One step of learning on packed rows, and how well a model does on them; both families alike."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hipp_prune.experiments.toy.curriculum import Task
from hipp_prune.experiments.toy.packing import PackedRow, Packer, RowBatch, TargetKind
from hipp_prune.questions.toyworld.scenes import GRID

BETAS = (0.9, 0.98)
WEIGHT_DECAY = 0.01
LARGEST_GRADIENT = 1.0
"""Gradients of a larger norm are scaled down to it."""

Features = Tensor
"""What the vision tower and projector show of each cached picture: [pictures, patches, hidden]."""


def target_logits(model: Any, batch: RowBatch, features: Features | None) -> Tensor:
    """Logits at every target of ``batch``: [targets, tokens]; ``features`` are those of the rendered rows' pictures."""
    language = model.model.language_model
    embeddings = language.embed_tokens(batch.ids)
    if batch.patch_slots:
        assert features is not None, "rendered rows need picture features"
        embeddings = _with_patches(embeddings, batch, features)
    positions = batch.positions[0] if len(batch.positions) == 1 else batch.positions
    hidden = language(
        inputs_embeds=embeddings, attention_mask=batch.mask, position_ids=positions, use_cache=False
    ).last_hidden_state
    logits: Tensor = model.lm_head(hidden[batch.target_rows, batch.target_tokens])
    return logits


def _with_patches(embeddings: Tensor, batch: RowBatch, features: Features) -> Tensor:
    rows, starts, shown = torch.tensor(batch.patch_slots).T
    columns = starts[:, None] + torch.arange(GRID**2)
    return embeddings.index_put((rows[:, None].expand_as(columns), columns), features[shown])


class LanguageOptimiser:
    """AdamW over the language model's weights."""

    def __init__(self, model: nn.Module, weights: Sequence[nn.Parameter], rate: float) -> None:
        self._model = model
        self._weights = list(weights)
        self._optimizer = torch.optim.AdamW(self._weights, lr=rate, betas=BETAS, weight_decay=WEIGHT_DECAY)
        self._rate = rate

    def step(
        self,
        batch: RowBatch,
        features: Features | None,
        factor: float,
        *,
        confine: Callable[[], None] | None = None,
    ) -> float:
        """One update at ``factor`` times the learning rate; returns the loss at the answers.

        Claims, answers and ends weigh the same, however many there are of each.

        Args:
            batch: packed rows.
            features: of cached pictures; None where rows have none.
            factor: of the learning rate, in [0, 1].
            confine: may clear gradients before they are followed.
        """
        losses = nn.functional.cross_entropy(
            target_logits(self._model, batch, features), batch.target_ids, reduction="none"
        )
        means = [losses[batch.target_kinds == kind].mean() for kind in TargetKind]
        self.descend(torch.stack(means).sum(), factor, confine=confine)
        return means[TargetKind.ANSWER].item()

    def descend(self, loss: Tensor, factor: float, *, confine: Callable[[], None] | None = None) -> None:
        """One update along the gradient of ``loss``."""
        for group in self._optimizer.param_groups:
            group["lr"] = self._rate * factor
        self._optimizer.zero_grad()
        loss.backward()
        if confine is not None:
            confine()
        nn.utils.clip_grad_norm_(self._weights, LARGEST_GRADIENT)
        self._optimizer.step()


@torch.no_grad()
def task_accuracies(
    model: Any, packer: Packer, rows: Mapping[Task, Sequence[PackedRow]], features: Features | None
) -> dict[Task, float]:
    """Share of right answers, by the most likely of all tokens, on the rows of each task.

    Args:
        model: a stock model.
        packer: makes batches of rows.
        rows: to be asked, by task.
        features: of cached pictures; None where rows have none.
    """
    result: dict[Task, float] = {}
    for task, some in rows.items():
        batch = packer.collate(some)
        right = target_logits(model, batch, features).argmax(-1) == batch.target_ids
        result[task] = right[batch.target_kinds == TargetKind.ANSWER].float().mean().item()
    return result
