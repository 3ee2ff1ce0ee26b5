"""One benchmark question, closed or open, free of any model's prompt template."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question whose answer is one of a few allowed strings, or free text.

    It is *closed* with two or more allowed answers, *open* with one, the text that is wanted, and *unlabelled* with
    none: then the dense model's own answer becomes the wanted one before anything is scored (``evaluation.labels``).

    ``prompt`` is the benchmark's official user text (instruction included), *without* the model's
    conversation template and without an image placeholder: both are the adapter's business.
    """

    benchmark: str
    """Name of its benchmark (``questions.benchmarks``), which says what its answer counts for."""
    id: str
    """Unique within a loaded set."""
    prompt: str
    """User text as the official evaluation words it, e.g. ``Is there a cup in the image?\\nAnswer …``."""
    images: tuple[Path, ...]
    """The pictures the question is about, in the order in which they are shown; none for text-only questions."""
    answers: tuple[str, ...]
    """The allowed answers as emitted: ``("Yes", "No")``, or the letters ``("A", "B", "C")``; ``("a red cup",)`` of an
    open question, ``()`` of an unlabelled one."""
    gold: int
    """Index of the right answer in ``answers``; 0 unless it is closed."""
    subset: str
    """What part of the benchmark it belongs to, e.g. how POPE drew the absent object, or ScienceQA's subject."""
    group: str
    """Questions of one group never fall into different splits: the pictures, or question and hint text."""
    tags: frozenset[str] = field(default_factory=frozenset)
    """Official categories it is also counted under, e.g. ``IMG``, ``TXT``, ``NO``, ``G1-6``."""
    cut: bool = False
    """Whether an open question's answer went on beyond the text that was kept: then its end is no part of it."""
    weight: float = 1.0
    """Of its benchmark in the mean over those that serve a role, > 0."""

    def __post_init__(self) -> None:
        assert len(set(self.answers)) == len(self.answers), f"question {self.id}: repeated answers"
        assert all(map(str.strip, self.answers)), f"question {self.id}: an empty answer"
        assert 0 <= self.gold < max(1, len(self.answers)), f"question {self.id}: gold outside answers"
        assert self.is_open or not self.cut, f"question {self.id}: only an open question's answer can be cut"

    @property
    def is_open(self) -> bool:
        """Whether its answer is free text."""
        return len(self.answers) == 1

    @property
    def is_unlabelled(self) -> bool:
        """Whether its answer is yet to be asked of the dense model."""
        return not self.answers

    @property
    def answer(self) -> str:
        """The text of the right answer, one of ``answers``."""
        return self.answers[self.gold]

    @property
    def is_yes_no(self) -> bool:
        """Whether the allowed answers are Yes and No."""
        return set(self.answers) == {"Yes", "No"}

    @property
    def chance(self) -> float:
        """Probability that a uniform guess among the allowed answers is right; 0 where any text is allowed."""
        return 0.0 if self.is_open else 1.0 / len(self.answers)


def pictures_of(questions: Iterable[Question]) -> list[Path]:
    """Every picture of the questions once, in the order in which they come up."""
    return list(dict.fromkeys(path for question in questions for path in question.images))


def group_of(images: Sequence[Path], text: str) -> str:
    """The group of a question that names none: its pictures, or its text where it has none."""
    return "|".join(map(str, images)) or text


def probe(prompt: str, *images: Path) -> Question:
    """A yes/no question of no benchmark, which a model is tried with and nobody scores."""
    return Question(
        benchmark="",
        id="probe",
        prompt=prompt,
        images=images,
        answers=("Yes", "No"),
        gold=0,
        subset="",
        group="probe",
    )
