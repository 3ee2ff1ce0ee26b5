"""All questions of a table."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hipp_prune.errors import InputError, QuestionError
from hipp_prune.files.faults import name, shown
from hipp_prune.questions.benchmark import Loading, Role
from hipp_prune.questions.own.columns import Columns, match_columns, with_columns
from hipp_prune.questions.own.pictures import PictureCells
from hipp_prune.questions.own.places import find_table
from hipp_prune.questions.own.rows import (
    Kind,
    QuestionRow,
    benchmark_name,
    could_answer,
    index_beyond,
    make_question,
    make_unlabelled,
    read_row,
)
from hipp_prune.questions.own.short_answers import normalised
from hipp_prune.questions.own.table import QuestionTable, empty, row_error
from hipp_prune.questions.question import Question
from hipp_prune.questions.records import SkipBad, skip_or_raise, warn

_FEW = 0.1
"""Share of a table's answers that may be there by mistake."""


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """A row, where it stands, and its picture."""

    where: str
    number: int
    """From 1, bad rows counted."""
    row: QuestionRow
    image: Path | None


def load_own(place: Path, how: Loading, kind: Kind | None = None, role: Role | None = None) -> list[Question]:
    """Every question of a table, in its order.

    Args:
        place: a file, a folder, or ``hf:owner/name``.
        how: options, and where pictures are kept.
        kind: what every row must ask for; None leaves it to the row.
        role: what every row must count for; None leaves it to the row.

    Raises:
        QuestionError: there is no table, or one without our columns, or a row is no question, lacks the answer that
            others have, repeats an id, has another group than one about the same picture, or another answer to the same
            question about it (skippable).
        ImageError: a picture is not there (skippable).
    """
    if how.images is not None and how.need_images and not how.images.is_dir():
        raise QuestionError(f"{how.images}: expected a folder with pictures, found none; check images=")
    return load_table(find_table(str(place), how.options, how.skip_bad), how, kind, role)


def load_table(
    table: QuestionTable, how: Loading, kind: Kind | None = None, role: Role | None = None
) -> list[Question]:
    """Every question of a table that has been found.

    Args:
        table: its rows.
        how: options, and where pictures are kept.
        kind: what every row must ask for; None leaves it to the row.
        role: what every row must count for; None leaves it to the row.

    Raises:
        QuestionError, ImageError: see ``load_own``.
    """
    columns = match_columns(table, how.options.get("columns"))
    asked = _read(table, columns, how)
    answered = any(each.row.answer is not None for each in asked)
    if not answered:
        _refuse_hidden_answers(table, columns, asked)
    if answered or kind is not None:
        asked = _answered(asked, how.skip_bad)
        _refuse_numbers(table, asked, free=kind == "short-answers")
        if kind is None:
            _warn_of_neither(table, asked)
    questions = _make(table, asked, how.skip_bad, kind, role)
    if not questions:
        raise QuestionError(f"{table.place}: expected a row for each question, found none; add some")
    return questions


def _read(table: QuestionTable, columns: Columns, how: Loading) -> list[_Asked]:
    pictures = PictureCells(home=how.images or table.home, cache=how.cache, need_images=how.need_images)
    asked = []
    for number, (where, cells) in enumerate(table.rows, start=1):
        try:
            row = read_row(cells, columns, where)
            image = pictures.find(cells.get(columns.names.get("image", "")), where)
        except InputError as error:
            skip_or_raise(error, how.skip_bad)
            continue
        asked.append(_Asked(where=where, number=number, row=row, image=image))
    return asked


def _refuse_hidden_answers(table: QuestionTable, columns: Columns, asked: Sequence[_Asked]) -> None:
    """Refuses to take rows for prompts whose answers seem to stand in a column of another name.

    Args:
        table: the rows' table.
        columns: those that are known.
        asked: its rows, none of which has an answer.

    Raises:
        QuestionError: naming the column that holds nothing but what could answer its rows.
    """
    known = {*columns.names.values(), *columns.letters}
    rows, filled = {each.number: each.row for each in asked}, set[str]()
    free = [column for column in table.columns if column not in known]
    for number, (_, cells) in enumerate(table.rows, start=1):
        if number in rows:
            full = {column for column in free if not empty(cells.get(column))}
            filled |= full
            free = [
                column for column in free if column not in full or could_answer(rows[number], cells[column])
            ]
    if found := next((column for column in free if column in filled), None):
        raise QuestionError(
            f"{table.place}: expected a column answer, found none, but {name(found)} looks like it; write "
            f"{with_columns(table, {**columns.names, 'answer': found})}, or remove that column where nobody has "
            "answered"
        )


def _answered(asked: Sequence[_Asked], skip_bad: SkipBad | None) -> list[_Asked]:
    """Rows with an answer; those without one are bad, where others have one or a kind is asked for.

    Raises:
        QuestionError: naming the first without one (skippable).
    """
    empty = [each for each in asked if each.row.answer is None]
    for each in empty:
        wanted = "an answer in every row, or in none for agreement with the dense model"
        found = (
            f"none here and in {len(empty) - 1} of {len(asked) - 1} others" if len(empty) > 1 else "none here"
        )
        skip_or_raise(row_error(each.where, wanted, found), skip_bad)
    return [each for each in asked if each.row.answer is not None]


def _refuse_numbers(table: QuestionTable, asked: Sequence[_Asked], *, free: bool) -> None:
    """Refuses a file whose numbers mean something else than they would be taken for, whatever may be skipped.

    Args:
        table: the rows' table.
        asked: its rows.
        free: whether the source says that answers are short ones.

    Raises:
        QuestionError: choices are counted from 1, or yes and no are 1 and 0.
    """
    beyond = next((each for each in asked if index_beyond(each.row)), None)
    if beyond is not None:
        raise QuestionError(
            f"{beyond.where}: expected the index of a choice, counted from 0, found {shown(beyond.row.answer)} of "
            f"{len(beyond.row.texts)} choices, so the file counts from 1 or this row is wrong; write letters, A for "
            "the first choice"
        )
    plain = {str(each.row.answer).strip() for each in asked if each.row.choices is None}
    if plain and plain <= {"0", "1"} and not free:
        raise QuestionError(
            f"{table.place}: expected answers that say what they mean, found only {' and '.join(sorted(plain))}; "
            f"write Yes and No, or short-answers:{table.place} where they are counts"
        )


def _warn_of_neither(table: QuestionTable, asked: Sequence[_Asked]) -> None:
    """Says how many answers are neither Yes nor No where nearly all are: they may be misspelt.

    Args:
        table: the rows' table.
        asked: its rows, all with an answer.
    """
    free = [each for each in asked if each.row.choices is None]
    odd = [each for each in free if each.row.kind != "yes-no"]
    if 0 < len(odd) <= _FEW * len(free):
        some = f"{len(odd)} of {len(free)} answers {'is' if len(odd) == 1 else 'are'}"
        warn(
            f"{table.place}: {some} neither Yes nor No, such as {shown(odd[0].row.answer)} at {odd[0].where}, and "
            "taken for short answers; correct what is misspelt"
        )


def _make(
    table: QuestionTable,
    asked: Sequence[_Asked],
    skip_bad: SkipBad | None,
    kind: Kind | None,
    role: Role | None,
) -> list[Question]:
    questions: dict[str, Question] = {}
    groups: dict[Path, str] = {}
    first: dict[tuple[Path | None, str], tuple[str, Question]] = {}
    again = []
    for each in asked:
        try:
            question = _question(table, each, kind, role)
            if question.id in questions:
                raise row_error(each.where, "every id once", f"{question.id} again")
            group = question.group if question.image is None else groups.get(question.image, question.group)
            if group != question.group:
                raise row_error(
                    each.where,
                    "questions about one picture in one group",
                    f"{shown(question.group)} and {shown(group)}",
                )
            place, before = first.setdefault((question.image, question.prompt), (each.where, question))
            _refuse_contradiction(before, place, question, each.where)
        except InputError as error:
            skip_or_raise(error, skip_bad)
            continue
        questions[question.id] = question
        if before is not question and before.benchmark == question.benchmark:
            again.append(each.where)
        if question.image is not None:
            groups[question.image] = question.group
    if again:
        rows = "a row asks" if len(again) == 1 else f"{len(again)} rows ask"
        warn(
            f"{table.place}: {rows} again what an earlier one asks about the same picture, and counts again, such as "
            f"{again[0]}; remove what is there twice"
        )
    return list(questions.values())


def _refuse_contradiction(before: Question, place: str, question: Question, where: str) -> None:
    """Refuses a row that answers otherwise what another one asks about the same picture.

    Args:
        before: the other row's question.
        place: where that stands.
        question: the row's.
        where: it stands.

    Raises:
        QuestionError: naming both rows.
    """
    told, answered = ("" if each.is_unlabelled else each.answer for each in (before, question))
    if normalised(told) != normalised(answered):
        raise row_error(
            where, f"the answer that the same question has at {place}, {shown(told)}", shown(answered)
        )


def _question(table: QuestionTable, asked: _Asked, kind: Kind | None, role: Role | None) -> Question:
    row, where = asked.row, asked.where
    id = f"{table.name}/{asked.number if row.id is None else row.id}"
    if row.answer is None:
        return make_unlabelled(row, where, id=id, image=asked.image)
    told = row.kind
    if kind == "short-answers" and told == "yes-no":  # in words too, where the source says so
        told = kind
    if kind is not None and (told != kind or (role and row.role not in (None, role))):
        raise row_error(
            where, f"a question of {benchmark_name(kind, role)}", f"one of {benchmark_name(told, row.role)}"
        )
    if role is not None:
        row = replace(row, role=role)
    return make_question(
        row,
        told,
        where,
        id=id,
        subset=table.name,
        image=asked.image,
    )
