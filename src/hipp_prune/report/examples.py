"""A few questions with their pictures, answered by the dense and the pruned models."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import Literal

from PIL import Image

from hipp_prune.errors import ImageError
from hipp_prune.evaluation.scorecard import Answer, Scorecard
from hipp_prune.questions.benchmarks import BENCHMARKS
from hipp_prune.questions.images import read_image
from hipp_prune.report.tables import label_html

AnswerChange = Literal["worse", "better", "unchanged"]

_WANTED: dict[AnswerChange, int] = {"worse": 4, "better": 2, "unchanged": 2}
"""How many questions of each kind to show, a benchmark."""
_HEADLINES: dict[AnswerChange, str] = {
    "worse": "pruning broke it",
    "better": "pruning mended it",
    "unchanged": "unchanged",
}
_CHANGED = "pruning changed it"
"""In place of what it broke, where right is what the dense model says."""
_SIDE = 256
"""Longest side of an embedded picture, in pixels."""
_HEAD, _TAIL = 250, 350
"""Characters of a long prompt that are shown; its options are at the end."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """One question and what every model answered."""

    benchmark: str
    change: AnswerChange
    dense: Answer
    pruned: tuple[tuple[str, Answer], ...]
    """(label, answer) of each pruned model that was asked."""

    @property
    def flips(self) -> int:
        """How many pruned models stand on the other side of right and wrong than the dense one."""
        return sum(_is_right(answer) != _is_right(self.dense) for _, answer in self.pruned)

    @property
    def shift(self) -> float:
        """Largest change of the margin, in nats."""
        return max(abs(answer.margin - self.dense.margin) for _, answer in self.pruned)


def choose_examples(dense: Scorecard, pruned: Sequence[Scorecard]) -> list[Example]:
    """Questions to show: first what pruning broke, of every benchmark, then what it mended, then the rest.

    Among equals, those that most models flip, then those with the largest change of margin, come first.
    """
    asked = {label: {answer.id: answer for answer in answers} for label, answers in _by_label(pruned).items()}
    examples = [example for answer in dense.answers if (example := _compare(answer, asked)) is not None]
    examples.sort(key=lambda example: (-example.flips, -example.shift, example.dense.id))
    chosen: list[Example] = []
    for (change, count), benchmark in product(_WANTED.items(), BENCHMARKS):
        chosen += [each for each in examples if (each.benchmark, each.change) == (benchmark, change)][:count]
    return chosen


def count_changes(dense: Scorecard, pruned: Scorecard) -> tuple[int, int, int]:
    """How many shared questions pruning broke and mended, and how many are shared."""
    ours = {answer.id: answer for answer in dense.answers}
    pairs = [(ours[answer.id], answer) for answer in pruned.answers if answer.id in ours]
    broken = sum(_is_right(before) and not _is_right(after) for before, after in pairs)
    mended = sum(not _is_right(before) and _is_right(after) for before, after in pairs)
    return broken, mended, len(pairs)


def example_html(example: Example) -> str:
    """A card: picture, question, and a row a model."""
    rows = "".join(_row(label, answer) for label, answer in (("dense", example.dense), *example.pruned))
    benchmark = BENCHMARKS[example.benchmark]
    name = benchmark.title
    said = _CHANGED if benchmark.of_dense and example.change == "worse" else _HEADLINES[example.change]
    wanted = "The dense model’s answer" if benchmark.of_dense else "Right answer"
    return (
        f'<article class="card {example.change}"><header><b>{said}</b>'
        f"<span>{name} · {escape(example.dense.id)}{'' if example.dense.images else ' · no picture'}</span></header>"
        f'{"".join(map(_picture, example.dense.images))}<p class="prompt">{_prompt(example.dense)}</p>'
        f"<p>{wanted}: <b>{escape(example.dense.gold)}</b></p>"
        "<table><thead><tr><th>model</th><th>answer</th><th>margin</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></article>"
    )


def thumbnail(path: Path) -> str:
    """The picture as a data URI, at most ``_SIDE`` pixels wide and high.

    Small pictures are enlarged by a whole factor without smoothing, as PNG; photographs are reduced, as JPEG,
    which is a fifth of the size.

    Raises:
        ImageError: if the picture is missing or cannot be decoded.
    """
    image = read_image(path)
    factor = _SIDE // max(image.size)
    if factor >= 1:
        size = (image.width * factor, image.height * factor)
        return _data_uri(image.resize(size, Image.Resampling.NEAREST), "PNG")
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    return _data_uri(image, "JPEG")


def _by_label(evaluations: Sequence[Scorecard]) -> dict[str, tuple[Answer, ...]]:
    """Answers of each evaluation; a label that comes again gets a number."""
    labelled: dict[str, tuple[Answer, ...]] = {}
    for each in evaluations:
        again = sum(label.partition(" #")[0] == each.label for label in labelled)
        labelled[f"{each.label} #{again + 1}" if again else each.label] = each.answers
    return labelled


def _compare(before: Answer, asked: Mapping[str, Mapping[str, Answer]]) -> Example | None:
    after = tuple((label, answers[before.id]) for label, answers in asked.items() if before.id in answers)
    if not after:
        return None
    flipped = any(_is_right(answer) != _is_right(before) for _, answer in after)
    change: AnswerChange = "unchanged"
    if flipped:
        change = "worse" if _is_right(before) else "better"
    return Example(benchmark=before.benchmark, change=change, dense=before, pruned=after)


def _is_right(answer: Answer) -> bool:
    return answer.given == answer.gold


def _row(label: str, answer: Answer) -> str:
    right = _is_right(answer)
    return (
        f'<tr><th scope="row">{label_html(label)}</th><td class="{"right" if right else "wrong"}">'
        f"{escape(answer.given)} {'✓' if right else '✗'}</td><td>{f'{answer.margin:+.2f}'.replace('-', '−')}</td></tr>"
    )


def _prompt(asked: Answer) -> str:
    text = asked.prompt.removesuffix(BENCHMARKS[asked.benchmark].instruction)
    if len(text) > _HEAD + _TAIL:
        text = f"{text[:_HEAD]} […] {text[-_TAIL:]}"
    return escape(text)


def _picture(image: str) -> str:
    try:
        return f'<img class="picture" alt="the picture the question is about" src="{thumbnail(Path(image))}">'
    except ImageError as error:
        return f'<p class="note">{escape(str(error))}</p>'


def _data_uri(image: Image.Image, kind: str) -> str:
    buffer = BytesIO()
    image.save(buffer, kind, optimize=True, quality=85)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
