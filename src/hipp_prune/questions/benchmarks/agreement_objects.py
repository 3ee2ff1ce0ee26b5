"""Agreement with the dense model about objects: yes/no questions to which its own answer is the one wanted.

``calibrate`` makes them of pictures about which a question without an answer is asked (``evaluation.asserted_objects``)
and leaves them in the run: JSON lines with ``id``, ``image``, ``object`` and ``answer`` (yes or no).
"""

import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Len

from hipp_prune.errors import QuestionError
from hipp_prune.questions.benchmark import Benchmark, Loading
from hipp_prune.questions.benchmarks.pope import INSTRUCTION
from hipp_prune.questions.question import Question
from hipp_prune.questions.records import Identifier, read_records
from hipp_prune.questions.yes_no import (
    YES_NO,
    class_balanced_mean,
    predict_yes_no,
    restore_yes_no,
    score_yes_no,
)

_TITLE = "agreement with the dense model about objects"


@dataclass(frozen=True, kw_only=True)
class _Record:
    """Whether the dense model says that an object is in a picture."""

    id: Identifier
    image: Annotated[str, Len(1)]
    object: Annotated[str, Len(1)]
    answer: Literal["yes", "no"]
    group: str | None = None


def ask_about(question: Question, name: str, *, present: bool = True) -> Question:
    """POPE's question whether an object is in another question's picture.

    Args:
        question: about one picture.
        name: of the object, in the singular.
        present: whether the dense model says that it is.
    """
    return Question(
        benchmark=BENCHMARK.name,
        id=f"{question.id}/{name}",
        prompt=_prompt(name),
        images=question.images,
        answers=YES_NO,
        gold=0 if present else 1,
        subset=_SUBSETS[present],
        group=question.group,
    )


_SUBSETS = {True: "asserted", False: "denied"}


def _prompt(name: str) -> str:
    article = "an" if name[:1].lower() in tuple("aeiou") else "a"
    return f"Is there {article} {name} in the image?{INSTRUCTION}"


def load(path: Path, how: Loading) -> list[Question]:
    """The questions of a file.

    Raises:
        QuestionError: it is a folder, or a record is none.
    """
    if path.is_dir():
        raise QuestionError(
            f"{path}: expected a file of objects that the dense model asserts or denies, found a folder; for pictures "
            f"without answers give photos:{path}, and calibrate asks about objects by itself"
        )
    questions = [
        Question(
            benchmark=BENCHMARK.name,
            id=str(record.id),
            prompt=_prompt(record.object),
            images=(Path(record.image),),
            answers=YES_NO,
            gold=("yes", "no").index(record.answer),
            subset=_SUBSETS[record.answer == "yes"],
            group=record.group or record.image,
        )
        for _, record in read_records(path, _Record, how.skip_bad)
    ]
    if not questions:
        raise QuestionError(f"{path}: expected objects that the dense model asserts or denies, found none")
    return questions


def object_line(question: Question) -> str:
    """The line of a file that ``load`` reads a question from."""
    (image,) = question.images
    content = {
        "id": question.id,
        "image": str(image.absolute()),
        "object": question.id.rpartition("/")[2],
        "answer": question.answer.lower(),
        "group": None if question.group == str(image) else question.group,
    }
    return json.dumps(content, ensure_ascii=False) + "\n"


def stratum(question: Question) -> Hashable:
    """Yes and No take turns."""
    return question.answer


def aliases(questions: Sequence[Question]) -> Mapping[str, Question]:  # noqa: ARG001
    """Stored answers go by the ids as they are."""
    return {}


BENCHMARK = Benchmark(
    name="agreement-objects",
    title=_TITLE,
    role="robustness",
    explanation="has no labels: it asks for objects that the dense model is sure to see, or not to see, and "
    "right is what the dense model says.",
    instruction=INSTRUCTION,
    load=load,
    parse=predict_yes_no,
    score=partial(score_yes_no, _TITLE),
    restore=restore_yes_no,
    mean=class_balanced_mean,
    stratum=stratum,
    aliases=aliases,
    of_dense=True,
)
