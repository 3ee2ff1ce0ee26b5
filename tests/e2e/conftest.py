"""A tiny random model, tiny official benchmark files, and one run of every stage on them through the command line."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from hipp_prune.cli import main
from tests.tiny import tiny_image, tiny_llava, tiny_qwen2_5_vl

SUBSETS = ("random", "popular", "adversarial")
THINGS = ("cup", "chair", "dog", "cat", "car", "tree")
IMAGES = 40
PROBLEMS = 60


@dataclass(frozen=True)
class Benchmarks:
    """Folders of official files."""

    pope: Path
    scienceqa: Path

    @property
    def specs(self) -> tuple[str, str]:
        """What ``--questions`` takes."""
        return f"pope:{self.pope}", f"scienceqa:{self.scienceqa}"


def write_pope(root: Path) -> Path:
    """Official POPE files: JSON lines, six questions a picture and subset."""
    (root / "images").mkdir(parents=True)
    for index in range(IMAGES):
        tiny_image(index).save(root / "images" / f"{index}.png")
    for subset in SUBSETS:
        lines = [
            {
                "question_id": 6 * index + number + 1,
                "image": f"{index}.png",
                "text": f"Is there a {THINGS[(index + number) % 6]} in the image?",
                "label": "yes" if number % 2 == 0 else "no",
            }
            for index in range(IMAGES)
            for number in range(6)
        ]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (root / f"coco_pope_{subset}.json").write_text(text)
    return root


def write_scienceqa(root: Path) -> Path:
    """Official ScienceQA files: problems.json, pid_splits.json and pictures of every third problem."""
    problems = {}
    for pid in range(1, PROBLEMS + 1):
        image = "image.png" if pid % 3 == 0 else None
        if image:
            folder = root / "images" / "test" / str(pid)
            folder.mkdir(parents=True)
            tiny_image(1000 + pid).save(folder / image)
        problems[str(pid)] = {
            "question": f"Which of these is number {pid}?",
            "choices": ["one", "two", "three"][: 2 + pid % 2],
            "answer": pid % 2,
            "hint": f"The hint has number {pid}." if pid % 3 == 1 else "",
            "image": image,
            "task": "closed choice",
            "grade": "grade2",
            "subject": ("natural science", "social science", "language science")[pid % 3],
            "topic": "topic",
            "category": "category",
            "skill": "skill",
            "lecture": "",
            "solution": "",
            "split": "test",
        }
    root.mkdir(exist_ok=True)
    (root / "problems.json").write_text(json.dumps(problems))
    (root / "pid_splits.json").write_text(json.dumps({"test": list(problems)}))
    return root


@pytest.fixture(scope="session")
def benchmarks(tmp_path_factory: pytest.TempPathFactory) -> Benchmarks:
    root = tmp_path_factory.mktemp("benchmarks")
    return Benchmarks(write_pope(root / "pope"), write_scienceqa(root / "scienceqa"))


@pytest.fixture(scope="session")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llava(tmp_path_factory.mktemp("llava"), blocks=3)


@pytest.fixture(scope="session")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_qwen2_5_vl(tmp_path_factory.mktemp("qwen"), blocks=3)


@dataclass(frozen=True)
class Finished:
    """Where each stage left its output."""

    model: Path
    benchmarks: Benchmarks
    run: Path
    plan: Path
    checkpoint: Path
    results: Path


SEARCH = ("--evaluations", "40", "--minibatch", "12", "--seed", "3")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, llava: Path, benchmarks: Benchmarks) -> Finished:
    """Every stage run once on the tiny LLaVA."""
    root = tmp_path_factory.mktemp("finished")
    return run_stages(root, llava, benchmarks)


def run_stages(root: Path, model: Path, benchmarks: Benchmarks) -> Finished:
    """calibrate → search → query → prune → evaluate → report, each through the command line."""
    run, plan, checkpoint = root / "run", root / "plan.json", root / "smaller"
    results = run / "results" / "pruned.json"
    questions = ("--questions", *benchmarks.specs)
    assert main(["calibrate", "--model", str(model), *questions, "--out", str(run), "--count", "12"]) == 0
    assert main(["search", str(run), *SEARCH]) == 0
    assert main(["query", str(run), "--preference", "1,1,1", "--sparsity", "0.3", "--out", str(plan)]) == 0
    assert main(["prune", "--model", str(model), "--plan", str(plan), "--out", str(checkpoint)]) == 0
    assert (
        main(["evaluate", "--model", str(model), *questions, "--out", str(run / "results" / "dense.json")])
        == 0
    )
    assert main(["evaluate", "--model", str(checkpoint), *questions, "--out", str(results)]) == 0
    assert main(["report", str(run)]) == 0
    return Finished(model, benchmarks, run, plan, checkpoint, results)


Refused = Callable[[Sequence[object]], str]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """Runs a command that must fail with one sentence, and returns the sentence."""

    def run(arguments: Sequence[object]) -> str:
        capsys.readouterr()
        assert main([str(argument) for argument in arguments]) == 2
        message = capsys.readouterr().err.strip().splitlines()[-1]
        assert message.startswith("hipp-prune: ")
        return message

    return run
