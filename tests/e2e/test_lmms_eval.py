"""lmms-eval itself, its prompts and scores, with our model class, offline, against ``evaluate`` on the same questions.

lmms-eval wants packages that do not go with a CPU torch (torchvision's CUDA build), so it is no development dependency.
``make test-lmms-eval`` installs it into an environment of its own, where this file runs.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from hipp_prune import api
from hipp_prune.errors import QuestionError
from hipp_prune.evaluation.scorecard import answer_questions
from hipp_prune.models import TOYS, load_model
from hipp_prune.questions.images import read_image
from hipp_prune.questions.question import Question
from hipp_prune.questions.sources import load_questions
from tests.tiny import tiny_image
from tests.unit.checkpoints.tiny_plans import make_plan

pytest.importorskip("lmms_eval", reason="lmms-eval is not installed; run `make test-lmms-eval`")
from hipp_prune.export.lmms_eval import HippPrune

COUNT = 100
"""Questions a benchmark."""

TASK = """
task: {task}_local
dataset_path: parquet
dataset_kwargs:
  data_files:
    test: {parquet}
test_split: test
output_type: generate_until
doc_to_visual: !function lmms_eval.tasks.{task}.utils.{prefix}_doc_to_visual
doc_to_text: !function lmms_eval.tasks.{task}.utils.{prefix}_doc_to_text
doc_to_target: {target}
process_results: !function lmms_eval.tasks.{task}.utils.{prefix}_process_results
generation_kwargs:
  max_new_tokens: 16
  temperature: 0
  do_sample: false
metric_list:
{metrics}
lmms_eval_specific_kwargs:
  default:
    format: default
    pre_prompt: ""
    post_prompt: "\\n{instruction}"
"""
"""lmms-eval's own task, with its own functions, on a local file instead of the hub's."""

POPE_METRICS = "".join(
    f"  - metric: pope_{name}\n"
    f"    aggregation: !function lmms_eval.tasks.pope.utils.pope_aggregate_{name}\n"
    "    higher_is_better: true\n"
    for name in ("accuracy", "f1_score", "yes_ratio")
)
SCIENCEQA_METRICS = "  - metric: exact_match\n    aggregation: mean\n    higher_is_better: true\n"


def write_tasks(folder: Path, pope: list[Question], scienceqa: list[Question]) -> None:
    """Both tasks with the hub data sets' columns."""
    import datasets

    yes_no = [
        {
            "question_id": question.id,
            "question": question.prompt.split("\n")[0],
            "answer": question.answer.lower(),
            "image": picture(question.images[0]),
        }
        for question in pope
        if question.images
    ]
    choices = [science_document(question) for question in scienceqa]
    for name, documents in (("pope", yes_no), ("scienceqa", choices)):
        datasets.Dataset.from_list(documents).to_parquet(folder / f"{name}.parquet")
    settings: dict[str, dict[str, str]] = {
        "pope": {"prefix": "pope", "target": "answer", "metrics": POPE_METRICS},
        "scienceqa": {
            "prefix": "sqa",
            "target": "!function lmms_eval.tasks.scienceqa.utils.sqa_doc_to_target",
            "metrics": SCIENCEQA_METRICS,
        },
    }
    instructions = {
        "pope": "Answer the question using a single word or phrase.",
        "scienceqa": "Answer with the option's letter from the given choices directly.",
    }
    for task, values in settings.items():
        parquet, instruction = folder / f"{task}.parquet", instructions[task]
        text = TASK.format(task=task, parquet=parquet, instruction=instruction, **values)
        (folder / f"{task}.yaml").write_text(text, encoding="utf-8")


def picture(path: Path) -> Image.Image:
    """The picture, its file closed."""
    with Image.open(path) as opened:
        return opened.convert("RGB")


def science_document(question: Question) -> dict[str, Any]:
    """A question as the hub's data set has it: context, question and options apart."""
    *lines, _ = question.prompt.split("\n")
    options = [line[3:] for line in lines[-len(question.answers) :]]
    before = "\n".join(lines[: -len(options)])
    hint, _, asked = before.removeprefix("Context: ").rpartition("\n") if "\n" in before else ("", "", before)
    return {
        "question_id": question.id,
        "hint": hint,
        "question": asked,
        "choices": options,
        "answer": question.gold,
        "image": None if not question.images else picture(question.images[0]),
    }


@dataclass(frozen=True)
class Logged:
    """What lmms-eval left of one task."""

    samples: list[dict[str, Any]]
    """A question each, in the data's order."""
    scores: dict[str, Any]
    """The task's metrics."""


def ask_lmms_eval(folder: Path, checkpoint: Path) -> dict[str, Logged]:
    """Runs the program on both tasks."""
    environment = {
        **os.environ,
        "HF_HOME": str(folder / "hub"),
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }
    words = ["--model", "hipp_prune", "--model_args", f"pretrained={checkpoint}", "--batch_size", "8"]
    words += ["--tasks", "pope_local,scienceqa_local", "--include_path", str(folder), "--device", "cpu"]
    words += ["--log_samples", "--output_path", str(folder / "logs")]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "lmms_eval", *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    logged = {}
    (results,) = (folder / "logs").rglob("*_results.json")
    scores = json.loads(results.read_text(encoding="utf-8"))["results"]
    for task in ("pope", "scienceqa"):
        (path,) = (folder / "logs").rglob(f"*_samples_{task}_local.jsonl")
        lines = map(json.loads, path.read_text(encoding="utf-8").splitlines())
        samples = sorted(lines, key=lambda sample: sample["doc_id"])
        logged[task] = Logged(samples=samples, scores=scores[f"{task}_local"])
    return logged


@pytest.mark.parametrize("model", TOYS)
def test_lmms_eval_gets_the_answers_that_evaluate_gives(model: str, tmp_path: Path) -> None:
    world = load_questions(["toyworld"], "test", cache=tmp_path / "world", seed=0)
    asked = {
        name: [question for question in world if question.benchmark == name][:COUNT]
        for name in ("pope", "scienceqa")
    }
    checkpoint = tmp_path / "pruned"
    adapter = load_model(model)
    widths = [neurons - 1 - block % 3 for block, neurons in enumerate(adapter.shape.neurons)]
    api.prune(model, make_plan(adapter, "coupled", widths), checkpoint)
    write_tasks(tmp_path, **asked)
    logged = ask_lmms_eval(tmp_path, checkpoint)
    pruned = load_model(checkpoint)
    for name, metric in (("pope", "pope_accuracy,none"), ("scienceqa", "exact_match,none")):
        ours, _ = answer_questions(pruned, asked[name])
        samples = logged[name].samples
        assert [sample["input"] for sample in samples] == [question.prompt for question in asked[name]]
        said = [str(sample["filtered_resps"]).lower() for sample in samples]
        for text, answer in zip(said, ours, strict=True):
            assert text == answer.given.lower() or abs(answer.margin) < 2e-4, "not a tie"
        right = sum(text == answer.gold.lower() for text, answer in zip(said, ours, strict=True)) / COUNT
        assert logged[name].scores[metric] == pytest.approx(right)


def test_several_pictures_of_a_request_are_asked_about_at_once(tmp_path: Path) -> None:
    """The very answer that ``ask`` gives about both, and another one about the first alone."""
    pictures = [tiny_image(number) for number in range(2)]
    for number, each in enumerate(pictures):
        each.save(tmp_path / f"{number}.png")
    shown = [pictures, pictures[:1], []]
    paths = [tmp_path / "0.png", tmp_path / "1.png"]
    model = HippPrune("toy-qwen2.5-vl", device="cpu", batch_size=3)
    model.task_dict["pairs"] = {"test": dict(enumerate(shown))}
    requests = [
        SimpleNamespace(
            args=("What is it?", {"until": [], "max_new_tokens": 8}, list, number, "pairs", "test")
        )
        for number in range(len(shown))
    ]
    said = model.generate_until(requests)
    together = api.ask("toy-qwen2.5-vl", ["What is it?"], paths, together=True, max_tokens=8)
    assert said[:2] == [*together, *api.ask("toy-qwen2.5-vl", ["What is it?"], paths[:1], max_tokens=8)]
    model.task_dict["pairs"]["test"][0] = [pictures[0], "film.mp4"]
    with pytest.raises(
        QuestionError, match="pairs/test/0: expected pictures, found Image, str; leave that task out"
    ):
        model.generate_until(requests)


def test_its_tasks_ask_what_our_own_files_ask(tmp_path: Path) -> None:
    world = load_questions(["toyworld"], "test", cache=tmp_path / "world", seed=0)
    asked = {
        name: [question for question in world if question.benchmark == name][:COUNT]
        for name in ("pope", "scienceqa")
    }
    write_tasks(tmp_path, **asked)
    for name, ours in asked.items():
        source = f"lmms-eval:{name}_local,include={tmp_path}"
        theirs = load_questions([source], "all", cache=tmp_path / "cache")
        assert [question.prompt for question in theirs] == [question.prompt for question in ours]
        assert [question.answer for question in theirs] == [question.answer for question in ours]
        assert [question.answers for question in theirs] == [question.answers for question in ours]
        for mine, other in zip(ours, theirs, strict=True):
            assert len(mine.images) == len(other.images)
            for his, ours in zip(other.images, mine.images, strict=True):
                assert read_image(his).tobytes() == read_image(ours).tobytes()
