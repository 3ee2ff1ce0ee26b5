"""Elastic checkpoints beyond the contract: in plain transformers, as files, and every way they refuse."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText

from hipp_prune.checkpoints.elastic import CarriedOut, measure_plan, write_elastic
from hipp_prune.checkpoints.folders import open_shards
from hipp_prune.checkpoints.separate import separate_plan
from hipp_prune.errors import CheckpointError, OutputExistsError, RunError
from hipp_prune.files.manifest import FILE_LIST, faults
from hipp_prune.models import load_model
from hipp_prune.models.uneven import PREFIXES
from hipp_prune.plans.plan import Plan, keep_masks
from hipp_prune.plans.prefixes import nested_orders
from tests.tiny import tiny_llava, tiny_qwen2_5_vl
from tests.tolerance import assert_agree
from tests.unit.checkpoints.test_remote_code import cached, run_fresh
from tests.unit.checkpoints.tiny_plans import fit_somehow, logits, make_plan, stock_inputs

KEPT = {"0.3": (33, 30), "0.5": (24, 24), "0.7": (9, 20)}
BUILDERS = {"llava": tiny_llava, "qwen2_5_vl": tiny_qwen2_5_vl}


def write(source: Path, out: Path, *, fitted: bool = True, force: bool = False) -> dict[str, Plan]:
    """An elastic checkpoint of three plans, of which that of 0.7 is fitted anew."""
    adapter = load_model(source)
    orders = [np.random.default_rng(block).permutation(n) for block, n in enumerate(adapter.shape.neurons)]
    plans = {
        name: make_plan(adapter, "coupled", kept, keep_masks("coupled", orders, kept))
        for name, kept in KEPT.items()
    }

    def carry_out(plan: Plan) -> CarriedOut:
        fit = fit_somehow(plan) if fitted and plan is plans["0.7"] else None
        return CarriedOut(plan=plan, down_weights=fit)

    write_elastic(source, out, plans, nested_orders(plans), carry_out, force=force)
    return plans


@pytest.fixture(scope="module")
def elastic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tmp = tmp_path_factory.mktemp("elastic")
    write(tiny_llava(tmp, max_shard_size="60KB"), tmp / "elastic")
    return tmp / "elastic"


def test_a_fresh_process_opens_every_plan_by_name(tmp_path_factory: pytest.TempPathFactory) -> None:
    """With ``plan=`` or by the plan's folder, from a folder or the hub's cache; saved again it is a checkpoint."""
    tmp = tmp_path_factory.mktemp("fresh")
    jobs, expected = [], {}
    for family, build in BUILDERS.items():
        here = tmp / family
        write(build(here), here / "elastic")
        ways = {
            "plan": (here / "elastic", "0.5", ""),
            "folder": (here / "elastic" / "0.7", None, ""),
            "resaved": (here / "elastic", "0.3", str(here / "resaved")),
            "hub": (cached(here / "elastic", tmp / "hub", family), "0.7", ""),
            "dense": (here / "elastic", None, ""),
        }
        for way, (checkpoint, plan, resave) in ways.items():
            name = {"folder": "0.7", "dense": ""}.get(way, plan)
            adapter = load_model(here / "elastic" / str(name))
            inputs = stock_inputs(adapter)
            save_file(inputs, here / "inputs.safetensors")
            expected[family, way] = logits(adapter.model, inputs)
            job = {
                "checkpoint": str(checkpoint),
                "plan": plan,
                "resave": resave,
                "auto": "AutoModelForImageTextToText",
            }
            job |= {"inputs": str(here / "inputs.safetensors"), "result": str(here / f"{way}.safetensors")}
            jobs.append(job)
    (tmp / "jobs.json").write_text(json.dumps(jobs))
    run_fresh(tmp / "jobs.json")
    for (family, way), logit in expected.items():
        assert_agree(load_file(tmp / family / f"{way}.safetensors")["result"], logit)


def test_only_what_compensates_is_written_twice(elastic: Path) -> None:
    """Plans that cut alone have no tensors of their own; the other one has its down projections, and no more."""
    sizes = {name: measure_plan(elastic / name) for name in KEPT}
    assert [sizes["0.3"].own, sizes["0.5"].own] == [0, 0]
    assert sizes["0.7"].own == sum(KEPT["0.7"]) * 32 * 4
    dense = sum(shard.num_bytes for shard in open_shards(elastic))
    for name, kept in KEPT.items():
        assert dense - sizes[name].loaded == (2 * 48 - sum(kept)) * 3 * 32 * 4


def test_every_file_is_listed_and_checked(elastic: Path) -> None:
    assert list(faults(elastic)) == []
    listed = {json.loads(line)["file"] for line in (elastic / FILE_LIST).read_text().splitlines()}
    there = {path.relative_to(elastic).as_posix() for path in elastic.rglob("*") if path.is_file()}
    assert listed == there - {FILE_LIST}
    assert {f"0.7/{PREFIXES}", "0.7/plan.json", "0.7/config.json"} <= listed


def test_what_is_damaged_is_not_loaded(elastic: Path, tmp_path: Path) -> None:
    """A plan's own files by their checksums; those of the dense model, which are not read whole, by their size."""
    copy = tmp_path / "elastic"
    shutil.copytree(elastic, copy)
    own = next((copy / "0.7").glob("downs-*.safetensors"))
    content = own.read_bytes()
    own.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(RunError, match=r"SHA-256 differs"):
        load_model(copy / "0.7")
    load_model(copy / "0.5")
    template = (copy / "chat_template.jinja").read_text()
    (copy / "chat_template.jinja").write_text(template + " ")
    with pytest.raises(RunError, match=r"chat_template.jinja is not what we wrote"):
        load_model(copy / "0.5")
    (copy / "chat_template.jinja").write_text(template)
    (copy / "0.5" / PREFIXES).unlink()
    with pytest.raises(RunError, match=r"prefixes.json is not what we wrote.*found no file"):
        load_model(copy / "0.5")
    shard = next(copy.glob("model-*.safetensors"))
    shard.write_bytes(shard.read_bytes()[:-8])
    with pytest.raises(CheckpointError, match=r"the weights cannot be loaded"):
        load_model(copy / "0.3")


def test_no_checkpoint_is_made_of_what_is_damaged(elastic: Path, tmp_path: Path) -> None:
    copy, out = tmp_path / "elastic", tmp_path / "alone"
    own = next((elastic / "0.7").glob("downs-*.safetensors")).relative_to(elastic)
    for name in (own, f"0.7/{PREFIXES}", "chat_template.jinja"):
        shutil.copytree(elastic, copy)
        (copy / name).unlink()
        with pytest.raises(RunError, match=r"is not what we wrote.*found no file"):
            separate_plan(copy / "0.7", out)
        (copy / FILE_LIST).unlink()
        (copy / "0.7" / PREFIXES).write_bytes(b"\xdf")
        with pytest.raises(CheckpointError, match=re.escape(PREFIXES)):
            separate_plan(copy / "0.7", out)
        shutil.rmtree(copy)
    assert not out.exists()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"format": 2}, "format"),
        ({"prefixes": {"a": [2, 5]}}, "prefixes"),
        ({"prefixes": {}}, "the weights cannot be loaded"),
    ],
)
def test_prefixes_that_do_not_fit_are_refused(
    elastic: Path, tmp_path: Path, changed: dict[str, object], said: str
) -> None:
    copy = tmp_path / "elastic"
    shutil.copytree(elastic, copy, ignore=shutil.ignore_patterns(FILE_LIST))
    path = copy / "0.5" / PREFIXES
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    with pytest.raises(CheckpointError, match=said):
        load_model(copy / "0.5")


def test_a_plan_that_is_not_there_is_named_with_those_that_are(elastic: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"has no plan 0\.4; give one of those it has: 0\.3, 0\.5, 0\.7"
    ):
        load_model(elastic / "0.4")
    with pytest.raises(ValueError, match=r"has no plan '0\.4', but 0\.3, 0\.5, 0\.7"):
        AutoModelForImageTextToText.from_pretrained(elastic, trust_remote_code=True, plan="0.4")


def test_a_plan_is_no_checkpoint_of_its_own(elastic: Path) -> None:
    """Nobody takes it for one: not what copies files, and not the stock class, which finds no weights in it."""
    with pytest.raises(CheckpointError, match=r"is a plan of an elastic checkpoint.*--format checkpoint"):
        open_shards(elastic / "0.5")
    with pytest.raises(OSError, match=r"model\.safetensors"):
        AutoModelForImageTextToText.from_pretrained(elastic / "0.5", trust_remote_code=False)


def test_it_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = tiny_llava(tmp_path), tmp_path / "out"
    write(source, out, fitted=False)
    with pytest.raises(OutputExistsError, match="already exists"):
        write(source, out)
    before = load_file(out / "model.safetensors")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("hipp_prune.checkpoints.elastic.write_weights", fail)
        with pytest.raises(CheckpointError, match="cannot write"):
            write(source, out, force=True)
    assert not list((out / "0.7").glob("*.safetensors"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["llava", "out"]
    write(source, out, force=True)
    assert list((out / "0.7").glob("*.safetensors"))
    after = load_file(out / "model.safetensors")
    assert all(torch.equal(before[name], after[name]) for name in before)
