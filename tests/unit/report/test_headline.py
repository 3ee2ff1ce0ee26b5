"""The line a manager reads: only what was measured, and never praise for less."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hipp_prune.evaluation.scorecard import Scorecard
from hipp_prune.questions.question import Question
from hipp_prune.report.headline import headline
from tests.unit.report.synthetic import make_evaluation, make_own_questions, make_plan, make_pruned


@pytest.fixture
def dense(questions: list[Question]) -> Scorecard:
    return replace(make_evaluation(questions, "dense", errors=[0]), bytes=100_000)


@pytest.fixture
def pruned(questions: list[Question]) -> Scorecard:
    made = make_pruned(questions, "robust", make_plan((1.0, 0.0, 0.0), 0.3), errors=[1, 2, 15])
    return replace(made, bytes=62_000, speedup=1.404)


def test_size_speed_and_points_in_one_line(dense: Scorecard, pruned: Scorecard) -> None:
    assert headline(dense, pruned) == "38% smaller, 1.4× faster, POPE −8.3 points, ScienceQA −12.5 points"


@given(st.floats(0.01, 20))
def test_only_what_is_faster_is_called_so(ratio: float) -> None:
    empty = make_evaluation([], "dense", errors=[])
    line = headline(replace(empty, bytes=None), replace(empty, bytes=None, speedup=ratio))
    assert ("faster" in line) == (round(ratio, 2) > 1)
    assert ("as fast" in line) != ("faster" in line)


@pytest.mark.parametrize(("ratio", "said"), [(0.89, "0.89× as fast"), (1.001, "as fast"), (2.0, "2× faster")])
def test_speed_in_words(dense: Scorecard, pruned: Scorecard, ratio: float, said: str) -> None:
    assert headline(dense, replace(pruned, speedup=ratio)).split(", ")[1] == said


def test_what_did_not_change_or_grew_is_said(dense: Scorecard) -> None:
    assert headline(dense, dense) == "as large, POPE as before, ScienceQA as before"
    assert headline(dense, replace(dense, bytes=101_000)).startswith("1.0% larger")


def test_without_the_dense_models_scores_only_the_pruned_ones_are_said(pruned: Scorecard) -> None:
    assert pruned.ledger is not None
    fewer = f"{pruned.ledger.model:.1%} fewer parameters"
    assert headline(None, pruned) == f"{fewer}, 1.4× faster, POPE 83.3%, ScienceQA 87.5%"


def test_without_labels_the_share_of_the_dense_models_answers_is_said(tmp_path: Path) -> None:
    asked = make_own_questions(tmp_path, "agreement")
    before, after = (make_evaluation(asked, label, errors) for label, errors in (("dense", []), ("a", [1])))
    assert headline(before, replace(after, bytes=13_000_000)) == (
        "5.7% larger, agreement with the dense model 75.0%"
    )
    assert headline(before, before) == "as large, agreement with the dense model 100.0%"


def test_a_persons_own_questions_are_called_what_they_are(tmp_path: Path) -> None:
    asked = make_own_questions(tmp_path, "yes-no")
    before, after = (make_evaluation(asked, label, errors) for label, errors in (("dense", []), ("a", [1])))
    assert headline(before, after) == "as large, Yes/no questions −25.0 points"


def test_where_the_dense_model_guesses_nothing_is_as_before(tmp_path: Path) -> None:
    asked = make_own_questions(tmp_path, "yes-no")
    guessing = make_evaluation(asked, "dense", errors=list(range(0, len(asked), 2)))
    wrong = make_evaluation(asked, "dense", errors=list(range(len(asked))))
    for before in (guessing, wrong):
        assert before.results.scores["yes-no"].accuracy <= 0.5
        assert headline(before, before).startswith(
            "as large, Yes/no questions no better than guessing before ("
        )


def test_what_is_not_known_is_not_said(
    dense: Scorecard, pruned: Scorecard, questions: list[Question]
) -> None:
    assert pruned.ledger is not None
    unweighed = replace(pruned, bytes=None, speedup=None)
    assert headline(dense, unweighed).startswith(f"{pruned.ledger.model:.1%} fewer parameters, POPE")
    fewer = replace(make_evaluation(questions[:6], "other", errors=[]), bytes=None)
    assert headline(dense, fewer) == ""
