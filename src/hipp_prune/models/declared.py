"""What the JSON files of a checkpoint must say, as far as we and the stock classes rely on it.

transformers checks few of these files' types and none of their ranges; a hidden size of −1 or an image of 10⁹ pixels
ends deep inside it. Keys that are not declared here are others' business. Every field may be left out: stock classes
have defaults.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, Gt, Le, Len, Lt
from pydantic import Field

from hipp_prune.errors import CheckpointError
from hipp_prune.files.ranges import Count, Natural, Positive
from hipp_prune.files.reading import read_document
from hipp_prune.files.strict import parse_json
from hipp_prune.models.uneven import PREFIXES, is_elastic_plan

INDEX = "model.safetensors.index.json"
REMEDY = "download or write the checkpoint again"

Width = Annotated[int, Ge(1), Le(2**20)]
Blocks = Annotated[int, Ge(1), Le(2**10)]
Token = Annotated[int, Ge(0), Lt(2**31)]
Edge = Annotated[int, Ge(1), Le(4096)]
"""Of a picture, in pixels."""
Area = Annotated[int, Ge(1), Lt(2**31)]
"""Of a picture, in pixels; the families that bound areas call them edges."""
Mean = Annotated[float, Ge(-1e3), Le(1e3)]
Deviation = Annotated[float, Gt(0), Le(1e3)]
Base = Annotated[float, Gt(0), Le(1e15)]
"""Base θ of rotary angles."""
FileName = Annotated[str, Field(pattern=r"^[^/\\\x00-\x1f]+$", max_length=255)]
"""Of a file beside the index."""


_LONGEST_EDGE = 4096


@dataclass(frozen=True, kw_only=True)
class RotarySettings:
    """How positions become angles."""

    rope_type: str | None = None
    rope_theta: Base | None = None
    factor: Positive | None = None
    mrope_section: list[Natural] | None = None


@dataclass(frozen=True, kw_only=True)
class BlockSettings:
    """What one language block has of its own."""

    intermediate_size: Width | None = None


@dataclass(frozen=True, kw_only=True)
class TextSettings:
    """What we read of a language model's configuration."""

    model_type: str | None = None
    hidden_size: Width | None = None
    intermediate_size: Width | list[Width] | None = None
    num_hidden_layers: Blocks | None = None
    num_attention_heads: Width | None = None
    num_key_value_heads: Width | None = None
    head_dim: Annotated[int, Ge(0), Le(2**20)] | None = None
    """0 where heads have no rotary part (GLM-5)."""
    vocab_size: Annotated[int, Ge(1), Le(2**24)] | None = None
    max_position_embeddings: Count | None = None
    rms_norm_eps: Annotated[float, Ge(0), Le(1)] | None = None
    hidden_act: str | None = None
    mlp_bias: bool | None = None
    attention_bias: bool | None = None
    tie_word_embeddings: bool | None = None
    rope_theta: Base | None = None
    rope_scaling: RotarySettings | None = None
    rope_parameters: RotarySettings | None = None
    layer_types: list[str] | None = None
    sliding_window: Natural | None = None
    use_sliding_window: bool | None = None
    bos_token_id: Token | list[Token] | None = None
    eos_token_id: Token | list[Token] | None = None
    pad_token_id: Annotated[int, Ge(-1), Lt(2**31)] | None = None
    per_layer_config: dict[Annotated[str, Field(pattern="^[0-9]{1,4}$")], BlockSettings] | None = None
    mlp_down_bias: bool | None = None
    residual_width: Width | None = None
    block_key_value_heads: list[Width] | None = None


@dataclass(frozen=True, kw_only=True)
class VisionSettings:
    """What we read of a vision tower's configuration."""

    model_type: str | None = None
    hidden_size: Width | None = None
    intermediate_size: Width | None = None
    out_hidden_size: Width | None = None
    embed_dim: Width | list[Width] | None = None
    projection_dim: Width | None = None
    num_hidden_layers: Blocks | None = None
    depth: Blocks | None = None
    num_attention_heads: Width | None = None
    num_heads: Width | None = None
    mlp_ratio: Annotated[float, Gt(0), Le(1024)] | None = None
    num_channels: Annotated[int, Ge(1), Le(16)] | None = None
    in_channels: Annotated[int, Ge(1), Le(16)] | list[Width] | None = None
    """Of the picture, or of every stage of a convolutional tower."""
    in_chans: Annotated[int, Ge(1), Le(16)] | None = None
    image_size: Edge | Annotated[list[Edge], Len(2, 2)] | None = None
    patch_size: Edge | Annotated[list[Edge], Len(2, 2)] | None = None
    spatial_merge_size: Edge | None = None
    temporal_patch_size: Edge | None = None
    window_size: Edge | None = None
    fullatt_block_indexes: list[Natural] | None = None
    layer_norm_eps: Annotated[float, Ge(0), Le(1)] | None = None
    hidden_act: str | None = None


@dataclass(frozen=True, kw_only=True)
class ModelSettings(TextSettings):
    """``config.json``; checkpoints on the hub may keep the language model's settings at the top."""

    model_type: str
    text_config: TextSettings | None = None
    vision_config: VisionSettings | None = None
    image_token_id: Token | None = None
    image_token_index: Token | None = None
    video_token_id: Token | None = None
    vision_feature_layer: (
        Annotated[int, Ge(-1024), Le(1024)] | list[Annotated[int, Ge(-1024), Le(1024)]] | None
    ) = None
    vision_feature_select_strategy: str | None = None
    projector_hidden_act: str | None = None
    multimodal_projector_bias: bool | None = None
    image_seq_length: Count | None = None
    scale_factor: Edge | None = None
    image_grid_pinpoints: list[Annotated[list[Edge], Len(2, 2)]] | None = None
    auto_map: dict[str, Any] | None = None
    architectures: list[str] | None = None


@dataclass(frozen=True, kw_only=True)
class ShardIndex:
    """``model.safetensors.index.json``: the file of every tensor."""

    weight_map: Annotated[dict[str, FileName], Len(1)]
    metadata: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        by_name = pairwise(sorted(self.files, key=str.casefold))
        alike = [pair for pair in by_name if pair[0].casefold() == pair[1].casefold()]
        if alike:
            first, second = alike[0]
            raise ValueError(f"expected every file under one name, found {first} and {second}")

    @property
    def files(self) -> list[str]:
        """The names of the files, each once."""
        return sorted(set(self.weight_map.values()))


@dataclass(frozen=True, kw_only=True)
class PrefixFile:
    """``prefixes.json``: how much a plan takes of the tensors of its elastic checkpoint."""

    format: Annotated[int, Ge(1), Le(1)]
    prefixes: dict[str, tuple[Annotated[int, Ge(0), Le(1)], Width]]
    """(axis, first slices of it), by the tensor's name."""


@dataclass(frozen=True, kw_only=True)
class PictureSize:
    """What a picture is brought to."""

    height: Edge | None = None
    width: Edge | None = None
    shortest_edge: Area | None = None
    longest_edge: Area | None = None
    max_height: Edge | None = None
    max_width: Edge | None = None


@dataclass(frozen=True, kw_only=True)
class PictureSettings:
    """``preprocessor_config.json``: how pictures become pixels."""

    image_processor_type: str | None = None
    size: PictureSize | Edge | None = None
    crop_size: PictureSize | Edge | None = None
    max_image_size: PictureSize | Edge | None = None
    do_resize: bool | None = None
    do_center_crop: bool | None = None
    do_rescale: bool | None = None
    do_normalize: bool | None = None
    do_convert_rgb: bool | None = None
    do_pad: bool | None = None
    do_image_splitting: bool | None = None
    crop_to_patches: bool | None = None
    resample: Annotated[int, Ge(0), Le(5)] | None = None
    rescale_factor: Annotated[float, Gt(0), Le(1)] | None = None
    image_mean: Mean | Annotated[list[Mean], Len(1, 4)] | None = None
    image_std: Deviation | Annotated[list[Deviation], Len(1, 4)] | None = None
    patch_size: PictureSize | Edge | None = None
    merge_size: Edge | None = None
    temporal_patch_size: Edge | None = None
    min_pixels: Area | None = None
    max_pixels: Area | None = None
    min_patches: Edge | None = None
    max_patches: Edge | None = None
    image_grid_pinpoints: list[Annotated[list[Edge], Len(2, 2)]] | None = None

    def __post_init__(self) -> None:
        size = self.size
        if self.merge_size is None and isinstance(size, PictureSize):
            edges = [edge for edge in (size.shortest_edge, size.longest_edge) if edge is not None]
            if max(edges, default=0) > _LONGEST_EDGE:
                raise ValueError(f"expected edges of at most {_LONGEST_EDGE} pixels, found {max(edges)}")


@dataclass(frozen=True, kw_only=True)
class ProcessorSettings:
    """``processor_config.json``, which may hold the picture settings in place of their own file."""

    image_processor: PictureSettings | None = None
    chat_template: str | dict[str, str] | None = None


def check_config(folder: Path) -> None:
    """Refuses a folder whose ``config.json``, prefixes or index has something we rely on of another type or range.

    Raises:
        CheckpointError: naming file and field, or if there is no ``config.json``.
    """
    _check_file(folder / "config.json", ModelSettings)
    if is_elastic_plan(folder):
        read_document(folder / PREFIXES, PrefixFile, remedy=REMEDY, error=CheckpointError)
    if (folder / INDEX).is_file():
        read_index(folder)


def read_index(folder: Path) -> ShardIndex:
    """Which file of a folder holds which tensor.

    Raises:
        CheckpointError: if the index is missing or damaged.
    """
    return read_document(folder / INDEX, ShardIndex, remedy=REMEDY, error=CheckpointError, foreign=True)


def check_index(folder: Path, index: ShardIndex, held: Mapping[str, Collection[str]]) -> None:
    """Refuses a folder that holds a tensor elsewhere than its index says, or twice; transformers would take either.

    Args:
        folder: the checkpoint.
        index: its index.
        held: names of the tensors in each file that the index names, by the file's name.

    Raises:
        CheckpointError: naming a tensor.
    """
    files: dict[str, list[str]] = {}
    for file, names in held.items():
        for name in names:
            files.setdefault(name, []).append(file)
    for name, said in index.weight_map.items():
        found = files.get(name, [said])
        if found != [said]:
            raise CheckpointError(
                f"{folder}: the index says that {name} lies in {said}, found it in {' and '.join(found)}; {REMEDY}"
            )


def check_pictures(folder: Path) -> None:
    """Refuses a folder whose picture settings have something we rely on of another type or range.

    Raises:
        CheckpointError: naming file and field.
    """
    kinds = {"preprocessor_config.json": PictureSettings, "processor_config.json": ProcessorSettings}
    for name, kind in kinds.items():
        if (folder / name).is_file():
            _check_file(folder / name, kind)


def _check_file(path: Path, kind: type) -> None:
    read_document(path, kind, remedy=REMEDY, error=CheckpointError, foreign=True)


def check_from_hub(text: str, kind: type, *, where: str) -> None:
    """Refuses what transformers has read from the hub, as its JSON, where something is of another type or range.

    Raises:
        CheckpointError: naming the field.
    """
    parse_json(text, kind, where=where, remedy=REMEDY, error=CheckpointError, foreign=True)
