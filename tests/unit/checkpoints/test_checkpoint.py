"""What surgery writes: sizes, names, files, and every way it refuses."""

import errno
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from hipp_prune.checkpoints import folders
from hipp_prune.checkpoints.configs import with_old_rope
from hipp_prune.checkpoints.pruned import prune_checkpoint
from hipp_prune.checkpoints.shards import stored_name
from hipp_prune.errors import CheckpointError, OutputExistsError, PlanError, UnsupportedModelError
from hipp_prune.files.manifest import FILE_LIST, faults
from hipp_prune.models import load_model, uneven
from hipp_prune.models.adapter import Adapter
from hipp_prune.plans.plan import Plan
from tests.tiny import tiny_llava, tiny_qwen2_5_vl
from tests.tolerance import assert_agree
from tests.unit.checkpoints.tiny_plans import logits, make_plan, random_masks, stock_inputs

KEPT = (30, 21)


def tensor_bytes(folder: Path) -> int:
    """Sizes of the safetensors files without their headers."""
    total = 0
    for path in folder.glob("*.safetensors"):
        with path.open("rb") as file:
            total += path.stat().st_size - 8 - int.from_bytes(file.read(8), "little")
    return total


def cut_by_hand(adapter: Adapter, plan: Plan) -> Adapter:
    """The reference: a coupled plan applied by indexing the weights of a loaded model."""
    for block, mask in zip(adapter.blocks, plan.keep_masks(), strict=True):
        keep = torch.as_tensor(mask)
        for projection in (block.gate, block.up):
            projection.weight.data = projection.weight.data[keep]
            if projection.bias is not None:
                projection.bias.data = projection.bias.data[keep]
        block.down.weight.data = block.down.weight.data[:, keep].contiguous()
    return adapter


def assert_cut(found: Adapter, expected: Adapter) -> None:
    """Asserts the very weights of a model that was cut by hand, and its logits.

    Weights are copied, bit by bit; logits are computed, in 32 bits, from weights that lie elsewhere in memory.
    """
    weights = dict(expected.model.named_parameters())
    assert weights.keys() == dict(found.model.named_parameters()).keys()
    for name, parameter in found.model.named_parameters():
        assert parameter.dtype == weights[name].dtype
        assert torch.equal(parameter, weights[name]), name
    inputs = stock_inputs(expected)
    assert_agree(logits(found.model.float(), inputs), logits(expected.model.float(), inputs))


def temporary_folders(parent: Path) -> list[Path]:
    return [path for path in parent.iterdir() if path.name.startswith(".")]


@pytest.fixture
def plan(adapter: Adapter) -> Plan:
    return make_plan(adapter, "coupled", KEPT)


def test_size_is_what_the_plan_promised(folder: Path, adapter: Adapter, plan: Plan, tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    seen: list[tuple[int, int]] = []
    report = prune_checkpoint(folder, plan, out, progress=lambda done, total: seen.append((done, total)))
    removed = sum(n - k for n, k in zip(adapter.shape.neurons, KEPT, strict=True))
    assert report.bytes_before == tensor_bytes(folder)
    assert report.predicted_bytes == report.bytes_before - removed * adapter.shape.neuron_parameters * 4
    assert report.bytes_after == report.predicted_bytes == tensor_bytes(out)
    assert report.widths == KEPT
    assert report.remote_code
    assert "saved)" in report.summary
    assert seen == [(1, 1)]


def test_everything_but_the_mlps_is_copied(folder: Path, plan: Plan, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prune_checkpoint(folder, plan, out)
    before, after = load_file(folder / "model.safetensors"), load_file(out / "model.safetensors")
    before = {stored_name(name): tensor for name, tensor in before.items()}
    assert list(before) == list(after)
    changed = {name for name in before if before[name].shape != after[name].shape}
    assert changed
    assert all(".layers." in name and ".mlp." in name and "vision" not in name for name in changed)
    assert all(torch.equal(before[name], after[name]) for name in before if name not in changed)
    ours = {"plan.json", "README.md", uneven.REMOTE_CODE, FILE_LIST}
    assert {path.name for path in out.iterdir()} == {path.name for path in folder.iterdir()} | ours
    for name in (
        "tokenizer.json",
        "chat_template.jinja",
        "preprocessor_config.json",
        "generation_config.json",
    ):
        assert (out / name).read_bytes() == (folder / name).read_bytes()
    assert (out / uneven.REMOTE_CODE).read_text() == Path(uneven.__file__).read_text()
    assert Plan.load(out / "plan.json") == plan
    with safe_open(out / "model.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt"}


def test_our_loader_needs_no_remote_code(folder: Path, adapter: Adapter, plan: Plan, tmp_path: Path) -> None:
    prune_checkpoint(folder, plan, tmp_path / "out")
    pruned = load_model(tmp_path / "out")
    assert pruned.shape.neurons == KEPT
    assert_cut(pruned, cut_by_hand(adapter, plan))


def test_several_shards_and_bfloat16(family: str, tmp_path: Path) -> None:
    build = {"llava": tiny_llava, "qwen2_5_vl": tiny_qwen2_5_vl}[family]
    source = build(tmp_path, max_shard_size="40KB", dtype=torch.bfloat16)
    adapter, out = load_model(source), tmp_path / "out"
    plan = make_plan(adapter, "coupled", KEPT)
    seen: list[tuple[int, int]] = []
    report = prune_checkpoint(source, plan, out, progress=lambda done, total: seen.append((done, total)))
    files = sorted(path.name for path in source.glob("*.safetensors"))
    assert len(files) > 2
    assert seen == [(done + 1, len(files)) for done in range(len(files))]
    assert sorted(path.name for path in out.glob("*.safetensors")) == files
    assert report.bytes_after == report.predicted_bytes == tensor_bytes(out) < report.bytes_before
    index = json.loads((out / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == report.bytes_after
    pruned = load_model(out)
    assert pruned.blocks[0].gate.weight.dtype == torch.bfloat16
    assert_cut(pruned, cut_by_hand(adapter, plan))


def test_new_key_names_are_found_and_kept(family: str, tmp_path: Path) -> None:
    """Checkpoints saved by transformers 5 under its own names, without the hub's."""
    build = {"llava": tiny_llava, "qwen2_5_vl": tiny_qwen2_5_vl}[family]
    source = build(tmp_path)
    adapter = load_model(source)
    adapter.model.save_pretrained(source, save_original_format=False)
    assert "model.language_model.layers.0.mlp.up_proj.weight" in load_file(source / "model.safetensors")
    plan = make_plan(adapter, "coupled", KEPT)
    prune_checkpoint(source, plan, tmp_path / "out")
    assert "model.language_model.layers.0.mlp.up_proj.weight" in load_file(
        tmp_path / "out" / "model.safetensors"
    )
    assert_cut(load_model(tmp_path / "out"), cut_by_hand(adapter, plan))


def test_flat_hub_config_is_nested(tmp_path: Path) -> None:
    """Qwen2.5-VL on the hub keeps its text settings at the top of config.json."""
    source = tiny_qwen2_5_vl(tmp_path)
    config = json.loads((source / "config.json").read_text())
    text = config.pop("text_config")
    text.pop("model_type")
    (source / "config.json").write_text(json.dumps({**text, **config}))
    adapter = load_model(source)
    plan = make_plan(adapter, "coupled", KEPT)
    prune_checkpoint(source, plan, tmp_path / "out")
    assert_cut(load_model(tmp_path / "out"), cut_by_hand(adapter, plan))


def test_equal_widths_make_a_stock_checkpoint(folder: Path, adapter: Adapter, tmp_path: Path) -> None:
    plan = make_plan(adapter, "coupled", (24, 24))
    report = prune_checkpoint(folder, plan, tmp_path / "out")
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert not report.remote_code
    assert config["text_config"]["intermediate_size"] == 24
    assert "auto_map" not in config
    assert not (tmp_path / "out" / uneven.REMOTE_CODE).exists()
    model = type(adapter.model).from_pretrained(tmp_path / "out").eval()
    assert_cut(type(adapter)(model, adapter.processor), cut_by_hand(adapter, plan))


def test_a_pruned_checkpoint_can_be_pruned_again(folder: Path, plan: Plan, tmp_path: Path) -> None:
    prune_checkpoint(folder, plan, tmp_path / "once")
    once = load_model(tmp_path / "once")
    second = make_plan(once, "coupled", (9, 21))
    prune_checkpoint(tmp_path / "once", second, tmp_path / "twice")
    twice = load_model(tmp_path / "twice")
    assert twice.shape.neurons == (9, 21)
    assert Plan.load(tmp_path / "twice" / "plan.json") == second
    assert_cut(twice, cut_by_hand(once, second))


def test_rows_are_stored_as_zeros_and_say_so(folder: Path, adapter: Adapter, tmp_path: Path) -> None:
    from hipp_prune.pruning.masking import apply_masks

    kept = (20, 30, 25, 16)
    masks = random_masks(adapter, "rows", kept)
    report = prune_checkpoint(folder, make_plan(adapter, "rows", kept, masks), tmp_path / "out")
    assert (
        report.bytes_after == report.predicted_bytes == report.bytes_before == tensor_bytes(tmp_path / "out")
    )
    assert report.summary.startswith("nothing is saved: row masks leave every tensor its size")
    config = json.loads((folder / "config.json").read_text())
    assert json.loads((tmp_path / "out" / "config.json").read_text()) == with_old_rope(config)
    inputs = stock_inputs(adapter)
    stock = type(adapter.model).from_pretrained(tmp_path / "out").eval()
    with apply_masks(adapter, masks):
        assert_agree(logits(stock, inputs), logits(adapter.model, inputs))


# Refusals


def test_output_is_not_replaced_unasked(folder: Path, plan: Plan, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    prune_checkpoint(folder, plan, out)
    with pytest.raises(OutputExistsError, match=r"already exists; .*--force"):
        prune_checkpoint(folder, plan, out)
    (out / "thesis.tex").write_text("mine")
    prune_checkpoint(folder, plan, out, force=True)
    assert (out / "thesis.tex").read_text() == "mine"
    assert list(faults(out)) == []
    assert temporary_folders(tmp_path) == []


def test_force_never_replaces_what_we_did_not_write(folder: Path, plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.png").touch()
    with pytest.raises(OutputExistsError, match="the list of the files we wrote"):
        prune_checkpoint(folder, plan, tmp_path / "photos", force=True)
    for out in (folder, folder.parent):
        with pytest.raises(OutputExistsError, match="is or contains the source"):
            prune_checkpoint(folder, plan, out, force=True)


def test_a_plan_of_another_model_is_refused(
    folders: dict[str, Path], plan: Plan, family: str, tmp_path: Path
) -> None:
    other = folders["llava" if family == "qwen2_5_vl" else "qwen2_5_vl"]
    with pytest.raises(PlanError, match=f"made for a {family} model"):
        prune_checkpoint(other, plan, tmp_path / "out")
    build = {"llava": tiny_llava, "qwen2_5_vl": tiny_qwen2_5_vl}[family]
    with pytest.raises(PlanError, match="other weights"):
        prune_checkpoint(
            build(tmp_path, seed=1, **({"mlp_bias": True} if family == "llava" else {})),
            plan,
            tmp_path / "out",
        )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EACCES])
def test_a_failing_write_leaves_nothing(
    folder: Path, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    out = tmp_path / "out"
    first = prune_checkpoint(folder, plan, out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def fail(shard: object, target: Path, *changes: object) -> int:
        target.write_bytes(b"half")
        raise OSError(error, "No space left on device")

    monkeypatch.setattr(folders, "write_shard", fail)
    with pytest.raises(CheckpointError, match=rf"needs {first.predicted_bytes:,} bytes: No space left"):
        prune_checkpoint(folder, plan, out, force=True)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    with pytest.raises(CheckpointError):
        prune_checkpoint(folder, plan, tmp_path / "other")
    assert not (tmp_path / "other").exists()
    assert temporary_folders(tmp_path) == []


def test_a_failing_rename_brings_the_old_checkpoint_back(
    folder: Path, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    prune_checkpoint(folder, plan, out)
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if self.suffix == ".tmp":
            raise OSError(errno.EIO, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(CheckpointError, match="Input/output error"):
        prune_checkpoint(folder, plan, out, force=True)
    assert load_model(out).shape.neurons == KEPT
    assert temporary_folders(tmp_path) == []


def test_too_little_space_is_seen_beforehand(
    folder: Path, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 5, 5))
    with pytest.raises(CheckpointError, match=r"needs [\d,]+ bytes, 5 are free"):
        prune_checkpoint(folder, plan, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_leaves_nothing(
    folder: Path, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prune_checkpoint(folder, plan, tmp_path / "out", progress=interrupt)
    assert list(tmp_path.iterdir()) == []


class TestBadSources:
    @pytest.fixture
    def broken(self, folder: Path, tmp_path: Path) -> Path:
        return shutil.copytree(folder, tmp_path / "broken")

    def refuse(self, source: Path, plan: Plan, words: str) -> None:
        with pytest.raises(CheckpointError, match=words):
            prune_checkpoint(source, plan, source.parent / "out", shape=plan.shape)
        assert not (source.parent / "out").exists()

    def test_pytorch_weights(self, broken: Path, plan: Plan) -> None:
        (broken / "model.safetensors").rename(broken / "pytorch_model.bin")
        self.refuse(broken, plan, "PyTorch .bin weights, expected safetensors; convert them first")

    def test_no_weights(self, broken: Path, plan: Plan) -> None:
        (broken / "model.safetensors").unlink()
        self.refuse(broken, plan, "expected a folder with a complete checkpoint")

    def test_cut_off_file(self, broken: Path, plan: Plan) -> None:
        content = (broken / "model.safetensors").read_bytes()
        (broken / "model.safetensors").write_bytes(content[:-100])
        self.refuse(broken, plan, "missing or cut off")

    def test_missing_shard(self, broken: Path, plan: Plan) -> None:
        (broken / "model.safetensors").unlink()
        index = {"metadata": {}, "weight_map": {"a": "model-00001-of-00001.safetensors"}}
        (broken / "model.safetensors.index.json").write_text(json.dumps(index))
        self.refuse(broken, plan, "model-00001-of-00001.safetensors cannot be read")

    def test_index_that_names_absent_tensors(self, broken: Path, plan: Plan) -> None:
        index = {"metadata": {}, "weight_map": {"ghost": "model.safetensors"}}
        (broken / "model.safetensors.index.json").write_text(json.dumps(index))
        self.refuse(broken, plan, "names 1 tensors that no file holds, e.g. ghost")

    def test_config_that_is_no_json(self, broken: Path, plan: Plan) -> None:
        (broken / "config.json").write_text("{")
        self.refuse(broken, plan, r"config\.json: expected JSON")

    def edit(self, source: Path, change: dict[str, torch.Tensor | None]) -> None:
        """Replaces (or removes) the tensors whose names end like the keys."""
        tensors = load_file(source / "model.safetensors")
        for tail, tensor in change.items():
            name = next(key for key in tensors if key.endswith(tail))
            del tensors[name]
            if tensor is not None:
                tensors[name] = tensor
        save_file(tensors, source / "model.safetensors", {"format": "pt"})

    def test_quantised_weights(self, broken: Path, plan: Plan) -> None:
        shape = (plan.shape.neurons[1], plan.shape.hidden_size)
        self.edit(broken, {"layers.1.mlp.gate_proj.weight": torch.zeros(shape, dtype=torch.int8)})
        self.refuse(broken, plan, "gate_proj of block 1, found .* of I8; prune the model before quantising")

    def test_missing_projection(self, broken: Path, plan: Plan) -> None:
        self.edit(broken, {"layers.0.mlp.up_proj.weight": None})
        self.refuse(broken, plan, "for up_proj of block 0, found none")

    def test_two_language_models(self, broken: Path, plan: Plan) -> None:
        tensors = load_file(broken / "model.safetensors")
        save_file(
            tensors | {"draft.layers.0.mlp.up_proj.weight": torch.zeros(1)}, broken / "model.safetensors"
        )
        self.refuse(broken, plan, r"are both the up_proj\.weight of block 0")

    def test_model_type_without_a_stock_class(self, broken: Path, plan: Plan) -> None:
        config = json.loads((broken / "config.json").read_text()) | {"model_type": "mystery"}
        (broken / "config.json").write_text(json.dumps(config))
        with pytest.raises(UnsupportedModelError, match="`mystery`"):
            prune_checkpoint(broken, plan, broken.parent / "out", shape=plan.shape)
