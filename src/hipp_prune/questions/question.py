"""One benchmark question with a closed set of answers, free of any model's prompt template."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question whose answer is one of a few allowed strings.

    ``prompt`` is the benchmark's official user text (instruction included), *without* the model's
    conversation template and without an image placeholder: both are the adapter's business.
    """

    benchmark: str
    """Name of its benchmark (``questions.benchmarks``), which says what its answer counts for."""
    id: str
    """Unique within a loaded set."""
    prompt: str
    """User text as the official evaluation words it, e.g. ``Is there a cup in the image?\\nAnswer …``."""
    image: Path | None
    """The picture the question is about; ``None`` for text-only questions."""
    answers: tuple[str, ...]
    """The allowed answers as emitted: ``("Yes", "No")``, or the letters ``("A", "B", "C")``."""
    gold: int
    """Index of the right answer in ``answers``."""
    subset: str
    """What part of the benchmark it belongs to, e.g. how POPE drew the absent object, or ScienceQA's subject."""
    group: str
    """Questions of one group never fall into different splits: the image, or question and hint text."""
    tags: frozenset[str] = field(default_factory=frozenset)
    """Official categories it is also counted under, e.g. ``IMG``, ``TXT``, ``NO``, ``G1-6``."""
    weight: float = 1.0
    """Of its benchmark in the mean over those that serve a role, > 0."""

    def __post_init__(self) -> None:
        assert len(self.answers) >= 2, f"question {self.id}: fewer than two allowed answers"
        assert len(set(self.answers)) == len(self.answers), f"question {self.id}: repeated answers"
        assert 0 <= self.gold < len(self.answers), f"question {self.id}: gold outside answers"

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
        """Probability that a uniform guess among the allowed answers is right."""
        return 1.0 / len(self.answers)


def probe(prompt: str, image: Path | None) -> Question:
    """A yes/no question of no benchmark, which a model is tried with and nobody scores."""
    return Question(
        benchmark="",
        id="probe",
        prompt=prompt,
        image=image,
        answers=("Yes", "No"),
        gold=0,
        subset="",
        group="probe",
    )
