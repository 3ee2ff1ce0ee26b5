"""query --uniform, prune --uniform, export and evaluate --card through the command line."""

import json
from pathlib import Path

import pytest

from hipp_prune.cli import main
from hipp_prune.models import load_model
from tests.e2e.conftest import Benchmarks, Finished, Refused


def test_a_uniform_plan_makes_a_stock_checkpoint(finished: Finished, tmp_path: Path) -> None:
    plan, out = tmp_path / "plan.json", tmp_path / "even"
    asked = ["query", str(finished.run), "--preference", "1,1,1", "--uniform", "--out", str(plan)]
    assert main(asked) == 0
    assert main(["prune", "--model", str(finished.model), "--plan", str(plan), "--out", str(out)]) == 0
    assert len(set(load_model(out).shape.neurons)) == 1
    assert "auto_map" not in json.loads((out / "config.json").read_text())


def test_prune_asks_a_run_for_the_plan(finished: Finished, tmp_path: Path, refused: Refused) -> None:
    out = tmp_path / "even"
    words = ["prune", "--run", str(finished.run), "--preference", "1,1,1", "--uniform", "--align", "4"]
    assert main([*words, "--out", str(out)]) == 0
    (width,) = set(load_model(out).shape.neurons)
    assert width % 4 == 0
    asked = ["--preference", "1,1,1", "--uniform", "--align", "4", "--out", str(tmp_path / "plan.json")]
    assert main(["query", str(finished.run), *asked]) == 0
    assert (tmp_path / "plan.json").read_text() == (out / "plan.json").read_text()
    given = ("--model", finished.model, "--plan", finished.plan)
    for wrong in ((), given[:2], (*given, "--uniform"), ("--run", finished.run), (*words[1:], *given)):
        assert "either --model MODEL or --run RUN and a --plan FILE, or --run" in refused(
            ["prune", "--out", out, *wrong]
        )


def test_a_uniform_plan_of_requirements_is_refused(finished: Finished, refused: Refused) -> None:
    message = refused(["query", finished.run, "--require", "sparsity=0.1", "--uniform"])
    assert "leave out one of the two" in message


def test_a_padded_checkpoint_scores_the_same(finished: Finished, tmp_path: Path) -> None:
    out, results = tmp_path / "padded", tmp_path / "results.json"
    assert main(["export", str(finished.checkpoint), "--format", "padded", "--out", str(out)]) == 0
    questions = ("--questions", *finished.benchmarks.specs)
    assert main(["evaluate", "--model", str(out), *questions, "--out", str(results)]) == 0
    before, after = (json.loads(path.read_text()) for path in (finished.results, results))
    margins = ([answer["margin"] for answer in results["answers"]] for results in (after, before))
    assert next(margins) == pytest.approx(next(margins), rel=0, abs=2e-4)  # stored with four decimals


def test_gguf(finished: Finished, tmp_path: Path, refused: Refused) -> None:
    pytest.importorskip("gguf", reason="pip install gguf writes the files")
    arguments = ["export", str(finished.checkpoint), "--format", "gguf", "--out", str(tmp_path / "a.gguf")]
    assert main([*arguments, "--precision", "f16"]) == 0
    assert (tmp_path / "a.gguf").read_bytes()[:4] == b"GGUF"
    assert "--force" in refused(arguments)
    assert "--align 32" in refused([*arguments, "--precision", "q8_0", "--force"])


def test_what_only_gguf_has_is_refused_elsewhere(
    finished: Finished, tmp_path: Path, refused: Refused
) -> None:
    out = tmp_path / "padded"
    message = refused(
        ["export", finished.checkpoint, "--format", "padded", "--out", out, "--precision", "f16"]
    )
    assert "--precision is about gguf, not padded" in message
    assert not out.exists()


def test_scores_reach_the_model_card(finished: Finished, benchmarks: Benchmarks, tmp_path: Path) -> None:
    out = tmp_path / "copy"
    assert (
        main(["prune", "--model", str(finished.model), "--plan", str(finished.plan), "--out", str(out)]) == 0
    )
    asked = ["evaluate", "--model", str(out), "--questions", benchmarks.specs[0], "--limit", "20", "--card"]
    assert main(asked) == 0
    card = (out / "README.md").read_text()
    assert "Not measured yet" not in card
    assert "| POPE | n | acc. |" in card
