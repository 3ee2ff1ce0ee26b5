from pathlib import Path

import numpy as np
import pytest

from hipp_prune.calibration.measurement import calibrate
from hipp_prune.models import load_model
from hipp_prune.objectives.stability import rows_log_ratio
from hipp_prune.questions.question import Question
from hipp_prune.search.archive import Archive
from hipp_prune.search.model_problem import ModelProblem
from hipp_prune.search.session import Session
from hipp_prune.search.settings import SearchSettings
from tests.tiny import tiny_image, tiny_llava
from tests.unit.questions.made import pope, scienceqa


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> list[Question]:
    """Four pictures with six questions each, and a dozen questions of multiple choice."""
    folder = tmp_path_factory.mktemp("pictures")
    paths = [folder / f"{number}.png" for number in range(4)]
    for number, path in enumerate(paths):
        tiny_image(number).save(path)
    subsets = ("random", "popular", "adversarial")
    about = [
        pope(6 * number + i, i % 2, subsets[i // 2], image=path, prompt=f"Is there a dog {i}?")
        for number, path in enumerate(paths)
        for i in range(6)
    ]
    return about + [scienceqa(i, i % 3, prompt=f"Which of these is {i}?") for i in range(12)]


@pytest.fixture(scope="module")
def problem(questions: list[Question], tmp_path_factory: pytest.TempPathFactory) -> ModelProblem:
    return _problem(tiny_llava(tmp_path_factory.mktemp("model")), questions)


def _problem(folder: Path, questions: list[Question]) -> ModelProblem:
    adapter = load_model(folder)
    return ModelProblem(
        adapter, calibrate(adapter, questions[:8]), questions, SearchSettings(minibatch=24), batch_size=8
    )


def test_a_minibatch_is_its_name_and_size_in_every_process(problem, questions, tmp_path):
    kept = problem.space.widths // 2
    again = _problem(tiny_llava(tmp_path), questions)
    first = problem.evaluate(kept, "step-1", 12)
    assert problem.evaluate(kept, "step-2", 12) != first
    assert problem.evaluate(kept, "step-1", 16) != first
    assert again.evaluate(kept, "step-1", 12) == first


def test_a_plan_leaves_the_model_as_it_was(problem):
    dense = problem.evaluate(problem.space.widths, "step-1", 12)
    assert problem.evaluate(problem.space.widths // 2, "step-1", 12) != dense
    assert problem.evaluate(problem.space.widths, "step-1", 12) == dense


def test_a_plan_is_computed_once_a_minibatch(problem, monkeypatch):
    computed: list[tuple[str, int]] = []
    evaluate = ModelProblem.evaluate

    def counted(self: ModelProblem, kept: np.ndarray, minibatch: str, size: int) -> object:
        computed.append((minibatch, size))
        return evaluate(self, kept, minibatch, size)

    monkeypatch.setattr(ModelProblem, "evaluate", counted)
    session = Session(problem=problem, settings=problem.settings, archive=Archive())
    plan = problem.space.widths // 2
    for _ in range(2):
        session.evaluate(np.stack([plan, plan]), "step-1", "test")
    session.evaluate(plan[None], "step-2", "test")
    assert computed == [("step-1", 24), ("step-2", 24)]


def test_stability_looked_up_is_stability_computed_from_masks(problem):
    kept = np.array([[48, 30], [1, 17]])
    direct = [rows_log_ratio(problem._projections, problem._row_masks(plan)) for plan in kept]
    np.testing.assert_allclose(problem.log_ratio(kept), direct, atol=1e-9)


def test_stability_of_a_plan_needs_no_forward_pass(problem, monkeypatch):
    monkeypatch.setattr(problem, "_evaluator", None)
    assert (problem.log_ratio(problem.space.widths[None] // 2) < 0).all()
