"""Blocks of uneven width: reading a config, building the model, and refusing what does not fit."""

import ast
import shutil
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, PreTrainedModel

from hipp_prune.models import uneven as module
from hipp_prune.models.uneven import read_widths, set_heads, set_widths, uneven
from tests.tiny import tiny_llava, tiny_qwen2_5_vl

STOCK = {
    "llava": transformers.LlavaForConditionalGeneration,
    "qwen2_5_vl": transformers.Qwen2_5_VLForConditionalGeneration,
}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    tmp = tmp_path_factory.mktemp("uneven")
    return {"llava": tiny_llava(tmp), "qwen2_5_vl": tiny_qwen2_5_vl(tmp)}


@pytest.fixture(params=sorted(STOCK))
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def config_with(source: Path, widths: dict[int, int]) -> transformers.PreTrainedConfig:
    config = AutoConfig.from_pretrained(source)
    config.text_config.per_layer_config = {
        str(block): {"intermediate_size": n} for block, n in widths.items()
    }
    return config


def built_widths(model: PreTrainedModel) -> list[tuple[int, int, int]]:
    mlps = [block.mlp for block in model.get_decoder().layers]
    return [(m.gate_proj.out_features, m.up_proj.out_features, m.down_proj.in_features) for m in mlps]


def test_a_dense_config_has_no_widths(sources: dict[str, Path], family: str) -> None:
    config = AutoConfig.from_pretrained(sources[family])
    assert read_widths(config) is None
    assert read_widths(config_with(sources[family], {})) is None


def test_blocks_not_named_have_the_common_width(sources: dict[str, Path], family: str) -> None:
    common = AutoConfig.from_pretrained(sources[family]).text_config.intermediate_size
    assert read_widths(config_with(sources[family], {1: 5})) == [common, 5]


def test_a_model_is_built_with_its_widths(sources: dict[str, Path], family: str) -> None:
    config = config_with(sources[family], {0: 20, 1: 30})
    model = uneven(STOCK[family])(config)
    assert built_widths(model) == [(20, 20, 20), (30, 30, 30)]
    assert type(model).__name__ == STOCK[family].__name__
    assert read_widths(model.config) == [20, 30]
    ids = torch.tensor([[1, 2, 3]])
    assert model(input_ids=ids).logits.shape[:2] == (1, 3)


def test_a_stock_class_refuses_such_a_config_aloud(sources: dict[str, Path], family: str) -> None:
    with pytest.raises(RuntimeError, match="intermediate_size"):
        STOCK[family](config_with(sources[family], {0: 20, 1: 30}))


def test_a_failing_build_leaves_the_config_alone(sources: dict[str, Path], family: str) -> None:
    config = config_with(sources[family], {0: 20, 1: 30})
    with pytest.raises(TypeError):
        uneven(STOCK[family])(config, unknown=1)
    assert read_widths(config) == [20, 30]


def test_set_widths_keeps_dtype_and_bias(tmp_path: Path) -> None:
    folder = tiny_llava(tmp_path, mlp_bias=True, dtype=torch.bfloat16)
    model = STOCK["llava"].from_pretrained(folder)
    untouched = model.get_decoder().layers[1].mlp.gate_proj.weight
    set_widths(model, [20, 48])
    mlp = model.get_decoder().layers[0].mlp
    assert mlp.gate_proj.weight.dtype == torch.bfloat16
    assert [p.bias is not None for p in (mlp.gate_proj, mlp.up_proj, mlp.down_proj)] == [True] * 3
    assert mlp.intermediate_size == 20
    assert model.get_decoder().layers[1].mlp.gate_proj.weight is untouched


def test_widths_must_fit_the_model(sources: dict[str, Path], family: str) -> None:
    model = STOCK[family](AutoConfig.from_pretrained(sources[family]))
    with pytest.raises(ValueError, match="1 widths do not fit a model of 2 language blocks"):
        set_widths(model, [3])
    model.get_decoder().layers[1].mlp = torch.nn.Identity()
    with pytest.raises(ValueError, match="block 1 has no MLP"):
        set_widths(model, [3, 3])


def test_a_sliced_model_is_built_with_its_residual_width(sources: dict[str, Path], family: str) -> None:
    config = AutoConfig.from_pretrained(sources[family])
    config.text_config.residual_width = 8
    model = uneven(STOCK[family])(config)
    first, last = model.get_decoder().layers
    assert model.get_input_embeddings().embedding_dim == 8
    assert [first.mlp.down_proj.out_features, last.mlp.down_proj.out_features] == [8, 32]
    assert [tuple(block.mlp_shortcut.weight.shape) for block in (first, last)] == [(8, 8), (32, 8)]
    assert list(first.input_layernorm.parameters()) == []
    assert type(first).__name__ in model._no_split_modules
    assert model(input_ids=torch.tensor([[1, 2, 3]])).logits.shape[:2] == (1, 3)


def test_heads_leave_with_their_queries(sources: dict[str, Path], family: str) -> None:
    config = AutoConfig.from_pretrained(sources[family])
    config.text_config.block_key_value_heads = [1, 2]
    model = uneven(STOCK[family])(config)
    queries = {"llava": 1, "qwen2_5_vl": 2}[family]
    attentions = [block.self_attn for block in model.get_decoder().layers]
    assert [part.k_proj.out_features for part in attentions] == [8, 16]
    assert [part.o_proj.in_features for part in attentions] == [8 * queries, 16 * queries]
    with pytest.raises(ValueError, match="1 numbers of heads do not fit a model of 2"):
        set_heads(model, [1])


def test_widths_are_read_by_a_transformers_that_does_not_know_them() -> None:
    """Version 4 keeps ``per_layer_config`` as it stands in the file."""

    class Config:
        def get_text_config(self, **_: bool) -> "Config":
            return self

        def to_dict(self) -> dict[str, object]:
            overrides = {"1": {"intermediate_size": 5}, "2": {"another": 7}}
            return {"num_hidden_layers": 3, "intermediate_size": 8, "per_layer_config": overrides}

    assert read_widths(Config()) == [8, 5, 8]  # type: ignore[arg-type]


def test_loading_is_strict(sources: dict[str, Path], family: str, tmp_path: Path) -> None:
    """The dense weights do not fit narrower blocks, and a head that is not there is not made up."""
    config = config_with(sources[family], {0: 20})
    with pytest.raises(ValueError, match="3 mismatched"):
        uneven(STOCK[family]).from_pretrained(sources[family], config=config, ignore_mismatched_sizes=True)
    shutil.copytree(sources[family], tmp_path, dirs_exist_ok=True)
    tensors = load_file(tmp_path / "model.safetensors")
    name = next(key for key in tensors if key.endswith("norm.weight"))
    del tensors[name]
    save_file(tensors | {"stray": torch.zeros(1)}, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"1 missing \(e\.g\. model\..*1 unexpected \(e\.g\. stray"):
        uneven(STOCK[family]).from_pretrained(tmp_path)


def test_equal_widths_load_as_the_stock_class_does(sources: dict[str, Path], family: str) -> None:
    stock = STOCK[family].from_pretrained(sources[family])
    ours, info = uneven(STOCK[family]).from_pretrained(sources[family], output_loading_info=True)
    assert not info["missing_keys"]
    assert all(torch.equal(a, b) for a, b in zip(stock.parameters(), ours.parameters(), strict=True))


def test_classes_are_reached_by_their_stock_name() -> None:
    assert module.LlavaModel is uneven(transformers.LlavaModel)
    for name in ("_private", "AutoConfig", "nothing"):
        with pytest.raises(AttributeError, match=name):
            getattr(module, name)


def test_the_file_imports_only_what_every_user_has() -> None:
    """It is copied into checkpoints, where nothing of this package is installed."""
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    plain = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    of = {node.module or "." for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert plain | of == {
        "collections.abc",
        "contextlib",
        "copy",
        "functools",
        "huggingface_hub",
        "inspect",
        "json",
        "pathlib",
        "safetensors",
        "shutil",
        "typing",
        "torch",
        "transformers",
    }
