"""From a row to a question: its kind is told by the row, and what could mean two things is refused.

- an answer that is yes or no (or true or false) in any capitals makes a question for **Yes or No**;
- choices make a question for the **letter** of one, whatever the answer looks like;
- any other answer is a **short** one, in the model's own words;
- where no row of a table has an answer, all are **unlabelled**, and the dense model's own answers are wanted.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Len

from hipp_prune.errors import QuestionError
from hipp_prune.files.faults import shown
from hipp_prune.files.strict import check_value
from hipp_prune.questions.benchmark import Role
from hipp_prune.questions.multiple_choice import MOST_LETTERS, option_lines
from hipp_prune.questions.own.choice_cells import lettered, read_choices, without_letters
from hipp_prune.questions.own.columns import PICTURES_ONLY, Columns
from hipp_prune.questions.own.table import Cells, empty, row_error
from hipp_prune.questions.question import Question, group_of
from hipp_prune.questions.records import CORRECT_OR_SKIP, Identifier
from hipp_prune.questions.unlabelled import unlabelled
from hipp_prune.questions.yes_no import YES_NO

Kind = Literal["yes-no", "choices", "short-answers"]
"""What a row asks for; also the name of the benchmark that its questions are of."""

ROLES_OF_KINDS: Mapping[Kind, Role] = {
    "yes-no": "robustness",
    "choices": "utility",
    "short-answers": "utility",
}
"""What answers count for where the row does not say."""

INSTRUCTIONS_OF_KINDS: Mapping[Kind, str] = {
    "yes-no": "\nAnswer the question using a single word or phrase.",
    "choices": "\nAnswer with the option's letter from the given choices directly.",
    "short-answers": "\nAnswer the question using a single word or phrase.",
}
"""What LLaVA-1.5 appends to questions of a kind."""

_YES_NO = {"yes": "Yes", "no": "No", "true": "Yes", "false": "No"}
_EXPLAINED = re.compile(r"(yes|no)(?:\s*[,;:!]|\s+[-–—]\s|\.\s+(?=[^\W\d_]))\s*(.*)", re.DOTALL)
"""Yes or No, and a sentence behind it; ``No. 7`` is a number, and ``no parking`` a sign."""
_QUOTES = "\"'“”„«»‘’ "
MARKS = ({"0", "1"}, {"0.0", "1.0"}, {"y", "n"}, {"t", "f"})
"""What a file may write for Yes and No, and may mean otherwise."""
_PLACEHOLDERS = (
    "<image>", "<|image|>", "<image_placeholder>", "<ImageHere>", "<|vision_start|><|image_pad|><|vision_end|>"
)  # fmt: skip
"""What stands for the picture in texts that models were trained on."""
_VIDEO_MARKS = ("<video>", "<|video_pad|>")
"""What stands for a video there, before or behind the text."""


@dataclass(frozen=True, kw_only=True)
class QuestionRow:
    """What a row says, but for its pictures."""

    question: Annotated[str, Len(1, 2**16)]
    answer: bool | int | str | None = None
    """None where it is yet to be asked of the dense model."""
    choices: Annotated[list[str | int], Len(2, len(MOST_LETTERS))] | None = None
    id: Identifier | None = None
    group: Annotated[str, Len(1, 2**16)] | int | None = None
    """Questions of one group never fall into different splits; by default those that share a picture."""
    role: Role | None = None
    """What the answer counts for; by default the kind's role."""

    @property
    def kind(self) -> Kind:
        """What it asks for."""
        if self.choices is not None:
            return "choices"
        return "short-answers" if self.yes_or_no is None else "yes-no"

    @property
    def yes_or_no(self) -> str | None:
        """The answer as Yes or No, which an explanation may follow; None where it is neither."""
        explained = _EXPLAINED.fullmatch(self.said)
        return _YES_NO.get(self.said if explained is None else explained[1])

    @property
    def explains(self) -> bool:
        """Whether the answer says more than Yes or No."""
        return self.said not in _YES_NO

    @property
    def said(self) -> str:
        """The answer in small letters, without quotes, a full stop or an exclamation mark."""
        return str(self.answer).strip(_QUOTES).rstrip(".!").casefold()

    @property
    def texts(self) -> list[str]:
        """What the choices say, without spaces around."""
        return [str(choice).strip() for choice in self.choices or ()]


@dataclass(frozen=True, kw_only=True)
class AskedRow:
    """A row, where it stands in its table, and its pictures."""

    where: str
    number: int
    """From 1, bad rows counted."""
    row: QuestionRow
    images: tuple[Path, ...]


def read_row(cells: Cells, columns: Columns, where: str) -> QuestionRow:
    """The row that cells make; its answer may be missing.

    Args:
        cells: by the table's names.
        columns: which of them is which.
        where: the row, for a sentence.

    Raises:
        QuestionError: a cell is missing, or holds something of another type or length.
    """
    said = {
        ours: cells[theirs]
        for ours, theirs in columns.names.items()
        if ours != "image" and not empty(cells.get(theirs))
    }
    if "choices" in said:
        said["choices"] = read_choices(said["choices"], where)
        if said["choices"] in ([], {}):
            del said["choices"]
    if lettered := _lettered(cells, columns, where):
        if "choices" in said:
            raise row_error(
                where, "choices either in one column or in columns A, B …, not in both", "both filled"
            )
        said["choices"] = lettered
    if "question" not in said:
        raise row_error(
            where, f"a cell in column {columns.names.get('question', 'question')}", "an empty one"
        )
    row = check_value(
        _plain(said, where),
        QuestionRow,
        where=where,
        remedy=CORRECT_OR_SKIP,
        error=QuestionError,
        foreign=True,
    )
    if not all(row.texts):
        raise row_error(where, "a text in every choice", "an empty one")
    return row


def _at_an_end(text: str, mark: str) -> bool:
    """Whether a text begins or ends with a mark, which may also stand inside of a question about it."""
    return text.strip().startswith(mark) or text.strip().endswith(mark)


def without_placeholder(text: str, where: str, *, has_image: bool) -> str:
    """A question's text without the mark before or behind it that stands for its picture.

    Args:
        text: as the table has it.
        where: the row, for a sentence.
        has_image: whether the row has a picture.

    Raises:
        QuestionError: the mark stands inside the text, or several times, or there is no picture; or it is a video's.
    """
    if video := next((mark for mark in _VIDEO_MARKS if _at_an_end(text, mark)), None):
        raise row_error(where, PICTURES_ONLY, f"the mark of a video, {video}")
    found = [mark for mark in _PLACEHOLDERS for _ in range(text.count(mark))]
    if not found:
        return text
    mark = found[0]
    if not has_image:
        raise row_error(
            where, "a picture in column image, since the question holds its mark", f"{mark} and none"
        )
    plain = text.strip().removeprefix(mark).removesuffix(mark).strip()
    if len(found) > 1 or mark in plain:
        raise row_error(where, "one picture before the question's text", f"{mark} inside the text, or twice")
    return plain


def _plain(said: dict[str, Any], where: str) -> dict[str, Any]:
    """Cells as JSON can have them."""
    for ours, cell in said.items():
        try:
            json.dumps(cell)
        except (TypeError, ValueError, RecursionError) as odd:
            raise row_error(where, f"text or a number in column {ours}", shown(cell)) from odd
    return said


def _lettered(cells: Cells, columns: Columns, where: str) -> list[Any]:
    """Choices in columns A, B, C …; a row may have fewer than there are columns, but none may be left out."""
    found = [cells.get(letter) for letter in columns.letters]
    while found and empty(found[-1]):
        found.pop()
    if any(map(empty, found)):
        raise row_error(
            where,
            f"choices in columns {columns.letters[0]} to {columns.letters[len(found) - 1]}",
            "an empty one between",
        )
    return without_letters(found)


def make_question(
    row: QuestionRow, kind: Kind, where: str, *, id: str, subset: str, images: tuple[Path, ...]
) -> Question:
    """The question that a row of a kind asks.

    Args:
        row: what it says.
        kind: what it asks for.
        where: the row, for a sentence.
        id: unique among questions.
        subset: the part it is counted under.
        images: its pictures.

    Raises:
        QuestionError: the answer is none of the kind, or could be two of the choices.
    """
    text, instruction = (
        row.question.strip().removesuffix(INSTRUCTIONS_OF_KINDS[kind]),
        INSTRUCTIONS_OF_KINDS[kind],
    )
    if kind == "choices":
        text += option_lines(row.texts)
        answers, gold = tuple(MOST_LETTERS[: len(row.texts)]), _chosen(row, where)
    elif kind == "yes-no":
        if row.yes_or_no is None:
            raise row_error(where, "an answer that is Yes or No", shown(row.answer))
        answers, gold = YES_NO, YES_NO.index(row.yes_or_no)
    else:
        answers, gold = (str(row.answer).strip(),), 0
    return Question(
        benchmark=benchmark_name(kind, row.role),
        id=id,
        prompt=text + instruction,
        images=images,
        answers=answers,
        gold=gold,
        subset=subset,
        group=group_of(images, text) if row.group is None else str(row.group),
    )


def make_unlabelled(row: QuestionRow, where: str, *, id: str, images: tuple[Path, ...]) -> Question:
    """The question that a row without an answer asks: in its own words, and choices on lines of their own.

    Args:
        row: what it says.
        where: the row, for a sentence.
        id: unique among questions.
        images: its pictures.

    Raises:
        QuestionError: it is to count for robustness, which objects in pictures do that are asked about besides.
    """
    if row.role == "robustness":
        raise row_error(
            where, "an answer, or role utility, which agreement with the dense model counts for", "neither"
        )
    text = row.question.strip()
    if row.choices is not None:
        text = text.removesuffix(INSTRUCTIONS_OF_KINDS["choices"])
        text += option_lines(row.texts) + INSTRUCTIONS_OF_KINDS["choices"]
    return unlabelled(text, id=id, images=images, group=None if row.group is None else str(row.group))


def benchmark_name(kind: Kind, role: Role | None) -> str:
    """Of the benchmark that serves a role with questions of a kind: the kind, and the role where it is another."""
    return kind if role in (None, ROLES_OF_KINDS[kind]) else f"{kind}-{role}"


def could_answer(row: QuestionRow, cell: object) -> bool:
    """Whether a cell of an unknown column looks like the row's answer: one of its choices, or else Yes or No."""
    if not isinstance(cell, str | int | bool):
        return False
    if row.choices is None:
        return str(cell).strip().rstrip(".").casefold() in ("yes", "no")
    return bool(_meant(replace(row, answer=cell)))


def could_be_choices(row: QuestionRow, cell: object) -> bool:
    """Whether a cell of an unknown column looks like the row's choices: several, and the answer is the text of one."""
    try:
        choices = read_choices(cell, "")
    except QuestionError:
        return False
    return isinstance(choices, list) and len(choices) > 1 and str(row.answer).strip() in choices


def _chosen(row: QuestionRow, where: str) -> int:
    """Index of the choice that the answer names."""
    texts, meant = row.texts, _meant(row)
    if len(meant) == 1:
        return meant.pop()
    letters = " and ".join(MOST_LETTERS[index] for index in sorted(meant))
    wanted = f"a letter A to {MOST_LETTERS[len(texts) - 1]}, the text of a choice, or its index from 0"
    found = f"{shown(row.answer)}, which could be {letters}" if meant else shown(row.answer)
    raise row_error(where, f"the answer to be {wanted}", found)


def _meant(row: QuestionRow) -> set[int]:
    """Indices of the choices that the answer may name by its letter, its text or its index from 0."""
    texts, answer = row.texts, row.answer
    text = str(answer).strip()
    meant = {
        index for index, choice in enumerate(texts) if choice == text or lettered(text) == (index, choice)
    }
    letter = text.strip("().").upper()
    if not isinstance(answer, bool) and len(letter) == 1 and letter in MOST_LETTERS[: len(texts)]:
        meant.add(MOST_LETTERS.index(letter))
    if not isinstance(answer, bool) and text.isascii() and text.isdecimal() and int(text) < len(texts):
        meant.add(int(text))
    return meant


def index_beyond(row: QuestionRow) -> bool:
    """Whether the answer is the number of choices: then a file counts them from 1, and every index in it is wrong."""
    text = str(row.answer).strip()
    return row.choices is not None and text == str(len(row.texts)) and text not in row.texts
