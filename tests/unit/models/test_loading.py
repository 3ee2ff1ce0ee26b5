"""Opening checkpoints: what loads, and one clear sentence for each way a checkpoint can be wrong."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import transformers
from huggingface_hub import constants
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoConfig
from transformers.utils import logging

from hipp_prune.checkpoints.folders import open_shards
from hipp_prune.errors import CheckpointError, InputError, UnsupportedModelError
from hipp_prune.models import load_model, loading
from hipp_prune.models.uneven import uneven
from tests.tiny import tiny_image, tiny_llava, tiny_qwen2_5_vl


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llava(tmp_path_factory.mktemp("sound"))


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(sound, tmp_path / "llava"))


def edit_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_several_shards_and_a_string_path(tmp_path: Path, sound: Path) -> None:
    sharded = tiny_llava(tmp_path, max_shard_size="40KB")
    assert len(list(sharded.glob("*.safetensors"))) > 2
    assert load_model(str(sharded)).shape == load_model(sound).shape


def test_generation_settings_are_optional(folder: Path, sound: Path) -> None:
    (folder / "generation_config.json").unlink()
    assert load_model(folder).shape == load_model(sound).shape


def test_a_tied_head_is_counted_once(tmp_path: Path) -> None:
    tied = load_model(tiny_qwen2_5_vl(tmp_path, name="tied", tied=True))
    untied = load_model(tiny_qwen2_5_vl(tmp_path, name="untied", tied=False))
    head = untied.model.get_output_embeddings().weight
    assert untied.shape.language_parameters - tied.shape.language_parameters == head.numel()
    assert untied.shape.total_parameters - tied.shape.total_parameters == head.numel()
    assert tied.model.get_output_embeddings().weight is tied.model.get_input_embeddings().weight


def test_biases_leave_with_their_neuron(tmp_path: Path) -> None:
    shape = load_model(tiny_llava(tmp_path, mlp_bias=True)).shape
    assert shape.neuron_parameters == 3 * shape.hidden_size + 2


def test_dtype_is_the_checkpoints_or_the_asked_for(tmp_path: Path) -> None:
    half = tiny_llava(tmp_path, dtype=torch.bfloat16)
    as_stored, widened = load_model(half), load_model(half, dtype="float32")
    assert as_stored.model.dtype == torch.bfloat16
    assert widened.model.dtype == torch.float32
    assert as_stored.shape == widened.shape, "the fingerprint does not depend on the dtype it is loaded in"


def test_the_fingerprint_sees_every_tensor(folder: Path) -> None:
    before = load_model(folder).shape.fingerprint
    tensors = load_file(folder / "model.safetensors")
    with safe_open(folder / "model.safetensors", "pt") as stored:
        metadata = stored.metadata()
    for name in ("language_model.lm_head.weight", "lm_head.weight"):
        if name in tensors:
            tensors[name][0, 0] += 1
    save_file(tensors, folder / "model.safetensors", metadata)
    assert load_model(folder).shape.fingerprint != before


def test_uneven_blocks_load_without_remote_code(tmp_path: Path, sound: Path) -> None:
    folder = Path(shutil.copytree(sound, tmp_path / "pruned"))
    config = AutoConfig.from_pretrained(folder)
    config.text_config.per_layer_config = {0: {"intermediate_size": 17}, 1: {"intermediate_size": 40}}
    uneven(transformers.LlavaForConditionalGeneration)(config).save_pretrained(folder)
    edit_config(
        folder, auto_map={"AutoModelForImageTextToText": "modeling_absent.LlavaForConditionalGeneration"}
    )
    adapter = load_model(folder)
    assert adapter.shape.neurons == (17, 40)
    assert adapter.encode_images([tiny_image()])[0].tokens.shape == (16, 32)

    tensors = load_file(folder / "model.safetensors")
    name = next(name for name in tensors if name.endswith("layers.1.mlp.down_proj.weight"))
    tensors[name] = tensors[name][:, :-1].contiguous()
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match="mismatched"):
        load_model(folder)


@pytest.mark.parametrize("name", ["/no/such/folder", "./nowhere", "nowhere", Path("a/b"), "a/b/c"])
def test_no_such_path(name: str | Path) -> None:
    with pytest.raises(CheckpointError, match="there is no "):
        load_model(name)


def test_a_file_and_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(CheckpointError, match="is a file"):
        load_model(tmp_path / "model.safetensors")
    with pytest.raises(
        CheckpointError, match=r"with config\.json, but .* is a folder of model\.safetensors;"
    ):
        load_model(tmp_path)


def test_a_hub_name_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    said = (
        r"owner/model: there is no such folder here, no copy .* cannot be reached \(HF_HUB_OFFLINE is set\)"
    )
    for attempt in (load_model, loading.local_folder):
        with pytest.raises(CheckpointError, match=said):
            attempt("owner/model")


def test_the_folder_of_a_model(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert loading.local_folder(str(sound)) == sound

    def fail(_: str, **__: object) -> None:
        raise OSError("offline")

    monkeypatch.setattr(loading, "refuse_early", lambda *_, **__: None)
    monkeypatch.setattr(loading, "snapshot_download", fail)
    monkeypatch.setattr(loading, "silence_of_hub", lambda: None)
    with pytest.raises(CheckpointError, match=r"owner/model: .*the hub did not provide it \(offline\)"):
        loading.local_folder("owner/model")


def test_a_toy_model_that_is_not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(loading, "__file__", str(tmp_path / "models" / "loading.py"))
    with pytest.raises(CheckpointError, match="not part of this installation"):
        load_model("toy-llava")


def test_a_toy_name_resolves_to_its_checkpoint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "models" / "embedded").mkdir(parents=True)
    tiny_llava(tmp_path / "models" / "embedded", name="toy-llava")
    monkeypatch.setattr(loading, "__file__", str(tmp_path / "models" / "loading.py"))
    assert load_model("toy-llava").shape.num_blocks == 2


@pytest.mark.parametrize("text", ["{", "{}", "", '{"model_type": "no_such_model"}'])
def test_a_config_that_cannot_be_read(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)
    with pytest.raises((CheckpointError, UnsupportedModelError), match=r"configuration|config\.json"):
        load_model(folder)


def test_a_config_that_contradicts_itself(folder: Path) -> None:
    text = json.loads((folder / "config.json").read_text())["text_config"]
    edit_config(folder, text_config={**text, "hidden_size": 33})
    with pytest.raises(CheckpointError, match=r"config\.json is not valid .*hidden"):
        load_model(folder)


@pytest.mark.parametrize(
    ("part", "field"),
    [
        ("text_config", "hidden_size"),
        ("text_config", "num_hidden_layers"),
        ("text_config", "num_attention_heads"),
        ("text_config", "vocab_size"),
        ("vision_config", "image_size"),
        ("vision_config", "patch_size"),
    ],
)
@pytest.mark.parametrize("value", [0, -1, 10**9, 2.5, "32", True, {}])
def test_a_size_that_is_none_is_named(folder: Path, part: str, field: str, value: object) -> None:
    settings = json.loads((folder / "config.json").read_text())[part]
    edit_config(folder, **{part: {**settings, field: value}})
    with pytest.raises(
        CheckpointError, match=rf"config\.json: expected field '{part}\.{field}' to be .*, found"
    ):
        load_model(folder)


def test_a_config_far_larger_than_its_weights_takes_no_memory(folder: Path) -> None:
    text = json.loads((folder / "config.json").read_text())["text_config"]
    edit_config(folder, text_config={**text, "intermediate_size": 2**20})
    with pytest.raises(CheckpointError, match=r"a model of [\d,]+ parameters, but its files hold [\d,]+"):
        load_model(folder)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"model_type": "llava", "model_type": "llava"}', "the key model_type twice"),
        (b'{"model_type": "\xff"}', "UTF-8"),
        ("[]", "an object, found a list of 0"),
        ('{"model_type": 3}', "'model_type' to be a string, found 3"),
    ],
)
def test_a_config_that_is_no_sound_json(folder: Path, content: str | bytes, complaint: str) -> None:
    (folder / "config.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(CheckpointError, match=complaint):
        load_model(folder)


@pytest.mark.parametrize(
    "weight_map",
    [
        {},
        [],
        {"lm_head.weight": 3},
        {"lm_head.weight": "../elsewhere.safetensors"},
        {"lm_head.weight": "/etc/passwd"},
    ],
)
def test_an_index_that_is_none(folder: Path, weight_map: object) -> None:
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    with pytest.raises(CheckpointError, match=r"index\.json: expected field 'weight_map"):
        load_model(folder)


def shard(folder: Path, weight_map: dict[str, str], *files: str) -> None:
    """Puts the folder's weights, whole, into each of these files, and an index beside them."""
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").unlink()
    for file in files:
        (folder / file).write_bytes(content)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


def test_a_tensor_that_lies_in_two_files(folder: Path) -> None:
    name = next(iter(load_file(folder / "model.safetensors")))
    shard(folder, {"x": "a.safetensors", name: "b.safetensors"}, "a.safetensors", "b.safetensors")
    for read in (load_model, open_shards):
        with pytest.raises(CheckpointError, match=rf"{name} lies in b\.safetensors, found it in a.* and b"):
            read(folder)


def test_a_file_under_two_names(folder: Path) -> None:
    shard(folder, {"x": "A.safetensors", "y": "a.safetensors"}, "a.safetensors")
    with pytest.raises(CheckpointError, match=r"one name, found A\.safetensors and a\.safetensors"):
        load_model(folder)


def test_a_tensor_that_the_index_names_twice(folder: Path) -> None:
    shard(folder, {}, "a.safetensors")
    twice = '{"weight_map": {"x": "a.safetensors", "x": "b.safetensors"}}'
    (folder / "model.safetensors.index.json").write_text(twice)
    with pytest.raises(
        CheckpointError, match=r"index\.json: expected JSON, found the key x twice in one object"
    ):
        load_model(folder)


def test_fewer_blocks_than_the_config_says(folder: Path) -> None:
    text = json.loads((folder / "config.json").read_text())["text_config"]
    edit_config(folder, text_config={**text, "num_hidden_layers": 3})
    with pytest.raises(CheckpointError, match=r"9 missing \(.*layers\.2\."):
        load_model(folder)


def test_a_language_model_is_refused(tmp_path: Path) -> None:
    transformers.LlamaConfig(num_hidden_layers=1).save_pretrained(tmp_path)
    with pytest.raises(UnsupportedModelError, match=r"'llama'.*image-text-to-text"):
        load_model(tmp_path)


def test_missing_unexpected_and_mismatched_tensors(folder: Path) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    gate = next(name for name in tensors if name.endswith("layers.0.mlp.gate_proj.weight"))
    save_file({name: value for name, value in tensors.items() if name != gate}, path, {"format": "pt"})
    with pytest.raises(CheckpointError, match=r"1 missing \(.*layers\.0\.mlp\.gate_proj"):
        load_model(folder)
    save_file({**tensors, "extra.weight": torch.zeros(1)}, path, {"format": "pt"})
    with pytest.raises(CheckpointError, match=r"1 unexpected \(extra\.weight\)"):
        load_model(folder)
    save_file({**tensors, gate: torch.zeros(3, 3)}, path, {"format": "pt"})
    with pytest.raises(CheckpointError, match=r"1 mismatched \(.*gate_proj"):
        load_model(folder)


@pytest.mark.parametrize("kept", [0, 5, 200, 20_000])
def test_half_written_weights(folder: Path, kept: int) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match="missing or damaged"):
        load_model(folder)


def test_no_weights_and_a_missing_shard(folder: Path, tmp_path: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="missing or damaged"):
        load_model(folder)
    sharded = tiny_llava(tmp_path, name="sharded", max_shard_size="40KB")
    sorted(sharded.glob("*.safetensors"))[1].unlink()
    with pytest.raises(CheckpointError, match="missing or damaged"):
        load_model(sharded)


@pytest.mark.parametrize("name", ["tokenizer.json", "preprocessor_config.json"])
def test_a_missing_tokenizer_or_image_processor(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(
        CheckpointError, match=r"expected tokenizer files|its image processor cannot be loaded"
    ):
        load_model(folder)


def test_unknown_dtype_and_device(sound: Path) -> None:
    with pytest.raises(InputError, match="dtype must be auto"):
        load_model(sound, dtype="int3")
    with pytest.raises(InputError, match="not available here"):
        load_model(sound, device="nonsense")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="not available here"):
            load_model(sound, device="cuda")


def test_an_untested_family_loads_with_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny_llava(tmp_path)
    monkeypatch.setattr("hipp_prune.models.family_of", lambda _: None)
    with pytest.warns(UserWarning, match="'llava' is not among the tested families"):
        assert load_model(folder).shape.num_blocks == 2


def test_loading_is_quiet_and_leaves_the_progress_bar_as_it_was(
    sound: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    logging.enable_progress_bar()
    load_model(sound)
    assert logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    load_model(sound)
    assert not logging.is_progress_bar_enabled()
    assert capfd.readouterr() == ("", "")
