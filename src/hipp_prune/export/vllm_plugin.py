"""vLLM's own Llama and Qwen2 models with blocks of uneven width, which an installation of hipp-prune adds to vLLM.

vLLM builds every block from the width in the text config, which a pruned checkpoint has block by block. It finds
``register`` by the entry point ``vllm.general_plugins`` and calls it in each of its processes; from then on the
constructor of a block is given the config of that block. Other checkpoints are built as before.

Nothing but the standard library is imported here, so that a process of vLLM pays for no part of hipp-prune that it does
not use, and ``pip install --no-deps .`` is enough beside vLLM.
"""

from collections.abc import Callable
from functools import wraps
from importlib import import_module
from inspect import signature
from typing import Any

BLOCK_CLASSES = (
    ("vllm.model_executor.models.llama", "LlamaDecoderLayer"),
    ("vllm.model_executor.models.qwen2", "Qwen2DecoderLayer"),
)
"""vLLM's classes of a language block: LLaVA's is Llama's, Qwen2.5-VL's is Qwen2's."""

UNKNOWN = {
    "residual_width": ("a sliced residual stream (SliceGPT)", "transformers itself"),
    "block_key_value_heads": ("blocks of fewer heads (LLM-Pruner's attention groups)", "transformers itself"),
    "mlp_down_bias": (
        "down projections with a bias (FLAP)",
        "`--model-impl transformers --trust-remote-code`",
    ),
}
"""Settings of a text config that the blocks of vLLM cannot follow (``models/uneven.py`` defines them): what each says,
and what serves such a checkpoint instead."""


def register() -> None:
    """Has vLLM build each block in its own width; a second call changes nothing."""
    for module, name in BLOCK_CLASSES:
        block = getattr(import_module(module), name)
        if not hasattr(block.__init__, "builds_uneven"):
            block.__init__ = by_block(block.__init__)


def by_block(build: Callable[..., None]) -> Callable[..., None]:
    """A constructor of a block that reads the block's own config where the model's blocks differ in width.

    Args:
        build: vLLM's constructor. It takes ``prefix``, whose last part is the block's number, and ``config``, or else
            ``vllm_config`` with the text config.
    """
    parameters = signature(build)

    @wraps(build)
    def init(*args: Any, **kwargs: Any) -> None:
        call = parameters.bind(*args, **kwargs)
        given = call.arguments
        config = given.get("config") or given["vllm_config"].model_config.hf_config
        check_parts(config)
        if "intermediate_size" in (getattr(config, "per_layer_attributes", None) or ()):
            index = int(given["prefix"].rpartition(".")[2])
            given["config"] = config.per_layer_config[index]
            check_split(index, given["config"].intermediate_size)
        build(*call.args, **call.kwargs)

    init.builds_uneven = True  # type: ignore[attr-defined]
    return init


def check_parts(config: Any) -> None:
    """Refuses what is no matter of widths alone.

    Raises:
        ValueError: naming what vLLM's blocks do not have.
    """
    for setting, (what, way) in UNKNOWN.items():
        if getattr(config, setting, None):
            raise ValueError(
                f"vLLM's own blocks cannot be built with {what}; expected a checkpoint with neurons pruned and nothing "
                f"else: serve this one with {way}"
            )


def check_split(block: int, width: int) -> None:
    """Refuses a block whose neurons cannot be shared out among the GPUs of a tensor-parallel group.

    Raises:
        ValueError: naming the block, and the alignment that helps.
    """
    gpus = import_module("vllm.distributed").get_tensor_model_parallel_world_size()
    if width % gpus:
        raise ValueError(
            f"block {block} has {width} neurons, which --tensor-parallel-size {gpus} cannot share out evenly; query "
            f"the plan with --align {gpus} or a multiple, such as 64"
        )
