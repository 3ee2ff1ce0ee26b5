"""One mode from calibration to checkpoint: decided once, recorded everywhere, carried out only where it can be."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageTextToText

from hipp_prune.baselines.settings import BaselineSettings
from hipp_prune.calibration.grams import Grams
from hipp_prune.checkpoints.heads import HeadPlan
from hipp_prune.checkpoints.ledger import checkpoint_compensation
from hipp_prune.cli import main
from hipp_prune.errors import InputError, OutputExistsError, RunError
from hipp_prune.evaluation.scorecard import Scorecard
from hipp_prune.files.manifest import accept_files
from hipp_prune.files.run_directory import RunDirectory
from hipp_prune.models import load_model
from hipp_prune.models.structure import find_blocks
from hipp_prune.plans.plan import Plan
from hipp_prune.plans.preference import Preference
from hipp_prune.pruning.compensated import fitted_downs
from hipp_prune.pruning.sequential import fit_sequentially
from hipp_prune.search.query.planner import Planner
from hipp_prune.search.settings import SearchSettings
from hipp_prune.stages.baseline import baseline
from hipp_prune.stages.calibrate import calibrate
from hipp_prune.stages.evaluate import evaluate
from hipp_prune.stages.loading import CalibratedRun
from hipp_prune.stages.prune import prune, prune_searched
from hipp_prune.stages.query import query
from hipp_prune.stages.search import search
from hipp_prune.stages.settings import CalibrateSettings, EvaluateSettings
from tests.tolerance import assert_agree

MODEL = "toy-llava"
SEARCH = SearchSettings(method="random", evaluations=3, minibatch=8)


def start(root: Path, compensation: str) -> tuple[RunDirectory, list[str]]:
    said: list[str] = []
    settings = CalibrateSettings(count=24, compensation=compensation)
    return calibrate(MODEL, ["toyworld"], root, settings, announce=said.append), said


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    made, said = start(tmp_path_factory.mktemp("compensation") / "run", "ridge")
    assert len(said) == 1
    assert re.fullmatch(
        r"Gram matrices: .* MB on disk; about \d+ (seconds|minutes) more than without them", said[0]
    )
    search(made.root, SEARCH)
    return made


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    made, said = start(tmp_path_factory.mktemp("none") / "run", "none")
    assert said == []
    search(made.root, SEARCH)
    return made


def downs(checkpoint: Path) -> list[np.ndarray]:
    return [block.down.weight.detach().float().numpy() for block in load_model(checkpoint).blocks]


def test_the_mode_follows_from_what_the_run_has_and_is_recorded(
    run: RunDirectory, plain: RunDirectory
) -> None:
    for made, mode in ((run, "ridge"), (plain, "none")):
        assert json.loads(made.search.record.read_text())["settings"]["compensation"] == mode
        planner = Planner.load(made.search.planner)
        assert planner.settings.compensation == mode
        plan = planner.query(Preference.parse("1,1,1"))
        assert plan.compensation == mode
        assert ("compensation" in plan.notes) == (mode == "ridge")
        assert made.grams.exists() == (mode == "ridge")
        errors = [name for name in planner.features if name.startswith("log_error_")]
        assert len(errors) == (3 if mode == "ridge" else 0)
        assert planner.state.shape[1] == len(planner.features)


def test_archives_of_two_modes_do_not_mix(run: RunDirectory) -> None:
    with pytest.raises(RunError, match=r"compensation 'ridge' → 'none'"):
        search(run.root, SearchSettings(method="random", evaluations=3, minibatch=8, compensation="none"))


def test_compensated_plans_score_otherwise(run: RunDirectory, plain: RunDirectory) -> None:
    kept, scores = zip(
        *[
            (
                [line["kept"] for line in lines],
                [line["robustness"] for line in lines],
            )
            for lines in ([json.loads(line) for line in made.search.archive.read_text().splitlines()]
                          for made in (run, plain))
        ],
        strict=True,
    )  # fmt: skip
    assert kept[0] == kept[1]
    assert scores[0] != scores[1]


def test_a_checkpoint_holds_what_was_evaluated_and_says_so(run: RunDirectory, tmp_path: Path) -> None:
    preference = Preference.parse("1,1,1")
    compensated = prune_searched(run.root, preference, tmp_path / "ridge")
    plain = prune_searched(run.root, preference, tmp_path / "none", compensation="none")
    assert compensated.bytes_after == plain.bytes_after
    plan = Plan.load(tmp_path / "ridge" / "plan.json")
    assert plan.compensation == "ridge"
    assert plan.notes["ridge_factor"] == Grams.load(run.grams).factor
    assert Plan.load(tmp_path / "none" / "plan.json").compensation == "none"
    pairs = zip(downs(tmp_path / "ridge"), downs(tmp_path / "none"), strict=True)
    assert not all(np.allclose(fitted, cut, atol=1e-4) for fitted, cut in pairs)


def test_a_plan_of_a_run_needs_the_run(
    run: RunDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text(Planner.load(run.search.planner).query(Preference.parse("1,0,0")).to_json())
    with pytest.raises(InputError, match=r"ridge compensation.*give --run RUN"):
        prune(MODEL, plan, tmp_path / "refused")
    assert not (tmp_path / "refused").exists()
    out = tmp_path / "by-plan"
    assert main(["prune", "--run", str(run.root), "--plan", str(plan), "--out", str(out)]) == 0
    assert Plan.load(out / "plan.json").compensation == "ridge"
    prune_searched(run.root, Preference.parse("1,0,0"), tmp_path / "by-preference")
    pairs = zip(downs(out), downs(tmp_path / "by-preference"), strict=True)
    assert all(np.array_equal(one, other) for one, other in pairs)


def test_bias_is_a_mode_of_any_plan(plain: RunDirectory, tmp_path: Path) -> None:
    prune_searched(plain.root, Preference.parse("1,0,0"), tmp_path / "bias", compensation="bias")
    plan = Plan.load(tmp_path / "bias" / "plan.json")
    assert plan.compensation == "bias"
    assert plan.notes["bias_parameters_added"] > 0
    assert load_model(tmp_path / "bias").blocks[0].down.bias is not None


def test_any_calibrated_run_carries_a_plan_out_block_after_block(plain: RunDirectory, tmp_path: Path) -> None:
    """The checkpoint holds what the fit says, is as small as without, and tells how it was made; as a baseline's."""
    preference = Preference.parse("1,1,1")
    report = prune_searched(plain.root, preference, tmp_path / "fitted", compensation="sequential")
    without = prune_searched(plain.root, preference, tmp_path / "none")
    assert report.bytes_after == without.bytes_after
    plan = Plan.load(tmp_path / "fitted" / "plan.json")
    assert plan.compensation == checkpoint_compensation(tmp_path / "fitted") == "sequential"

    calibrated, adapter = CalibratedRun.open(plain.root), load_model(MODEL)
    sample = calibrated.sample(calibrated.calibration(adapter))
    expected = fit_sequentially(adapter, sample, plan.keep_masks(), image_weight=plan.image_weight)
    for found, weight, cut in zip(
        downs(tmp_path / "fitted"), expected, downs(tmp_path / "none"), strict=True
    ):
        assert_agree(found, weight.down)
        assert found.shape == cut.shape
    assert any(np.abs(found - cut).max() > 1e-3 for found, cut in zip(
        downs(tmp_path / "fitted"), downs(tmp_path / "none"), strict=True
    ))  # fmt: skip

    settings = BaselineSettings(compensation="sequential")
    planned, _ = baseline("uniform", 0.5, tmp_path / "uniform", settings, run=plain.root)
    assert planned.notes["compensation"] == checkpoint_compensation(tmp_path / "uniform") == "sequential"


def test_a_plan_is_reconstructed_by_gradient_at_the_end(plain: RunDirectory, tmp_path: Path) -> None:
    """The checkpoint is as small, other in gate and up too, says how long it took, and opens again."""
    preference = Preference.parse("1,1,1")
    report = prune_searched(
        plain.root, preference, tmp_path / "fine", compensation="sequential", reconstruct=0.02
    )
    without = prune_searched(plain.root, preference, tmp_path / "none")
    assert report.bytes_after == without.bytes_after
    assert Plan.load(tmp_path / "fine" / "plan.json").notes["reconstruct_minutes"] == 0.02
    fine, cut = (load_model(tmp_path / name).blocks for name in ("fine", "none"))
    changed = [
        not torch.equal(mine.gate.weight, theirs.gate.weight) for mine, theirs in zip(fine, cut, strict=True)
    ]
    assert any(changed)
    with pytest.raises(InputError, match="goes on from sequential compensation, found none"):
        prune_searched(plain.root, preference, tmp_path / "out", reconstruct=0.02)


def test_a_model_in_memory_and_a_baseline_are_reconstructed_too(plain: RunDirectory, tmp_path: Path) -> None:
    """The model in memory stays as it was; what is written says how long it took, and has other gates."""
    model = load_model(MODEL)
    gate = model.blocks[0].gate.weight.clone()
    plan = query(plain.root, Preference.parse("1,1,1"))
    prune(model, plan, tmp_path / "fine", run=plain.root, compensation="sequential", reconstruct=0.02)
    assert torch.equal(model.blocks[0].gate.weight, gate)
    settings = BaselineSettings(compensation="sequential", reconstruct=0.02)
    baseline("uniform", 0.5, tmp_path / "uniform", settings, run=plain.root)
    for name in ("fine", "uniform"):
        written = Plan.load(tmp_path / name / "plan.json")
        assert written.notes["reconstruct_minutes"] == 0.02
        changed = [
            not torch.equal(mine.gate.weight, whole.gate.weight[torch.from_numpy(keep)])
            for mine, whole, keep in zip(
                load_model(tmp_path / name).blocks, model.blocks, written.keep_masks(), strict=True
            )
        ]
        assert any(changed)
    stock = AutoModelForImageTextToText.from_pretrained(tmp_path / "uniform")
    assert type(stock).__module__.startswith("transformers.")
    for block, ours in zip(find_blocks(stock), load_model(tmp_path / "uniform").blocks, strict=True):
        assert torch.equal(block.gate.weight, ours.gate.weight)
    with pytest.raises(InputError, match="goes on from sequential compensation, found auto"):
        BaselineSettings(reconstruct=0.02)


@pytest.mark.parametrize(
    ("method", "asked", "mode"),
    [("wanda-coupled", "auto", "ridge"), ("flap", "auto", "bias"), ("flap", "ridge", "ridge"),
     ("flap", "none", "none"), ("uniform", "bias", "bias")],
)  # fmt: skip
def test_baselines_are_compensated_as_they_are_told(
    run: RunDirectory, tmp_path: Path, method: str, asked: str, mode: str
) -> None:
    settings = BaselineSettings(compensation=asked)
    planned, _ = baseline(method, 0.3, tmp_path / "out", settings, run=run.root)
    assert isinstance(planned, Plan)
    assert planned.compensation == mode
    assert (load_model(tmp_path / "out").blocks[0].down.bias is not None) == (mode == "bias")
    assert ("bias_parameters_added" in planned.notes) == (mode == "bias")


def test_the_neurons_of_llm_pruner_are_compensated_when_heads_leave_too(
    run: RunDirectory, tmp_path: Path
) -> None:
    checkpoints = {}
    for mode in ("none", "ridge"):
        settings = BaselineSettings(attention=True, match="block", compensation=mode)
        planned, report = baseline("llm-pruner", 0.2, tmp_path / mode, settings, run=run.root)
        assert isinstance(planned, HeadPlan)
        assert checkpoint_compensation(tmp_path / mode) == mode
        checkpoints[mode] = planned, report.bytes_after
    planned, size = checkpoints["ridge"]
    assert (size, planned.ledger) == (checkpoints["none"][1], checkpoints["none"][0].ledger)
    assert planned.notes["ridge_factor"] == Grams.load(run.grams).factor
    masks = planned.neurons.keep_masks()
    fitted = fitted_downs(Grams.load(run.grams), masks, planned.neurons.image_weight)
    dense = load_model(MODEL).blocks
    for block, down in enumerate(downs(tmp_path / "ridge")):
        expected = fitted(block, dense[block].down.weight.detach()).float().numpy()
        np.testing.assert_allclose(down, expected, atol=1e-3)
    settings = BaselineSettings(attention=True, match="block", compensation="bias")
    with pytest.raises(InputError, match="llm-pruner with attention has no bias compensation"):
        baseline("llm-pruner", 0.2, tmp_path / "bias", settings, run=run.root)


def test_an_evaluation_says_how_its_model_is_compensated(run: RunDirectory, tmp_path: Path) -> None:
    preference = Preference.parse("1,1,1")
    for mode in ("none", "ridge"):
        prune_searched(run.root, preference, tmp_path / mode, compensation=mode)
        evaluation = evaluate(str(tmp_path / mode), ["toyworld"], EvaluateSettings(limit=4))
        assert evaluation.compensation == mode
        evaluation.save(tmp_path / "evaluation.json")
        assert Scorecard.load(tmp_path / "evaluation.json").compensation == mode


def test_a_query_refuses_an_archive_of_another_mode(run: RunDirectory, tmp_path: Path) -> None:
    other = RunDirectory(shutil.copytree(run.root, tmp_path / "other"))
    lines = other.search.archive.read_text().splitlines()
    plain = [json.dumps({k: v for k, v in json.loads(line).items() if k != "compensation"}) for line in lines]
    assert plain != lines
    other.search.archive.write_text("\n".join(plain) + "\n")
    accept_files(other.root)
    with pytest.raises(RunError, match=r"line 1: expected .* ridge compensation, found none"):
        query(other.root, Preference.parse("1,1,1"))


@pytest.mark.parametrize("method", ["wanda-rows", "slicegpt"])
def test_what_cannot_be_compensated_says_so(run: RunDirectory, tmp_path: Path, method: str) -> None:
    with pytest.raises(InputError, match=f"{method} removes what ridge compensation does not know"):
        baseline(method, 0.3, tmp_path / "out", BaselineSettings(compensation="ridge"), run=run.root)


def test_ridge_without_gram_matrices_is_refused(plain: RunDirectory, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs the Gram matrices of a run"):
        prune_searched(plain.root, Preference.parse("1,0,0"), tmp_path / "out", compensation="ridge")
    with pytest.raises(InputError, match="needs the Gram matrices of a run"):
        baseline("uniform", 0.3, tmp_path / "out", BaselineSettings(compensation="ridge"), run=plain.root)


def test_rows_have_no_compensation() -> None:
    with pytest.raises(InputError, match="masked rows have no ridge compensation"):
        SearchSettings(unit="rows", compensation="ridge")
    assert SearchSettings(unit="rows").mode(has_grams=True) == "none"


def test_general_text_is_checked_first_mixed_in_and_recorded(tmp_path: Path, run: RunDirectory) -> None:
    text = tmp_path / "general.txt"
    text.write_text("The cup is on the table, and the dog is under it. " * 60, encoding="utf-8")
    settings = CalibrateSettings(count=24, compensation="ridge", general_text=(text,), general_share=0.4)
    mixed = calibrate(MODEL, ["toyworld"], tmp_path / "run", settings)
    said = mixed.provenance().general_text
    assert said is not None
    assert (said.files, said.share, len(said.fingerprint)) == ((str(text),), 0.4, 16)
    assert run.provenance().general_text is None
    one, other = (Grams.load(each.grams).gram(0) for each in (mixed, run))
    assert not torch.allclose(one, other)
    with pytest.raises(OutputExistsError, match="already holds a run"):
        calibrate(MODEL, ["toyworld"], tmp_path / "run", CalibrateSettings(count=24, compensation="ridge"))
    text.write_text(" ")
    with pytest.raises(InputError, match="expected text, found none"):
        calibrate("no such model", ["toyworld"], tmp_path / "other", settings)
    assert not (tmp_path / "other").exists() or not any((tmp_path / "other").iterdir())
    with pytest.raises(InputError, match="--general-text enters the Gram matrices alone"):
        CalibrateSettings(general_text=(text,))
