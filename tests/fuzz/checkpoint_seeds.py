"""A valid checkpoint: configuration, index and picture settings beside its weights."""

from pathlib import Path

from hipp_prune.checkpoints.configs import nested_config
from hipp_prune.checkpoints.folders import open_shards
from hipp_prune.models import load_model
from hipp_prune.models.declared import INDEX, ModelSettings, PictureSettings, ProcessorSettings, ShardIndex
from tests.fuzz.seed import Seed
from tests.tiny import tiny_image, tiny_llava


def _write_checkpoint(folder: Path) -> None:
    tiny_llava(folder, name=".", max_shard_size="60KB")


def _read_checkpoint(folder: Path, _: str) -> object:
    adapter = load_model(folder)
    (features,) = adapter.encode_images([tiny_image()])
    return open_shards(folder), nested_config(folder), features.tokens


_KINDS = {
    "config.json": ModelSettings,
    INDEX: ShardIndex,
    "preprocessor_config.json": PictureSettings,
    "processor_config.json": ProcessorSettings,
}

CHECKPOINT = Seed(
    name="checkpoint", write=_write_checkpoint, kinds=_KINDS, read=_read_checkpoint, foreign=_KINDS.keys()
)
