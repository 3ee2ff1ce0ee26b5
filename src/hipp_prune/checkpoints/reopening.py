"""The first two blocks of a model, pruned a little, written as any checkpoint is and opened with plain transformers.

What a whole checkpoint of many gigabytes can fail at shows in two blocks: names that do not match, widths that the
stock class does not take, a part of the model that a plan cannot reach.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoModelForImageTextToText, PreTrainedModel, dynamic_module_utils

from hipp_prune.checkpoints.folders import open_shards, write_folder
from hipp_prune.checkpoints.pruned import mlp_entries, pruned_config
from hipp_prune.checkpoints.shards import Cut, Entry
from hipp_prune.errors import CheckpointError
from hipp_prune.models.adapter import Adapter
from hipp_prune.models.loading import quiet
from hipp_prune.pruning.cutting import cut_neurons

NUM_FIRST = 2
"""Blocks that are written."""


def write_first_blocks(source: Path, adapter: Adapter, folder: Path) -> None:
    """Writes everything but the later blocks; block *i* loses its first *i* + 1 neurons, so that widths differ.

    Args:
        source: checkpoint folder of the model.
        adapter: the model.
        folder: to make; it takes the bytes of two blocks, embeddings, head and vision tower.

    Raises:
        CheckpointError: if the source is quantised or incomplete, or the disk is full.
        UnsupportedModelError: if uneven blocks of this family cannot be stored.
    """
    shards = open_shards(source)
    entries = mlp_entries(shards, adapter.shape)
    kept = _keep(adapter)
    cuts = {
        entry.name: Cut(keep=kept[block], axis=int(projection == "down"))
        for (block, projection, kind), entry in entries.items()
        if block < len(kept) and (projection != "down" or kind == "weight")
    }
    later = tuple(_prefix(entry) for (block, _, _), entry in entries.items() if block >= len(kept))
    names = [entry.name for shard in shards for entry in shard.entries]
    write_folder(
        source,
        folder,
        shards,
        changes=cuts,
        values={shard.path: {} for shard in shards},
        config=_shortened(pruned_config(source, [int(keep.sum()) for keep in kept]), len(adapter.blocks)),
        records={},
        dropped={name for name in names if name.startswith(later)},
    )


def reopen(folder: Path, adapter: Adapter) -> PreTrainedModel:
    """Opens what was written as anyone would, our code beside the weights included, in the precision of the model.

    Nothing is written but ``modules`` beside ``folder``.

    Raises:
        CheckpointError: naming tensors that are missing, unexpected or of the wrong shape.
    """
    options: dict[str, Any] = {
        "trust_remote_code": True,
        "local_files_only": True,
        "output_loading_info": True,
    }
    with quiet(), _modules_in(folder.parent / "modules"):
        opening: Any = AutoModelForImageTextToText.from_pretrained(
            folder, dtype=adapter.model.dtype, **options
        )
    model, info = opening
    wrong = {kind: sorted(map(str, info[f"{kind}_keys"])) for kind in ("missing", "unexpected", "mismatched")}
    found = [f"{len(names)} {kind} tensors, e.g. {names[0]}" for kind, names in wrong.items() if names]
    if found:
        raise CheckpointError(f"transformers opens it with {'; '.join(found)}")
    opened: PreTrainedModel = model.to(adapter.device).eval()
    return opened


def cut_first_blocks(adapter: Adapter) -> PreTrainedModel:
    """What ``write_first_blocks`` writes, in memory: the weights of all else are shared with the model."""
    whole = [np.ones(neurons, dtype=np.bool_) for neurons in adapter.shape.neurons]
    model = cut_neurons(adapter.model, [*_keep(adapter), *whole[NUM_FIRST:]])
    decoder: Any = model.get_decoder()
    decoder.layers = decoder.layers[:NUM_FIRST]
    return model.eval()


@contextmanager
def _modules_in(folder: Path) -> Iterator[None]:
    """Keeps the copy that transformers makes of code beside weights in a folder of ours, not in the user's cache."""
    loader: Any = dynamic_module_utils
    cache, known = loader.HF_MODULES_CACHE, set(sys.modules)
    loader.HF_MODULES_CACHE = str(folder)
    try:
        yield
    finally:
        loader.HF_MODULES_CACHE = cache
        if str(folder) in sys.path:
            sys.path.remove(str(folder))
        for name in set(sys.modules) - known:
            if name.startswith("transformers_modules"):
                del sys.modules[name]


@contextmanager
def first_blocks(adapter: Adapter) -> Iterator[None]:
    """The model itself as its pruned first blocks compute: later blocks skipped, what left contributing nothing."""
    decoder: Any = adapter.model.get_decoder()
    layers = decoder.layers
    handles = [
        block.down.register_forward_pre_hook(_zeroing(torch.from_numpy(keep)))
        for block, keep in zip(adapter.blocks[:NUM_FIRST], _keep(adapter), strict=True)
    ]
    decoder.layers = layers[:NUM_FIRST]
    try:
        yield
    finally:
        decoder.layers = layers
        for handle in handles:
            handle.remove()


def _keep(adapter: Adapter) -> list[Any]:
    """Keep-masks of the first blocks."""
    return [np.arange(neurons) > block for block, neurons in enumerate(adapter.shape.neurons[:NUM_FIRST])]


def _zeroing(keep: Tensor) -> Any:
    def zero(_: nn.Module, arguments: tuple[Tensor]) -> tuple[Tensor]:
        return (arguments[0] * keep.to(arguments[0]),)

    return zero


def _prefix(entry: Entry) -> str:
    """The name of the block that an MLP's tensor stands in, with its dot."""
    return entry.name[: entry.name.rindex(".mlp.") + 1]


def _shortened(config: Mapping[str, Any], blocks: int) -> dict[str, Any]:
    """The configuration of the first blocks; lists with an entry a block are cut."""
    text = config["text_config"]
    if blocks <= NUM_FIRST:
        return dict(config)
    cut = {name: _head(value, blocks) for name, value in text.items()}
    return {**config, "text_config": {**cut, "num_hidden_layers": NUM_FIRST}}


def _head(value: Any, blocks: int) -> Any:
    return value[:NUM_FIRST] if isinstance(value, list) and len(value) == blocks else value
