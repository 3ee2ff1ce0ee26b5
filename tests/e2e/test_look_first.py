"""Looking before and after: doctor, show, dry runs, and commands with real names in them."""

import shlex
from pathlib import Path

import pytest

from hipp_prune.cli import main
from tests.e2e.conftest import Finished


def test_the_doctor_finds_nothing_missing(llava: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", str(llava)]) == 0
    said = capsys.readouterr().out
    for word in ("python", "torch", "transformers", "memory", "disk here", "device", "calibrate", "evaluate"):
        assert word in said
    assert "nothing is missing" in said


def test_the_doctor_ends_with_1_where_something_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["doctor", str(tmp_path)])
    assert end.value.code == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "missing: model: expected a checkpoint folder with config.json" in said


def test_a_dry_run_leaves_nothing(
    finished: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["calibrate", "--model", str(finished.model), "--questions", *finished.benchmarks.specs]
    assert main([*words, "--out", str(tmp_path / "run"), "--dry-run"]) == 0
    assert not (tmp_path / "run").exists()
    assert "measured" in capsys.readouterr().out


def test_a_dry_run_ends_with_2_where_something_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(
            [
                "calibrate",
                "--model",
                "toy-llava",
                "--questions",
                "pope:nowhere",
                "--out",
                str(tmp_path / "run"),
                "--dry-run",
            ]
        )
    assert end.value.code == 2
    assert "refused: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("run", ("a run directory", "40 evaluations of 40, complete", "calibrated", "scores of dense")),
        ("checkpoint", ("a pruned checkpoint", "pruned from", "saves")),
        ("plan", ("a plan", "hybrid", "of MLP parameters")),
        ("results", ("the results of an evaluation", "POPE")),
        ("model", ("a model", "llava")),
    ],
)
def test_show_says_what_it_is(
    finished: Finished, capsys: pytest.CaptureFixture[str], what: str, words: tuple[str, ...]
) -> None:
    assert main(["show", str(getattr(finished, what))]) == 0
    told = capsys.readouterr()
    said = " ".join(told.out.split())
    for word in words:
        assert word in said
    commands = [line.strip() for line in told.err.splitlines() if line.strip().startswith("hipp-prune ")]
    assert commands
    for command in commands:
        assert not {"MODEL", "SPEC", "RUN"} & set(shlex.split(command))


def test_show_refuses_what_it_does_not_know(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(tmp_path)]) == 2
    assert "expected something that hipp-prune wrote" in capsys.readouterr().err
    assert main(["show", str(tmp_path / "nothing")]) == 2


def test_a_fresh_run_goes_on_with_a_search(
    llava: Path, finished: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, specs = tmp_path / "run", finished.benchmarks.specs
    words = ["calibrate", "--model", str(llava), "--questions", *specs, "--out", str(run), "--count", "2"]
    assert main(words) == 0
    capsys.readouterr()
    assert main(["show", str(run)]) == 0
    told = capsys.readouterr()
    assert "not yet" in told.out
    assert f"hipp-prune search {run}" in told.err


def test_commands_that_come_next_have_names(
    finished: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = tmp_path / "plan.json"
    assert main(["query", str(finished.run), "--preference", "1,0,1", "--out", str(plan)]) == 0
    assert f"hipp-prune prune --run {finished.run} --plan {plan} --out smaller" in capsys.readouterr().err
    out = tmp_path / "smaller"
    assert main(["prune", "--run", str(finished.run), "--plan", str(plan), "--out", str(out)]) == 0
    specs = shlex.join(finished.benchmarks.specs)
    assert f"hipp-prune evaluate --model {out} --questions {specs}" in capsys.readouterr().err
