"""Agreement with the dense model: questions that came without an answer, to which its own is the one wanted.

A source is a file of questions with the dense model's answers, as ``calibrate`` leaves it in the run: JSON lines with
``id``, ``prompt``, ``answer``, ``image`` (a path, a list of them, or none) and ``cut`` (whether the answer goes on). A
pruned model's return is −KL(dense ∥ pruned) over the answer's tokens, its score the share of questions that it answers
in the same words.
"""

import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from annotated_types import Len

from hipp_prune.errors import QuestionError
from hipp_prune.questions.benchmark import Benchmark, Loading, Rule
from hipp_prune.questions.multiple_choice import ChoiceScore, Tally, plain_mean, restore_choice
from hipp_prune.questions.question import Question, group_of
from hipp_prune.questions.records import Identifier, read_records
from hipp_prune.questions.unlabelled import AGREEMENT

_TITLE = "agreement with the dense model"


@dataclass(frozen=True, kw_only=True)
class _Record:
    """A question with the dense model's answer."""

    id: Identifier
    prompt: Annotated[str, Len(1)]
    answer: Annotated[str, Len(1)]
    image: str | list[str] | None = None
    group: str | None = None
    cut: bool = False


def load(path: Path, how: Loading) -> list[Question]:
    """The questions of a file, with the dense model's answers.

    Raises:
        QuestionError: it is a folder, or a record of it is none.
    """
    if path.is_dir():
        raise QuestionError(
            f"{path}: expected a file of the dense model's answers, found a folder; for pictures without answers give "
            f"photos:{path}"
        )
    questions = [_question(record, where) for where, record in read_records(path, _Record, how.skip_bad)]
    if not questions:
        raise QuestionError(f"{path}: expected questions with the dense model's answers, found none")
    return questions


def _question(record: _Record, where: str) -> Question:
    shown = [record.image] if isinstance(record.image, str) else record.image or []
    images = tuple(map(Path, shown))
    if not record.answer.strip():
        raise QuestionError(f"{where}: expected an answer, found white space; calibrate again")
    return Question(
        benchmark=AGREEMENT,
        id=str(record.id),
        prompt=record.prompt,
        images=images,
        answers=(record.answer,),
        gold=0,
        subset="all",
        group=record.group or group_of(images, record.prompt),
        cut=record.cut,
    )


def answer_line(question: Question) -> str:
    """The line of a file of answers that ``load`` reads a question from."""
    paths = [str(path.absolute()) for path in question.images]
    content = {
        "id": question.id,
        "prompt": question.prompt,
        "answer": question.answer,
        "image": paths if len(paths) > 1 else next(iter(paths), None),
        "group": None
        if question.group in (group_of(question.images, ""), question.prompt)
        else question.group,
        "cut": question.cut,
    }
    return json.dumps(content, ensure_ascii=False) + "\n"


def parse(question: Question, text: str, rule: Rule) -> int | None:  # noqa: ARG001 read alike by every rule
    """0 for the dense model's words, whatever the capitals, spaces and full stop; 1 for others.

    Where its answer was cut off, a text may go on as well.
    """
    said, wanted = _plain(text), _plain(question.answer)
    if question.cut:
        wanted = wanted.rstrip(_HALF) or wanted
        said = said[: len(wanted)]
    return 0 if said == wanted else 1


_HALF = "\ufffd"
"""What stands for a character that was cut off within."""


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(".")


def score(
    questions: Sequence[Question],
    predictions: Sequence[int | None],
    rule: Rule,  # noqa: ARG001
) -> ChoiceScore:
    """The share of questions that are answered in the dense model's words."""
    tally = Tally.of(list(zip(questions, predictions, strict=True)))
    return ChoiceScore(title=_TITLE, overall=tally, parts={})


def stratum(question: Question) -> Hashable:
    """All are of one kind."""
    return question.subset


def aliases(questions: Sequence[Question]) -> Mapping[str, Question]:  # noqa: ARG001
    """Stored answers go by the ids as they are."""
    return {}


BENCHMARK = Benchmark(
    name=AGREEMENT,
    title=_TITLE,
    role="utility",
    explanation="has no labels: right is what the dense model itself says, and the score is the share of "
    "questions that a pruned model answers in the same words.",
    instruction="",
    load=load,
    parse=parse,
    score=score,
    restore=restore_choice,
    mean=plain_mean,
    stratum=stratum,
    aliases=aliases,
    of_dense=True,
    brings="agreement-objects",
)
