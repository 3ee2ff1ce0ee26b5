"""A residual stream cut to fewer coordinates (SliceGPT): which tensors touch it, and the checkpoint that comes of it.

The stream has 2 L + 1 *places*: 2 l where block l reads it, 2 l + 1 between its attention and its MLP, and 2 L behind
the last block. Each place but the last gets a basis Q [hidden, width], and what is left of x is xᵀ Q. So a tensor that
writes to a place becomes Qᵀ W, one that reads from it W diag(w) Q with w the weights of the norm in between, and the
residual connection from a place to the next one becomes the product of their bases, its *shortcut*. Behind the last
block the stream is whole: final norm and head stay as they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from hipp_prune.checkpoints.configs import nested_config
from hipp_prune.checkpoints.finding import find_tensors
from hipp_prune.checkpoints.folders import check_output, open_shards
from hipp_prune.checkpoints.ledger import Savings
from hipp_prune.checkpoints.pruned import CheckpointReport, write_beyond_neurons
from hipp_prune.checkpoints.shards import FLOATS, Place, Shard, Values, read_tensor
from hipp_prune.errors import UnsupportedModelError
from hipp_prune.files.progress import Progress
from hipp_prune.models import uneven
from hipp_prune.models.adapter import Adapter
from hipp_prune.models.fused import SplitMlp
from hipp_prune.models.pruned_settings import auto_map
from hipp_prune.plans.space import Ledger, ModelShape

HEAD = "lm_head.weight"
"""An untied head's tensor, in the model and in a checkpoint."""
TensorShape = tuple[int, ...]
_PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj")
_QUERY = "self_attn.q_proj.weight"
_SHORTCUTS = ("attention_shortcut.weight", "mlp_shortcut.weight")


@dataclass(frozen=True, kw_only=True)
class Slicing:
    """The bases that a model's residual stream is cut to."""

    shape: ModelShape
    """The model before it is cut."""
    bases: tuple[Tensor, ...]
    """Orthonormal columns of the places 0 … 2 L − 1, float64 [hidden, width] each."""
    ledger: Ledger
    notes: dict[str, Any] = field(default_factory=dict)
    """How the bases were made; kept with the checkpoint."""

    @property
    def width(self) -> int:
        """Coordinates that are left."""
        return self.bases[0].shape[1]

    @property
    def summary(self) -> str:
        """One line for people, beside the ledger."""
        return f"residual stream: {self.shape.hidden_size} → {self.width} coordinates"


@dataclass(frozen=True, kw_only=True)
class Touch:
    """The axes of a tensor that lie along the residual stream, by the place they touch; the last place is none."""

    rows: int | None = None
    """Where its outputs are written."""
    columns: int | None = None
    """Where its inputs are read."""
    norm: str | None = None
    """Name of the norm whose weights its columns take up."""


def touching(adapter: Adapter) -> dict[str, Touch]:
    """All tensors that touch the stream before its last place, by their names in the model, norms left out.

    Raises:
        UnsupportedModelError: if something else than embeddings, projector and blocks writes to the stream.
    """
    model = adapter.model
    parameters = dict(model.named_parameters())
    if any(name.endswith("image_newline") for name in parameters):
        raise UnsupportedModelError(
            f"{type(model).__name__}: its images hold features that no linear writes (image_newline), which slicing "
            "does not know; expected images that are the projector's output, as in LLaVA-1.5 or Qwen2.5-VL"
        )
    _check_blocks(adapter)
    embeddings = model.get_input_embeddings().weight
    found = {name: Touch(columns=0) for name, weight in parameters.items() if weight is embeddings}
    try:
        name, projector = uneven.find_projector(model)
    except ValueError as error:
        raise UnsupportedModelError(f"{error}; images cannot be sliced without it") from error
    writer = f"{name}.{uneven.last_linear(projector)[0]}".rstrip(".")
    found |= {f"{writer}.weight": Touch(rows=0), f"{writer}.bias": Touch(rows=0)}
    for index, block in enumerate(adapter.blocks):
        found |= _block_touches(block.name, 2 * index, last=index == len(adapter.blocks) - 1)
    return {name: touch for name, touch in found.items() if name in parameters}


def check_image_writer(adapter: Adapter) -> None:
    """Refuses a model whose image features are not what its projector's last linear writes; one picture is encoded.

    Raises:
        UnsupportedModelError: if something stands between (the residual connections of Idefics2's resampler).
    """
    written: list[Tensor] = []
    name, projector = uneven.find_projector(adapter.model)
    part, linear = uneven.last_linear(projector)
    hook = linear.register_forward_hook(lambda _, __, output: written.append(output.detach()))
    try:
        with torch.no_grad():
            (features,) = adapter.encode_images([Image.new("RGB", (64, 64))])
    finally:
        hook.remove()
    rows = torch.cat([output.reshape(-1, output.shape[-1]) for output in written])
    seen, known = (states.double().sum(dim=1).sort().values for states in (features.tokens, rows))
    if seen.shape != known.shape or not torch.allclose(seen, known):
        raise UnsupportedModelError(
            f"{type(adapter.model).__name__}: its images are more than what {name}.{part} writes, which slicing does "
            "not know; expected images that are the projector's output, as in LLaVA-1.5 or Qwen2.5-VL"
        )


def _check_blocks(adapter: Adapter) -> None:
    """Refuses what the sliced block does not compute: more norms than two, other norms, images behind later blocks.

    Raises:
        UnsupportedModelError: saying which.
    """
    model = adapter.model
    known = {"self_attn", "mlp", "input_layernorm", "post_attention_layernorm"}
    for block in adapter.blocks:
        layer = model.get_submodule(block.name)
        parts = {name for name, part in layer.named_children() if any(True for _ in part.parameters())}
        if parts != known:
            raise UnsupportedModelError(
                f"{type(model).__name__}: expected blocks of {', '.join(sorted(known))}, found "
                f"{', '.join(sorted(parts))} in {block.name}, which slicing does not know"
            )
        for name in ("input_layernorm", "post_attention_layernorm"):
            norm: Any = layer.get_submodule(name)
            ones = torch.ones_like(norm.weight)
            if not torch.allclose(norm(ones).float(), norm.weight.float(), rtol=1e-2, atol=1e-4):
                raise UnsupportedModelError(
                    f"{type(model).__name__}: expected norms that multiply by their weights, found "
                    f"{type(norm).__name__} in {block.name}, which slicing does not know"
                )
        lacking = [
            name for name in _PROJECTIONS if not isinstance(getattr(layer.self_attn, name, None), nn.Linear)
        ]
        if lacking or isinstance(block.mlp, SplitMlp):
            raise UnsupportedModelError(
                f"{type(model).__name__}: expected queries, keys, values, gates and ups in matrices of their own, "
                f"found several in one in {block.name}, which slicing does not know"
            )
    if getattr(model.config.vision_config, "deepstack_visual_indexes", None):
        raise UnsupportedModelError(
            f"{type(model).__name__}: its images are added behind the first blocks too, where slicing has another basis"
        )


def _block_touches(block: str, place: int, *, last: bool) -> dict[str, Touch]:
    """What the tensors of a block that reads from ``place`` touch; a last one's MLP writes all coordinates."""
    norms = f"{block}.input_layernorm.weight", f"{block}.post_attention_layernorm.weight"
    attention = Touch(columns=place, norm=norms[0])
    mlp = Touch(columns=place + 1, norm=norms[1])
    found = {f"{block}.self_attn.{part}_proj.weight": attention for part in ("q", "k", "v")}
    found |= {f"{block}.mlp.{part}_proj.weight": mlp for part in ("gate", "up")}
    for kind in ("weight", "bias"):
        found[f"{block}.self_attn.o_proj.{kind}"] = Touch(rows=place + 1)
        if not last:
            found[f"{block}.mlp.down_proj.{kind}"] = Touch(rows=place + 2)
    return found


def sliced_shapes(adapter: Adapter, width: int) -> dict[str, TensorShape]:
    """Shapes of the parameters of the sliced model, by name: norms of the blocks gone, shortcuts and own head there."""
    touches, hidden = touching(adapter), adapter.shape.hidden_size
    norms = {touch.norm for touch in touches.values()}
    parameters = dict(adapter.model.named_parameters())
    shapes = {name: tuple(weight.shape) for name, weight in parameters.items() if name not in norms}
    for name, touch in touches.items():
        out, *rest = shapes[name]
        rows = out if touch.rows is None else width
        columns = rest if touch.columns is None else [width]
        shapes[name] = (rows, *columns)
    if is_tied(adapter):
        shapes[HEAD] = tuple(adapter.model.get_input_embeddings().weight.shape)
    for block in adapter.blocks:
        written = hidden if block is adapter.blocks[-1] else width
        shapes |= {
            f"{block.name}.{_SHORTCUTS[0]}": (width, width),
            f"{block.name}.{_SHORTCUTS[1]}": (written, width),
        }
    return shapes


def is_tied(adapter: Adapter) -> bool:
    """Whether head and embeddings are one tensor; a sliced model's are two, since only the embeddings are cut."""
    return adapter.model.get_output_embeddings().weight is adapter.model.get_input_embeddings().weight


@dataclass(frozen=True, kw_only=True)
class Rotation:
    """A tensor's axes along the stream are brought to the bases of their places, in float64."""

    dtype: str
    rows: Tensor | None
    """Basis of the place it writes to, [hidden, width]."""
    columns: Tensor | None
    """Basis of the place it reads from, [hidden, width]."""
    norm: Tensor | None
    """Weights its columns take up, [hidden]."""

    def shape(self, shape: TensorShape) -> TensorShape:
        """The shape a tensor of ``shape`` has afterwards."""
        rows = shape[0] if self.rows is None else self.rows.shape[1]
        return (rows, *(shape[1:] if self.columns is None else (self.columns.shape[1],)))

    def apply(self, tensor: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Rotates a tensor given as bytes, [*shape, bytes of an element]."""
        rotated = self.rotate(torch.tensor(tensor).view(FLOATS[self.dtype])[..., 0].double())
        stored = rotated.to(FLOATS[self.dtype]).contiguous().view(torch.uint8).numpy()
        return stored.reshape(*rotated.shape, tensor.shape[-1])

    def rotate(self, weight: Tensor) -> Tensor:
        """Q_rowsᵀ W diag(norm) Q_columns of a float64 weight [out, in], or Q_rowsᵀ b of a bias [out]."""
        if self.norm is not None:
            weight = weight * self.norm
        if self.columns is not None:
            weight = weight @ self.columns
        return weight if self.rows is None else self.rows.T @ weight


@torch.no_grad()
def write_sliced(
    source: Path,
    adapter: Adapter,
    slicing: Slicing,
    out: Path,
    *,
    force: bool = False,
    progress: Progress | None = None,
) -> CheckpointReport:
    """Writes the sliced checkpoint, whole or not at all; source tensors are in memory one at a time.

    Args:
        source: checkpoint folder with safetensors weights.
        adapter: the model loaded from it, its weights unchanged.
        slicing: made for it.
        out: folder to write.
        force: replace a checkpoint that is already there.
        progress: called with (files written, files).

    Raises:
        CheckpointError: if the source is incomplete, quantised or not safetensors, or ``out`` cannot be written.
        OutputExistsError: if ``out`` exists and ``force`` is false, or it is no checkpoint.
        UnsupportedModelError: if transformers has no class for the source's ``model_type``.
    """
    check_output(source, out, force=force)
    shards = open_shards(source)
    touches = touching(adapter)
    parameters = dict(adapter.model.named_parameters())
    norms = {touch.norm for touch in touches.values() if touch.norm is not None}
    places = find_tensors(shards, {name: parameters[name] for name in (*touches, *sorted(norms))})
    changes = {
        entry.name: _rotation(touch, slicing.bases, places, entry.dtype)
        for touch, (_, entry) in ((touch, places[name]) for name, touch in touches.items())
    }
    return write_beyond_neurons(
        source,
        out,
        shards,
        savings=Savings(ledger=slicing.ledger, shape=slicing.shape, notes=slicing.notes),
        widths=slicing.shape.neurons,
        changes=changes,
        config=_config(source, slicing.width),
        values=_added(adapter, slicing, shards, places),
        dropped={places[norm][1].name for norm in norms},
        progress=progress,
    )


def _rotation(touch: Touch, bases: Sequence[Tensor], places: Mapping[str, Place], dtype: str) -> Rotation:
    return Rotation(
        dtype=dtype,
        rows=None if touch.rows is None else bases[touch.rows],
        columns=None if touch.columns is None else bases[touch.columns],
        norm=None if touch.norm is None else read_tensor(places[touch.norm]).double(),
    )


def _added(
    adapter: Adapter, slicing: Slicing, shards: Sequence[Shard], places: Mapping[str, Place]
) -> dict[Path, dict[str, Values]]:
    """What every file gains: shortcuts of the blocks whose queries lie in it, and a head that was the embeddings."""
    values: dict[Path, dict[str, Values]] = {shard.path: {} for shard in shards}
    bases = (*slicing.bases, torch.eye(slicing.shape.hidden_size, dtype=torch.float64))
    for index, block in enumerate(adapter.blocks):
        shard, query = places[f"{block.name}.{_QUERY}"]
        before, between, after = bases[2 * index : 2 * index + 3]
        stem = query.name.removesuffix(_QUERY)
        for name, weight in zip(_SHORTCUTS, (between.T @ before, after.T @ between), strict=True):
            values[shard.path][stem + name] = Values.of(weight, query.dtype)
    stored = {entry.name for shard in shards for entry in shard.entries}
    if is_tied(adapter) and not any(name.endswith(HEAD) for name in stored):
        shard, entry = places[next(name for name in places if name.endswith("embed_tokens.weight"))]
        values[shard.path][HEAD] = Values.of(read_tensor((shard, entry)), entry.dtype)
    return values


def _config(source: Path, width: int) -> dict[str, Any]:
    config = nested_config(source)
    config["text_config"][uneven.RESIDUAL_WIDTH] = width
    for settings in (config, config["text_config"]):
        settings["tie_word_embeddings"] = False
    config["auto_map"] = auto_map(config["model_type"])
    return config
