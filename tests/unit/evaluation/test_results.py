"""Answers files: paired by id, refused on any mismatch, and LLaVA-1.5-13B's published POPE score."""

import json
from pathlib import Path
from typing import Any

import pytest

from hipp_prune.errors import InputError, QuestionError
from hipp_prune.evaluation.results import Results, read_answers, score, score_answers_file
from hipp_prune.questions.benchmarks import pope, scienceqa
from hipp_prune.questions.multiple_choice import ChoiceScore
from hipp_prune.questions.question import Question
from hipp_prune.questions.yes_no import YES_NO, YesNoScore

DATA = Path(__file__).parents[4] / "shared" / "data"
needs_real_data = pytest.mark.skipif(not DATA.is_dir(), reason="the official benchmark files are not here")


def asking(number: int, label: str = "Yes", subset: str = "random") -> Question:
    return Question(
        benchmark="pope",
        id=f"{subset}/{number}",
        prompt=f"Is there a cup {number}?{pope.INSTRUCTION}",
        images=(),
        answers=YES_NO,
        gold=YES_NO.index(label),
        subset=subset,
        group=str(number),
    )


def science(pid: str = "1") -> Question:
    return Question(
        benchmark="scienceqa",
        id=pid,
        prompt=f"Which?\nA. fox\nB. oak{scienceqa.INSTRUCTION}",
        images=(),
        answers=("A", "B"),
        gold=1,
        subset="natural science",
        group="Which?",
        tags=frozenset({"NO", "G1-6"}),
    )


def yes_no(results: Results) -> YesNoScore:
    found = results.scores["pope"]
    assert isinstance(found, YesNoScore)
    return found


def write(folder: Path, *records: tuple[Any, str] | dict[str, Any]) -> Path:
    path = folder / "answers.jsonl"
    dicts = [
        each if isinstance(each, dict) else {"question_id": each[0], "text": each[1]} for each in records
    ]
    path.write_text("".join(json.dumps(each) + "\n" for each in dicts))
    return path


def test_answers_are_paired_by_id_in_any_order(tmp_path: Path) -> None:
    questions = [asking(1, "Yes"), asking(2, "No"), science("7")]
    answers = write(tmp_path, ("7", "B"), ("random/2", "No"), ("random/1", "Yes"))
    results = score_answers_file(answers, questions)
    assert list(results.scores) == ["pope", "scienceqa"]
    assert [each.accuracy for each in results.scores.values()] == [1.0, 1.0]


def test_llavas_numbering_and_a_single_files_own_are_understood(tmp_path: Path) -> None:
    questions = [asking(5, subset=subset) for subset in pope.SUBSETS]
    answers = write(tmp_path, (5, "adversarial"), (10_000_005, "random"), (20_000_005, "popular"))
    assert read_answers(answers, questions) == {f"{name}/5": name for name in pope.SUBSETS}
    assert read_answers(write(tmp_path, (5, "No")), [asking(5)]) == {"random/5": "No"}


@pytest.mark.parametrize(
    ("records", "complaint"),
    [
        ([("random/1", "Yes")], "questions without an answer: 1 (random/2); give the very questions"),
        ([(1, "No"), (2, "No"), (9, "No"), (8, "No")], "answers to no such question: 2 (9, 8)"),
        ([(1, "No"), (2, "No"), (2, "Yes")], "repeated answers: 1 (2)"),
        ([(n, "") for n in range(3, 9)], "answers to no such question: 6 (3, 4, 5, …)"),
        (
            [(1, "No"), {"question_id": 2, "text": "No", "prompt": "Is there a dog?"}],
            "answers to a differently worded prompt: 1 (2)",
        ),
    ],
)
def test_any_mismatch_is_refused_with_count_and_examples(
    tmp_path: Path, records: list[Any], complaint: str
) -> None:
    answers = write(tmp_path, *records)
    with pytest.raises(QuestionError) as caught:
        read_answers(answers, [asking(1), asking(2)])
    assert str(caught.value).startswith(f"{answers}: expected one answer to each of the 2 questions, ")
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ("record", "complaint"),
    [
        ({"text": "Yes"}, "question_id, text; found text; docs"),
        (
            {"question": "Is there a cup?", "answer": "yes"},
            "expected the question 'Is there a cup 1?', found",
        ),
        ({"question_id": 1}, "expected a field 'text'"),
        ({"question_id": 1, "text": None}, "'text' to be a string"),
    ],
)
def test_a_bad_record_is_named_by_line(tmp_path: Path, record: dict[str, Any], complaint: str) -> None:
    with pytest.raises(QuestionError, match=r"answers\.jsonl:1: ") as caught:
        read_answers(write(tmp_path, record), [asking(1)])
    assert complaint in str(caught.value)


def test_another_instruction_or_an_image_mark_in_the_prompt_is_no_mismatch(tmp_path: Path) -> None:
    prompt = "<image>\nIs there a cup 1? Please answer yes or no."
    assert read_answers(write(tmp_path, {"question_id": 1, "text": "No", "prompt": prompt}), [asking(1)])


def test_the_rule_reaches_the_metrics() -> None:
    questions, texts = [asking(1), asking(2, "No")], {"random/1": "Yes.", "random/2": "No"}
    assert yes_no(score(questions, texts)).subsets["random"].accuracy == 1.0
    by_lmms_eval = yes_no(score(questions, texts, rule="lmms-eval")).subsets["random"]
    assert (by_lmms_eval.accuracy, by_lmms_eval.failed) == (0.5, 1)


@pytest.mark.parametrize(
    "questions", [[asking(1), asking(2, "No", "popular"), science()], [asking(1)], [science()]]
)
def test_results_survive_json_and_print(questions: list[Question]) -> None:
    results = score(questions, {question.id: "No" for question in questions})
    assert Results.from_json(results.to_json()) == results
    assert set(results.scores) == {question.benchmark for question in questions}
    for each in results.scores.values():
        assert len({len(row) for row in each.rows()}) == 1
        assert {name for name, _, _ in each.columns()} >= {"chance", "n"}


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"rule": "official", "pope": 1}', '{"rule": "official", "vqa": {}}']
)
def test_anything_else_is_no_results_file(text: str) -> None:
    with pytest.raises(InputError, match=r"^results.*: expected .*; score again with `hipp-prune evaluate`"):
        Results.from_json(text)


@needs_real_data
def test_llava_13b_gets_its_published_pope_score() -> None:
    questions = pope.load(DATA / "golden" / "pope", need_images=False)
    results = score_answers_file(DATA / "golden" / "pope" / "answers_llava-1.5-13b.jsonl", questions)
    found = yes_no(results)
    counts = {name: (m.tp, m.fp, m.tn, m.fn) for name, m in found.subsets.items()}
    assert counts == {
        "random": (1182, 31, 1379, 318),
        "popular": (1182, 59, 1441, 318),
        "adversarial": (1182, 117, 1383, 318),
    }
    assert round(found.subsets["random"].accuracy, 4) == 0.8801
    assert round(found.subsets["random"].f1, 4) == 0.8714
    assert found.remark == "mean F1 over subsets: 0.8595"


@needs_real_data
def test_answers_to_another_edition_are_refused_instead_of_scored_by_order() -> None:
    questions = pope.load(DATA / "pope" / "coco", need_images=False)
    with pytest.raises(
        QuestionError, match=r"differently worded prompt: .* questions without an answer: 90 "
    ):
        score_answers_file(DATA / "golden" / "pope" / "answers_llava-1.5-13b.jsonl", questions)


@needs_real_data
def test_always_a_is_at_chance_on_scienceqa() -> None:
    questions = scienceqa.load(DATA / "scienceqa" / "test_llava.jsonl")
    metrics = score(questions, {question.id: "A" for question in questions}).scores["scienceqa"]
    assert isinstance(metrics, ChoiceScore)
    assert round(metrics.overall.accuracy, 3) == 0.401
    assert (metrics.parts["IMG"].n, metrics.overall.failed) == (2017, 0)
