"""What a model says is in a picture, and what it says is not: yes/no questions whose answers are its own."""

from collections.abc import Sequence

from hipp_prune.evaluation.evaluator import Evaluator
from hipp_prune.files.progress import Progress
from hipp_prune.models.adapter import Adapter
from hipp_prune.objectives.returns import log_margins
from hipp_prune.plans.arrays import Floats
from hipp_prune.questions.benchmarks.agreement_objects import ask_about
from hipp_prune.questions.coco import OBJECTS
from hipp_prune.questions.question import Question

SURE = 1.0
"""Nats by which Yes and No must differ: the answer is at least e times as probable as the other. Nearer than that it
tells of the wording as much as of the picture, and rounding alone may turn it."""
OBJECTS_ASKED = 3
"""Most objects of either answer a picture, as many as POPE asks about in a subset."""


def ask_objects(
    adapter: Adapter,
    questions: Sequence[Question],
    *,
    objects: Sequence[str] = OBJECTS,
    sure: float = SURE,
    most: int = OBJECTS_ASKED,
    batch_size: int = 64,
    progress: Progress | None = None,
) -> list[Question]:
    """Questions about objects that the model asserts or denies, each with the model's own answer.

    As many are asked of either answer about a picture as there are of the rarer one, but at least one of each that is
    there. Of what it asserts that is what it is surest of; of what it denies, what it is least sure of above ``sure``,
    for that is what a pruned model sees first where nothing is.

    Args:
        adapter: the dense model.
        questions: whose pictures; each picture once.
        objects: names in the singular.
        sure: least margin between Yes and No, in nats, ≥ 0.
        most: most objects of either answer a picture, ≥ 1.
        batch_size: questions a forward pass, ≥ 1.
        progress: told (questions done, questions).

    Raises:
        ImageError: if a picture is missing or cannot be decoded.
    """
    pictures = list({q.image: q for q in reversed(questions) if q.image is not None}.values())[::-1]
    asked = [ask_about(question, name) for question in pictures for name in objects]
    evaluator = Evaluator(adapter, asked, batch_size=batch_size)
    scores = evaluator.scores(evaluator.prepare(), progress=progress)
    margins = log_margins(scores, evaluator.gold).reshape(len(pictures), len(objects))
    chosen: list[Question] = []
    for question, row in zip(pictures, margins, strict=True):
        yes, no = choose_objects(row, sure=sure, most=most)
        chosen += [ask_about(question, objects[index], present=True) for index in yes]
        chosen += [ask_about(question, objects[index], present=False) for index in no]
    return chosen


def choose_objects(margins: Floats, *, sure: float, most: int) -> tuple[list[int], list[int]]:
    """Indices of the objects to ask about with answer Yes, and with answer No.

    Args:
        margins: log p(Yes) − log p(No) of every object about one picture, in nats.
        sure: least margin.
        most: most of either answer.
    """
    yes = sorted(
        (index for index in range(len(margins)) if margins[index] >= sure), key=lambda i: -margins[i]
    )
    no = sorted(
        (index for index in range(len(margins)) if margins[index] <= -sure), key=lambda i: -margins[i]
    )
    room = max(1, min(len(yes), len(no), most))
    return yes[:room], no[:room]
