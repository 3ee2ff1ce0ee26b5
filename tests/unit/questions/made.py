"""Questions without a benchmark."""

from pathlib import Path

from hipp_prune.questions.question import Question


def pope(
    number: int, gold: int, subset: str = "random", *, image: Path | None = None, prompt: str = ""
) -> Question:
    return Question(
        benchmark="pope", id=f"{subset}/{number}", prompt=prompt or "Is there a dog?", images=(image,) if image else (),
        answers=("Yes", "No"), gold=gold, subset=subset, group=str(number),
    )  # fmt: skip


def scienceqa(
    number: int, gold: int, letters: str = "ABC", *, image: Path | None = None, prompt: str = ""
) -> Question:
    return Question(
        benchmark="scienceqa", id=str(number), prompt=prompt or "Which of these?", images=(image,) if image else (),
        answers=tuple(letters), gold=gold, subset="natural science", group=f"s{number}",
    )  # fmt: skip
