"""``hipp-prune recover`` from the command line, and what bad input gets."""

import json
import shutil
from pathlib import Path

import pytest

from hipp_prune.checkpoints.pruned import prune_checkpoint
from hipp_prune.cli import main
from hipp_prune.models import load_model
from tests.e2e.conftest import Benchmarks, Refused
from tests.unit.checkpoints.tiny_plans import make_plan

SHORT = ("--steps", "3", "--batch-size", "4", "--lora-blocks", "1", "--lora-rank", "2")


@pytest.fixture(scope="module")
def pruned(tmp_path_factory: pytest.TempPathFactory, qwen: Path) -> Path:
    out = tmp_path_factory.mktemp("pruned") / "smaller"
    prune_checkpoint(qwen, make_plan(load_model(qwen), "coupled", (40, 30, 50)), out)
    return out


def test_a_pruned_checkpoint_is_recovered_and_evaluated(
    tmp_path: Path, pruned: Path, qwen: Path, benchmarks: Benchmarks, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "recovered"
    questions = ("--questions", *benchmarks.specs)
    arguments = [
        "recover",
        str(pruned),
        "--out",
        str(out),
        *questions,
        *SHORT,
        "--teacher",
        str(qwen),
        "--keep-adapter",
    ]
    assert main(arguments) == 0
    printed = capsys.readouterr()
    assert "untied head adds" in printed.out
    assert f"hipp-prune evaluate --model {out}" in printed.err.replace("\n", "")
    assert load_model(out).shape.neurons == (40, 30, 50)
    assert (out / "adapter" / "adapter_config.json").is_file()
    record = json.loads((out / "recovery.json").read_text())
    assert record["questions"] == list(benchmarks.specs)
    assert record["teacher"] == str(qwen)
    results = tmp_path / "results.json"
    assert main(["evaluate", "--model", str(out), *questions, "--limit", "20", "--out", str(results)]) == 0
    before, after = json.loads((pruned / "plan.json").read_text()), json.loads(results.read_text())
    assert after["ledger"]["mlp"] == before["sparsity"]["mlp"]
    assert after["ledger"]["model"] < before["sparsity"]["model"]


def test_bad_input_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, pruned: Path, benchmarks: Benchmarks, refused: Refused
) -> None:
    out, questions = tmp_path / "out", ("--questions", *benchmarks.specs)
    (tmp_path / "empty").mkdir()
    assert "config.json" in refused(["recover", tmp_path / "empty", "--out", out, *questions, *SHORT])
    assert "there is no " in refused(["recover", tmp_path / "no", "--out", out, *questions, *SHORT])
    too_many = [*SHORT[:4], "--lora-blocks", "4"]
    assert "[0, 3]" in refused(["recover", pruned, "--out", out, *questions, *too_many])
    assert "preference" in refused(["recover", pruned, "--out", out, *questions, *SHORT, "--mixture", "plan"])
    assert not out.exists()
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    assert "already exists" in refused(["recover", pruned, "--out", out, *questions, *SHORT])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "out"]


def test_one_that_was_killed_at_its_very_end_is_cleaned_up_after(
    tmp_path: Path,
    pruned: Path,
    benchmarks: Benchmarks,
    refused: Refused,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The checkpoint is whole, so the same command has nothing to do; lock and temporary folder go all the same."""
    temporary = tmp_path / "tmp"
    (temporary / f"hipp-prune-{2**22 + 1}-x").mkdir(parents=True)
    monkeypatch.setattr("hipp_prune.stages.loading.gettempdir", lambda: str(temporary))
    out = Path(shutil.copytree(pruned, tmp_path / "recovered"))
    lock = tmp_path / ".recovered.lock"
    lock.write_text("{}")
    said = refused(["recover", pruned, "--out", out, "--questions", *benchmarks.specs, *SHORT])
    assert "already exists" in said
    assert not lock.exists()
    assert not list(temporary.iterdir())


def test_questions_without_a_recovery_split_are_named(
    tmp_path: Path, pruned: Path, benchmarks: Benchmarks, refused: Refused
) -> None:
    pope = Path(shutil.copytree(benchmarks.pope, tmp_path / "pope"))
    for path in pope.glob("*.json"):
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:1]))
    message = refused(["recover", pruned, "--out", tmp_path / "out", "--questions", f"pope:{pope}", *SHORT])
    assert "split recovery" in message
