"""Answers in the shapes people have: each is read, and scores what the same answers score in ours."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hipp_prune.errors import QuestionError
from hipp_prune.evaluation.answer_files import read_stored
from hipp_prune.evaluation.results import read_answers, score, score_answers_file
from hipp_prune.questions.benchmarks import pope, scienceqa
from hipp_prune.questions.multiple_choice import ChoiceScore
from hipp_prune.questions.question import Question

TEXTS = ("Yes", "No", "Yes")
LETTERS = ("A", "C", "B", "nonsense")


def yes_no(number: int) -> Question:
    return Question(
        benchmark="pope", id=f"random/{number}", prompt=f"Is there a cup {number} in the image?{pope.INSTRUCTION}",
        images=(), answers=("Yes", "No"), gold=0, subset="random", group=str(number),
    )  # fmt: skip


def choice(number: int) -> Question:
    return Question(
        benchmark="scienceqa", id=str(number), prompt=f"Which {number}?\nA. fox\nB. oak{scienceqa.INSTRUCTION}",
        images=(), answers=("A", "B"), gold=0, subset="natural science", group=str(number),
    )  # fmt: skip


POLL = [yes_no(number) for number in (1, 2, 3)]
EXAM = [choice(number) for number in (7, 8, 9, 10)]


def sample(number: int, text: str, **more: Any) -> dict[str, Any]:
    asked = POLL[number].prompt if number < len(POLL) else ""
    return {
        "doc_id": number,
        "resps": [[text]],
        "filtered_resps": [text],
        "target": "yes",
        "input": asked,
        **more,
    }


POPE_FILES: dict[str, list[dict[str, Any]]] = {
    "LLaVA": [
        {"question_id": f"random/{n}", "prompt": q.prompt, "text": t, "model_id": "x", "metadata": {}}
        for n, (q, t) in enumerate(zip(POLL, TEXTS, strict=True), start=1)
    ],
    "POPE": [
        {"question": f"is there a cup {n} in the image?", "answer": text.lower()}
        for n, text in enumerate(TEXTS, start=1)
    ],
    "lmms-eval, with POPE's ids": [
        sample(n, text, pope_accuracy={"question_id": str(n + 1), "category": "random", "score": 1.0})
        for n, text in enumerate(TEXTS)
    ],
    "lmms-eval 0.7": [
        sample(n, text, filtered_resps=text, pope_accuracy={"question_id": str(n + 1), "score": 1.0})
        for n, text in enumerate(TEXTS)
    ],
    "lmms-eval, in order": [sample(n, text) for n, text in enumerate(TEXTS)],
}


def write(folder: Path, content: Any, *, lines: bool) -> Path:
    path = folder / "answers.json"
    texts = [json.dumps(each) for each in content] if lines else [json.dumps(content, indent=1)]
    path.write_text("".join(f"{text}\n" for text in texts))
    return path


@pytest.mark.parametrize("lines", [True, False])
@pytest.mark.parametrize("name", POPE_FILES)
def test_answers_to_pope(tmp_path: Path, name: str, lines: bool) -> None:
    found = read_answers(write(tmp_path, POPE_FILES[name], lines=lines), POLL)
    assert [found[question.id].capitalize() for question in POLL] == list(TEXTS)


def test_samples_without_their_subset_go_to_questions_of_their_number_and_text(tmp_path: Path) -> None:
    three = [
        replace(yes_no(number), id=f"{subset}/{number}", subset=subset)
        for subset in ("random", "popular", "adversarial")
        for number in (1, 2)
    ]
    three[0] = replace(three[0], prompt=f"Is there a fork in the image?{pope.INSTRUCTION}")
    ordered = sorted(three, key=lambda question: question.subset)
    samples = [
        sample(n, f"answer {n}", input=q.prompt, pope_accuracy={"question_id": q.id.rpartition("/")[2]})
        for n, q in enumerate(ordered)
    ]
    found = read_answers(write(tmp_path, samples, lines=True), three)
    assert found == {question.id: f"answer {n}" for n, question in enumerate(ordered)}
    samples[0]["input"] = f"Is there a spoon in the image?{pope.INSTRUCTION}"
    with pytest.raises(
        QuestionError, match="expected an answer to a question that was given, found one to number"
    ):
        read_answers(write(tmp_path, samples, lines=True), three)


PIDS = [question.id for question in EXAM]
SCIENCEQA_FILES: dict[str, Any] = {
    "pid, pred": [{"pid": int(pid), "pred": text} for pid, text in zip(PIDS, LETTERS, strict=True)],
    "texts by pid": {
        "acc": 25.0, "correct": 1, "count": 4, "results": {"7": 0, "8": -1, "9": 1, "10": -1},
        "outputs": dict(zip(PIDS, LETTERS, strict=True)),
    },
    "judged": {
        "correct": [{"question_id": "7", "parsed_ans": "A", "ground_truth": "A", "pred": "A", "is_multimodal": False}],
        "incorrect": [
            {"question_id": pid, "parsed_ans": "", "ground_truth": "A", "pred": text, "is_multimodal": False}
            for pid, text in zip(PIDS[1:], LETTERS[1:], strict=True)
        ],
    },
}  # fmt: skip


@pytest.mark.parametrize("name", SCIENCEQA_FILES)
def test_answers_to_scienceqa(tmp_path: Path, name: str) -> None:
    found = read_answers(write(tmp_path, SCIENCEQA_FILES[name], lines=False), EXAM)
    assert [found[pid] for pid in PIDS] == list(LETTERS)
    result = score(EXAM, found).scores["scienceqa"]
    assert isinstance(result, ChoiceScore)
    assert (result.overall.correct, result.overall.failed, result.n) == (1, 1, 4), (
        "C of two choices is read, and wrong"
    )


@pytest.mark.parametrize(
    "results", [{"7": 0, "8": 1, "9": -1, "10": 4}, {"7": "A", "8": "B", "9": "", "10": "E"}]
)
def test_options_by_pid_are_letters(tmp_path: Path, results: dict[str, object]) -> None:
    stored = read_stored(write(tmp_path, {"results": results}, lines=False))
    assert [(each.id, each.text) for each in stored] == [("7", "A"), ("8", "B"), ("9", ""), ("10", "E")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (POPE_FILES["POPE"][:2], "expected 3, one a question, found 2"),
        (
            POPE_FILES["POPE"][::-1],
            "expected the question 'Is there a cup 1 in the image[?]', found 'is there a cup 3",
        ),
        ({"results": {"7": 9}}, "results.7"),
        ({"results": {"7": [1]}}, "results.7"),
        ([{"doc_id": 0, "filtered_resps": []}], "filtered_resps"),
        ([{"kept": [1], "unit": "rows"}], "with one of these sets of fields: .*doc_id.*found kept, unit;"),
    ],
)
def test_what_does_not_fit_is_told(tmp_path: Path, content: Any, said: str) -> None:
    with pytest.raises(QuestionError, match=said) as caught:
        read_answers(write(tmp_path, content, lines=False), POLL)
    assert "\n" not in str(caught.value)


def scienceqa_img(questions: list[Question]) -> list[dict[str, Any]]:
    """What lmms-eval's task ``scienceqa_img`` logs: no ids, and only questions with a picture."""
    return [
        {
            "doc_id": number,
            "input": question.prompt,
            "target": "A",
            "resps": [["B"]],
            "filtered_resps": ["B"],
            "exact_match": 0.0,
        }
        for number, question in enumerate(questions)
    ]


def test_samples_of_scienceqa_img_are_answers_to_the_pictured_questions(tmp_path: Path) -> None:
    exam = [
        replace(question, images=(Path(f"{question.id}.png"),) if question.id in ("8", "10") else ())
        for question in EXAM
    ]
    pictured = [exam[1], exam[3]]
    path = write(tmp_path, scienceqa_img(pictured), lines=True)
    assert read_answers(path, exam) == {"8": "B", "10": "B"}
    results = score_answers_file(path, exam)
    assert results.unasked == {"scienceqa": 2}
    assert read_answers(path, pictured) == {"8": "B", "10": "B"}
    for wrong, said in (
        (pictured[::-1], "only their order"),
        (exam[:2], "only their order"),
        ([exam[1]], "expected 4"),
    ):
        with pytest.raises(QuestionError, match=said):
            read_answers(write(tmp_path, scienceqa_img(wrong), lines=True), exam)
