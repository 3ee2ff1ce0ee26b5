"""Which questions belong together: those of one group or about one picture, directly or through others."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace

from hipp_prune.questions.copies import first_of_copies
from hipp_prune.questions.question import Question, pictures_of


def connected(names: Iterable[Iterable[Hashable]]) -> list[int]:
    """For each member the place of the first one that it is connected with.

    Members that share a name are connected, directly or through others; one alone has its own place.
    """
    before: list[int] = []
    owners: dict[Hashable, int] = {}

    def first(place: int) -> int:
        while before[place] != place:
            before[place] = before[before[place]]  # half the way next time
            place = before[place]
        return place

    for place, own in enumerate(names):
        before.append(place)
        for name in own:
            low, high = sorted((first(owners.setdefault(name, place)), first(place)))
            before[high] = low
    return [first(place) for place in range(len(before))]


def merge_groups(questions: Sequence[Question]) -> list[Question]:
    """The questions, those that share a picture all of one group, which is called as the first one's was.

    Intervals draw whole groups, and a held-out part is made of whole groups, so no picture may be in two. Copies of
    one file are one picture.
    """
    same = first_of_copies(pictures_of(questions))
    firsts = connected(
        (question.group, *(same[image] for image in question.images)) for question in questions
    )
    return [
        question
        if question.group == questions[first].group
        else replace(question, group=questions[first].group)
        for question, first in zip(questions, firsts, strict=True)
    ]
