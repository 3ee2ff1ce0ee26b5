"""All questions of a table."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from hipp_prune.errors import InputError, QuestionError
from hipp_prune.files.faults import name, shown
from hipp_prune.questions.benchmark import Loading, Role
from hipp_prune.questions.copies import warn_of_copies
from hipp_prune.questions.own.choice_cells import choices_in_text
from hipp_prune.questions.own.columns import PICTURES_ONLY, Columns, match_columns, with_columns
from hipp_prune.questions.own.conversations import unfold
from hipp_prune.questions.own.pictures import PictureCells
from hipp_prune.questions.own.places import find_table
from hipp_prune.questions.own.remarks import warn_of_blanks, warn_of_neither, warn_of_sentences
from hipp_prune.questions.own.rows import (
    INSTRUCTIONS_OF_KINDS,
    MARKS,
    AskedRow,
    Kind,
    QuestionRow,
    benchmark_name,
    could_answer,
    could_be_choices,
    index_beyond,
    make_question,
    make_unlabelled,
    read_row,
    without_placeholder,
)
from hipp_prune.questions.own.short_answers import normalised
from hipp_prune.questions.own.table import QuestionTable, empty, row_error
from hipp_prune.questions.question import Question, pictures_of
from hipp_prune.questions.records import SkipBad, skip_or_raise, warn


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
    table = unfold(table, how.skip_bad)
    columns = match_columns(table, how.options.get("columns"))
    asked = _read(table, columns, how)
    answered = any(each.row.answer is not None for each in asked)
    if not answered:
        _refuse_hidden_answers(table, columns, asked)
    if answered or kind is not None:
        asked = _answered(asked, how.skip_bad)
        _refuse_ambiguous(table, asked, free=kind == "short-answers")
        if kind is None:
            _refuse_hidden_choices(table, columns, asked)
            warn_of_neither(table, asked)
    warn_of_blanks(table, asked)
    warn_of_sentences(table, asked, free=kind == "short-answers")
    questions = _make(table, asked, how.skip_bad, kind, role)
    if not questions:
        raise QuestionError(f"{table.place}: expected a row for each question, found none; add some")
    warn_of_copies(pictures_of(questions), table.place)
    return questions


def _read(table: QuestionTable, columns: Columns, how: Loading) -> list[AskedRow]:
    pictures = PictureCells(home=how.images or table.home, cache=how.cache, need_images=how.need_images)
    asked = []
    for number, (where, cells) in enumerate(table.rows, start=1):
        try:
            row = read_row(cells, columns, where)
            if video := next((name for name in columns.videos if not empty(cells.get(name))), None):
                raise row_error(where, PICTURES_ONLY, f"a video in column {video}")
            images = pictures.find(cells.get(columns.names.get("image", "")), where)
            row = _plain(row, where, has_image=bool(images))
        except InputError as error:
            skip_or_raise(error, how.skip_bad)
            continue
        asked.append(AskedRow(where=where, number=number, row=row, images=images))
    return asked


def _plain(row: QuestionRow, where: str, *, has_image: bool) -> QuestionRow:
    """A row without what stands for its picture, and with the choices that its text lists where its answer is one."""
    row = replace(row, question=without_placeholder(row.question, where, has_image=has_image))
    if row.choices is None and len(row.said) == 1 and row.said.isalpha():
        text, choices = choices_in_text(row.question.removesuffix(INSTRUCTIONS_OF_KINDS["choices"]))
        if choices:
            return replace(row, question=text, choices=list(choices))
    return row


def _refuse_hidden_answers(table: QuestionTable, columns: Columns, asked: Sequence[AskedRow]) -> None:
    """Refuses to take rows for prompts whose answers seem to stand in a column of another name.

    Args:
        table: the rows' table.
        columns: those that are known.
        asked: its rows, none of which has an answer.

    Raises:
        QuestionError: naming the column that holds nothing but what could answer its rows.
    """
    if found := _hidden(table, columns, asked, could_answer):
        raise QuestionError(
            f"{table.place}: expected a column answer, found none, but {name(found)} looks like it; write "
            f"{with_columns(table, {**columns.names, 'answer': found})}, or remove that column where nobody has "
            "answered"
        )


def _refuse_hidden_choices(table: QuestionTable, columns: Columns, asked: Sequence[AskedRow]) -> None:
    """Refuses to take answers for free ones whose choices seem to stand in a column of another name.

    Args:
        table: the rows' table.
        columns: those that are known.
        asked: its rows, all with an answer.

    Raises:
        QuestionError: naming the column that holds, in every such row, the answer and others beside it.
    """
    free = [each for each in asked if each.row.kind == "short-answers"]
    if "choices" not in columns.names and (found := _hidden(table, columns, free, could_be_choices)):
        raise QuestionError(
            f"{table.place}: expected a column choices, found none, but {name(found)} looks like it; write "
            f"{with_columns(table, {**columns.names, 'choices': found})}, or remove that column where answers are free"
        )


def _hidden(
    table: QuestionTable,
    columns: Columns,
    asked: Sequence[AskedRow],
    fits: Callable[[QuestionRow, object], bool],
) -> str | None:
    """The first unknown column of which every filled cell fits its row; None where there is none.

    Args:
        table: the rows' table.
        columns: those that are known.
        asked: the rows that are looked at.
        fits: whether a cell does.
    """
    known = {*columns.names.values(), *columns.letters}
    rows, filled = {each.number: each.row for each in asked}, set[str]()
    free = [column for column in table.columns if column not in known]
    for number, (_, cells) in enumerate(table.rows, start=1):
        if number in rows and free:
            full = {column for column in free if not empty(cells.get(column))}
            filled |= full
            free = [column for column in free if column not in full or fits(rows[number], cells[column])]
    return next((column for column in free if column in filled), None)


def _answered(asked: Sequence[AskedRow], skip_bad: SkipBad | None) -> list[AskedRow]:
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


def _refuse_ambiguous(table: QuestionTable, asked: Sequence[AskedRow], *, free: bool) -> None:
    """Refuses a file whose answers mean something else than they would be taken for, whatever may be skipped.

    Args:
        table: the rows' table.
        asked: its rows.
        free: whether the source says that answers are short ones.

    Raises:
        QuestionError: choices are counted from 1, yes and no are 1 and 0, or answers are letters of no choices.
    """
    beyond = next((each for each in asked if index_beyond(each.row)), None)
    if beyond is not None:
        raise QuestionError(
            f"{beyond.where}: expected the index of a choice, counted from 0, found {shown(beyond.row.answer)} of "
            f"{len(beyond.row.texts)} choices, so the file counts from 1 or this row is wrong; write letters, A for "
            "the first choice"
        )
    plain = {each.row.said for each in asked if each.row.choices is None}
    words = {each.row.said for each in asked if each.row.choices is None and each.row.yes_or_no is not None}
    marks, shorts = plain - words, set().union(*MARKS)
    if free or not marks:
        return
    if any(marks <= pair for pair in MARKS) or (words and marks <= shorts):
        raise QuestionError(
            f"{table.place}: expected answers that say what they mean, found only {' and '.join(sorted(plain))}; "
            f"write Yes and No, or short-answers:{table.place} where they are counts"
        )
    if all(len(mark.strip("()")) == 1 and mark.strip("()").isalpha() for mark in marks):
        raise QuestionError(
            f"{table.place}: expected choices where answers are letters, found none beside "
            f"{', '.join(sorted(marks)).upper()}; "
            f"put them into a column choices, as one|two, or into columns A, B, C …, or write "
            f"short-answers:{table.place} where a letter is what is asked for"
        )


def _make(
    table: QuestionTable,
    asked: Sequence[AskedRow],
    skip_bad: SkipBad | None,
    kind: Kind | None,
    role: Role | None,
) -> list[Question]:
    questions: dict[str, Question] = {}
    groups: dict[Path, tuple[str | None, str]] = {}
    first: dict[tuple[tuple[Path, ...], str], tuple[str, Question]] = {}
    again = []
    for each in asked:
        try:
            question = _question(table, each, kind, role)
            if question.id in questions:
                raise row_error(each.where, "every id once", f"{question.id} again")
            group = None if each.row.group is None else question.group
            _refuse_two_groups(groups, question, group, each.where)
            place, before = first.setdefault((question.images, question.prompt), (each.where, question))
            _refuse_contradiction(before, place, question, each.where)
        except InputError as error:
            skip_or_raise(error, skip_bad)
            continue
        questions[question.id] = question
        groups |= dict.fromkeys(question.images, (group, question.group))
        if before is not question and before.benchmark == question.benchmark:
            again.append(each.where)
    if again:
        rows = "a row asks" if len(again) == 1 else f"{len(again)} rows ask"
        warn(
            f"{table.place}: {rows} again what an earlier one asks about the same pictures, and counts again, such as "
            f"{again[0]}; remove what is there twice"
        )
    return list(questions.values())


def _refuse_two_groups(
    groups: Mapping[Path, tuple[str | None, str]], question: Question, group: str | None, where: str
) -> None:
    """Refuses a row that puts a picture in another group than an earlier row did.

    Args:
        groups: of pictures so far, as rows name them, None where they name none, and as questions have them.
        question: the row's.
        group: what the row names; None where it names none.
        where: it stands.

    Raises:
        QuestionError: naming both groups.
    """
    for path in question.images:
        other, named = groups.get(path, (group, question.group))
        if other != group:
            found = f"{shown(question.group)} and {shown(named)}"
            raise row_error(where, "questions about one picture in one group", found)


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


def _question(table: QuestionTable, asked: AskedRow, kind: Kind | None, role: Role | None) -> Question:
    row, where = asked.row, asked.where
    if role is not None and row.role is None:
        row = replace(row, role=role)
    id = f"{table.name}/{asked.number if row.id is None else row.id}"
    if row.answer is None:
        return make_unlabelled(row, where, id=id, images=asked.images)
    told = row.kind
    if kind == "short-answers" and told == "yes-no":  # in words too, where the source says so
        told = kind
    if told != (kind or told) or row.role != (role or row.role):
        wanted = benchmark_name(kind or told, role)
        raise row_error(where, f"a question of {wanted}", f"one of {benchmark_name(told, row.role)}")
    return make_question(
        row,
        told,
        where,
        id=id,
        subset=table.name,
        images=asked.images,
    )
