"""One command from a model and questions to a smaller checkpoint: killed, it goes on; what is there is not replaced."""

import re
from functools import partial
from pathlib import Path

import pytest

from hipp_prune.checkpoints.footprint import measure_footprint
from hipp_prune.cli import main
from hipp_prune.evaluation.scorecard import Scorecard
from hipp_prune.models.loading import local_folder
from hipp_prune.plans.plan import Plan
from hipp_prune.recovery.settings import RecoverySettings
from hipp_prune.search.record import read_record
from tests.e2e.conftest import Benchmarks, Refused
from tests.e2e.documents import last_document


class Killed(BaseException):
    """What a kill is to the code."""


def killed(*_: object, **__: object) -> None:
    raise Killed


def ages(folder: Path) -> dict[str, int]:
    names = ("calibration.safetensors", "search/planner.safetensors", "search/archive.jsonl", "plans/*.json")
    return {path.name: path.stat().st_mtime_ns for name in names for path in folder.glob(name)}


def test_killed_it_goes_on_and_what_is_done_stays(
    tmp_path: Path,
    benchmarks: Benchmarks,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    refused: Refused,
) -> None:
    out, run = tmp_path / "smaller", tmp_path / "smaller-run"
    words = ["auto", "toy-llava", "--questions", *benchmarks.specs, "--count", "24"]
    words += ["--fit", "1.8MB", "--out", str(out)]
    words += ["--evaluations", "24", "--limit", "10"]
    monkeypatch.setattr("hipp_prune.stages.evaluate.measure_speedups", lambda *_, **__: [1.5])
    for stage in ("hipp_prune.stages.pipeline.prune", "hipp_prune.stages.pipeline.evaluate"):
        with monkeypatch.context() as patch:
            patch.setattr(stage, killed)
            before = ages(run)
            with pytest.raises(Killed):
                main(words)
            assert ages(run).items() >= before.items()
    before = ages(run)
    assert len(before) == 4
    capsys.readouterr()
    assert main(words) == 0
    assert ages(run) == before
    printed = capsys.readouterr().out
    assert max(map(len, printed.split("ask:")[0].splitlines())) <= 80
    assert "1.50×" in printed
    footprint, plan = measure_footprint(local_folder("toy-llava")), Plan.load(out / "plan.json")
    weights = footprint.weights - sum(768 * (16 - kept) for kept in plan.kept)
    assert weights <= 1_800_000 < weights + 768
    assert plan.compensation == "sequential"
    assert Scorecard.load(run / "results" / "fit1.8MB.json").speedup == 1.5
    assert (run / "summary.txt").read_text() in printed

    assert "already exists" in refused(words)
    monkeypatch.setattr("hipp_prune.stages.wish.RecoverySettings", partial(RecoverySettings, steps=2))
    assert main(["auto", "--recipe", str(run / "recipe.toml"), "--force", "--recover", "--json"]) == 0
    assert "next" in last_document(capsys.readouterr().out.splitlines()[-1])
    assert ages(run) == before, "the search is paid for once"
    assert (out / "recovery.json").is_file()
    assert "already exists" in refused(["auto", "--recipe", str(run / "recipe.toml")])
    kept = [(run / name).read_bytes() for name in ("recipe.toml", "summary.txt")]
    longer = ["auto", "--recipe", str(run / "recipe.toml"), "--out", str(tmp_path / "other")]
    assert "evaluations 24 → 23" in refused([*longer, "--evaluations", "23"])
    assert kept == [(run / name).read_bytes() for name in ("recipe.toml", "summary.txt")], (
        "refused, so as before"
    )
    other = ["auto", "--recipe", str(run / "recipe.toml"), "--out", str(tmp_path / "other"), "--seed", "1"]
    assert "seed 0 → 1" in refused(other)

    more = [*words[:-5], str(tmp_path / "other"), "--run", str(run), "--evaluations", "28", "--limit", "10"]
    check_that_it_grows(more, run, monkeypatch)


def check_that_it_grows(words: list[str], run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More evaluations of the same run, killed after its search."""
    archive, plan = run / "search" / "archive.jsonl", run / "plans" / "fit1.8MB.json"
    paid = archive.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("hipp_prune.stages.auto.query", killed)
        with pytest.raises(Killed):
            main(words)
    plan.write_text(plan.read_text().replace("{", "{ ", 1))  # whatever the smaller search had said
    assert main(words) == 0
    assert archive.read_bytes().startswith(paid)
    assert read_record(run / "search" / "search.json").settings.evaluations == 28
    assert not plan.read_text().startswith("{ ")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "auto needs a target"),
        (["--sparsity", "0.9"], r"must lie in \[0, 0.8\]"),
        (["--sparsity", "0.3", "--align-for", "marlin"], "needs multiples of 128 .* lose down to and its 16"),
        (["--fit", "1MB"], r"attains --fit [\d.]+MB"),
        (["--fit", "3MB"], "needs no pruning"),
        (["--fit", "8gb"], "did you mean 8GB?"),
        (["--context", "9"], "add --fit"),
        (["--sparsity", "0.3", "--fit", "1.8MB"], "leave out one"),
        (["--sparsity", "0.3", "--require", "pope=0.8"], "leave out --sparsity"),
        (["--require", "amber=0.8"], "the questions are of pope, scienceqa alone"),
        (["--require", "latency=0.1"], "give --speed"),
        (
            ["--require", "pope=0.8", "--evaluations", "23"],
            "needs at least 24 evaluations, got --evaluations 23",
        ),
        (["--sparsity", "0.3", "--device", "nowhere"], "not available"),
        (["--sparsity", "0.3", "--questions", "nowhere"], "expected"),
    ],
)
def test_what_can_be_refused_is_refused_before_a_model_is_loaded(
    words: list[str],
    told: str,
    tmp_path: Path,
    benchmarks: Benchmarks,
    monkeypatch: pytest.MonkeyPatch,
    refused: Refused,
) -> None:
    def loaded(*_: object, **__: object) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr("hipp_prune.stages.calibrate.load", loaded)
    asked = ["auto", "toy-llava", "--out", tmp_path / "smaller", "--questions", *benchmarks.specs, *words]
    assert re.search(told, refused(asked))
    assert not (tmp_path / "smaller").exists()
