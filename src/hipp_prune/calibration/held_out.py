"""Which questions and texts are in no Gram matrix, so that the ridge can be chosen by them."""

import hashlib
from collections.abc import Iterable, Sequence

from hipp_prune.questions.question import Question

_ONE_IN = 8


def held_out_groups(questions: Sequence[Question]) -> set[str]:
    """Groups whose questions are held out: one in eight, wherever their pictures lie; none of fewer than eight."""
    first: dict[str, str] = {}
    for name, group in sorted(
        (f"{question.benchmark}/{question.id}", question.group) for question in questions
    ):
        first.setdefault(group, name)
    chosen = one_in_eight(first.values())
    return {group for group, name in first.items() if name in chosen}


def one_in_eight(names: Iterable[str]) -> set[str]:
    """An eighth of the names, rounded down: as if by chance, and always the same ones."""
    ordered = sorted(set(names), key=name_digest)
    return set(ordered[: len(ordered) // _ONE_IN])


def name_digest(name: str) -> bytes:
    """What a name's chance is drawn from."""
    return hashlib.sha256(name.encode()).digest()
