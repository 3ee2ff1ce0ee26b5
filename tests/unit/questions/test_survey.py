"""Counts of questions, and what they can tell."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hipp_prune.questions.intervals import (
    accuracy_interval,
    balanced_accuracy_interval,
    expected_half_width,
)
from hipp_prune.questions.question import Question
from hipp_prune.questions.survey import survey
from tests.unit.questions.made import pope, scienceqa


def about_pictures(pictures: int, each: int) -> list[Question]:
    asked = [pope(number, number % 2) for number in range(pictures * each)]
    return [
        replace(question, images=(Path(f"{number // each}.png"),), group=str(number // each))
        for number, question in enumerate(asked)
    ]


def test_twelve_pictures_are_known_to_fourteen_points() -> None:
    found = survey({"search": about_pictures(12, 6)})
    assert found.warnings == (
        "search: 72 questions about 12 pictures: accuracies of pope are known to ±14 points",
    )
    header, row = found.rows()
    assert row == ("search", "pope", "72", "12", "Yes 36, No 36", "±14 points")
    assert len(header) == len(row)


def test_roles_without_a_question_are_named_where_splits_are_compared() -> None:
    many, choices = about_pictures(500, 18), [scienceqa(number, 0) for number in range(2000)]
    assert survey({"test": many}).warnings == ()
    assert survey({"search": [*many, *choices], "test": many}).warnings == (
        "no question measures utility in test; give more questions",
    )
    assert survey({"search": many, "test": many}).warnings == (
        "no question measures utility, so no preference can weigh it",
    )
    assert survey({"calibration": about_pictures(1, 1), "recovery": []}).counts[0].split == "calibration"


def test_the_rarer_answer_says_how_much_is_known() -> None:
    rare = [replace(question, gold=int(number == 0)) for number, question in enumerate(about_pictures(99, 1))]
    even = about_pictures(99, 1)
    widths = [survey({"test": questions}).counts[0].half_width for questions in (rare, even)]
    assert widths[0] > 2 * widths[1]


@given(n=st.integers(1, 5000))
def test_independent_questions_are_known_as_wilson_says(n: int) -> None:
    low, high = accuracy_interval(n, 2 * n)
    assert expected_half_width(2 * n, 2 * n) == pytest.approx((high - low) / 2)
    assert expected_half_width(2 * n, n) >= expected_half_width(2 * n, 2 * n)
    assert 0 < expected_half_width(n, 1) <= 0.5


def test_it_is_about_what_a_bootstrap_over_pictures_gives_where_errors_go_together() -> None:
    """Errors on one picture correlate by 0.1: a tenth of the variance lies between pictures."""
    rng, widths = np.random.default_rng(0), []
    for seed in range(20):
        ease = rng.normal(0, np.sqrt(0.1), size=60)[:, None] + rng.normal(0, np.sqrt(0.9), size=(60, 12)) > 0
        labels = np.tile([True, False], 360)
        said = np.where(ease.ravel(), labels, ~labels).tolist()
        low, high = balanced_accuracy_interval(
            labels.tolist(), said, [str(number // 12) for number in range(720)], seed=seed
        )
        widths.append((high - low) / 2)
    assert expected_half_width(720, 60) == pytest.approx(np.mean(widths), rel=0.2)


def test_no_question_tells_nothing() -> None:
    assert expected_half_width(0, 0) == 0.5
    assert survey({"test": []}).rows()[1:] == []
