"""Valid checkpoints: configuration, index and picture settings beside weights, and the prefixes of a plan."""

from pathlib import Path

from hipp_prune.checkpoints.configs import nested_config
from hipp_prune.checkpoints.elastic import CarriedOut, write_elastic
from hipp_prune.checkpoints.folders import open_shards
from hipp_prune.files.manifest import FILE_LIST
from hipp_prune.models import load_model
from hipp_prune.models.declared import (
    INDEX,
    ModelSettings,
    PictureSettings,
    PrefixFile,
    ProcessorSettings,
    ShardIndex,
)
from hipp_prune.models.uneven import PREFIXES
from hipp_prune.plans.prefixes import nested_orders
from tests.fuzz.seed import Seed
from tests.tiny import tiny_image, tiny_llava
from tests.unit.checkpoints.tiny_plans import make_plan


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


def _write_elastic(folder: Path) -> None:
    source = tiny_llava(folder)
    plans = {"0.5": make_plan(load_model(source), "coupled", (24, 20))}
    write_elastic(source, folder / "elastic", plans, nested_orders(plans), lambda plan: CarriedOut(plan=plan))
    (folder / "elastic" / FILE_LIST).unlink()  # so that it is read although it has changed


def _read_plan(folder: Path, _: str) -> object:
    return load_model(folder / "elastic" / "0.5").shape


ELASTIC = Seed(
    name="elastic checkpoint",
    write=_write_elastic,
    kinds={f"elastic/0.5/{PREFIXES}": PrefixFile},
    read=_read_plan,
)
