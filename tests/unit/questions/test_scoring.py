"""Official parsing and metrics; others' rules by name; laws that hold for any answers."""

import math
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hipp_prune.questions.benchmark import Rule
from hipp_prune.questions.benchmarks.scienceqa import score as score_scienceqa
from hipp_prune.questions.intervals import accuracy_interval, balanced_accuracy_interval, percents
from hipp_prune.questions.multiple_choice import BEYOND, chance_level, parse_letter, predict_letter
from hipp_prune.questions.question import Question
from hipp_prune.questions.yes_no import YesNoCounts, count_yes_no, parse_yes_no, predict_yes_no

Answered = Sequence[tuple[bool, bool | None]]
answered = st.lists(st.tuples(st.booleans(), st.sampled_from([True, False, None])), max_size=80)


def metrics(pairs: Answered, rule: Rule = "official") -> YesNoCounts:
    return count_yes_no([label for label, _ in pairs], [answer for _, answer in pairs], rule)


def asking(gold: int, num_choices: int, subject: str, *tags: str) -> Question:
    return Question(
        benchmark="scienceqa",
        id=f"{subject}{gold}{num_choices}{tags}",
        prompt="Which?",
        image=Path("a.png") if "IMG" in tags else None,
        answers=tuple("ABCDE"[:num_choices]),
        gold=gold,
        subset=subject,
        group="Which?",
        tags=frozenset(tags),
    )


@pytest.mark.parametrize(
    ("text", "official", "lmms_eval", "vlmevalkit"),
    [
        ("Yes", True, True, True),
        ("No", False, False, False),
        ("no", False, False, False),
        ("No.", False, None, False),
        ("No, there is not", False, None, False),
        ("There is no cup. Yes", False, None, None),
        ("It does not show one", False, None, None),
        ("NO", True, False, False),
        ("", True, None, None),
        (" yes\n", True, True, True),
        ("No\n", True, False, False),
        ("Yes and no", False, None, None),
        ("Maybe. No", True, None, False),
        ("yes/definitely", True, None, True),
        ("a,no", True, None, False),
    ],
)
def test_each_rule_reads_answers_its_own_way(
    text: str, official: bool, lmms_eval: bool | None, vlmevalkit: bool | None
) -> None:
    assert parse_yes_no(text) is official
    assert parse_yes_no(text, "lmms-eval") is lmms_eval
    assert parse_yes_no(text, "vlmevalkit") is vlmevalkit


@pytest.mark.parametrize(
    ("text", "num_choices", "index"),
    [
        ("A", 2, 0),
        ("C", 3, 2),
        ("C", 2, BEYOND),
        ("B. oak", 2, 1),
        ("B.", 2, None),
        ("b", 2, None),
        (" A", 2, None),
        ("The answer is B.", 2, 1),
        ("The answer is B", 2, None),
        ("The answer is A. The answer is B.", 2, None),
        ("I think: The answer is A, surely", 2, 0),
        ("The answer is Z.", 5, BEYOND),
        ("", 4, None),
        ("F", 5, None),
        ("AB", 5, None),
    ],
)
def test_scienceqa_answers_are_read_as_llavas_script_does(
    text: str, num_choices: int, index: int | None
) -> None:
    assert parse_letter(text, num_choices) == index


def test_prediction_follows_the_benchmark() -> None:
    assert predict_letter(asking(1, 3, "natural science"), "B") == 1
    pope = Question(
        benchmark="pope",
        id="random/1",
        prompt="Cup?",
        image=None,
        answers=("Yes", "No"),
        gold=0,
        subset="random",
        group="",
    )
    assert [predict_yes_no(pope, text) for text in ("Yes", "No", "No.")] == [0, 1, 1]
    assert predict_yes_no(pope, "No.", "lmms-eval") is None


def test_metrics_on_a_worked_example() -> None:
    result = metrics([(True, True)] * 6 + [(True, False)] * 4 + [(False, True)] * 2 + [(False, False)] * 3)
    assert (result.tp, result.fn, result.fp, result.tn, result.n) == (6, 4, 2, 3, 15)
    assert result.accuracy == pytest.approx(9 / 15)
    assert result.precision == pytest.approx(6 / 8)
    assert result.recall == pytest.approx(6 / 10)
    assert result.f1 == pytest.approx(2 / 3)
    assert result.yes_rate == pytest.approx(8 / 15)
    assert result.balanced_accuracy == pytest.approx((0.6 + 0.6) / 2)


def test_failed_answers_are_wrong_except_in_lmms_evals_recall() -> None:
    pairs: Answered = [(True, True), (True, None), (False, None), (False, False)]
    strict, lenient = metrics(pairs, "vlmevalkit"), metrics(pairs, "lmms-eval")
    assert (strict.accuracy, strict.recall, strict.balanced_accuracy, strict.failed) == (0.5, 0.5, 0.5, 2)
    assert (lenient.accuracy, lenient.recall, lenient.balanced_accuracy) == (0.5, 1.0, 0.5)
    assert (strict.yes_rate, lenient.yes_rate) == (0.25, 0.5)


def test_an_all_no_model_and_no_questions_divide_by_nothing() -> None:
    always_no = metrics([(True, False), (False, False)])
    assert (always_no.precision, always_no.recall, always_no.f1) == (0.0, 0.0, 0.0)
    assert always_no.balanced_accuracy == 0.5
    empty = metrics([])
    assert (empty.accuracy, empty.f1, empty.yes_rate, empty.balanced_accuracy) == (0.0, 0.0, 0.0, 0.0)


@given(answered, st.sampled_from(["official", "lmms-eval", "vlmevalkit"]))
def test_every_metric_is_a_share(pairs: Answered, rule: Rule) -> None:
    result = metrics(pairs, rule)
    assert result.n == len(pairs)
    for name in ("accuracy", "precision", "recall", "f1", "yes_rate", "balanced_accuracy"):
        assert 0 <= getattr(result, name) <= 1


@given(answered, st.randoms())
def test_metrics_do_not_depend_on_order_and_pool_by_addition(pairs: Answered, random: Random) -> None:
    shuffled = random.sample(pairs, len(pairs))
    assert metrics(shuffled) == metrics(pairs)
    assert metrics(pairs[:10]) + metrics(pairs[10:]) == metrics(pairs)


@given(st.lists(st.booleans(), min_size=1), st.booleans())
def test_a_constant_model_has_balanced_accuracy_one_half(labels: list[bool], constant: bool) -> None:
    result = count_yes_no(labels, [constant] * len(labels))
    both = len(set(labels)) == 2
    assert result.balanced_accuracy == (0.5 if both else float(labels[0] == constant))


@given(answered)
def test_balanced_accuracy_is_accuracy_on_balanced_labels(pairs: Answered) -> None:
    mirrored = [*pairs, *((not label, None) for label, _ in pairs)]
    assert metrics(mirrored).balanced_accuracy == pytest.approx(metrics(mirrored).accuracy)


def test_scienceqa_is_tallied_by_the_official_columns() -> None:
    questions = [
        asking(0, 2, "natural science", "IMG", "TXT", "G1-6"),
        asking(1, 4, "natural science", "NO", "G7-12"),
        asking(2, 4, "language science", "NO", "G1-6"),
    ]
    result = score_scienceqa(questions, [0, 0, None])
    assert (result.overall.correct, result.overall.n, result.overall.failed) == (1, 3, 1)
    assert result.overall.chance == pytest.approx((1 / 2 + 1 / 4 + 1 / 4) / 3)
    assert list(result.parts) == ["NAT", "LAN", "TXT", "IMG", "NO", "G1-6", "G7-12"]
    assert result.parts["NAT"].accuracy == 0.5
    assert result.parts["NO"].failed == 1
    assert result.parts["IMG"].chance == 0.5


def test_chance_of_no_question_is_zero() -> None:
    assert chance_level([]) == 0.0


def test_wilson_agrees_with_its_published_values() -> None:
    low, high = accuracy_interval(81, 263)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)  # Newcombe 1998, table I
    assert accuracy_interval(0, 0) == (0.0, 1.0)
    assert accuracy_interval(0, 20)[0] == 0.0
    assert accuracy_interval(20, 20)[1] == 1.0


@given(st.integers(0, 500), st.integers(0, 500), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_wilson_contains_the_share(correct: int, wrong: int, level: float) -> None:
    low, high = accuracy_interval(correct, correct + wrong, level)
    assert 0 <= low <= high <= 1
    if correct + wrong:
        assert low <= correct / (correct + wrong) <= high


def test_bootstrap_is_seeded_ignores_order_and_widens_with_clusters() -> None:
    labels = [number % 2 == 0 for number in range(600)]
    # A model that is right on all questions of four pictures in five.
    predictions = [label if number // 6 % 5 else not label for number, label in enumerate(labels)]
    pictures = [str(number // 6) for number in range(600)]
    clustered = balanced_accuracy_interval(labels, predictions, pictures)
    assert clustered == balanced_accuracy_interval(labels[::-1], predictions[::-1], pictures[::-1])
    independent = balanced_accuracy_interval(labels, predictions, [str(number) for number in range(600)])
    assert clustered[0] < independent[0] < 0.8 < independent[1] < clustered[1]
    expected = 1.96 * math.sqrt(0.8 * 0.2 / 100)
    assert (clustered[1] - clustered[0]) / 2 == pytest.approx(expected, rel=0.15)


@given(answered)
def test_bootstrap_stays_within_the_unit_interval(pairs: Answered) -> None:
    labels, predictions = [label for label, _ in pairs], [answer for _, answer in pairs]
    groups = [str(number // 3) for number in range(len(pairs))]
    low, high = balanced_accuracy_interval(labels, predictions, groups, num_resamples=20)
    assert 0 <= low <= high <= 1


@pytest.mark.parametrize("pictures", [1, 5, 500])
@pytest.mark.parametrize("right", [True, False])
def test_answers_that_are_all_right_or_all_wrong_are_no_certainty(pictures: int, right: bool) -> None:
    labels = [True, False, True] * pictures
    groups = [str(number // 3) for number in range(3 * pictures)]
    told = [label is right for label in labels]
    low, high = balanced_accuracy_interval(labels, told, groups)
    assert (low, high) == accuracy_interval(pictures if right else 0, pictures)
    assert high - low > 0.005
    low, high = balanced_accuracy_interval(labels, [True] * len(labels), groups)
    assert low < 0.5 < high, "always Yes"
    assert low + high == pytest.approx(1)
    assert balanced_accuracy_interval([True] * pictures, [right] * pictures, groups[::3]) == (
        accuracy_interval(pictures if right else 0, pictures)
    ), "one class only"


def test_five_pictures_all_right_are_known_to_44_points() -> None:
    interval = balanced_accuracy_interval([True, False] * 5, [True, False] * 5, list("aabbccddee"))
    assert percents(interval) == "56.6–100.0"
