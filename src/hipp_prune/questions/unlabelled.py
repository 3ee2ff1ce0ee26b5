"""Questions that come without an answer: the dense model's own is to be the one wanted."""

from pathlib import Path

from hipp_prune.questions.question import Question, group_of

AGREEMENT = "agreement"
"""The benchmark that they are of."""


def unlabelled(prompt: str, *, id: str, images: tuple[Path, ...] = (), group: str | None = None) -> Question:
    """A question whose answer is yet to be asked of the dense model.

    Args:
        prompt: as it is asked, without any instruction added.
        id: unique among questions.
        images: its pictures.
        group: what never falls into two splits; the pictures, or the prompt where there are none, by default.
    """
    return Question(
        benchmark=AGREEMENT,
        id=id,
        prompt=prompt,
        images=images,
        answers=(),
        gold=0,
        subset="all",
        group=group or group_of(images, prompt),
    )
