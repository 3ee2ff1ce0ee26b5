"""Questions without an answer, in any stage: the dense model is asked, and its answers are put in their place."""

import logging
from collections.abc import Sequence

from hipp_prune.evaluation.labels import Labels, make_labels
from hipp_prune.files.progress import Progress, Say
from hipp_prune.models.adapter import Adapter
from hipp_prune.questions.question import Question
from hipp_prune.stages.settings import CalibrateSettings

Bars = tuple[Progress | None, Progress | None]
"""Told (questions done, questions): of the free answers, and of the objects in their pictures."""

NO_BARS: Bars = (None, None)

_log = logging.getLogger("hipp_prune")


def ask_dense(
    adapter: Adapter,
    questions: Sequence[Question],
    settings: CalibrateSettings = CalibrateSettings(),
    *,
    announce: Say | None = None,
    bars: Bars = NO_BARS,
) -> Labels:
    """The dense model's answers to all questions without one.

    Args:
        adapter: the dense model.
        questions: those that are labelled are passed over.
        settings: how long its answers are, and how sure it must be of objects.
        announce: told, before it is asked, what these questions are going to measure, and afterwards how many there
            are; the logger ``hipp_prune`` by default.
        bars: how far it has got.

    Raises:
        ImageError: if a picture is missing or cannot be decoded.
    """
    announce = announce or _log.info
    number = sum(question.is_unlabelled for question in questions)
    announce(
        f"{number} of the {len(questions)} questions come without an answer: the dense model's own are the target, and "
        "what is scored is agreement with the dense model, not how right a model is"
    )
    labels = make_labels(
        adapter,
        questions,
        max_tokens=settings.answer_tokens,
        sure=settings.object_margin,
        answering=bars[0],
        looking=bars[1],
    )
    announce(
        f"the dense model answered {len(labels.answers)} of them, and is sure of {len(labels.objects)} answers about "
        "objects in their pictures"
    )
    return labels


def labelled(adapter: Adapter, questions: list[Question]) -> list[Question]:
    """Questions as they are, or with the dense model's answers where they come without one."""
    if not any(question.is_unlabelled for question in questions):
        return questions
    return ask_dense(adapter, questions).complete(questions)
