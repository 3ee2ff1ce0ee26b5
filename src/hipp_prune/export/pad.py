"""A stock checkpoint for runtimes that know one width only: blocks are filled up with neurons that do nothing.

A neuron whose gate, up and down weights are zeros adds zeros to what its MLP writes, so the model stays the same. It is
as large and as slow as if all blocks were as wide as the widest one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hipp_prune.checkpoints.configs import nested_config
from hipp_prune.checkpoints.folders import check_output, open_shards, write_folder
from hipp_prune.checkpoints.ledger import LEDGER_FILE, Savings, lost_savings, read_savings
from hipp_prune.checkpoints.pruned import mlp_entries, pruned_config
from hipp_prune.errors import UnsupportedModelError
from hipp_prune.export.exported import Exported, check_widths
from hipp_prune.files.progress import Progress
from hipp_prune.models import load_model
from hipp_prune.models.adapter import Adapter
from hipp_prune.models.described import stored_followers
from hipp_prune.models.structure import compares_neurons
from hipp_prune.models.uneven import DOWN_BIAS, KEY_VALUE_HEADS, RESIDUAL_WIDTH
from hipp_prune.plans.space import PlanSpace

_BEYOND_WIDTHS = {
    RESIDUAL_WIDTH: "a sliced residual stream (SliceGPT)",
    KEY_VALUE_HEADS: "heads that left",
    DOWN_BIAS: "biases of its down projections",
}
"""What no zero can take back, by its setting of the text config."""


@dataclass(frozen=True, kw_only=True)
class Pad:
    """Zeros behind the last slice of an axis (a ``shards.Change``)."""

    width: int
    """Of the axis afterwards."""
    axis: int

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape a tensor of ``shape`` has afterwards."""
        return (*shape[: self.axis], self.width, *shape[self.axis + 1 :])

    def apply(self, tensor: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Pads a tensor given as bytes, [*shape, bytes of an element]; zero is all bits 0 in every dtype."""
        margins = [(0, 0)] * tensor.ndim
        margins[self.axis] = (0, self.width - tensor.shape[self.axis])
        return np.pad(tensor, margins)


def write_padded(
    source: Path, out: Path, *, force: bool = False, progress: Progress | None = None
) -> Exported:
    """Writes a stock checkpoint with all blocks as wide as the widest one, whole or not at all.

    Args:
        source: checkpoint folder.
        out: folder to write.
        force: replace a checkpoint that is already there.
        progress: called with (files written, files).

    Raises:
        OutputExistsError: if ``out`` exists and ``force`` is false, or it is no checkpoint.
        UnsupportedModelError: if more than the blocks' widths makes it other than a stock model, or zeros would change
            what it says.
        CheckpointError: if the source is damaged, or the disk is full.
    """
    check_output(source, out, force=force)
    check_fillable(source)
    adapter, shards = load_model(source), open_shards(source)
    check_widths(source, adapter)
    _check_zeros_are_nothing(source, adapter)
    widest = max(adapter.shape.neurons)
    savings = _savings(source, adapter, widest)
    before, after = write_folder(
        source,
        out,
        shards,
        changes={
            entry.name: Pad(width=widest, axis=1 if projection == "down" else 0)
            for (_, projection, kind), entry in mlp_entries(shards, adapter.shape).items()
            if projection != "down" or kind == "weight"
        },
        values={shard.path: {} for shard in shards},
        config=pruned_config(source, [widest] * adapter.shape.num_blocks),
        records=savings,
        progress=progress,
    )
    note = (
        f"a stock model of {widest} neurons a block, which needs no remote code; the blocks had "
        f"{' '.join(map(str, adapter.shape.neurons))}"
    )
    lost = lost_savings(source)
    return Exported(
        path=out,
        num_bytes=after,
        bytes_before=before,
        notes=(note, *_kept_savings(out), *filter(None, [lost])),
    )


def _kept_savings(out: Path) -> list[str]:
    """What the padded model saves of what its plan was asked for."""
    savings = read_savings(out)
    if savings is None:
        return []
    asked = savings.notes.get("sparsity")
    wanted = "" if asked is None else f"; the plan was asked for {asked:.2%}"
    return [f"padded, it saves {savings.ledger.mlp:.2%} of MLP parameters{wanted}"]


def check_fillable(source: Path) -> None:
    """Refuses a model that neurons of zeros, and one width in its configuration, would not leave as it is.

    Raises:
        UnsupportedModelError: naming what.
    """
    text = nested_config(source)["text_config"]
    if followers := stored_followers(source):
        raise UnsupportedModelError(
            f"{source} cannot be filled up: {followers[0]} is as wide as the configuration says the blocks' MLPs are, "
            "and would no longer fit one that says their width now; load it with trust_remote_code=True"
        )
    for setting, what in _BEYOND_WIDTHS.items():
        if text.get(setting):
            raise UnsupportedModelError(
                f"{source} differs from a stock model by {what}, which zeros cannot make good; expected blocks that "
                "lost neurons alone: load it with trust_remote_code=True"
            )


def _check_zeros_are_nothing(source: Path, adapter: Adapter) -> None:
    for block in filter(compares_neurons, adapter.blocks):
        raise UnsupportedModelError(
            f"{source} cannot be filled up: the neurons of {block.name} are compared with one another, and zeros would "
            "be among them; it needs no remote code as it is"
        )


def _savings(source: Path, adapter: Adapter, widest: int) -> Mapping[str, str]:
    """What the padded model still saves, as a ``ledger.json`` in place of the plan; nothing for a dense model."""
    savings = read_savings(source)
    if savings is None:
        return {}
    kept = np.full(adapter.shape.num_blocks, widest)
    ledger = PlanSpace(shape=savings.shape, r_max=1 - 1e-9).ledger(kept)
    notes = {**savings.notes, "padded_to": widest}
    return {LEDGER_FILE: Savings(ledger=ledger, shape=savings.shape, notes=notes).to_json()}
