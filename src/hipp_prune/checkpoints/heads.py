"""Attention heads that leave beside neurons: what a plan of neurons cannot say, and the checkpoint that comes of it.

A head here is a key/value head with the queries that share it: their rows of q, k and v, and their columns of o.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from hipp_prune.checkpoints.finding import find_tensors
from hipp_prune.checkpoints.folders import check_output, open_shards
from hipp_prune.checkpoints.ledger import Savings
from hipp_prune.checkpoints.pruned import CheckpointReport, pruned_config, write_beyond_neurons
from hipp_prune.checkpoints.shards import Change, Cut, Fitted
from hipp_prune.errors import UnsupportedModelError
from hipp_prune.files.progress import Progress
from hipp_prune.models.adapter import Adapter, Block
from hipp_prune.plans.plan import Plan
from hipp_prune.plans.space import Ledger, ModelShape
from hipp_prune.pruning.masking import Mask

_WHOLE = "so no head can leave; prune its neurons alone"


@dataclass(frozen=True, kw_only=True)
class HeadPlan:
    """A plan of neurons, and which heads every block keeps."""

    neurons: Plan
    heads: tuple[Mask, ...]
    """Keep-masks, bool [heads of the block], length L."""
    ledger: Ledger
    """What both save together."""
    notes: dict[str, Any] = field(default_factory=dict)
    """How the plan was made; kept with the checkpoint."""

    @property
    def shape(self) -> ModelShape:
        """The model before anything leaves."""
        return self.neurons.shape

    @property
    def heads_removed(self) -> int:
        """Of all blocks together."""
        return int(sum((~keep).sum() for keep in self.heads))

    @property
    def summary(self) -> str:
        """One line for people, beside the ledger."""
        ratios = " ".join(f"{ratio:.0%}" for ratio in self.neurons.ratios)
        total = sum(map(len, self.heads))
        return f"removed: {self.heads_removed} of {total} key/value heads; neurons of each block: {ratios}"


def count_heads(block: Block) -> int:
    """Key/value heads of a block."""
    attention: Any = block.attention
    return int(attention.k_proj.out_features // attention.head_dim)


def check_heads(adapter: Adapter) -> None:
    """Refuses a model whose heads are not those that can leave here.

    Raises:
        UnsupportedModelError: if a block has no queries, keys, values and outputs of its own, or has other heads than
            the first.
    """
    name = type(adapter.model).__name__
    if getattr(adapter.model.get_decoder().config, "num_kv_shared_layers", None) is not None:
        raise UnsupportedModelError(f"{name}: some blocks read the keys and values of others, {_WHOLE}")
    for block in adapter.blocks:
        parts = [getattr(block.attention, part, None) for part in ("q_proj", "k_proj", "v_proj", "o_proj")]
        linears = [part for part in parts if isinstance(part, nn.Linear)]
        if len(linears) != len(parts):
            raise UnsupportedModelError(
                f"{name}: expected q_proj, k_proj, v_proj and o_proj in {block.name}, whose rows are heads, {_WHOLE}"
            )
        if linears[0].out_features != linears[-1].in_features:
            raise UnsupportedModelError(
                f"{name}: expected as many rows of q_proj as columns of o_proj in {block.name}, found "
                f"{linears[0].out_features} and {linears[-1].in_features}: its queries carry something else too, "
                f"{_WHOLE}"
            )
    if len({(count_heads(block), head_parameters(block)) for block in adapter.blocks}) > 1:
        raise UnsupportedModelError(f"{name}: its blocks have heads of several sizes, {_WHOLE}")


def head_parameters(block: Block) -> int:
    """Parameters that leave with one of its heads, biases included."""
    attention: Any = block.attention
    rows = [attention.q_proj, attention.k_proj, attention.v_proj]
    own = sum(part.weight.numel() + (0 if part.bias is None else part.bias.numel()) for part in rows)
    return int(own + attention.o_proj.weight.numel()) // count_heads(block)


def head_flops(block: Block, tokens: float) -> float:
    """FLOPs that leave with one of its heads, for a prompt of ``tokens`` tokens."""
    attention: Any = block.attention
    parts = (attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj)
    matrices = sum(part.weight.numel() for part in parts)
    scores = 4 * tokens**2 * attention.q_proj.out_features
    return float(2 * tokens * matrices + scores) / count_heads(block)


def write_heads(
    source: Path,
    adapter: Adapter,
    planned: HeadPlan,
    out: Path,
    *,
    down_weights: Callable[[int, Tensor], Tensor] | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> CheckpointReport:
    """Writes the checkpoint without the neurons and heads that leave, whole or not at all.

    Args:
        source: checkpoint folder with safetensors weights.
        adapter: the model loaded from it, its weights unchanged.
        planned: made for it.
        out: folder to write.
        down_weights: as in ``prune_checkpoint``.
        force: replace a checkpoint that is already there.
        progress: called with (files written, files).

    Raises:
        CheckpointError: if the source is incomplete, quantised or not safetensors, or ``out`` cannot be written.
        OutputExistsError: if ``out`` exists and ``force`` is false, or it is no checkpoint.
        UnsupportedModelError: if transformers has no class for the source's ``model_type``.
    """
    check_output(source, out, force=force)
    shards = open_shards(source)
    parameters = dict(adapter.model.named_parameters())
    cuts = {
        name: cut
        for block, neurons, heads in zip(
            adapter.blocks, planned.neurons.keep_masks(), planned.heads, strict=True
        )
        for name, cut in _block_cuts(block, neurons, heads).items()
        if name in parameters
    }
    places = find_tensors(shards, {name: parameters[name] for name in cuts})
    changes: dict[str, Change] = {places[name][1].name: cut for name, cut in cuts.items()}
    if down_weights is not None:
        for index, (block, keep) in enumerate(zip(adapter.blocks, planned.neurons.keep_masks(), strict=True)):
            down = places[f"{block.name}.mlp.down_proj.weight"][1]
            changes[down.name] = Fitted(keep=keep, dtype=down.dtype, fit=partial(down_weights, index))
    kept = [int(keep.sum()) for keep in planned.heads]
    return write_beyond_neurons(
        source,
        out,
        shards,
        savings=Savings(ledger=planned.ledger, shape=planned.shape, notes=planned.notes),
        widths=planned.neurons.kept,
        changes=changes,
        config=pruned_config(source, planned.neurons.kept, heads=kept),
        progress=progress,
    )


def _block_cuts(block: Block, neurons: Mask, heads: Mask) -> Mapping[str, Cut]:
    """What happens to a block's tensors, by their names in the model."""
    attention: Any = block.attention
    keys = np.repeat(heads, attention.head_dim)
    queries = np.repeat(heads, attention.q_proj.out_features // len(heads))
    rows = {"self_attn.q_proj": queries, "self_attn.k_proj": keys, "self_attn.v_proj": keys}
    rows |= {"mlp.gate_proj": neurons, "mlp.up_proj": neurons}
    columns = {"self_attn.o_proj": queries, "mlp.down_proj": neurons}
    cuts = {
        f"{block.name}.{part}.{kind}": Cut(keep=keep, axis=0)
        for part, keep in rows.items()
        for kind in ("weight", "bias")
    }
    return cuts | {f"{block.name}.{part}.weight": Cut(keep=keep, axis=1) for part, keep in columns.items()}
