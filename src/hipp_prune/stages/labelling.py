"""Questions without an answer, in any stage: the dense model is asked, and its answers are put in their place."""

from collections.abc import Callable, Sequence

from hipp_prune.evaluation.labels import Labels, make_labels
from hipp_prune.files.progress import Progress
from hipp_prune.models.adapter import Adapter
from hipp_prune.questions.question import Question
from hipp_prune.stages.settings import CalibrateSettings

Bars = tuple[Progress | None, Progress | None]
"""Told (questions done, questions): of the free answers, and of the objects in their pictures."""

NO_BARS: Bars = (None, None)


def ask_dense(
    adapter: Adapter,
    questions: Sequence[Question],
    settings: CalibrateSettings = CalibrateSettings(),
    *,
    announce: Callable[[str], None] | None = None,
    bars: Bars = NO_BARS,
) -> Labels:
    """The dense model's answers to all questions without one.

    Args:
        adapter: the dense model.
        questions: those that are labelled are passed over.
        settings: how long its answers are, and how sure it must be of objects.
        announce: told, before it is asked, what these questions are going to measure, and afterwards how many there are.
        bars: how far it has got.

    Raises:
        ImageError: if a picture is missing or cannot be decoded.
    """
    if announce is not None:
        number = sum(question.is_unlabelled for question in questions)
        announce(
            f"{number} of the {len(questions)} questions come without an answer: the dense model's own are the target, "
            "and what is scored is agreement with the dense model, not how right a model is"
        )
    labels = make_labels(
        adapter,
        questions,
        max_tokens=settings.answer_tokens,
        sure=settings.object_margin,
        answering=bars[0],
        looking=bars[1],
    )
    if announce is not None:
        announce(
            f"the dense model answered {len(labels.answers)} of them, and is sure of {len(labels.objects)} answers "
            "about objects in their pictures"
        )
    return labels


def labelled(
    adapter: Adapter, questions: list[Question], *, announce: Callable[[str], None] | None = None
) -> list[Question]:
    """Questions as they are, or with the dense model's answers where they come without one.

    Args:
        adapter: the dense model.
        questions: in their order.
        announce: see ``ask_dense``.
    """
    if not any(question.is_unlabelled for question in questions):
        return questions
    return ask_dense(adapter, questions, announce=announce).complete(questions)
