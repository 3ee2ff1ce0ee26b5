"""Questions that come without an answer: the dense model's own is to be the one wanted."""

from pathlib import Path

from hipp_prune.questions.question import Question

AGREEMENT = "agreement"
"""The benchmark that they are of."""


def unlabelled(prompt: str, *, id: str, image: Path | None, group: str | None = None) -> Question:
    """A question whose answer is yet to be asked of the dense model.

    Args:
        prompt: as it is asked, without any instruction added.
        id: unique among questions.
        image: its picture.
        group: what never falls into two splits; the picture, or the prompt where there is none, by default.
    """
    return Question(
        benchmark=AGREEMENT,
        id=id,
        prompt=prompt,
        image=image,
        answers=(),
        gold=0,
        subset="all",
        group=group or (prompt if image is None else str(image)),
    )
