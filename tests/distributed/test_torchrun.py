"""The commands as the manual gives them: torchrun -m hipp_prune."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from hipp_prune.cli import main
from tests.distributed import jobs

SEARCH = ("--method", "grpo", "--evaluations", "12", "--minibatch", "8", "--groups", "1", "--group", "4")


def torchrun(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "hipp_prune"]
    return subprocess.run(
        [*command, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("toy") / "run"
    questions = ("--model", "toy-llava", "--questions", "toyworld")
    assert main(["calibrate", *questions, "--out", str(run), "--count", "8", "--batch-size", "8"]) == 0
    return run


def test_torchrun_searches_as_one_process_does(tmp_path: Path, calibrated: Path) -> None:
    alone, together = tmp_path / "alone", tmp_path / "together"
    shutil.copytree(calibrated, alone)
    shutil.copytree(calibrated, together)
    jobs.run(tmp_path, 1, main, ["search", str(alone), *SEARCH])
    finished = torchrun("search", together, *SEARCH)
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr.count("searching") == 1, "one worker's bars only"
    archive = Path("search") / "archive.jsonl"
    assert jobs.timeless(together / archive) == jobs.timeless(alone / archive)
    planner = Path("search") / "planner.safetensors"
    assert (together / planner).read_bytes() == (alone / planner).read_bytes()


def test_two_workers_calibrate_into_one_run_directory(tmp_path: Path, calibrated: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(calibrated / "cache", tmp_path / "cache")
    spec = f"toyworld:{next((tmp_path / 'cache').glob('toyworld*'))}"
    arguments = ["calibrate", "--model", "toy-llava", "--questions", spec, "--out", str(out), "--count", "8"]
    jobs.run(tmp_path, 2, main, arguments)
    assert sorted(path.name for path in out.iterdir() if path.is_file()) == [
        "calibration.safetensors",
        "files.jsonl",
        "footprint.json",
        "run.json",
    ]


def test_a_mistake_of_the_user_is_said_once(tmp_path: Path) -> None:
    workers = jobs.start(tmp_path, 2, main, ["search", str(tmp_path / "nowhere")])
    assert workers.wait() == [2, 2]
    assert workers.said(0).count("hipp-prune: ") == 1
    assert "nowhere" in workers.said(0)
    assert workers.said(1) == ""


def test_commands_that_share_nothing_refuse_several_workers(tmp_path: Path) -> None:
    workers = jobs.start(tmp_path, 2, main, ["models"])
    assert workers.wait() == [2, 2]
    assert workers.said(0).startswith("hipp-prune: only calibrate and search share their work")
    assert workers.said(1) == ""


def test_a_run_directory_that_only_one_worker_sees_is_named(tmp_path: Path, calibrated: Path) -> None:
    workers = jobs.start(tmp_path, 2, jobs.search_own_copy, calibrated, tmp_path)
    assert 0 not in workers.wait()
    assert f"worker 1 ({socket.gethostname()}" in workers.said(0)
    assert "(a shared file system)" in workers.said(0)
