"""Files of answers in the shapes people have, read as one: what a model said, and to what.

=========================  =======================================================================================
from                       records
=========================  =======================================================================================
LLaVA                      ``question_id``, ``text``, perhaps ``prompt``
LLaVA's ScienceQA script   ``{"correct": […], "incorrect": […]}`` of ``question_id``, ``pred``; or, by pid, ``outputs``
                           (texts) and ``results`` (letters, or indices of options)
others' ScienceQA          ``pid``, ``pred``
POPE                       ``question``, ``answer``: no ids, so that only the order says to which question
AMBER                      ``id``, ``response``
lmms-eval                  ``doc_id``, ``filtered_resps``, ``input``, and where a metric names them, ids;
                           of ``scienceqa_img`` none do, so that only the order of the pictured questions says which
hipp-prune                 what ``evaluate --out`` wrote
=========================  =======================================================================================
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, TypeVar

from annotated_types import Ge, Le, Len

from hipp_prune.errors import QuestionError
from hipp_prune.files.faults import name
from hipp_prune.files.places import found_instead
from hipp_prune.files.ranges import Natural
from hipp_prune.files.strict import check_value
from hipp_prune.questions.multiple_choice import LETTERS
from hipp_prune.questions.records import Identifier, read_object, read_records

_Kind = TypeVar("_Kind")

_CORRECT = "correct it"


@dataclass(frozen=True, kw_only=True)
class StoredAnswer:
    """What a model said, and to what."""

    id: str | None
    """Of the question, in one of its numberings; None where only the order of the file says which it is."""
    text: str
    """What the model said."""
    prompt: str | None = None
    """What it was asked, where the file tells."""
    image: str | None = None
    """Name of the picture's file, where the file tells."""
    where: str
    """File and line or number, for sentences."""
    number: str | None = None
    """Of the question within its subset, where the file tells that but not which subset it is."""


def read_stored(path: Path) -> list[StoredAnswer]:
    """Every answer of a file, in its order.

    Raises:
        QuestionError: a file or record that cannot be read, or whose shape is none of these.
    """
    if path.is_dir():
        found = found_instead(path, "give the file in it that holds them")
        raise QuestionError(f"expected a file of answers, but {found}")
    whole = _whole(path)
    if whole is None:
        records = read_records(path, dict[str, Any], remedy=_CORRECT)
        return [_one(where, content) for where, content in records]
    for key, read in _WHOLE.items():
        if isinstance(whole.get(key), (list, dict)):
            return read(path, whole)
    return [_one(f"{path}:1", whole)]


def _whole(path: Path) -> dict[str, Any] | None:
    """The file's one object; None for a file of several records."""
    try:
        return read_object(path)
    except QuestionError:
        return None


@dataclass(frozen=True, kw_only=True)
class _Llava:
    question_id: Identifier
    text: str
    prompt: str | None = None

    def stored(self, where: str) -> StoredAnswer:
        return StoredAnswer(id=str(self.question_id), text=self.text, prompt=self.prompt, where=where)


@dataclass(frozen=True, kw_only=True)
class _Amber:
    id: Identifier
    response: str
    prompt: str | None = None

    def stored(self, where: str) -> StoredAnswer:
        return StoredAnswer(id=str(self.id), text=self.response, prompt=self.prompt, where=where)


@dataclass(frozen=True, kw_only=True)
class _Prediction:
    pid: Identifier
    pred: str

    def stored(self, where: str) -> StoredAnswer:
        return StoredAnswer(id=str(self.pid), text=self.pred, where=where)


@dataclass(frozen=True, kw_only=True)
class _Judged:
    """LLaVA's ScienceQA script, of one question."""

    question_id: Identifier
    pred: str

    def stored(self, where: str) -> StoredAnswer:
        return StoredAnswer(id=str(self.question_id), text=self.pred, where=where)


@dataclass(frozen=True, kw_only=True)
class _Pope:
    question: str
    answer: str

    def stored(self, where: str) -> StoredAnswer:
        return StoredAnswer(id=None, text=self.answer, prompt=self.question, where=where)


@dataclass(frozen=True, kw_only=True)
class _Metric:
    """What a metric of lmms-eval keeps beside an answer, where that names the question."""

    question_id: Identifier
    category: str | None = None


@dataclass(frozen=True, kw_only=True)
class _Sample:
    doc_id: Natural
    filtered_resps: str | Annotated[list[str], Len(1)]
    """A text; older versions write a list of one."""
    input: str | None = None
    metric: _Metric | None = None
    """What a metric of the task keeps; it stands under the metric's name."""

    def stored(self, where: str) -> StoredAnswer:
        asked, said = self.metric, self.filtered_resps
        text = said if isinstance(said, str) else said[0]
        answer = StoredAnswer(id=None, text=text, prompt=self.input, where=where)
        if asked is None:
            return answer
        if asked.category is None:
            return replace(answer, number=str(asked.question_id))
        return replace(answer, id=f"{asked.category}/{asked.question_id}")


_SHAPES: tuple[tuple[frozenset[str], type[Any]], ...] = (
    (frozenset({"question_id", "pred"}), _Judged),
    (frozenset({"pid", "pred"}), _Prediction),
    (frozenset({"doc_id", "filtered_resps"}), _Sample),
    (frozenset({"question", "answer"}), _Pope),
    (frozenset({"id", "response"}), _Amber),
    (frozenset({"question_id"}), _Llava),
)
"""What tells each shape from the others, the narrower one first."""

_SHOWN = 8
"""Fields of a record of no known shape that a sentence shows."""


def _one(where: str, content: Mapping[str, Any]) -> StoredAnswer:
    kind = next((kind for keys, kind in _SHAPES if keys <= content.keys()), None)
    if kind is None:
        shapes = "; ".join(", ".join(sorted(keys)) for keys, _ in _SHAPES)
        raise QuestionError(
            f"{where}: expected an answer, a record with one of these sets of fields: {shapes}, text; found "
            f"{', '.join(map(name, list(content)[:_SHOWN])) or 'none'}; docs/benchmarks.md shows each"
        )
    if kind is _Sample:
        kept = (value for value in content.values() if isinstance(value, dict) and "question_id" in value)
        content = {**content, "metric": next(kept, None)}
    answer: StoredAnswer = _checked(content, kind, where, _CORRECT).stored(where)
    return answer


@dataclass(frozen=True, kw_only=True)
class _Given:
    """What is read of an answer that ``evaluate --out`` wrote."""

    id: Identifier
    given: str
    prompt: str
    images: list[str]


def _of_a_scorecard(path: Path, whole: Mapping[str, Any]) -> list[StoredAnswer]:
    answers = []
    for number, content in enumerate(whole["answers"]):
        where = f"{path}, answer {number}"
        record = _checked(content, _Given, where, "evaluate again")
        image = PurePosixPath(record.images[0]).name if record.images else None
        answers.append(
            StoredAnswer(id=str(record.id), text=record.given, prompt=record.prompt, image=image, where=where)
        )
    return answers


@dataclass(frozen=True, kw_only=True)
class _ByPid:
    """Texts, or else letters or indices of options (−1: none was read), by pid."""

    results: dict[str, str | Annotated[int, Ge(-1), Le(len(LETTERS) - 1)]] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)


def _by_pid(path: Path, whole: Mapping[str, Any]) -> list[StoredAnswer]:
    record = _checked(whole, _ByPid, str(path), "give the file as the script wrote it")
    texts = record.outputs or {
        pid: said if isinstance(said, str) else LETTERS[said] if said >= 0 else ""
        for pid, said in record.results.items()
    }
    return [StoredAnswer(id=pid, text=text, where=f"{path}, {pid}") for pid, text in texts.items()]


def _judged(path: Path, whole: Mapping[str, Any]) -> list[StoredAnswer]:
    lists = _checked(whole, _Judgements, str(path), "give the file as the script wrote it")
    return [judged.stored(f"{path}, {judged.question_id}") for judged in (*lists.correct, *lists.incorrect)]


@dataclass(frozen=True, kw_only=True)
class _Judgements:
    correct: list[_Judged]
    incorrect: list[_Judged]


_WHOLE: dict[str, Callable[[Path, Mapping[str, Any]], list[StoredAnswer]]] = {
    "answers": _of_a_scorecard,
    "incorrect": _judged,
    "results": _by_pid,
    "outputs": _by_pid,
}
"""Files that are one object, by a key that tells them."""


def _checked(content: object, kind: type[_Kind], where: str, remedy: str) -> _Kind:
    return check_value(content, kind, where=where, remedy=remedy, error=QuestionError, foreign=True)
