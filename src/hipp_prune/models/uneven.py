"""Language blocks of uneven width: read the widths from a config and build the model they describe.

A pruned checkpoint says ``text_config.per_layer_config = {"0": {"intermediate_size": 640}, ...}``, which
transformers (5.14 and later) reads but cannot model. ``uneven`` is the missing half: a subclass of a stock
class whose block MLPs have those widths. And where ``text_config.mlp_down_bias`` is true, its down projections have
a bias, which compensates what pruning took away (FLAP), whatever the stock class has.

This file is also the remote code of every pruned checkpoint, where it is called ``modeling_hipp_prune.py``
(``pruning/checkpoint.py`` and ``save_pretrained`` copy it). So, beside the standard library, it imports nothing but
torch and transformers, and it raises plain ``ValueError``. ``auto_map`` names the classes by their stock names, which
``__getattr__`` builds on demand.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from shutil import copyfile
from typing import Any

import transformers
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel

REMOTE_CODE = "modeling_hipp_prune.py"
"""This file's name inside a checkpoint, which ``auto_map`` refers to."""

PROJECTIONS = ("gate_proj", "up_proj", "down_proj")

DOWN_BIAS = "mlp_down_bias"
"""Setting of a text config: the down projections have a bias."""


def read_widths(config: PreTrainedConfig) -> list[int] | None:
    """MLP neurons of each language block, or ``None`` if all blocks have the config's one width.

    Raises:
        ValueError: if this transformers is too old to read ``per_layer_config``.
    """
    text = config.get_text_config(decoder=True)
    if not hasattr(text, "is_heterogeneous"):
        raise ValueError(
            f"blocks of uneven width need transformers 5.14 or later, this is {transformers.__version__}; "
            "run `pip install --upgrade transformers`"
        )
    if "intermediate_size" not in (text.per_layer_attributes or ()):
        return None
    return [block.intermediate_size for block in text.per_layer_config]


def is_stock(config: PreTrainedConfig) -> bool:
    """Whether the stock class can model it: one width for all blocks, and no bias that it does not know.

    Raises:
        ValueError: as ``read_widths``.
    """
    return read_widths(config) is None and not _has_down_bias(config)


def _has_down_bias(config: PreTrainedConfig) -> bool:
    return bool(getattr(config.get_text_config(decoder=True), DOWN_BIAS, False))


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
        if not all(isinstance(getattr(mlp, name, None), nn.Linear) for name in PROJECTIONS):
            raise ValueError(f"language block {index} has no MLP with gate_proj, up_proj and down_proj")
        if mlp.gate_proj.out_features == width:
            continue
        mlp.gate_proj = _resized(mlp.gate_proj, mlp.gate_proj.in_features, width)
        mlp.up_proj = _resized(mlp.up_proj, mlp.up_proj.in_features, width)
        mlp.down_proj = _resized(mlp.down_proj, width, mlp.down_proj.out_features)
        if hasattr(mlp, "intermediate_size"):
            mlp.intermediate_size = width


def _resized(linear: nn.Linear, num_in: int, num_out: int) -> nn.Linear:
    weight = linear.weight
    return nn.Linear(num_in, num_out, bias=linear.bias is not None, device=weight.device, dtype=weight.dtype)


@cache
def uneven(stock: type[PreTrainedModel]) -> type[PreTrainedModel]:
    """A subclass of ``stock`` whose blocks have the widths its config names; equal widths are fine too.

    It bears the stock class's name and says that it is no custom code, because transformers renames a
    checkpoint's keys by class name and skips custom classes: under another name the language model or its
    head stays random, with no more than a warning. Loading is strict for the same reason.
    """

    class Uneven(stock):  # type: ignore[valid-type, misc]
        def __init__(self, config: PreTrainedConfig, *args: Any, **kwargs: Any) -> None:
            widths = read_widths(config)
            text = config.get_text_config(decoder=True)
            overrides = text.to_dict().get("per_layer_config")
            text.per_layer_config = None  # the stock class reads one width for all blocks
            try:
                super().__init__(config, *args, **kwargs)
            finally:
                text.per_layer_config = overrides
            if widths is not None:
                set_widths(self, widths)
            if _has_down_bias(config):
                set_down_biases(self)

        @classmethod
        def is_custom_code(cls) -> bool:
            return False

        @classmethod
        def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
            with_info = kwargs.pop("output_loading_info", False)
            model, info = super().from_pretrained(*args, **kwargs, output_loading_info=True)
            _check_keys(model, info)
            return (model, info) if with_info else model

        def save_pretrained(self, save_directory: str | Path, *args: Any, **kwargs: Any) -> None:
            super().save_pretrained(save_directory, *args, **kwargs)
            if getattr(self.config, "auto_map", None):
                write_code(Path(save_directory))

    Uneven.__name__ = stock.__name__
    Uneven.__qualname__ = stock.__name__
    Uneven.__doc__ = stock.__doc__
    return Uneven


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
