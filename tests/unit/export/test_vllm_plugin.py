"""What the plugin does to a block's constructor; ``make test-vllm`` runs vLLM itself."""

import subprocess
import sys
from importlib.metadata import entry_points
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from transformers import LlamaConfig

from hipp_prune.export import vllm_plugin
from hipp_prune.models import uneven

WIDTHS = (40, 48, 17)
GPUS = "get_tensor_model_parallel_world_size"


class LlamaBlock:
    """Takes its config as vLLM's Llama block does."""

    def __init__(self, vllm_config: Any, prefix: str = "", config: Any = None) -> None:
        self.width = (config or vllm_config.model_config.hf_config).intermediate_size


class QwenBlock:
    """Takes its config as vLLM's Qwen2 block does."""

    def __init__(self, config: Any, cache_config: Any = None, prefix: str = "") -> None:
        self.width = config.intermediate_size


@pytest.fixture
def vllm(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Modules in vLLM's place, on one GPU, with the plugin registered."""
    blocks = (type("Block", (LlamaBlock,), {}), type("Block", (QwenBlock,), {}))
    for (name, block), stand_in in zip(vllm_plugin.BLOCK_CLASSES, blocks, strict=True):
        module = ModuleType(name)
        setattr(module, block, stand_in)
        monkeypatch.setitem(sys.modules, name, module)
    distributed = ModuleType("vllm.distributed")
    setattr(distributed, GPUS, lambda: 1)
    monkeypatch.setitem(sys.modules, "vllm.distributed", distributed)
    vllm_plugin.register()
    return SimpleNamespace(llama=blocks[0], qwen=blocks[1], distributed=distributed)


def text_config(**options: Any) -> LlamaConfig:
    return LlamaConfig(num_hidden_layers=3, intermediate_size=48, **options)


def uneven_config() -> LlamaConfig:
    overrides = {str(block): {"intermediate_size": width} for block, width in enumerate(WIDTHS)}
    return text_config(per_layer_config=overrides)


def engine(config: LlamaConfig) -> SimpleNamespace:
    return SimpleNamespace(model_config=SimpleNamespace(hf_config=config))


def test_each_block_is_built_in_its_own_width(vllm: SimpleNamespace) -> None:
    config = uneven_config()
    for block, width in enumerate(WIDTHS):
        prefix = f"language_model.model.layers.{block}"
        assert vllm.llama(engine(config), prefix).width == width
        assert vllm.llama(vllm_config=engine(text_config()), prefix=prefix, config=config).width == width
        assert vllm.qwen(config, prefix=prefix).width == width


def test_an_ordinary_model_is_built_as_before(vllm: SimpleNamespace) -> None:
    config = text_config()
    assert vllm.llama(engine(config)).width == 48
    assert vllm.qwen(config=config, prefix="any.name").width == 48


def test_registering_twice_changes_nothing(vllm: SimpleNamespace) -> None:
    before = vllm.llama.__init__
    vllm_plugin.register()
    assert vllm.llama.__init__ is before


@pytest.mark.parametrize(
    ("setting", "value", "named"),
    [
        (uneven.RESIDUAL_WIDTH, 24, "SliceGPT"),
        (uneven.KEY_VALUE_HEADS, [4, 3, 4], "LLM-Pruner"),
        (uneven.DOWN_BIAS, True, "FLAP"),
    ],
)
def test_what_is_no_matter_of_widths_is_refused(
    vllm: SimpleNamespace, setting: str, value: Any, named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        vllm.llama(engine(text_config(**{setting: value})), "model.layers.0")


def test_a_width_that_the_gpus_cannot_share_is_refused_with_the_alignment(vllm: SimpleNamespace) -> None:
    setattr(vllm.distributed, GPUS, lambda: 4)
    config = uneven_config()
    assert vllm.qwen(config, prefix="layers.0").width == 40
    with pytest.raises(ValueError, match=r"block 2 has 17 neurons.*--align 4"):
        vllm.qwen(config, prefix="layers.2")


def test_vllm_finds_the_plugin_which_imports_nothing_heavy() -> None:
    (found,) = entry_points(group="vllm.general_plugins", name="hipp_prune")
    module, function = found.value.split(":")
    heavy = "{'torch', 'transformers', 'numpy', 'vllm'}"
    code = f"import sys, {module} as plugin; assert callable(plugin.{function}); print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
