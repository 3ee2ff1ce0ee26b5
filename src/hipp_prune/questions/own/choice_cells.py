"""Cells that hold choices, as people, spreadsheets and programs write them."""

import re
from ast import literal_eval
from collections.abc import Mapping, Sequence

from hipp_prune.errors import QuestionError
from hipp_prune.files.faults import shown
from hipp_prune.files.strict import sound_json
from hipp_prune.questions.multiple_choice import MOST_LETTERS
from hipp_prune.questions.own.table import SEPARATOR, row_error
from hipp_prune.questions.records import CORRECT_OR_SKIP

_ITEM = re.compile(r"\(?([A-Za-z])[.):]\s*(\S.*)")
"""A choice after its letter: ``A. a cup``, ``(A) a cup``, ``a) a cup``."""
_LETTER_ITEM = re.compile(r"\(?([A-Z])[.):]\s*(\S.*)")


def read_choices(cell: object, where: str) -> object:
    """The choices of a cell: a list, or text that is one, with bars or line breaks between; their letters are left out.

    Args:
        cell: of the column ``choices``.
        where: the row, for a sentence.

    Raises:
        QuestionError: it is text that could be one choice or several, or no list.
    """
    if isinstance(cell, str):
        cell = _listed(cell, where)
    if isinstance(cell, Mapping):
        cell = _in_order(cell, where)
    return without_letters(cell) if isinstance(cell, list) else cell


def without_letters(choices: Sequence[object]) -> list[object]:
    """Choices without the letters before them, if all have their own: ``["A. a cup", "B. a dog"]``."""
    items = [_ITEM.fullmatch(choice.strip()) if isinstance(choice, str) else None for choice in choices]
    found = [item for item in items if item is not None]
    letters = [item[1].upper() for item in found]
    if len(found) < len(choices) or letters != list(MOST_LETTERS[: len(choices)]):
        return list(choices)
    return [item[2] for item in found]


def lettered(answer: str) -> tuple[int, str] | None:
    """The index and the text that an answer such as ``B. a dog`` names; None where it is none of that form."""
    item = _ITEM.fullmatch(answer.strip())
    return None if item is None else (MOST_LETTERS.index(item[1].upper()), item[2])


def choices_in_text(text: str) -> tuple[str, list[str]]:
    """A question and the choices that its last lines list, ``A. a cup`` and so on; none where they do not."""
    lines = text.rstrip().split("\n")
    items = [_LETTER_ITEM.fullmatch(line.strip()) for line in lines]
    start = len(lines)
    while start and items[start - 1] is not None:
        start -= 1
    listed = [item for item in items[start:] if item is not None]
    if start == 0 or len(listed) < 2 or [item[1] for item in listed] != list(MOST_LETTERS[: len(listed)]):
        return text, []
    return "\n".join(lines[:start]).rstrip(), [item[2] for item in listed]


def _listed(cell: str, where: str) -> object:
    """Choices written as a list in JSON or Python, or with bars or line breaks between."""
    text = cell.strip()
    if text.startswith(("[", "{")):
        try:
            return sound_json(cell, where=f"{where}, choices", remedy=CORRECT_OR_SKIP, error=QuestionError)
        except QuestionError:
            return _python(text, where)
    for separator in (SEPARATOR, "\n"):
        if separator in text:
            return [choice.strip() for choice in text.split(separator) if choice.strip() or separator == "|"]
    parts = re.split(r"\s*[;,/]\s*", text)
    remedy = f", here perhaps {SEPARATOR.join(parts)!r}" if len(parts) > 1 else ""
    raise row_error(where, f'choices as ["one", "two"] or one|two{remedy}', shown(cell))


def _python(text: str, where: str) -> object:
    """What pandas writes of a list: Python's own spelling of it."""
    try:
        found = literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        found = None
    joined = isinstance(found, list) and len(found) == 1 and len(re.findall(r"'[^']*'", text)) > 1
    if not isinstance(found, list | dict) or joined:  # numpy leaves the commas out, and Python reads one text
        raise row_error(where, 'choices as ["one", "two"] or one|two', shown(text))
    return found


def _in_order(cell: Mapping[object, object], where: str) -> list[object]:
    """Choices by their letters.

    Raises:
        QuestionError: their names are other ones.
    """
    named = {str(name).strip().upper(): choice for name, choice in cell.items() if choice is not None}
    letters = MOST_LETTERS[: len(named)]
    if not named or set(named) != set(letters):
        raise row_error(where, "choices as a list, or by the letters A, B, C …", shown(dict(cell)))
    return [named[letter] for letter in letters]
