"""How many bytes a checkpoint is, told by its configuration and the headers of its files: no weight is read."""

from math import prod
from pathlib import Path
from typing import Any

from hipp_prune.checkpoints.elastic import measure_plan
from hipp_prune.checkpoints.folders import open_shards
from hipp_prune.checkpoints.pruned import find_mlp
from hipp_prune.checkpoints.shards import FLOATS, Entry
from hipp_prune.errors import CheckpointError
from hipp_prune.models.loading import read_config
from hipp_prune.models.uneven import KEY_VALUE_HEADS, is_elastic_plan, weight_files
from hipp_prune.plans.footprint import Footprint


def measure_footprint(folder: Path, *, trust_remote_code: bool = False) -> Footprint:
    """The bytes of a checkpoint, of one neuron of each of its blocks, and of a token in its KV cache.

    Args:
        folder: a checkpoint with safetensors weights.
        trust_remote_code: whether the checkpoint may bring the code of its configuration.

    Raises:
        CheckpointError: if files are missing or damaged, or there is no language model with gate, up and down.
    """
    shards = open_shards(folder)
    entries = find_mlp(shards)
    blocks = range(1 + max((block for block, _, _ in entries), default=-1))
    weights = [entries.get((block, part, "weight")) for block in blocks for part in ("gate", "up", "down")]
    if not weights or not all(map(_is_matrix, weights)):
        raise CheckpointError(
            f"{folder}: expected weights of gate, up and down in every language block, found {len(entries)} tensors "
            "of them; prune the model before quantising or fusing it"
        )
    downs = [entries[block, "down", "weight"] for block in blocks]
    number = downs[0].num_bytes // prod(downs[0].shape)
    return Footprint(
        weights=sum(shard.num_bytes for shard in shards),
        neurons=tuple(down.shape[1] for down in downs),
        neuron_bytes=tuple(_neuron_bytes(entries, block, down.shape[1]) for block, down in enumerate(downs)),
        biases=sum(
            down.num_bytes // down.shape[1]
            for block, down in enumerate(downs)
            if (block, "down", "bias") not in entries
        ),
        token=_cached_numbers(read_config(folder, trust_remote_code=trust_remote_code), len(downs), number),
    )


def weight_bytes(folder: Path) -> int:
    """Size of a checkpoint's weight files on disk; of a plan of an elastic one, of what is loaded of them."""
    if is_elastic_plan(folder):
        return measure_plan(folder).loaded
    return sum(path.stat().st_size for path in weight_files(folder) if path.is_file())


def _is_matrix(entry: Entry | None) -> bool:
    return entry is not None and len(entry.shape) == 2 and min(entry.shape) > 0 and entry.dtype in FLOATS


def _neuron_bytes(entries: dict[tuple[int, str, str], Entry], block: int, width: int) -> int:
    own = [
        entry
        for (owner, part, kind), entry in entries.items()
        if owner == block and (part, kind) != ("down", "bias")
    ]
    return sum(entry.num_bytes // width for entry in own)


def _cached_numbers(config: Any, blocks: int, number: int) -> int | None:
    """Bytes of keys and values of one token; those of blocks whose window slides are counted whole."""
    text = config.get_text_config(decoder=True)
    if not getattr(text, "num_attention_heads", None):
        return None
    own = [text.per_layer_config[block] for block in range(blocks)]
    sizes = [getattr(each, "head_dim", None) or each.hidden_size // each.num_attention_heads for each in own]
    heads = getattr(text, KEY_VALUE_HEADS, None) or [
        getattr(each, "num_key_value_heads", None) or each.num_attention_heads for each in own
    ]
    numbers = [size * count for size, count in zip(sizes, heads, strict=True)]
    sharing = getattr(text, "num_kv_shared_layers", None) or 0  # the last blocks, which read what others keep
    return int(sum(numbers[: blocks - sharing]) * 2 * number)
