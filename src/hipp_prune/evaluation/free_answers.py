"""What a model says in its own words, and what it makes of questions without an answer."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hipp_prune.evaluation.features import encode_image_files
from hipp_prune.files.progress import Progress
from hipp_prune.models.adapter import Adapter
from hipp_prune.questions.question import Question

ANSWER_TOKENS = 32
"""Most tokens of an answer that are kept: a sentence in English."""


@dataclass(frozen=True, kw_only=True)
class FreeAnswer:
    """What a model said, token by token the likeliest."""

    text: str
    """Without what ends it, and without space around it; may be empty."""
    cut: bool
    """Whether it was not at its end yet."""


def answer_freely(
    adapter: Adapter,
    questions: Sequence[Question],
    *,
    max_tokens: int = ANSWER_TOKENS,
    batch_size: int = 16,
    progress: Progress | None = None,
) -> list[FreeAnswer]:
    """Greedy answers to questions, up to the token that ends them; what answers are allowed is not looked at.

    Args:
        adapter: the model that is asked.
        questions: in the order of the answers.
        max_tokens: tokens after which an answer is cut, ≥ 1.
        batch_size: questions a forward pass, ≥ 1.
        progress: told (questions done, questions).

    Raises:
        ImageError: if a picture is missing or cannot be decoded.
    """
    answers: list[FreeAnswer] = []
    for start in range(0, len(questions), batch_size):
        part = questions[start : start + batch_size]
        batch, images = adapter.encode(part, encode_image_files(adapter, part))
        tokens = adapter.generate_tokens(
            batch,
            images,
            max_new_tokens=max_tokens,
            do_sample=False,
            num_beams=1,
            repetition_penalty=1.0,
        )
        answers += [_read(adapter, row) for row in tokens.tolist()]
        if progress:
            progress(len(answers), len(questions))
    return answers


def _read(adapter: Adapter, tokens: list[int]) -> FreeAnswer:
    """The answer that tokens say before the first one that ends it."""
    end = next((at for at, token in enumerate(tokens) if token in adapter.spelling.ends), None)
    text = str(adapter.processor.tokenizer.decode(tokens[:end], skip_special_tokens=True)).strip()
    return FreeAnswer(text=text, cut=end is None)


def label(questions: Sequence[Question], answers: Sequence[FreeAnswer]) -> list[Question]:
    """Open questions out of unlabelled ones and the answers to them; one that says nothing leaves its question out."""
    return [
        replace(question, answers=(answer.text,), cut=answer.cut)
        for question, answer in zip(questions, answers, strict=True)
        if answer.text
    ]
