"""Tasks of lmms-eval: which answers are closed, what is refused, where pictures go; itself it is not asked."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from hipp_prune.errors import InputError, QuestionError
from hipp_prune.questions.benchmark import Loading
from hipp_prune.questions.benchmarks import lmms_eval
from hipp_prune.questions.images import read_image
from hipp_prune.questions.question import Question, pictures_of
from hipp_prune.questions.records import SkipBad
from hipp_prune.questions.sources import load_questions
from tests.contract.tiny_task import TinyTask, tiny_task
from tests.tiny import tiny_image

OPTIONS = "Which?\nA. one\nB. two\n(C) three\nE. five\nAnswer."


def load(
    monkeypatch: pytest.MonkeyPatch, cache: Path, *documents: dict[str, Any], skip_bad: SkipBad | None = None
) -> list[Question]:
    task = TinyTask([{"text": "Is it?", "target": "no", "visual": []} | document for document in documents])
    monkeypatch.setattr(lmms_eval, "open_task", lambda *_: task)
    return lmms_eval.load(Path("mine"), Loading(options={}, cache=cache, skip_bad=skip_bad))


@pytest.mark.parametrize(
    ("text", "target", "answers", "answer"),
    [
        ("Is it?", "no", ("Yes", "No"), "No"),
        ("Is it?", " Yes.", ("Yes", "No"), "Yes"),
        ("Is it?", ["yes"], ("Yes", "No"), "Yes"),
        (OPTIONS, "C", ("A", "B", "C"), "C"),
        (OPTIONS, "b", ("A", "B", "C"), "B"),
    ],
)
def test_closed_answers_become_questions(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    text: str,
    target: Any,
    answers: tuple[str, ...],
    answer: str,
) -> None:
    (question,) = load(monkeypatch, tmp_path, {"text": text, "target": target})
    assert (question.prompt, question.answers, question.answer) == (text, answers, answer)
    assert (question.id, question.subset, question.images) == ("lmms-eval/mine/0", "mine", ())


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ({"target": "red"}, "document 1: expected a target of yes or no, or the letter .* found 'red'"),
        ({"target": ["yes", "no"]}, "found a list of 2"),
        ({"target": 3}, "found 3"),
        ({"text": OPTIONS, "target": "E"}, "found 'E'"),
        ({"text": "A. one", "target": "A"}, "found 'A'"),
        ({"text": " "}, "expected a text to ask"),
        ({"visual": [tiny_image(0), "film.mp4"]}, "expected pictures, found Image, str"),
    ],
)
def test_what_cannot_be_closed_is_refused_or_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, document: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(QuestionError, match=complaint):
        load(monkeypatch, tmp_path, {}, document)
    skip_bad = SkipBad()
    assert len(load(monkeypatch, tmp_path, {}, document, skip_bad=skip_bad)) == 1
    assert skip_bad.count == 1


def test_a_picture_is_written_once_by_its_content(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    documents = [{"visual": [tiny_image(number % 2)]} for number in range(4)]
    questions = load(monkeypatch, tmp_path, *documents)
    assert [question.images for question in questions[:2]] == [question.images for question in questions[2:]]
    assert {*pictures_of(questions)} == {*(tmp_path / "pictures").glob("*.png")}
    for number, question in enumerate(questions[:2]):
        assert question.images
        assert read_image(question.images[0]).tobytes() == tiny_image(number).convert("RGB").tobytes()
    written = [path.stat().st_mtime_ns for path in sorted((tmp_path / "pictures").glob("*.png"))]
    assert load(monkeypatch, tmp_path, *documents) == questions
    assert [path.stat().st_mtime_ns for path in sorted((tmp_path / "pictures").glob("*.png"))] == written


def test_several_pictures_are_asked_about_in_their_order(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    documents = [{"visual": [tiny_image(number) for number in shown]} for shown in ([1, 0], [0], [1])]
    both, first, second = load(monkeypatch, tmp_path, *documents)
    assert both.images == second.images + first.images


def test_a_text_must_be_an_answer() -> None:
    yes_no, choice = (
        Question(
            benchmark="lmms-eval", id="1", prompt="?", images=(), answers=answers, gold=0, subset="x", group="x"
        )
        for answers in (("Yes", "No"), ("A", "B"))
    )  # fmt: skip
    assert [lmms_eval.parse(yes_no, text) for text in ("yes", "No.", "No, it is not")] == [0, 1, None]
    assert lmms_eval.parse(yes_no, "No, it is not", "vlmevalkit") == 1
    assert [lmms_eval.parse(choice, text) for text in (" b.", "C", "A. one")] == [1, None, None]


def test_lmms_evals_own_numbers_name_questions_of_one_task(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    questions = load(monkeypatch, tmp_path, {}, {})
    assert list(lmms_eval.aliases(questions)) == ["mine/0", "mine/1", "0", "1"]


def test_a_task_is_a_source(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[tuple[str, str | None]] = []
    monkeypatch.setattr(lmms_eval, "open_task", lambda *args: asked.append(args) or tiny_task(*args))
    assert len(load_questions(["lmms-eval:pope,include=tasks"], "all", cache=tmp_path)) == 12
    assert asked == [("pope", "tasks")]
    with pytest.raises(QuestionError, match="expected no images="):
        load_questions(["lmms-eval:pope,images=here"], "all", cache=tmp_path)


def test_without_lmms_eval_a_sentence_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lmms_eval, "find_spec", lambda _: None)
    with pytest.raises(InputError, match="lmms-eval, which is not installed; run `pip install lmms-eval`"):
        lmms_eval.open_task("pope", None)


class Manager:
    """lmms-eval's index of tasks: one that loads, and one that does not."""

    all_subtasks = ("pope", "gqa")

    def __init__(self, include_path: str | None) -> None:
        self.include_path = include_path

    def load_task_or_group(self, name: str) -> dict[str, Any]:
        if name == "gqa":
            raise ConnectionError("the hub is away\nfor long")
        return {name: SimpleNamespace(name=name, included=self.include_path)}


@pytest.mark.parametrize(
    ("task", "complaint"),
    [
        ("popes", "found none of that name; did you mean pope?"),
        ("xyz", "tasks list` lists them"),
        ("gqa", "found an error: the hub is away; try"),
    ],
)
def test_lmms_evals_index_is_asked(monkeypatch: pytest.MonkeyPatch, task: str, complaint: str) -> None:
    tasks = ModuleType("lmms_eval.tasks")
    tasks.TaskManager = Manager  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lmms_eval", ModuleType("lmms_eval"))
    monkeypatch.setitem(sys.modules, "lmms_eval.tasks", tasks)
    monkeypatch.setattr(lmms_eval, "find_spec", lambda _: True)
    opened = lmms_eval.open_task("pope", "mine")
    assert (opened.name, opened.included) == ("pope", "mine")
    with pytest.raises(QuestionError) as raised:
        lmms_eval.open_task(task, None)
    assert complaint in str(raised.value)
