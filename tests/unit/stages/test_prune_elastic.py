"""One elastic checkpoint from calibration to answers: every compensation, named plans, and what is refused first."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from hipp_prune.checkpoints.ledger import checkpoint_compensation
from hipp_prune.cli import main
from hipp_prune.errors import InputError, PlanError, UnsupportedModelError
from hipp_prune.files.run_directory import RunDirectory
from hipp_prune.models import load_model
from hipp_prune.models.adapter import Adapter
from hipp_prune.plans.modes import Compensation
from hipp_prune.plans.plan import Plan, keep_masks
from hipp_prune.plans.preference import Preference
from hipp_prune.search.query.planner import Planner
from hipp_prune.search.settings import SearchSettings
from hipp_prune.stages import elastic as module
from hipp_prune.stages.calibrate import calibrate
from hipp_prune.stages.elastic import name_plans, prune_elastic
from hipp_prune.stages.loading import source_folder
from hipp_prune.stages.prune import prune
from hipp_prune.stages.query import query
from hipp_prune.stages.search import search
from hipp_prune.stages.settings import CalibrateSettings, QuerySettings
from tests.tolerance import assert_agree
from tests.unit.checkpoints.tiny_plans import logits, make_plan, stock_inputs

MODEL = "toy-llava"
SPARSITIES = (0.3, 0.5)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A searched run with Gram matrices and two queried plans."""
    root = tmp_path_factory.mktemp("elastic") / "run"
    made = calibrate(MODEL, ["toyworld"], root, CalibrateSettings(count=24, compensation="ridge"))
    search(root, SearchSettings(method="random", evaluations=3, minibatch=8))
    for sparsity in SPARSITIES:
        query(root, Preference.parse("1,1,1"), QuerySettings(sparsity=sparsity))
    return made


@pytest.fixture(scope="module")
def dense() -> Adapter:
    return load_model(MODEL)


@pytest.mark.parametrize("mode", ["none", "bias", "ridge", "sequential"])
def test_every_plan_is_what_prune_writes(
    mode: Compensation, run: RunDirectory, dense: Adapter, tmp_path: Path
) -> None:
    """Without plan files all plans of the run; the neurons lie in the order of the run's ranking."""
    report = prune_elastic(MODEL, (), tmp_path / "elastic", run=run.root, compensation=mode)
    assert list(report.plans) == ["0.3", "0.5"]
    inputs = stock_inputs(dense)
    for name, path in zip(report.plans, sorted(run.plans.glob("*.json")), strict=True):
        prune(MODEL, path, tmp_path / name, run=run.root, compensation=mode)
        expected, found = (load_model(tmp_path / where).model for where in (name, f"elastic/{name}"))
        assert_agree(logits(found, inputs), logits(expected, inputs))
        assert checkpoint_compensation(tmp_path / "elastic" / name) == mode
        sliced, own = (Plan.load(tmp_path / where / "plan.json") for where in (name, f"elastic/{name}"))
        assert own == sliced
    sorted_dense = load_model(tmp_path / "elastic")
    assert_agree(logits(sorted_dense.model, inputs), logits(dense.model, inputs))
    for block, order in enumerate(Planner.load(run.search.planner).orders):
        weight = dense.blocks[block].gate.weight[order.copy()]
        assert sorted_dense.blocks[block].gate.weight.equal(weight)


def test_a_plan_stands_wherever_a_checkpoint_does(
    run: RunDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written, shown, checked, scored, exported and refused by the command line."""
    monkeypatch.chdir(tmp_path)
    assert main(["prune", "--run", str(run.root), "--elastic", "--out", "elastic"]) == 0
    told = capsys.readouterr()
    assert "2 plans: 0.3 loads" in told.out
    assert "hipp-prune evaluate --model elastic/0.3 --questions toyworld" in told.err
    assert main(["show", "elastic"]) == 0
    assert "plan 0.5" in capsys.readouterr().out
    assert main(["show", "elastic/0.5"]) == 0
    assert "of whose weights it takes a prefix" in capsys.readouterr().out
    assert main(["check", "elastic"]) == 0
    words = ["evaluate", "--model", "elastic/0.5", "--questions", "toyworld", "--limit", "8"]
    assert main([*words, "--out", "scores.json", "--card"]) == 0
    scores = json.loads(Path("scores.json").read_text())
    assert scores["compensation"] == "ridge"
    assert scores["ledger"]["mlp"] == pytest.approx(0.5, abs=0.01)
    assert "Not measured yet" not in Path("elastic/0.5/README.md").read_text()
    assert main(["export", "elastic/0.5", "--format", "checkpoint", "--out", "own"]) == 0
    assert scores["bytes"] == sum(path.stat().st_size for path in Path("own").glob("*.safetensors")) - header(
        Path("own/model.safetensors")
    )
    capsys.readouterr()
    assert main(["export", "elastic", "--format", "checkpoint", "--out", "no"]) == 2
    assert "found elastic, which is none" in capsys.readouterr().err
    words = [
        "prune",
        "--model",
        "elastic/0.5",
        "--plan",
        "own/plan.json",
        "--compensation",
        "none",
        "--out",
        "no",
    ]
    assert main(words) == 2
    assert "is a plan of an elastic checkpoint" in capsys.readouterr().err
    with source_folder("elastic/0.5") as folder:
        assert load_model(folder).shape.neurons == load_model("elastic/0.5").shape.neurons
    assert not folder.exists()


def header(path: Path) -> int:
    with path.open("rb") as file:
        return 8 + int.from_bytes(file.read(8), "little")


def files_of(folder: Path, plans: Sequence[Plan]) -> list[Path]:
    """Plan files a, b, …"""
    paths = [folder / f"{letter}.json" for letter, _ in zip("abc", plans, strict=False)]
    for path, plan in zip(paths, plans, strict=True):
        path.write_text(plan.to_json())
    return paths


def ranked(adapter: Adapter, share: float, **fields: object) -> Plan:
    """A plan that keeps the last neurons of each block."""
    kept = [round(neurons * (1 - share)) for neurons in adapter.shape.neurons]
    orders = [np.arange(neurons)[::-1] for neurons in adapter.shape.neurons]
    return replace(make_plan(adapter, "coupled", kept, keep_masks("coupled", orders, kept)), **fields)


def test_plans_are_named_by_what_they_save_or_by_their_files(dense: Adapter) -> None:
    plans = {
        Path("x/a.json"): ranked(dense, 0.5),
        Path("x/b.json"): ranked(dense, 0.25, notes={"sparsity": 0.225}),
    }
    assert list(name_plans(plans)) == ["0.225", "0.5"]
    plans[Path("x/c.json")] = ranked(dense, 0.5)
    assert list(name_plans(plans)) == ["b", "a", "c"]
    plans[Path("y/c.json")] = ranked(dense, 0.5)
    with pytest.raises(InputError, match="found 2 called c; rename them"):
        name_plans(plans)


def test_what_cannot_be_a_prefix_is_refused_before_anything_is_written(
    dense: Adapter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    other = make_plan(dense, "coupled", [neurons // 2 for neurons in dense.shape.neurons])
    with pytest.raises(PlanError, match="cannot be prefixes of one order"):
        prune_elastic(MODEL, files_of(tmp_path, [ranked(dense, 0.5), other]), out)
    with pytest.raises(InputError, match=r"an elastic checkpoint needs plans, found none"):
        prune_elastic(MODEL, (), out)
    compensated = ranked(dense, 0.5).with_compensation("ridge", 0.5)
    with pytest.raises(InputError, match=r"ridge compensation.*give --run RUN"):
        prune_elastic(MODEL, files_of(tmp_path, [compensated]), out)
    hidden = dense.shape.hidden_size
    rows = make_plan(dense, "rows", [n for neurons in dense.shape.neurons for n in (1, hidden)])
    with pytest.raises(PlanError, match="leaves no neuron in block"):
        prune_elastic(MODEL, files_of(tmp_path, [rows]), out)
    loud = load_model(MODEL)
    for block in loud.blocks:
        block.mlp.act_fn = nn.Sigmoid()
    monkeypatch.setattr(module, "load", lambda *_: loud)
    rows = make_plan(dense, "rows", [n for neurons in dense.shape.neurons for n in (neurons - 1, hidden)])
    with pytest.raises(UnsupportedModelError, match=r"act\(0\) = 0"):
        prune_elastic(MODEL, files_of(tmp_path, [rows]), out)
    assert not out.exists()


@pytest.mark.parametrize(
    "words",
    [
        ["--model", MODEL, "--plan", "a", "b"],
        ["--run", "run", "--elastic", "--preference", "1,1,1"],
        ["--model", MODEL, "--run", "run", "--elastic"],
        ["--model", MODEL, "--plan", "a", "--elastic", "--reconstruct", "1"],
    ],
)
def test_flags_that_do_not_go_together_are_refused(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prune", *words, "--out", "out"]) == 2
    assert "--elastic" in capsys.readouterr().err
