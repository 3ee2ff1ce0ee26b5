"""What a set of questions was: their texts, their labels and the bytes of their pictures, as one short hash."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from hipp_prune.questions.question import Question


def fingerprint(questions: Iterable[Question]) -> str:
    """16 hex digits over every question: benchmark, id, prompt, allowed answers, label, and the picture's bytes.

    Neither the order of the questions nor where their pictures lie matters. A picture that cannot be read counts as
    none; ``check_images`` is for that.
    """
    pictures: dict[Path, str] = {}
    parts = sorted(_one(question, pictures) for question in questions)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _one(question: Question, pictures: dict[Path, str]) -> str:
    image = question.image
    if image is not None and image not in pictures:
        content = image.read_bytes() if image.is_file() else b""
        pictures[image] = hashlib.sha256(content).hexdigest()
    fields = (
        question.benchmark,
        question.id,
        question.prompt,
        question.answers,
        question.gold,
        None if image is None else pictures[image],
    )
    return hashlib.sha256(repr(fields).encode()).hexdigest()
