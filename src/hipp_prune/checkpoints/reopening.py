"""The first blocks of a model, pruned a little, written as any checkpoint is and opened with plain transformers.

What a whole checkpoint of many gigabytes can fail at shows in two blocks, or as many as have one of each kind: names
that do not match, widths that the stock class does not take, a part of the model that a plan cannot reach.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
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
from hipp_prune.models.structure import compares_neurons
from hipp_prune.pruning.cutting import cut_neurons
from hipp_prune.pruning.masking import remove_neurons

_FEWEST = 2
_OF_ALL_BLOCKS = {"embed_tokens_per_layer.weight": 1, "per_layer_model_projection.weight": 0}
"""Tensors that hold a part for every block, and the axis of it (what Gemma 4 gives to each block)."""


def count_blocks(adapter: Adapter) -> int:
    """Blocks that are written: two, or as many as it takes to have one of every kind (of attention)."""
    kinds = list(getattr(adapter.model.get_decoder().config, "layer_types", None) or ())
    return min(len(adapter.blocks), max([_FEWEST, *(1 + kinds.index(kind) for kind in kinds)]))


def write_first_blocks(source: Path, adapter: Adapter, folder: Path) -> None:
    """Writes all but the later blocks (``count_blocks``); block *i* loses its first *i* + 1 neurons: widths differ.

    Args:
        source: checkpoint folder of the model.
        adapter: the model.
        folder: to make; it takes the bytes of the first blocks, embeddings, head and vision tower.

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
    everything = [entry for shard in shards for entry in shard.entries]
    share = len(kept) / len(adapter.blocks)
    cuts |= {entry.name: cut for entry in everything if (cut := _first_parts(entry, share)) is not None}
    write_folder(
        source,
        folder,
        shards,
        changes=cuts,
        values={shard.path: {} for shard in shards},
        config=_shortened(
            pruned_config(source, [int(keep.sum()) for keep in kept]), len(adapter.blocks), len(kept)
        ),
        records={},
        dropped={entry.name for entry in everything if entry.name.startswith(later)},
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
    kept = _keep(adapter)
    model = cut_neurons(adapter.model, [*kept, *whole[len(kept) :]])
    decoder: Any = model.get_decoder()
    decoder.layers = decoder.layers[: len(kept)]
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
    layers, kept = decoder.layers, _keep(adapter)
    with ExitStack() as undo:
        undo.callback(setattr, decoder, "layers", layers)
        decoder.layers = layers[: len(kept)]
        for block, keep in zip(adapter.blocks, kept, strict=False):
            if compares_neurons(block):
                remove_neurons(undo, block, keep)
            else:
                hook = block.down.register_forward_pre_hook(_zeroing(torch.from_numpy(keep)))
                undo.callback(hook.remove)
        yield


def _keep(adapter: Adapter) -> list[Any]:
    """Keep-masks of the first blocks."""
    widths = adapter.shape.neurons[: count_blocks(adapter)]
    return [np.arange(neurons) > block for block, neurons in enumerate(widths)]


def _zeroing(keep: Tensor) -> Any:
    def zero(_: nn.Module, arguments: tuple[Tensor]) -> tuple[Tensor]:
        return (arguments[0] * keep.to(arguments[0]),)

    return zero


def _prefix(entry: Entry) -> str:
    """The name of the block that an MLP's tensor stands in, with its dot."""
    return entry.name[: entry.name.rindex(".mlp.") + 1]


def _first_parts(entry: Entry, share: float) -> Cut | None:
    """Leaves a tensor that holds a part for every block those of the first; None for any other tensor."""
    for name, axis in _OF_ALL_BLOCKS.items():
        if entry.name.endswith(name):
            size = entry.shape[axis]
            return Cut(keep=np.arange(size) < round(share * size), axis=axis)
    return None


def _shortened(config: Mapping[str, Any], blocks: int, kept: int) -> dict[str, Any]:
    """The configuration of the first blocks; what has an entry a block is cut, and none shares another's keys.

    Args:
        config: of all blocks.
        blocks: their number.
        kept: how many of them there are to be.
    """
    text = config["text_config"]
    if blocks <= kept:
        return dict(config)
    cut = {name: _head(value, blocks, kept) for name, value in text.items()}
    own = {block: each for block, each in (text.get("per_layer_config") or {}).items() if int(block) < kept}
    cut |= {"per_layer_config": own} if own else {}
    cut |= {"num_kv_shared_layers": 0} if "num_kv_shared_layers" in text else {}
    return {**config, "text_config": {**cut, "num_hidden_layers": kept}}


def _head(value: Any, blocks: int, kept: int) -> Any:
    return value[:kept] if isinstance(value, list) and len(value) == blocks else value
