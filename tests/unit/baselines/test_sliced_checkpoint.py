"""Sliced checkpoints: our loader, plain transformers in a fresh process, recovery, and the ledger agree."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from hipp_prune.baselines.methods import slicegpt
from hipp_prune.baselines.setting import Setting
from hipp_prune.baselines.settings import BaselineSettings
from hipp_prune.calibration.measurement import calibrate
from hipp_prune.checkpoints.ledger import checkpoint_ledger, read_savings
from hipp_prune.checkpoints.pruned import CheckpointReport, prune_checkpoint
from hipp_prune.checkpoints.residual import sliced_shapes, write_sliced
from hipp_prune.errors import CheckpointError, RunError, UnsupportedModelError
from hipp_prune.files.manifest import accept_files
from hipp_prune.models import load_model
from hipp_prune.recovery.recover import recover_checkpoint
from tests.tiny import FAMILIES, tiny_llava, tiny_qwen2_5_vl
from tests.tolerance import assert_agree
from tests.unit.baselines.conftest import ask
from tests.unit.checkpoints.test_remote_code import run_fresh
from tests.unit.checkpoints.tiny_plans import logits, make_plan, stock_inputs
from tests.unit.recovery.conftest import SHORT


def uneven(build: Callable[[Path], Path]) -> Callable[[Path], Path]:
    """A builder of the same model pruned to blocks of 30 and 21 neurons, its down projections biased."""

    def pruned(tmp: Path) -> Path:
        source = build(tmp)
        adapter = load_model(source)
        biases = [torch.randn(adapter.shape.hidden_size) for _ in adapter.blocks]
        plan = make_plan(adapter, "coupled", (30, 21))
        prune_checkpoint(source, plan, tmp / "uneven", down_biases=biases)
        return tmp / "uneven"

    return pruned


def renamed(build: Callable[[Path], Path]) -> Callable[[Path], Path]:
    """A builder of the same model with the key names of the hub's LLaVA checkpoints."""

    def with_old_names(tmp: Path) -> Path:
        source = build(tmp)
        tensors = load_file(source / "model.safetensors")
        names = {name: name.removeprefix("model.") for name in tensors}
        names |= {
            name: name.replace("model.language_model.", "language_model.model.")
            for name in tensors
            if "language_model" in name
        } | {"lm_head.weight": "language_model.lm_head.weight"}
        old = {names[name]: tensor for name, tensor in tensors.items()}
        save_file(old, source / "model.safetensors", {"format": "pt"})
        return source

    return with_old_names


VARIANTS: dict[str, Callable[[Path], Path]] = {
    "llava": renamed(tiny_llava),
    "llava-tied-biased-sharded": lambda tmp: tiny_llava(tmp, tied=True, mlp_bias=True, max_shard_size="40KB"),
    "llava-uneven": uneven(tiny_llava),
    "qwen2_5_vl": tiny_qwen2_5_vl,
    "qwen2_5_vl-untied-sharded": lambda tmp: tiny_qwen2_5_vl(tmp, tied=False, max_shard_size="40KB"),
    "qwen2_5_vl-uneven": uneven(tiny_qwen2_5_vl),
}


def calibrated(source: Path, tmp: Path) -> Setting:
    adapter, questions = load_model(source), ask(tmp)
    return Setting(
        adapter=adapter,
        calibration=calibrate(adapter, questions),
        questions=questions,
        sparsity=0.25,
        settings=BaselineSettings(round_to=4),
    )


def write(source: Path, out: Path, setting: Setting) -> CheckpointReport:
    return write_sliced(source, setting.adapter, slicegpt.plan(setting), out)


@pytest.fixture(scope="module")
def sliced(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders with ``source``, ``whole`` (sliced at 0), ``out`` (at 0.25), and what a fresh process computed of it."""
    tmp = tmp_path_factory.mktemp("sliced")
    folders, jobs = {}, []
    for variant, build in VARIANTS.items():
        folder = folders[variant] = tmp / variant
        source = build(folder).rename(folder / "source")
        setting = calibrated(source, folder)
        write(source, folder / "whole", replace(setting, sparsity=0.0))
        write(source, folder / "out", setting)
        save_file(stock_inputs(setting.adapter), folder / "inputs.safetensors")
        jobs.append(
            {
                "checkpoint": str(folder / "out"), "auto": "AutoModelForImageTextToText",
                "resave": str(folder / "resaved"), "inputs": str(folder / "inputs.safetensors"),
                "result": str(folder / "fresh.safetensors"),
            }
        )  # fmt: skip
    (tmp / "jobs.json").write_text(json.dumps(jobs))
    run_fresh(tmp / "jobs.json")
    return folders


def answers(folder: Path, inputs: Path) -> Tensor:
    return logits(load_model(folder).model, load_file(inputs))


@pytest.mark.parametrize("variant", VARIANTS)
class TestSlicedCheckpoint:
    def test_slicing_nothing_reproduces_the_dense_logits(self, sliced: dict[str, Path], variant: str) -> None:
        folder = sliced[variant]
        dense, whole = (answers(folder / name, folder / "inputs.safetensors") for name in ("source", "whole"))
        assert_agree(whole, dense)

    def test_plain_transformers_computes_the_same_even_after_saving_again(
        self, sliced: dict[str, Path], variant: str
    ) -> None:
        folder = sliced[variant]
        fresh = load_file(folder / "fresh.safetensors")["result"]
        assert_agree(fresh, answers(folder / "out", folder / "inputs.safetensors"))

    def test_the_ledger_is_what_was_counted(self, sliced: dict[str, Path], variant: str) -> None:
        folder = sliced[variant]
        before, adapter = load_model(folder / "source"), load_model(folder / "out")
        ledger, after = checkpoint_ledger(folder / "out"), adapter.shape
        assert ledger is not None
        for name in ("block", "language", "total"):
            count = f"{name}_parameters"
            saved = 1 - getattr(after, count) / getattr(before.shape, count)
            assert getattr(ledger, {"total": "model"}.get(name, name)) == pytest.approx(saved)
        shapes = {name: tuple(weight.shape) for name, weight in adapter.model.named_parameters()}
        assert shapes == sliced_shapes(before, 20)


@pytest.fixture(params=["llava", "qwen2_5_vl"])
def folder(request: pytest.FixtureRequest, sliced: dict[str, Path]) -> Path:
    return sliced[request.param]


def project(layer: Any, before: Tensor, between: Tensor) -> Callable[..., Tensor]:
    """A stock block's forward on states projected to the span of ``before``, and after attention of ``between``."""

    def forward(hidden_states: Tensor, **arguments: Any) -> Tensor:
        states = hidden_states @ before @ before.T
        attended = layer.self_attn(hidden_states=layer.input_layernorm(states), **arguments)[0]
        states = (states + attended) @ between @ between.T
        return states + layer.mlp(layer.post_attention_layernorm(states))

    return forward


def test_a_sliced_block_is_the_stock_block_on_projected_states(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = calibrated(folder / "source", tmp_path)
    model, bases = setting.adapter.model, [basis.float() for basis in slicegpt.plan(setting).bases]
    for index, layer in enumerate(model.get_decoder().layers):
        monkeypatch.setattr(layer, "forward", project(layer, *bases[2 * index : 2 * index + 2]))
    inputs = folder / "inputs.safetensors"
    expected = logits(model, load_file(inputs))
    assert_agree(answers(folder / "out", inputs), expected)


def in_subspace(source: Path, rank: int) -> None:
    """Makes all that writes to the stream, but for the last block's MLP, write to ``rank`` of its 32 coordinates."""
    tensors = load_file(source / "model.safetensors")
    basis = torch.linalg.qr(torch.randn(32, rank, generator=torch.Generator().manual_seed(3))).Q
    writers = ("o_proj.weight", "layers.0.mlp.down_proj.weight", "linear_2.weight", "linear_2.bias")
    for name, tensor in tensors.items():
        if name.endswith((*writers, "merger.mlp.2.weight", "merger.mlp.2.bias")) and "blocks" not in name:
            tensors[name] = basis @ (basis.T @ tensor)
        if name.endswith("embed_tokens.weight"):
            tensors[name] = tensor @ basis @ basis.T
    save_file(tensors, source / "model.safetensors", {"format": "pt"})


@pytest.mark.parametrize("family", ["llava", "qwen2_5_vl"])
def test_coordinates_that_nothing_writes_to_are_cut_without_loss(family: str, tmp_path: Path) -> None:
    source = FAMILIES[family](tmp_path)
    in_subspace(source, 20)
    setting = replace(calibrated(source, tmp_path), sparsity=0.3)
    write(source, tmp_path / "out", setting)
    model = load_model(tmp_path / "out").model
    assert model.get_decoder().layers[0].self_attn.q_proj.in_features == 20
    inputs = stock_inputs(setting.adapter)
    assert_agree(logits(model, inputs), logits(setting.adapter.model, inputs))


@pytest.mark.parametrize("family", ["qwen2_vl", "idefics3", "smolvlm", "internvl"])
def test_other_families_are_sliced_too(family: str, tmp_path: Path) -> None:
    source = FAMILIES[family](tmp_path)
    setting = replace(calibrated(source, tmp_path), sparsity=0.0)
    write(source, tmp_path / "out", setting)
    inputs = stock_inputs(setting.adapter)
    found = logits(load_model(tmp_path / "out").model, inputs)
    assert_agree(found, logits(setting.adapter.model, inputs))


def test_bytes_are_those_of_the_tensors(tmp_path: Path) -> None:
    source = tiny_qwen2_5_vl(tmp_path)
    report = write(source, tmp_path / "out", calibrated(source, tmp_path))
    tensors = load_file(tmp_path / "out" / "model.safetensors")
    assert report.bytes_after == sum(tensor.nbytes for tensor in tensors.values())
    assert report.remote_code


def test_it_is_recovered_like_any_other(folder: Path, tmp_path: Path) -> None:
    source, out = folder / "out", tmp_path / "recovered"
    report = recover_checkpoint(source, load_model(source), ask(tmp_path), out, SHORT)
    assert report.untied == 0
    assert checkpoint_ledger(out) == checkpoint_ledger(source)
    inputs = folder / "inputs.safetensors"
    assert not torch.equal(answers(out, inputs), answers(source, inputs))
    before, after = load_file(source / "model.safetensors"), load_file(out / "model.safetensors")
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert any(name.endswith("layers.1.attention_shortcut.weight") for name in changed)
    assert not any("layers.0" in name for name in changed)


def test_it_is_not_pruned_further(folder: Path, tmp_path: Path, settings: dict[str, Setting]) -> None:
    adapter = load_model(folder / "out")
    with pytest.raises(UnsupportedModelError, match="was sliced to 20 coordinates"):
        calibrate(adapter, ask(tmp_path))
    with pytest.raises(UnsupportedModelError, match="was sliced to 20 coordinates"):
        slicegpt.plan(replace(settings["llava"], adapter=adapter))


def test_a_damaged_ledger_is_named(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder / "out", tmp_path / "copy")
    savings = read_savings(copy)
    assert savings is not None
    assert savings.notes["residual_width"] == 20
    (copy / "ledger.json").write_text("{")
    with pytest.raises(RunError, match=r"ledger\.json is not what we wrote"):
        read_savings(copy)
    accept_files(copy)
    with pytest.raises(CheckpointError, match=r"ledger\.json: expected JSON"):
        read_savings(copy)
