"""All questions of a table."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hipp_prune.errors import InputError, QuestionError
from hipp_prune.files.faults import shown
from hipp_prune.questions.benchmark import Loading, Role
from hipp_prune.questions.own.columns import match_columns
from hipp_prune.questions.own.pictures import PICTURES_ONLY, PictureCells
from hipp_prune.questions.own.places import find_table
from hipp_prune.questions.own.rows import (
    Kind,
    QuestionRow,
    benchmark_name,
    index_beyond,
    make_question,
    make_unlabelled,
    read_row,
)
from hipp_prune.questions.own.table import QuestionTable, empty, row_error
from hipp_prune.questions.question import Question
from hipp_prune.questions.records import SkipBad, skip_or_raise


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """A row, where it stands, and its pictures."""

    where: str
    number: int
    """From 1, bad rows counted."""
    row: QuestionRow
    images: tuple[Path, ...]


def load_own(place: Path, how: Loading, kind: Kind | None = None, role: Role | None = None) -> list[Question]:
    """Every question of a table, in its order.

    Args:
        place: a file, a folder, or ``hf:owner/name``.
        how: options, and where pictures are kept.
        kind: what every row must ask for; None leaves it to the row.
        role: what every row must count for; None leaves it to the row.

    Raises:
        QuestionError: there is no table, or one without our columns, or a row is no question, lacks the answer that
            others have, repeats an id, or has another group than one about the same picture (skippable).
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
    asked = _read(table, how)
    if kind is not None or any(each.row.answer is not None for each in asked):
        asked = _answered(asked, how.skip_bad)
        _refuse_numbers(table, asked, free=kind == "short-answers")
    questions = _make(table, asked, how.skip_bad, kind, role)
    if not questions:
        raise QuestionError(f"{table.place}: expected a row for each question, found none; add some")
    return questions


def _read(table: QuestionTable, how: Loading) -> list[_Asked]:
    columns = match_columns(table, how.options.get("columns"))
    pictures = PictureCells(home=how.images or table.home, cache=how.cache, need_images=how.need_images)
    asked = []
    for number, (where, cells) in enumerate(table.rows, start=1):
        try:
            row = read_row(cells, columns, where)
            if video := next((name for name in columns.videos if not empty(cells.get(name))), None):
                raise row_error(where, PICTURES_ONLY, f"a video in column {video}")
            images = pictures.find(cells.get(columns.names.get("image", "")), where)
        except InputError as error:
            skip_or_raise(error, how.skip_bad)
            continue
        asked.append(_Asked(where=where, number=number, row=row, images=images))
    return asked


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


def _make(
    table: QuestionTable,
    asked: Sequence[_Asked],
    skip_bad: SkipBad | None,
    kind: Kind | None,
    role: Role | None,
) -> list[Question]:
    questions: dict[str, Question] = {}
    groups: dict[Path, tuple[str | None, str]] = {}
    for each in asked:
        try:
            question = _question(table, each, kind, role)
            if question.id in questions:
                raise row_error(each.where, "every id once", f"{question.id} again")
            group = None if each.row.group is None else question.group
            for path in question.images:
                other, named = groups.get(path, (group, question.group))
                if other != group:
                    raise row_error(
                        each.where,
                        "questions about one picture in one group",
                        f"{shown(question.group)} and {shown(named)}",
                    )
        except InputError as error:
            skip_or_raise(error, skip_bad)
            continue
        questions[question.id] = question
        groups |= dict.fromkeys(question.images, (group, question.group))
    return list(questions.values())


def _question(table: QuestionTable, asked: _Asked, kind: Kind | None, role: Role | None) -> Question:
    row, where = asked.row, asked.where
    id = f"{table.name}/{asked.number if row.id is None else row.id}"
    if row.answer is None:
        return make_unlabelled(row, where, id=id, images=asked.images)
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
        images=asked.images,
    )
