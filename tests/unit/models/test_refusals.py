"""What is refused from a checkpoint's small files, in one sentence that says what to do."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedConfig

from hipp_prune.checkpoints.pruned import prune_checkpoint
from hipp_prune.errors import CheckpointError, UnsupportedModelError
from hipp_prune.models import load_model, loading
from hipp_prune.models.refusals import refuse_early
from hipp_prune.models.uneven import weight_files
from tests.tiny import tiny_llava
from tests.unit.checkpoints.tiny_plans import make_plan


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llava(tmp_path_factory.mktemp("sound"))


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(sound, tmp_path / "llava"))


def edit_config(folder: Path, part: str | None = None, **changes: Any) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text())
    (config if part is None else config[part]).update(changes)
    path.write_text(json.dumps(config))


def edit_tensors(folder: Path, **changes: torch.Tensor) -> None:
    path = folder / "model.safetensors"
    save_file({**load_file(path), **changes}, path, {"format": "pt"})


def unreadable(folder: Path) -> None:
    """Makes sure that whoever reads a weight fails."""
    (folder / "model.safetensors").write_bytes(b"no weights")


@pytest.mark.parametrize("part", [None, "text_config"])
@pytest.mark.parametrize(
    "method", ["awq", "gptq", "bitsandbytes", "hqq", "torchao", "compressed-tensors", "auto-round", "fp8"]
)
def test_quantised_checkpoints_are_refused_before_weights_are_read(
    folder: Path, method: str, part: str | None
) -> None:
    edit_config(folder, part, quantization_config={"quant_method": method, "bits": 4})
    unreadable(folder)
    with pytest.raises(
        CheckpointError, match=rf"quantization_config \({method}\).*prune first, then quantise"
    ):
        load_model(folder)


def test_packed_weights_are_refused_though_no_setting_says_so(folder: Path) -> None:
    edit_tensors(folder, extra=torch.zeros(4, dtype=torch.float8_e4m3fn))
    with pytest.raises(CheckpointError, match="extra is stored as F8_E4M3; prune first"):
        load_model(folder)
    edit_tensors(folder, extra=torch.zeros(4), **{"block.qweight": torch.zeros(4, dtype=torch.int32)})
    with pytest.raises(CheckpointError, match=r"block\.qweight is stored as I32"):
        load_model(folder)


def test_a_quantisers_own_file_is_enough(folder: Path) -> None:
    (folder / "hf_quant_config.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"hf_quant_config\.json; prune first"):
        load_model(folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("attn_implementation", "kernels-community/flash-attn3"),
        ("_attn_implementation", "someone/anything@main"),
        ("attn_implementation", {"text_config": "someone/anything"}),
    ],
)
@pytest.mark.parametrize("part", [None, "vision_config"])
def test_attention_code_from_the_hub_is_refused_like_remote_code(
    folder: Path, key: str, value: Any, part: str | None
) -> None:
    edit_config(folder, part, **{key: value})
    unreadable(folder)
    with pytest.raises(UnsupportedModelError, match=r"asks for the kernel .*--trust-remote-code"):
        load_model(folder)
    refuse_early(folder, trust_remote_code=True)


def test_attention_that_torch_has_is_no_code(folder: Path) -> None:
    edit_config(folder, attn_implementation="eager")
    assert load_model(folder).model.config._attn_implementation == "eager"


@pytest.mark.parametrize(
    ("told", "converted"),
    [
        ({"model_type": "llava_llama", "hidden_size": 4096}, "llava-hf/llava-1.5-7b-hf"),
        ({"model_type": "llava", "hidden_size": 5120}, "llava-hf/llava-1.5-13b-hf"),
        ({"model_type": "llava_llama", "image_aspect_ratio": "anyres"}, "llava-hf/llava-v1.6-vicuna-7b-hf"),
        ({"model_type": "llava_mistral"}, "llava-hf/llava-v1.6-mistral-7b-hf"),
        ({"model_type": "llava_qwen"}, "llava-hf/llava-onevision-qwen2-7b-ov-hf"),
        ({"model_type": "llava_qwen2", "mm_vision_tower": "mobileclip_l_1024"}, "KamilaMila/FastVLM-7B"),
    ],
)
def test_the_authors_layout_names_the_converted_checkpoint(
    folder: Path, monkeypatch: pytest.MonkeyPatch, told: dict[str, Any], converted: str
) -> None:
    flat = {"mm_projector_type": "mlp2x_gelu", "mm_vision_tower": "openai/clip-vit-large-patch14-336", **told}
    (folder / "config.json").write_text(json.dumps(flat))
    monkeypatch.setattr(loading, "load_weights", None)
    with pytest.raises(CheckpointError, match=f"LLaVA's authors.*{converted}"):
        load_model(folder)


@pytest.mark.parametrize("kind", ["minicpmv", "molmo", "phi3_v", "deepseek_vl_v2", "kimi_vl"])
def test_code_of_its_own_is_not_asked_to_be_trusted(folder: Path, kind: str) -> None:
    edit_config(folder, model_type=kind, auto_map={"AutoConfig": "configuration.Config"})
    unreadable(folder)
    with pytest.raises(UnsupportedModelError, match=f"{kind}.*code of its own.*not supported") as refused:
        load_model(folder)
    assert "trust" not in str(refused.value)
    assert ("MiniCPM-V 4.6 and later are;" in str(refused.value)) == (kind == "minicpmv")


def test_code_of_its_own_without_a_model_type_is_called_by_its_class(tmp_path: Path) -> None:
    """As CogVLM2 is stored."""
    told = {"architectures": ["CogVLMForCausalLM"], "auto_map": {"AutoConfig": "configuration.Config"}}
    (tmp_path / "config.json").write_text(json.dumps(told))
    with pytest.raises(UnsupportedModelError, match=r"found 'CogVLMForCausalLM', which comes with code of"):
        load_model(tmp_path)


@pytest.mark.parametrize("kind", ["llava_llama", "deepseek_vl_v2"])
def test_a_model_type_that_transformers_does_not_know_is_named_with_a_remedy(
    kind: str, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
    with pytest.raises(
        UnsupportedModelError, match=f"knows, found `{kind}`; give a checkpoint that was converted"
    ):
        loading.read_config(tmp_path)


def test_code_beside_a_model_that_transformers_has_is_not_needed(folder: Path) -> None:
    edit_config(folder, auto_map={"AutoModel": "modeling.Model"})
    assert load_model(folder)


@pytest.mark.parametrize(
    ("kind", "converted"),
    [
        ("internvl_chat", r"OpenGVLab/InternVL3-1B-hf"),
        ("multi_modality", r"deepseek-community/deepseek-vl-1\.3b-chat or deepseek-community/Janus-Pro-1B"),
    ],
)
def test_authors_own_code_names_the_converted_checkpoint(kind: str, converted: str, tmp_path: Path) -> None:
    told = {"model_type": kind, "auto_map": {"AutoConfig": "configuration.Config"}}
    (tmp_path / "config.json").write_text(json.dumps(told))
    with pytest.raises(
        CheckpointError, match=f"own code .{kind}.; use the converted checkpoint, e.g. {converted}"
    ):
        load_model(tmp_path, trust_remote_code=True)


def test_the_authors_names_under_a_config_that_transformers_reads(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "llava"}))
    edit_tensors(folder, **{"model.mm_projector.0.weight": torch.zeros(4, 4)})
    monkeypatch.setattr(loading, "load_weights", None)
    with pytest.raises(CheckpointError, match=r"model\.mm_projector\.0\.weight.*llava-hf/llava-1\.5-7b-hf"):
        load_model(folder)


@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "pytorch_model-00001-of-00002.bin", "consolidated.00.pth"]
)
def test_pickles_are_never_opened(folder: Path, name: str) -> None:
    (folder / "model.safetensors").rename(folder / name)
    with pytest.raises(CheckpointError, match=rf"save_pretrained\(NEW, safe_serialization=True\).*{name}"):
        load_model(folder)


def test_pickles_beside_safetensors_are_left_alone(folder: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(b"never read")
    load_model(folder)


def test_a_hub_name_is_refused_by_its_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"model_type": "llava", "quantization_config": {"quant_method": "awq"}}
    monkeypatch.setattr(PreTrainedConfig, "get_config_dict", lambda *_, **__: (told, {}))
    with pytest.raises(CheckpointError, match=r"someone/llava-awq: .*prune first, then quantise"):
        load_model("someone/llava-awq")


@pytest.mark.parametrize(
    ("value", "said"), [("nan", "NaN"), ("inf", "infinite values"), ("-inf", "infinite values")]
)
@pytest.mark.parametrize("dtype", ["auto", "bfloat16"])
def test_weights_that_are_no_numbers_are_refused_by_name(
    folder: Path, value: str, said: str, dtype: str
) -> None:
    tensors = load_file(folder / "model.safetensors")
    name = next(name for name in tensors if name.endswith("layers.1.mlp.up_proj.weight"))
    tensors[name][3, 5] = float(value)
    edit_tensors(folder, **tensors)
    with pytest.raises(CheckpointError, match=rf"found {said} in .*layers\.1\.mlp\.up_proj\.weight"):
        load_model(folder, dtype=dtype)


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("ggml-model-q4_k.gguf", r"a file of llama\.cpp \(ggml-model-q4_k\.gguf\); give the checkpoint"),
        ("openvino_language_model.xml", "a model of OpenVINO"),
        ("model.onnx", "graphs of ONNX"),
        ("consolidated.safetensors", r"Mistral's own layout .*mistral-community/pixtral-12b"),
        (
            "model.fp16.safetensors",
            r"expected model\.safetensors or .*, found model\.fp16\.safetensors under another",
        ),
    ],
)
def test_weights_in_another_format_are_named(folder: Path, file: str, said: str) -> None:
    (folder / "model.safetensors").rename(folder / file)
    (folder / "openvino_language_model.bin").write_bytes(b"no pickle")
    with pytest.raises(CheckpointError, match=said):
        load_model(folder)


def test_other_formats_beside_safetensors_are_left_alone(folder: Path) -> None:
    tensors = len(load_file(folder / "model.safetensors"))
    save_file({"tok_embeddings.weight": torch.ones(2, 2)}, folder / "consolidated.safetensors")
    for name in ("model.gguf", "model.onnx"):
        (folder / name).write_bytes(b"something else")
    adapter = load_model(folder)
    assert weight_files(folder) == [folder / "model.safetensors"]
    prune_checkpoint(folder, make_plan(adapter, "coupled", (20, 20)), folder.parent / "out")
    assert len(load_file(folder.parent / "out" / "model.safetensors")) == tensors
    assert [path.name for path in (folder.parent / "out").glob("*.safetensors")] == ["model.safetensors"]


@pytest.mark.parametrize("alone", [True, False])
def test_an_adapter_is_to_be_merged_first(folder: Path, alone: bool) -> None:
    if alone:
        (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "llava-hf/llava-1.5-7b-hf"}')
    with pytest.raises(
        CheckpointError, match=r"an adapter of PEFT of llava-hf/llava-1\.5-7b-hf .*merge_and_unload"
    ):
        load_model(folder)


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json"])
def test_a_clone_without_lfs_is_recognised(folder: Path, file: str) -> None:
    (folder / file).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4976698672\n")
    with pytest.raises(CheckpointError, match=f"{file} is a pointer of Git LFS.*git lfs pull"):
        load_model(folder)


@pytest.mark.parametrize("content", ["[]", "{", "[" * 100_000, '"llava"'])
def test_a_configuration_that_is_none_is_left_to_the_loader(folder: Path, content: str) -> None:
    (folder / "config.json").write_text(content)
    refuse_early(folder, trust_remote_code=False)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (["config.json", "pytorch_model-00001-of-00002.bin"], r"a pickle .*found pytorch_model-00001"),
        (["config.json", "original/consolidated.00.pth"], "a pickle"),
        (
            ["config.json", "adapter_config.json", "adapter_model.safetensors"],
            r"an adapter of PEFT \(adapter",
        ),
        (["config.json", "consolidated.safetensors", "params.json"], "Mistral's own layout"),
        (["config.json", "model.safetensors", "quantize_config.json"], "prune first, then quantise"),
    ],
)
def test_a_hub_name_is_refused_by_its_files_before_anything_is_downloaded(
    monkeypatch: pytest.MonkeyPatch, files: list[str], said: str
) -> None:
    downloaded: list[str] = []
    monkeypatch.setattr(PreTrainedConfig, "get_config_dict", lambda *_, **__: ({}, {}))
    told = SimpleNamespace(siblings=[SimpleNamespace(rfilename=file) for file in files])
    monkeypatch.setattr("hipp_prune.models.refusals.model_info", lambda _, **__: told)
    monkeypatch.setattr(loading, "snapshot_download", downloaded.append)
    for attempt in (
        lambda: loading.local_folder("owner/model"),
        lambda: refuse_early("owner/model", trust_remote_code=False),
    ):
        with pytest.raises(CheckpointError, match=said):
            attempt()
    assert downloaded == []


def test_a_hub_that_cannot_be_reached_refuses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: str, timeout: float) -> None:
        raise OSError("no network")

    monkeypatch.setattr(PreTrainedConfig, "get_config_dict", lambda *_, **__: ({}, {}))
    monkeypatch.setattr("hipp_prune.models.refusals.model_info", fail)
    refuse_early("owner/model", trust_remote_code=False)
