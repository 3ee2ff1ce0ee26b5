"""Run directories in two states."""

from pathlib import Path

import pytest

from hipp_prune.files.run_directory import Provenance, RunDirectory
from hipp_prune.files.writing import write_text
from hipp_prune.questions.question import Question
from tests.unit.report.explored import make_planner
from tests.unit.report.synthetic import (
    PREFERENCES,
    make_calibration,
    make_evaluation,
    make_plan,
    make_pruned,
    make_questions,
    write_search,
)


@pytest.fixture
def questions(tmp_path: Path) -> list[Question]:
    return make_questions(tmp_path / "pictures")


@pytest.fixture
def started(tmp_path: Path) -> RunDirectory:
    """A run that has nothing but its manifest."""
    run = RunDirectory(tmp_path / "run")
    run.create(Provenance.now(model="models/some-vlm", questions=("toyworld",), seed=7))
    return run


@pytest.fixture
def finished(started: RunDirectory, questions: list[Question]) -> RunDirectory:
    """A run in which every stage is complete."""
    make_calibration().save(started.calibration)
    write_search(started)
    make_planner().save(started.search.planner)
    make_evaluation(questions, "dense", errors=[0, 15]).save(started.results / "dense.json")
    for index, (name, weights) in enumerate(PREFERENCES.items()):
        plan = make_plan(weights, 0.2 + 0.1 * index)
        write_text(started.plans / f"{name}.json", plan.to_json())
        errors = [1, 2, 15, 16 + index][: 2 + index]
        make_pruned(questions, name, plan, errors).save(started.results / f"{name}.json")
    return started
