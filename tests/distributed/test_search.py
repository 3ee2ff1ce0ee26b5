"""Two workers search as one does, and one's death loses nothing."""

import json
import shutil
import socket
import time
from pathlib import Path

import pytest

from hipp_prune.search.methods import METHODS
from hipp_prune.search.settings import SearchSettings
from tests.distributed import jobs

CONFIGS = [SearchSettings(evaluations=48, minibatch=16, seed=4).for_method(method) for method in METHODS]
GRPO = next(config for config in CONFIGS if config.method == "grpo")
RANDOM = next(config for config in CONFIGS if config.method == "random")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of searches by one process."""
    folder = tmp_path_factory.mktemp("alone")
    jobs.run(folder, 1, jobs.search_landscape, folder, *CONFIGS)
    return folder


def test_two_workers_reach_the_archives_and_answers_of_one(tmp_path: Path, alone: Path) -> None:
    jobs.run(tmp_path, 2, jobs.search_landscape, tmp_path, *CONFIGS)
    for config in CONFIGS:
        here, there = tmp_path / config.method, alone / config.method
        assert jobs.timeless(here / "archive.jsonl") == jobs.timeless(there / "archive.jsonl"), config.method
        for rank in range(2):
            learnt = (here / f"answers-{rank}.safetensors").read_bytes()
            assert learnt == (there / "answers-0.safetensors").read_bytes(), config.method


def test_a_finished_search_is_replayed_by_more_workers_without_an_evaluation(
    tmp_path: Path, alone: Path
) -> None:
    shutil.copytree(alone / "grpo", tmp_path / "grpo")
    archive = (tmp_path / "grpo" / "archive.jsonl").read_bytes()
    jobs.run(tmp_path, 3, jobs.search_landscape, tmp_path, GRPO)
    assert (tmp_path / "grpo" / "archive.jsonl").read_bytes() == archive
    learnt = (tmp_path / "grpo" / "answers-2.safetensors").read_bytes()
    assert learnt == (alone / "grpo" / "answers-0.safetensors").read_bytes()


def test_two_workers_share_the_minutes_of_one(tmp_path: Path) -> None:
    spent = []
    for count in (1, 2):
        folder = tmp_path / str(count)
        jobs.run(folder, count, jobs.search_slowly, folder, RANDOM)
        lines = (folder / "random" / "archive.jsonl").read_text().splitlines()
        spent.append(sum(json.loads(line)["seconds"] for line in lines))
    assert spent[1] < 0.8 * spent[0], "every evaluation sleeps, so that a busy machine hardly matters"


@pytest.mark.parametrize("victim", [1, 0])
def test_a_killed_worker_ends_the_run_by_name_and_any_number_goes_on(
    tmp_path: Path, alone: Path, victim: int
) -> None:
    archive = tmp_path / "grpo" / "archive.jsonl"
    workers = jobs.start(tmp_path, 2, jobs.search_slowly, tmp_path, GRPO)
    wait_for_lines(archive, 16)
    pid = workers.processes[victim].pid
    workers.processes[victim].kill()
    killed = time.monotonic()
    assert workers.wait(20)[1 - victim] == 2
    assert time.monotonic() - killed < 10
    name = f"worker {victim} ({socket.gethostname()}, process {pid})"
    assert f"hipp-prune: {name} died; what is in the run directory stays" in workers.said(1 - victim)
    undisturbed = jobs.timeless(alone / "grpo" / "archive.jsonl")
    assert 16 <= len(jobs.timeless(archive)) < len(undisturbed)
    jobs.run(tmp_path, 1 + victim, jobs.search_landscape, tmp_path, GRPO)
    assert jobs.timeless(archive) == undisturbed
    learnt = (tmp_path / "grpo" / "answers-0.safetensors").read_bytes()
    assert learnt == (alone / "grpo" / "answers-0.safetensors").read_bytes()


def test_a_worker_that_fails_is_quoted_once_by_the_first(tmp_path: Path) -> None:
    workers = jobs.start(tmp_path, 3, jobs.fail, 2)
    assert workers.wait()[:2] == [2, 2]
    assert workers.said(0).count("the picture of question 7 is no picture") == 1
    assert workers.said(0).startswith(f"hipp-prune: worker 2 ({socket.gethostname()}, process ")
    assert workers.said(1) == ""


def wait_for_lines(path: Path, count: int) -> None:
    deadline = time.monotonic() + 60
    while not (path.exists() and path.read_bytes().count(b"\n") >= count):
        assert time.monotonic() < deadline, f"{path} did not grow to {count} lines"
        time.sleep(0.01)
