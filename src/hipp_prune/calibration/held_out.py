"""Which questions and texts are in no Gram matrix, so that the ridge can be chosen by them."""

import hashlib
from collections.abc import Iterable, Sequence

from hipp_prune.questions.question import Question

_ONE_IN = 8


def held_out_groups(questions: Sequence[Question]) -> set[str]:
    """Groups whose questions are held out: one in eight, always the same ones; none of fewer than eight."""
    return one_in_eight(question.group for question in questions)


def one_in_eight(names: Iterable[str]) -> set[str]:
    """An eighth of the names, rounded down: as if by chance, and always the same ones."""
    ordered = sorted(set(names), key=name_digest)
    return set(ordered[: len(ordered) // _ONE_IN])


def name_digest(name: str) -> bytes:
    """What a name's chance is drawn from."""
    return hashlib.sha256(name.encode()).digest()
