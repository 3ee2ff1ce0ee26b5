"""Rows that are conversations: what somebody asked and what followed, each a row of its own.

LLaVA and ShareGPT keep turns in ``conversations`` (``from``: human and gpt, ``value``), OpenAI, Qwen and ms-swift in
``messages`` (``role``: user and assistant, ``content``: a text, or parts of which one is a picture).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hipp_prune.errors import QuestionError
from hipp_prune.files.faults import shown
from hipp_prune.files.strict import sound_json
from hipp_prune.questions.own.table import Cells, QuestionTable, empty, row_error
from hipp_prune.questions.records import CORRECT_OR_SKIP, SkipBad, skip_or_raise, warn

_COLUMNS = ("conversations", "conversation", "messages")
_ASKS, _ANSWERS, _SYSTEM = ("human", "user"), ("gpt", "assistant", "model", "bot"), ("system", "developer")
_PICTURE, _PICTURES = "image", "images"


def unfold(table: QuestionTable, skip_bad: SkipBad | None = None) -> QuestionTable:
    """A table whose rows are questions; itself where its rows are no conversations.

    Every turn is asked alone: no question knows what was said before. All turns are about the conversation's picture.

    Args:
        table: the rows.
        skip_bad: counts conversations that cannot be told apart and leaves them out; None makes them errors.
    """
    names = {column.strip().casefold(): column for column in table.columns}
    told = next((names[name] for name in _COLUMNS if name in names), None)
    if told is None or "question" in names:
        return table
    turns = _Turns(table=table, told=told, skip_bad=skip_bad)
    others = [column for column in table.columns if column not in (told, _PICTURES)]
    first = next(iter(replace(turns, skip_bad=SkipBad(), _counted=set())), ("", {}))[1]
    columns = dict.fromkeys([*others, *first, "question", "answer"])
    return replace(table, columns=tuple(columns), rows=turns)


@dataclass(frozen=True, kw_only=True)
class _Turns(Iterable[tuple[str, Cells]]):
    """The turns of all conversations, read one after the other."""

    table: QuestionTable
    told: str
    """Name of their column."""
    skip_bad: SkipBad | None
    _counted: set[str] = field(default_factory=set)

    def __iter__(self) -> Iterator[tuple[str, Cells]]:
        for where, cells in self.table.rows:
            try:
                turns = list(self._turns(cells, where))
            except QuestionError as error:
                if where not in self._counted:
                    skip_or_raise(error, self.skip_bad)
                self._counted.add(where)
                continue
            for number, turn in enumerate(turns, start=1):
                yield (where if len(turns) == 1 else f"{where}, turn {number}"), turn

    def _turns(self, cells: Cells, where: str) -> Iterator[Cells]:
        messages = _messages(cells.get(self.told), where)
        rest = {name: cell for name, cell in cells.items() if name not in (self.told, _PICTURES)}
        pictures = [picture for message in messages for picture in message.pictures]
        if not empty(cells.get(_PICTURES)):
            pictures.append(cells[_PICTURES])
        if len(pictures) > 1:
            raise row_error(where, "a conversation about one picture", f"{len(pictures)} pictures")
        if pictures:
            rest[_PICTURE] = pictures[0]
        if any(message.role in _SYSTEM for message in messages):
            warn(f"{self.table.place}: leaves out what system messages say")
        spoken = [message for message in messages if message.role not in _SYSTEM]
        questions, answers = spoken[::2], spoken[1::2]
        if any(each.role not in _ASKS for each in questions) or any(
            each.role not in _ANSWERS for each in answers
        ):
            found = ", ".join(message.role for message in spoken)
            raise row_error(
                where, f"turns of {' or '.join(_ASKS)} and {' or '.join(_ANSWERS)} by turns", shown(found)
            )
        ours = next((name for name in rest if name.strip().casefold() == "id"), None)
        for number, question in enumerate(questions):
            turn = rest | {"question": question.text}
            if number < len(answers):
                turn["answer"] = answers[number].text
            if ours is not None and len(questions) > 1 and not empty(rest[ours]):
                turn[ours] = f"{rest[ours]}/{number + 1}"
            yield turn


@dataclass(frozen=True, kw_only=True)
class _Message:
    """What one side said."""

    role: str
    text: str
    pictures: tuple[object, ...] = ()


def _messages(cell: object, where: str) -> list[_Message]:
    """The messages of a cell; in CSV it is JSON.

    Raises:
        QuestionError: it holds something else.
    """
    if isinstance(cell, str):
        cell = sound_json(cell, where=f"{where}, its turns", remedy=CORRECT_OR_SKIP, error=QuestionError)
    if not isinstance(cell, list) or not cell:
        raise row_error(where, 'a list of turns such as {"role": "user", "content": …}', shown(cell))
    return [_message(turn, where) for turn in cell]


def _message(turn: object, where: str) -> _Message:
    said: Mapping[str, Any] = turn if isinstance(turn, Mapping) else {}
    role, content = said.get("role", said.get("from")), said.get("content", said.get("value"))
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    if not isinstance(role, str) or not isinstance(content, list):
        raise row_error(where, 'a turn such as {"role": "user", "content": …}', shown(turn))
    texts, pictures = list[str](), list[object]()
    for part in content:
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind in ("text", "input_text", "output_text") and isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif kind in ("image", "image_url", "input_image"):
            pictures += [picture] if (picture := _picture(part)) else []
        else:
            raise row_error(where, "parts of a turn that are texts or pictures", shown(part))
    return _Message(role=role.strip().casefold(), text="\n".join(texts), pictures=tuple(pictures))


def _picture(part: Mapping[str, Any]) -> object:
    """The picture that a part names; None where it only says that there is one, which a column names."""
    found = next((part[name] for name in ("image", "image_url", "url", "path") if part.get(name)), None)
    return found.get("url") if isinstance(found, Mapping) and "url" in found else found
