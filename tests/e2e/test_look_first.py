"""Looking before and after: doctor, show, dry runs, and commands with real names in them."""

import json
import shlex
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

from hipp_prune.cli import main
from tests.e2e.conftest import Finished


def test_the_doctor_finds_nothing_missing(llava: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", str(llava)]) == 0
    said = capsys.readouterr().out
    for word in ("python", "torch", "transformers", "memory", "disk here", "device", "calibrate", "evaluate"):
        assert word in said
    for package in ("gguf", "onnxruntime", "pymoo", "pyarrow", "datasets", "lmms_eval", "torchvision"):
        assert package in said
    table, _, _ = said.partition(" together ")  # a machine that is busy is called so below it
    assert max(map(len, table.splitlines())) <= 80
    assert "nothing is missing" in said


def test_the_doctor_ends_with_1_where_something_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", str(tmp_path)]) == 1
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
    words = ["calibrate", "--model", "toy-llava", "--questions", "pope:nowhere"]
    assert main([*words, "--out", str(tmp_path / "run"), "--dry-run"]) == 2
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


def test_the_doctor_says_what_qwen_does_without(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "toy-qwen2.5-vl"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert find_spec("torchvision") is not None or "loads without torchvision" in said


def next_commands(path: object, capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    """What ``show`` says comes next, as a shell cuts it; its table fits a terminal."""
    capsys.readouterr()
    assert main(["show", str(path)]) == 0
    told = capsys.readouterr()
    assert max(map(len, told.out.splitlines())) <= 80
    lines = [shlex.split(line) for line in told.err.splitlines() if line.startswith("  hipp-prune ")]
    return [words[1:] for words in lines]


def test_what_show_prints_can_be_run(
    finished: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "smaller").mkdir()
    run = tmp_path / "run"
    shutil.copytree(finished.run, run)
    results = tmp_path / "dense.json"
    shutil.copy(run / "results" / "dense.json", results)
    for path in (run, finished.plan, finished.checkpoint, run / "results" / "dense.json", results):
        commands = next_commands(path, capsys)
        assert commands
        for words in commands:
            assert main([*words, "--limit", "2"] if words[:2] == ["evaluate", "--model"] else words) == 0
    assert (tmp_path / "smaller-2" / "plan.json").is_file(), "a name that is free"


def test_a_calibration_that_was_cut_off_is_begun_again(
    finished: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished.run, run)
    (run / "calibration.safetensors").unlink()
    (words,) = next_commands(run, capsys)
    assert words[0] == "calibrate"
    assert main([*words, "--count", "2"]) == 0
    assert next_commands(run, capsys) == [["search", str(run)]]


def test_a_run_of_auto_goes_on_with_auto(
    finished: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished.run, run)
    (run / "recipe.toml").write_text('model = "toy-llava"')
    assert next_commands(run, capsys) == [["auto", "--recipe", str(run / "recipe.toml")]]
    (run / "summary.txt").write_text("done")
    assert next_commands(run, capsys)[-1] == ["report", str(run)]


def test_a_run_of_questions_in_memory_is_reported(
    finished: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished.run, run)
    manifest = json.loads((run / "run.json").read_text())
    manifest["questions"] = ["61 questions in memory"]
    (run / "run.json").write_text(json.dumps(manifest))
    assert main(["check", str(run), "--accept"]) == 0
    assert next_commands(run, capsys) == [["report", str(run)]]


def test_a_quantised_checkpoint_is_no_start(
    llava: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "quantised"
    shutil.copytree(llava, folder)
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "awq"}
    (folder / "config.json").write_text(json.dumps(config))
    assert next_commands(folder, capsys) == []
    main(["show", str(folder)])
    assert "found a quantised checkpoint" in " ".join(capsys.readouterr().out.split())


def test_a_padded_checkpoint_is_pruned_still(
    finished: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "stock"
    assert main(["export", str(finished.checkpoint), "--format", "padded", "--out", str(out)]) == 0
    (words,) = next_commands(out, capsys)
    assert words[:3] == ["evaluate", "--model", str(out)]


def test_what_is_for_others_is_called_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "smaller.gguf"
    file.write_bytes(b"GGUF")
    assert next_commands(file, capsys) == []
    main(["show", str(file)])
    assert "a file for llama.cpp" in " ".join(capsys.readouterr().out.split())
