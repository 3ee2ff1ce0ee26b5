"""Visual sensitivity S_l: how much attention language tokens pay to the image, block by block (Eq. 5–6).

Exact and memory-light. The language backbone runs with an attention function of ours that returns what SDPA
returns and, beside it, computes exp(logsumexp over V − logsumexp over all) of the scores for 64 query rows at
a time, and only for rows that count: no [H, T, T] ever exists, but where a model caps its scores (Gemma 2), which SDPA
cannot. The vision tower keeps its own attention.

Which tokens count (a decision where the paper is silent): text tokens behind the *last* image token, so that
each of them sees all of V and their masses can be compared, also with several images. Padding and the
image's own start and end markers do not count.

A block without softmax attention (the linear attention of Qwen3.5) pays none that could be measured: it gets the mean
of those that have it, so that nothing is held for it or against it.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedConfig, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from hipp_prune.calibration.reductions import HEAD_REDUCTIONS, TOKEN_REDUCTIONS, HeadReduction, TokenReduction
from hipp_prune.errors import UnsupportedModelError
from hipp_prune.models.adapter import Batch, Block

ATTENTION = "hipp_prune_visual_mass"
"""Name of our attention function, and of its mask, in transformers' registries."""

_ROWS_AT_ONCE = 64
"""Query rows whose scores exist at the same time."""


@dataclass(frozen=True, kw_only=True)
class VisualSensitivity:
    """Sums over samples of the reduced masses of Eq. 5, float64; sums, so that batches and workers add up."""

    total: Tensor
    """Σ over samples, [3 token reductions, 3 head reductions, L], axes ordered as in ``reductions``."""
    count: Tensor
    """Samples with an image and a language token behind it, []."""

    @classmethod
    def empty(cls, num_blocks: int) -> "VisualSensitivity":
        """The sums of no sample, zeros for ``num_blocks`` blocks."""
        shape = (len(TOKEN_REDUCTIONS), len(HEAD_REDUCTIONS), num_blocks)
        return cls(total=torch.zeros(shape, dtype=torch.float64), count=torch.zeros((), dtype=torch.float64))

    def merge(self, other: "VisualSensitivity") -> "VisualSensitivity":
        """Sensitivity over both sets of samples."""
        return VisualSensitivity(total=self.total + other.total, count=self.count + other.count)

    def per_block(self, *, tokens: TokenReduction = "max", heads: HeadReduction = "mean") -> Tensor:
        """S_l of Eq. 6, the mean over samples, [L]; in [0, 1] except for ``sum``, which is H times the mean.

        Zeros if no sample had an image.
        """
        total = self.total[TOKEN_REDUCTIONS.index(tokens), HEAD_REDUCTIONS.index(heads)]
        return total / self.count.clamp(min=1)


def counted_tokens(batch: Batch) -> Tensor:
    """The language tokens t of Eq. 5, bool [B, T]; none in a sample without an image."""
    images_ahead = batch.image_mask.flip(1).cumsum(1).flip(1)
    behind = (images_ahead == 0) & batch.image_mask.any(1, keepdim=True)
    return behind & batch.attention_mask.bool() & ~batch.marker_mask


class RecordedMass:
    """The reduced masses of one batch, filled block by block while the forward pass runs."""

    def __init__(self, batch: Batch, blocks: Sequence[Block]) -> None:
        self._blocks = blocks
        self._image_mask = batch.image_mask
        counted = counted_tokens(batch)
        needed = counted.any(0)
        needed[-1] = True  # whether it counts or not, so that a batch without images is no special case
        self._rows = needed.nonzero().squeeze(1)
        self._counted = counted[:, self._rows]
        self._totals: dict[nn.Module, Tensor] = {}

    @torch.no_grad()
    def observe(
        self,
        attention: nn.Module,
        query: Tensor,
        key: Tensor,
        mask: Tensor,
        *,
        scaling: float,
        softcap: float | None,
    ) -> None:
        """Adds the masses of one block.

        Args:
            attention: the block's attention module.
            query: as in ``head_masses``, [B, H, T, d].
            key: as in ``head_masses``, [B, H / group, T, d].
            mask: as in ``head_masses``, [B or 1, H or 1, T, T].
            scaling: factor of the scores.
            softcap: as in ``head_masses``.
        """
        counted, rows, image_mask = (
            each.to(query.device) for each in (self._counted, self._rows, self._image_mask)
        )
        masses = query.new_zeros(len(HEAD_REDUCTIONS), len(query), len(rows), dtype=torch.float32)
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            chunk = slice(start, start + _ROWS_AT_ONCE)
            masses[..., chunk] = _reduce_heads(
                head_masses(query, key, mask, image_mask, rows[chunk], scaling=scaling, softcap=softcap)
            )
        self._totals[attention] = _reduce_tokens(masses, counted).sum(-1)

    def sensitivity(self) -> VisualSensitivity:
        """The batch's sums.

        Raises:
            UnsupportedModelError: if a block did not attend through the registered function.
        """
        attending = {block.name: block.attention for block in self._blocks if block.attention is not None}
        missing = [name for name, attention in attending.items() if attention not in self._totals]
        if missing:
            raise UnsupportedModelError(
                f"visual sensitivity needs attention that follows transformers' AttentionInterface, but "
                f"{missing[0]} did not call it; use a stock implementation of the model"
            )
        found = {name: self._totals[each].to("cpu", torch.float64) for name, each in attending.items()}
        mean = torch.stack(list(found.values()), dim=-1).mean(-1)
        return VisualSensitivity(
            total=torch.stack([found.get(block.name, mean) for block in self._blocks], dim=-1),
            count=self._counted.any(1).sum().to("cpu", torch.float64),
        )


def head_masses(
    query: Tensor,
    key: Tensor,
    mask: Tensor,
    image_mask: Tensor,
    rows: Tensor,
    *,
    scaling: float,
    softcap: float | None = None,
) -> Tensor:
    """Σ_{v ∈ V} A_h[t, v] for the query rows t in ``rows``, in float32, [B, H, R].

    Args:
        query: positions already applied, [B, H, T, d].
        key: likewise, with one head for each group of query heads, [B, H / group, T, d].
        mask: bool (True: attend) or additive, [B or 1, H or 1, T, T].
        image_mask: True at V, bool [B, T].
        rows: query positions, int64 [R].
        scaling: factor of the scores.
        softcap: what scores s are held below, as softcap · tanh(s / softcap); None for no limit.
    """
    scores = _scores(query[:, :, rows].float(), key.float(), mask[:, :, rows], scaling, softcap)
    everything = scores.logsumexp(-1)
    image = scores.masked_fill_(~image_mask[:, None, None], -torch.inf).logsumexp(-1)
    return (image - everything).exp()


def _scores(query: Tensor, key: Tensor, mask: Tensor, scaling: float, softcap: float | None) -> Tensor:
    """Attention scores before the softmax, [B, H, R, T]; −∞ or far below zero where nothing is attended to.

    Args:
        query: of some rows, [B, H, R, d].
        key: of all tokens, [B, H / group, T, d].
        mask: as for ``head_masses``, its rows.
        scaling: likewise.
        softcap: likewise.
    """
    grouped = query.reshape(len(query), key.shape[1], -1, query.shape[-1])
    scores = (grouped @ key.mT).mul_(scaling).view(*query.shape[:3], key.shape[2])
    if softcap is not None:
        scores = scores.div_(softcap).tanh_().mul_(softcap)
    return scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask


def _reduce_heads(masses: Tensor) -> Tensor:
    """[B, H, R] → [3, B, R] in the order of ``HEAD_REDUCTIONS``."""
    return torch.stack([masses.mean(1), masses.amax(1), masses.sum(1)])


def _reduce_tokens(masses: Tensor, counted: Tensor) -> Tensor:
    """[3, B, R] → [3 token reductions, 3, B]; 0 for a sample without a counted token (bool [B, R])."""
    masses = torch.where(counted, masses, 0.0).double()
    mean = masses.sum(-1) / counted.sum(-1).clamp(min=1)
    places = torch.arange(counted.shape[1], device=counted.device)
    last = torch.where(counted, places, 0).amax(-1).expand(len(masses), -1)
    return torch.stack([masses.amax(-1), mean, masses.gather(-1, last[..., None]).squeeze(-1)])


_sdpa = cast(Callable[..., tuple[Tensor, None]], sdpa_attention_forward)

_RECORDERS: dict[nn.Module, RecordedMass] = {}
"""Who listens to which attention module, while a ``record_visual`` context is open."""


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    is_causal: bool | None = None,
    softcap: float | None = None,
    **options: object,
) -> tuple[Tensor, None]:
    """The stock output, with the masses of Eq. 5 observed on the way."""
    recorder = _RECORDERS.get(module)
    if recorder is not None or softcap is not None:
        causal = bool(getattr(module, "is_causal", True)) if is_causal is None else is_causal
        mask = _full_mask(query, key, causal) if attention_mask is None else attention_mask
        factor = query.shape[-1] ** -0.5 if scaling is None else scaling
        if recorder is not None:
            recorder.observe(module, query, key, mask, scaling=factor, softcap=softcap)
        if softcap is not None:
            return _capped(query, key, value, mask, factor, softcap), None
    return _sdpa(module, query, key, value, attention_mask, scaling=scaling, is_causal=is_causal, **options)


def _capped(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scaling: float, softcap: float
) -> Tensor:
    """Attention whose scores are capped, as stock models compute it, [B, T, H, d].

    Args:
        query: as for ``head_masses``, like all that follows.
        key: [B, H / group, T, d].
        value: [B, H / group, T, d].
        mask: [B or 1, H or 1, T, T].
        scaling: factor of the scores.
        softcap: their limit.
    """
    weights = _scores(query, key, mask, scaling, softcap).softmax(-1, dtype=torch.float32)
    weights = weights.nan_to_num().to(query.dtype)  # padding attends to nothing
    values = value.repeat_interleave(query.shape[1] // value.shape[1], dim=1)
    return (weights @ values).transpose(1, 2)


def _full_mask(query: Tensor, key: Tensor, causal: bool) -> Tensor:
    """What SDPA does without a mask, bool [1, 1, T, T]."""
    mask = torch.ones(1, 1, query.shape[2], key.shape[2], dtype=torch.bool, device=query.device)
    return mask.tril() if causal else mask


AttentionInterface.register(ATTENTION, _attend)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)  # without it, padding would silently be attended to


@contextmanager
def record_visual(model: PreTrainedModel, blocks: Sequence[Block], batch: Batch) -> Iterator[RecordedMass]:
    """Records every block's visual masses during the forward pass of ``batch`` inside the context.

    Only the language backbone's configuration is switched, and it is switched back on every way out.
    """
    recorded = RecordedMass(batch, blocks)
    with ExitStack() as undo:
        for config in _language_configs(model, blocks):
            undo.callback(setattr, config, "_attn_implementation_internal", config._attn_implementation)
            # the public setter would also reach sub-configurations, and so perhaps the vision tower
            config._attn_implementation_internal = ATTENTION
        for attention in filter(None, (block.attention for block in blocks)):
            _RECORDERS[attention] = recorded
            undo.callback(_RECORDERS.pop, attention, None)
        yield recorded


def _language_configs(model: PreTrainedModel, blocks: Sequence[Block]) -> list[PreTrainedConfig]:
    """The configurations that choose attention function and mask of the language backbone, each once."""
    owner: nn.Module = model
    path = blocks[0].name.split(".")
    for depth in range(1, len(path)):
        module = model.get_submodule(".".join(path[:depth]))
        owner = module if isinstance(module, PreTrainedModel) else owner
    attentions = [block.attention for block in blocks if block.attention is not None]
    candidates = [cast(PreTrainedConfig, module.config) for module in (owner, *attentions)]
    return list({id(config): config for config in candidates}.values())
