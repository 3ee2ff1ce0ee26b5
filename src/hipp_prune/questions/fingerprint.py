"""What a result was measured on: the model's weights, and the questions with their labels and pictures."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from annotated_types import Len

from hipp_prune.errors import RunError
from hipp_prune.questions.question import Question


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Fingerprints of what a calibration, a search or an evaluation was made with; only like goes with like."""

    weights: Annotated[str, Len(1, 64)]
    """``ModelShape.fingerprint`` of the dense or pruned model."""
    questions: Annotated[str, Len(1, 64)]
    """``fingerprint_questions`` of what was asked."""

    def check(self, now: "Origin", *, path: Path, remedy: str) -> None:
        """Refuses to go on with other weights or questions than something was begun with.

        Args:
            now: what it would go on with.
            path: file or folder that holds what was begun.
            remedy: what else than bringing back the old ones helps.

        Raises:
            RunError: naming what has changed.
        """
        for what in ("weights", "questions"):
            before, found = getattr(self, what), getattr(now, what)
            if before != found:
                raise RunError(
                    f"{path} was made with other {what} (fingerprint {before}, now {found}); bring back what it was "
                    f"made with, or {remedy}"
                )


def fingerprint_questions(questions: Iterable[Question]) -> str:
    """16 hex digits over every question: benchmark, id, prompt, allowed answers, label, and the pictures' bytes.

    A weight other than 1 counts too. Neither the order of the questions nor where their pictures lie matters. A picture
    that cannot be read counts as none; ``check_images`` is for that.
    """
    pictures: dict[Path, str] = {}
    parts = sorted(_one(question, pictures) for question in questions)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _one(question: Question, pictures: dict[Path, str]) -> str:
    for image in question.images:
        if image not in pictures:
            content = image.read_bytes() if image.is_file() else b""
            pictures[image] = hashlib.sha256(content).hexdigest()
    shown = tuple(pictures[image] for image in question.images)
    fields = (
        question.benchmark,
        question.id,
        question.prompt,
        question.answers,
        question.gold,
        shown if len(shown) > 1 else next(iter(shown), None),
        *(["cut"] if question.cut else []),
        *([question.weight] if question.weight != 1 else []),
    )
    return hashlib.sha256(repr(fields).encode()).hexdigest()
