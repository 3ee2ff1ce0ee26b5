"""The dense model's own answers as labels: made once, kept in files, and put in the place of unlabelled questions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hipp_prune.evaluation.asserted_objects import SURE, ask_objects
from hipp_prune.evaluation.free_answers import ANSWER_TOKENS, answer_freely, label
from hipp_prune.files.progress import Progress
from hipp_prune.files.writing import write_text
from hipp_prune.models.adapter import Adapter
from hipp_prune.questions.benchmark import Loading
from hipp_prune.questions.benchmarks import agreement, agreement_objects
from hipp_prune.questions.question import Question


@dataclass(frozen=True, kw_only=True)
class Labels:
    """What the dense model answers to questions without an answer."""

    answers: tuple[Question, ...]
    """The questions, now open ones."""
    objects: tuple[Question, ...]
    """Yes/no questions about objects in their pictures."""

    def complete(self, questions: Sequence[Question]) -> list[Question]:
        """Questions with a label in the place of each unlabelled one, and their pictures' objects behind them.

        An unlabelled question to which the dense model said nothing is left out.
        """
        weights = {question.id: question.weight for question in questions if question.is_unlabelled}
        pictures = {_places(question) for question in questions if question.is_unlabelled}
        return [
            *(question for question in questions if not question.is_unlabelled),
            *(replace(each, weight=weights[each.id]) for each in self.answers if each.id in weights),
            *(question for question in self.objects if _places(question) in pictures),
        ]

    def save(self, answers: Path, objects: Path) -> None:
        """Writes two files, which are sources of questions too: ``agreement:`` and ``agreement-objects:``.

        Raises:
            RunError: if the disk is full.
        """
        write_text(answers, "".join(map(agreement.answer_line, self.answers)))
        if self.objects:
            write_text(objects, "".join(map(agreement_objects.object_line, self.objects)))

    @classmethod
    def load(cls, answers: Path, objects: Path) -> "Labels":
        """Reads the files that ``save`` wrote.

        Raises:
            QuestionError: if they are something else.
            RunError: if they are no longer what we wrote.
        """
        how = Loading(options={})
        found = agreement_objects.load(objects, how) if objects.exists() else []
        return cls(answers=tuple(agreement.load(answers, how)), objects=tuple(found))


def make_labels(
    adapter: Adapter,
    questions: Sequence[Question],
    *,
    max_tokens: int = ANSWER_TOKENS,
    sure: float = SURE,
    answering: Progress | None = None,
    looking: Progress | None = None,
) -> Labels:
    """Asks the dense model what nobody has answered: the questions, and which objects are in their pictures.

    Args:
        adapter: the dense model.
        questions: those that are labelled are passed over.
        max_tokens: tokens of an answer that are kept, ≥ 1.
        sure: see ``ask_objects``.
        answering: told (questions done, questions) of the free answers.
        looking: told (questions done, questions) of the objects.

    Raises:
        ImageError: if a picture is missing or cannot be decoded.
    """
    unlabelled = [question for question in questions if question.is_unlabelled]
    answers = answer_freely(adapter, unlabelled, max_tokens=max_tokens, progress=answering)
    objects = ask_objects(adapter, unlabelled, sure=sure, progress=looking)
    return Labels(answers=tuple(label(unlabelled, answers)), objects=tuple(objects))


def _places(question: Question) -> tuple[Path, ...]:
    return tuple(path.absolute() for path in question.images)
