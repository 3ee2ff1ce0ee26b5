"""Language models of uneven width: read the widths from a config and build the model they describe.

A pruned checkpoint says ``text_config.per_layer_config = {"0": {"intermediate_size": 640}, ...}``, which
transformers 5 reads but cannot model, and 4 knows nothing of. ``uneven`` is the missing half: a subclass of a stock
class whose block MLPs have those widths. The settings named below say what else it may have: down projections with a
bias (FLAP), a narrower residual stream (SliceGPT), fewer attention heads (LLM-Pruner).

In an *elastic* checkpoint the neurons of the dense model are sorted by importance. Each plan is a folder in it, with a
configuration, tensors of its own, and ``prefixes.json``, which says how much it takes of which of the dense model's.

This file is also the remote code of every pruned checkpoint, as ``modeling_hipp_prune.py``. So, beside the standard
library, it imports nothing but torch and transformers, 4.57 or 5, and what that needs, and raises plain ``ValueError``.
``auto_map`` names the classes by their stock names, which ``__getattr__`` builds on demand.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from functools import cache
from inspect import signature
from pathlib import Path
from shutil import copyfile
from typing import Any

import torch
import transformers
from huggingface_hub import snapshot_download
from safetensors import safe_open
from torch import Tensor, nn
from transformers import GenerationConfig, PretrainedConfig, PreTrainedModel

REMOTE_CODE = "modeling_hipp_prune.py"
"""This file's name inside a checkpoint, which ``auto_map`` refers to."""

DOWN_BIAS = "mlp_down_bias"
"""Setting of a text config: the down projections have a bias."""

RESIDUAL_WIDTH = "residual_width"
"""Setting of a text config: coordinates of the residual stream; ``hidden_size`` stays what it was before slicing."""

KEY_VALUE_HEADS = "block_key_value_heads"
"""Setting of a text config: key/value heads of each block, where some have left, each with its queries."""

PREFIXES = "prefixes.json"
"""The file by which a folder is known as a plan of the elastic checkpoint above it."""

_SETTINGS_OF_PLAN = ("intermediate_size", "per_layer_config", "use_double_wide_mlp", DOWN_BIAS)
"""Settings of a text config in which a plan may differ from the dense model."""
_HUB = ("cache_dir", "force_download", "local_files_only", "revision", "token")
"""Arguments of ``from_pretrained`` that say how a name of the hub is found."""

PROJECTORS = ("multi_modal_projector", "connector", "visual.merger", "embed_vision")
"""Where families keep what maps the vision tower's output to the residual stream, below the model without its head."""


def read_widths(config: PretrainedConfig) -> list[int] | None:
    """MLP neurons of each language block, or ``None`` if all blocks have the config's one width."""
    text = config.get_text_config(decoder=True).to_dict()
    blocks = {int(block): own for block, own in (text.get("per_layer_config") or {}).items()}
    if not any("intermediate_size" in own for own in blocks.values()):
        return None
    return [
        blocks.get(block, {}).get("intermediate_size") or text["intermediate_size"]
        for block in range(text["num_hidden_layers"])
    ]


@contextmanager
def _one_width(config: PretrainedConfig) -> Iterator[None]:
    """Inside, single blocks have no widths, of which stock classes read one, but what else they have (Gemma 4)."""
    text = config.get_text_config(decoder=True)
    before = text.to_dict().get("per_layer_config")
    rest = {block: {**own} for block, own in (before or {}).items()}
    for own in rest.values():
        own.pop("intermediate_size", None)
    text.per_layer_config = {block: own for block, own in rest.items() if own} or None
    try:
        yield
    finally:
        text.per_layer_config = before


def is_stock(config: PretrainedConfig) -> bool:
    """Whether the stock class can model it: equal blocks, a whole residual stream, no bias that it does not know."""
    down_bias = getattr(config.get_text_config(decoder=True), DOWN_BIAS, False)
    return read_widths(config) is None and not any(
        (down_bias, residual_width(config), key_value_heads(config))
    )


def residual_width(config: PretrainedConfig) -> int | None:
    """Coordinates of a sliced model's residual stream; ``None`` if it has all of them."""
    width: int | None = getattr(config.get_text_config(decoder=True), RESIDUAL_WIDTH, None)
    return width


def key_value_heads(config: PretrainedConfig) -> list[int] | None:
    """Key/value heads of each block; ``None`` if all blocks have all."""
    heads: list[int] | None = getattr(config.get_text_config(decoder=True), KEY_VALUE_HEADS, None)
    return heads


def set_down_biases(model: PreTrainedModel) -> None:
    """Gives every language block's down projection a bias of zeros, unless it has one. Call it before loading."""
    for block in model.get_decoder().layers:
        down = block.mlp.down_proj
        if down.bias is None:
            down.bias = nn.Parameter(down.weight.new_zeros(down.out_features))


def set_widths(model: PreTrainedModel, widths: Sequence[int]) -> None:
    """Replaces the three projections of each language block's MLP by empty ones of the given width.

    Call it before weights are loaded: the new projections have the old ones' dtype, device and bias, not
    their weights. A block that already has its width is left alone.

    Raises:
        ValueError: if the model has not one gate/up/down MLP for each width.
    """
    blocks = getattr(model.get_decoder(), "layers", ())
    if len(blocks) != len(widths):
        raise ValueError(f"{len(widths)} widths do not fit a model of {len(blocks)} language blocks")
    for index, (block, width) in enumerate(zip(blocks, widths, strict=True)):
        mlp: Any = getattr(block, "mlp", None)
        fused = isinstance(getattr(mlp, "gate_up_proj", None), nn.Linear)
        rows = {"gate_up_proj": 2 * width} if fused else {"gate_proj": width, "up_proj": width}
        if not all(isinstance(getattr(mlp, name, None), nn.Linear) for name in (*rows, "down_proj")):
            raise ValueError(f"language block {index} has no MLP with gate_proj, up_proj and down_proj")
        if mlp.down_proj.in_features == width:
            continue
        for name, count in rows.items():
            _resize(mlp, name, num_out=count)
        _resize(mlp, "down_proj", num_in=width)
        if hasattr(mlp, "intermediate_size"):
            mlp.intermediate_size = width


def set_heads(model: PreTrainedModel, heads: Sequence[int]) -> None:
    """Gives every language block so many key/value heads, and the queries that share them. Call it before loading.

    Raises:
        ValueError: if there is not one number for each block.
    """
    blocks = model.get_decoder().layers
    if len(blocks) != len(heads):
        raise ValueError(f"{len(heads)} numbers of heads do not fit a model of {len(blocks)} language blocks")
    for block, count in zip(blocks, heads, strict=True):
        attention = block.self_attn
        keys = count * attention.head_dim
        queries = keys * attention.num_key_value_groups
        for name, size in {"q_proj": queries, "k_proj": keys, "v_proj": keys}.items():
            _resize(attention, name, num_out=size)
        _resize(attention, "o_proj", num_in=queries)


def _resize(owner: nn.Module, name: str, num_in: int | None = None, num_out: int | None = None) -> None:
    """Replaces a linear by an empty one with other numbers of inputs or outputs."""
    linear: Any = owner.get_submodule(name)
    sizes = num_in or linear.in_features, num_out or linear.out_features
    options = {"bias": linear.bias is not None, "device": linear.weight.device, "dtype": linear.weight.dtype}
    owner.set_submodule(name, nn.Linear(*sizes, **options))


def find_projector(model: PreTrainedModel) -> tuple[str, nn.Module]:
    """What maps the vision tower's output to the residual stream, after its name in the model.

    Raises:
        ValueError: if there is none under a name we know.
    """
    names = {module: name for name, module in model.named_modules()}
    modules = dict(model.base_model.named_modules())
    for projector in (modules[name] for name in PROJECTORS if name in modules):
        return names[projector], projector
    raise ValueError(f"{type(model).__name__}: found no multimodal projector among {', '.join(PROJECTORS)}")


def last_linear(projector: nn.Module) -> tuple[str, nn.Linear]:
    """The linear whose output is the image features, after its name in the projector."""
    return [(name, part) for name, part in projector.named_modules() if isinstance(part, nn.Linear)][-1]


def slice_residual(model: PreTrainedModel, width: int) -> None:
    """Gives a stock model the architecture of SliceGPT, its new parts empty. Call it before loading.

    Embeddings and projector write ``width`` coordinates. Every block reads and writes as many, but the last one
    writes them all, so that final norm and head stay as they are. The norms of the blocks have no weights, and each
    residual connection passes through a matrix, a *shortcut*, to the coordinates that its sublayer writes.
    """
    decoder = model.get_decoder()
    config, embeddings = decoder.config, decoder.embed_tokens
    embeddings.weight = nn.Parameter(embeddings.weight.new_empty(embeddings.num_embeddings, width))
    embeddings.embedding_dim = width
    projector = find_projector(model)[1]
    _resize(projector, last_linear(projector)[0], num_out=width)
    for block in decoder.layers:
        written = config.hidden_size if block is decoder.layers[-1] else width
        for reader in (*(f"self_attn.{each}_proj" for each in "qkv"), "mlp.gate_proj", "mlp.up_proj"):
            _resize(block, reader, num_in=width)
        _resize(block, "self_attn.o_proj", num_out=width)
        _resize(block, "mlp.down_proj", num_out=written)
        weight = block.mlp.down_proj.weight
        options = {"bias": False, "device": weight.device, "dtype": weight.dtype}
        block.attention_shortcut = nn.Linear(width, width, **options)
        block.mlp_shortcut = nn.Linear(width, written, **options)
        block.input_layernorm = SlicedNorm(config.hidden_size, config.rms_norm_eps)
        block.post_attention_layernorm = SlicedNorm(config.hidden_size, config.rms_norm_eps)
        block.__class__ = _sliced(type(block))  # type: ignore[arg-type]


class SlicedNorm(nn.Module):
    """RMSNorm without weights of a stream of which only some coordinates are left: x / √(Σ x² / hidden + ε)."""

    def __init__(self, hidden_size: int, epsilon: float) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        """Coordinates before slicing."""
        self.variance_epsilon = epsilon

    def forward(self, states: Tensor) -> Tensor:
        """Normalises ``states`` [..., width] in float32."""
        wide = states.to(torch.float32)
        mean = wide.square().sum(-1, keepdim=True) / self.hidden_size
        return (wide * torch.rsqrt(mean + self.variance_epsilon)).to(states.dtype)


@cache
def _sliced(stock: type[nn.Module]) -> type[nn.Module]:
    """A subclass of a stock pre-norm block whose residual connections pass through shortcuts, under the same name.

    In transformers 4 some blocks return a tuple; those also take ``output_attentions``.
    """
    returns_tuple = "output_attentions" in signature(stock.forward).parameters

    class Sliced(stock):  # type: ignore[valid-type, misc]
        def forward(self, hidden_states: Tensor, **arguments: Any) -> Any:
            attended = self.self_attn(hidden_states=self.input_layernorm(hidden_states), **arguments)[0]
            middle = self.attention_shortcut(hidden_states) + attended
            result = self.mlp_shortcut(middle) + self.mlp(self.post_attention_layernorm(middle))
            return (result,) if returns_tuple else result

    Sliced.__name__ = Sliced.__qualname__ = stock.__name__
    Sliced.__doc__ = stock.__doc__
    return Sliced


def _fit(model: PreTrainedModel, widths: list[int] | None) -> None:
    """Gives a model that was made with one width what its config says of each block."""
    if widths is not None:
        set_widths(model, widths)
    if getattr(model.config.get_text_config(decoder=True), DOWN_BIAS, False):
        set_down_biases(model)
    if (heads := key_value_heads(model.config)) is not None:
        set_heads(model, heads)
    if (width := residual_width(model.config)) is not None:
        slice_residual(model, width)


@cache
def uneven(stock: type[PreTrainedModel]) -> type[PreTrainedModel]:
    """A subclass of ``stock`` that has the widths its config names; equal widths are fine too.

    It bears the stock class's name and says that it is no custom code, because transformers renames a
    checkpoint's keys by class name and skips custom classes: under another name the language model or its
    head stays random, with no more than a warning. Loading is strict for the same reason.
    """

    class Uneven(stock):  # type: ignore[valid-type, misc]
        def __init__(self, config: PretrainedConfig, *args: Any, **kwargs: Any) -> None:
            widths = read_widths(config)
            with _one_width(config):
                super().__init__(config, *args, **kwargs)
            _fit(self, widths)

        def initialize_weights(self) -> None:
            with _one_width(self.config):
                super().initialize_weights()

        is_custom_code = classmethod(lambda _: False)

        @classmethod
        def from_pretrained(
            cls, pretrained_model_name_or_path: Any, *args: Any, plan: str | None = None, **kwargs: Any
        ) -> Any:
            with_info = kwargs.pop("output_loading_info", False)
            folder = _find_plan(pretrained_model_name_or_path, plan, kwargs)
            name, options = _source(cls, pretrained_model_name_or_path, folder, kwargs)
            model, info = super().from_pretrained(name, *args, **options, output_loading_info=True)
            _check_keys(model, info)
            model.name_or_path = model.config.name_or_path = str(folder or name)
            return (model, info) if with_info else model

        def save_pretrained(self, save_directory: str | Path, *args: Any, **kwargs: Any) -> None:
            super().save_pretrained(save_directory, *args, **kwargs)
            if getattr(self.config, "auto_map", None):
                write_code(Path(save_directory))

    Uneven.__name__ = Uneven.__qualname__ = stock.__name__
    Uneven.__doc__ = stock.__doc__
    return Uneven


def is_elastic_plan(folder: str | Path) -> bool:
    """Whether a folder is one plan of an elastic checkpoint."""
    return (Path(folder) / PREFIXES).is_file()


def weight_files(folder: Path) -> list[Path]:
    """A checkpoint's own safetensors files."""
    if not (index := folder / "model.safetensors.index.json").is_file():
        return sorted(folder.glob("model.safetensors")) or sorted(folder.glob("*.safetensors"))
    return [folder / name for name in sorted(set(json.loads(index.read_text())["weight_map"].values()))]


def read_prefixes(folder: Path) -> dict[str, tuple[int, int]]:
    """How much a plan takes of the dense model's tensors, by their stored names: (axis, first slices of it)."""
    told = json.loads((folder / PREFIXES).read_text(encoding="utf-8"))
    return {name: (axis, width) for name, (axis, width) in told["prefixes"].items()}


def elastic_tensors(folder: Path) -> dict[str, Tensor]:
    """The tensors of one plan of an elastic checkpoint, by their stored names; nothing else is read.

    Prefixes are copied, each from a mapping of its own: no page stays in memory that the plan has no use for.
    """
    prefixes, tensors = read_prefixes(folder), dict[str, Tensor]()
    for path in (*weight_files(folder), *weight_files(folder.parent)):
        with safe_open(path, framework="pt") as file:
            names = file.keys() - tensors.keys()
            tensors.update((name, file.get_tensor(name)) for name in names - prefixes.keys())
        tensors.update((name, _read_prefix(path, name, *prefixes[name])) for name in names & prefixes.keys())
    return tensors


def _read_prefix(path: Path, name: str, axis: int, width: int) -> Tensor:
    """The first slices of one tensor of a file along an axis; of gate and up in one (Phi-3), those of either half."""
    with safe_open(path, framework="pt") as file:
        whole = file.get_slice(name)
        if "gate_up_proj" in name:
            half = whole.get_shape()[0] // 2
            return torch.cat([whole[:width], whole[half : half + width]])
        part: Tensor = whole[(slice(None),) * axis + (slice(width),)]
        return part.clone(memory_format=torch.contiguous_format)


def _find_plan(name: Any, plan: str | None, options: Mapping[str, Any]) -> Path | None:
    """The folder of a plan, named itself or in its elastic checkpoint; None where no plan is asked for."""
    if plan is None:
        return Path(name) if name is not None and is_elastic_plan(name) else None
    known = {option: options[option] for option in _HUB if option in options}
    root = Path(name) if Path(name).is_dir() else Path(snapshot_download(str(name), **known))
    if not is_elastic_plan(root / plan):
        found = sorted(path.parent.name for path in root.glob(f"*/{PREFIXES}"))
        raise ValueError(f"{name} has no plan {plan!r}, but {', '.join(found) or 'none: it is not elastic'}")
    return root / plan


def _source(model_class: Any, name: Any, folder: Path | None, options: dict[str, Any]) -> tuple[Any, Any]:
    """Name and arguments of ``from_pretrained``; of a plan, its tensors and configuration in place of a name."""
    if folder is None:
        return name, options
    config = options.get("config")
    if not isinstance(config, PretrainedConfig):
        config = model_class.config_class.from_pretrained(folder)
    config, told = deepcopy(config), json.loads((folder / "config.json").read_text(encoding="utf-8"))
    text = config.get_text_config(decoder=True)
    for setting in _SETTINGS_OF_PLAN:
        if setting in told["text_config"] or hasattr(text, setting):
            setattr(text, setting, told["text_config"].get(setting))
    options = {**options, "config": config, "state_dict": elastic_tensors(folder)}
    if (folder.parent / "generation_config.json").is_file():
        options["generation_config"] = GenerationConfig.from_pretrained(folder.parent)
    return None, options


def write_code(folder: Path) -> None:
    """Copies this file into a checkpoint, under the name that its ``auto_map`` refers to."""
    copyfile(__file__, folder / REMOTE_CODE)


def _check_keys(model: PreTrainedModel, info: dict[str, Any]) -> None:
    """Refuses a checkpoint that does not fill the model exactly; a headless model may leave a head unread."""
    unexpected = set(info["unexpected_keys"])
    if model.get_output_embeddings() is None:
        unexpected = {key for key in unexpected if not key.endswith(("lm_head.weight", "lm_head.bias"))}
    wrong = {"missing": info["missing_keys"], "unexpected": unexpected, "mismatched": info["mismatched_keys"]}
    found = [f"{len(keys)} {kind} (e.g. {sorted(map(str, keys))[0]})" for kind, keys in wrong.items() if keys]
    if found:
        raise ValueError(
            f"the checkpoint does not fit {type(model).__name__}: tensors {', '.join(found)}; "
            "it is incomplete or was changed, write it again with `hipp-prune prune`"
        )


def __getattr__(name: str) -> type[PreTrainedModel]:
    """The uneven subclass of the stock class ``name``: how ``auto_map`` reaches it."""
    stock = None if name.startswith("_") else getattr(transformers, name, None)
    if not (isinstance(stock, type) and issubclass(stock, PreTrainedModel)):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return uneven(stock)  # type: ignore[arg-type]
