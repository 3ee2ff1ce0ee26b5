"""What the benchmarks of a person's own questions are made of: the same but for kind and role."""

from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from pathlib import Path

from hipp_prune.questions.benchmark import Benchmark, Loading, Role, Rule
from hipp_prune.questions.multiple_choice import (
    MOST_LETTERS,
    ChoiceScore,
    Tally,
    parse_letter,
    plain_mean,
    restore_choice,
)
from hipp_prune.questions.own.loading import load_own
from hipp_prune.questions.own.rows import INSTRUCTIONS_OF_KINDS, Kind, benchmark_name
from hipp_prune.questions.own.short_answers import parse_short
from hipp_prune.questions.question import Question
from hipp_prune.questions.yes_no import class_balanced_mean, predict_yes_no, restore_yes_no, score_yes_no

OPTIONS = ("columns", "split", "config")
"""What may follow the place of a table: names of columns, and which part of a data set."""


def own_yes_no(title: str, role: Role) -> Benchmark:
    """The benchmark of own yes/no questions that serve a role; read and scored as POPE's are."""
    return Benchmark(
        name=benchmark_name("yes-no", role),
        title=title,
        role=role,
        explanation="are your own; right is who says Yes where the answer is Yes, and No where it is No.",
        options=OPTIONS,
        instruction=INSTRUCTIONS_OF_KINDS["yes-no"],
        load=partial(_load, "yes-no", role),
        parse=predict_yes_no,
        score=partial(score_yes_no, title),
        restore=restore_yes_no,
        mean=class_balanced_mean,
        stratum=_stratum,
        aliases=_aliases,
    )


def own_choices(title: str, role: Role) -> Benchmark:
    """The benchmark of own multiple-choice questions that serve a role; asked as ScienceQA's are, up to 26 letters."""
    return Benchmark(
        name=benchmark_name("choices", role),
        title=title,
        role=role,
        explanation="are your own; right is who picks the letter of the right choice.",
        options=OPTIONS,
        instruction=INSTRUCTIONS_OF_KINDS["choices"],
        load=partial(_load, "choices", role),
        parse=_parse_choice,
        score=partial(_score_choices, title),
        restore=restore_choice,
        mean=plain_mean,
        stratum=_stratum,
        aliases=_aliases,
    )


def own_short_answers(title: str, role: Role) -> Benchmark:
    """The benchmark of own questions with short free answers that serve a role: right where the words are the same."""
    return Benchmark(
        name=benchmark_name("short-answers", role),
        title=title,
        role=role,
        explanation="are your own; right is who says the wanted words, whatever the capitals, articles and full stops.",
        options=OPTIONS,
        instruction=INSTRUCTIONS_OF_KINDS["short-answers"],
        load=partial(_load, "short-answers", role),
        parse=parse_short,
        score=partial(_score_choices, title),
        restore=restore_choice,
        mean=plain_mean,
        stratum=_table,
        aliases=_aliases,
    )


def _load(kind: Kind, role: Role, place: Path, how: Loading) -> list[Question]:
    return load_own(place, how, kind, role)


def _parse_choice(question: Question, text: str, rule: Rule = "official") -> int | None:  # noqa: ARG001
    return parse_letter(text, len(question.answers), MOST_LETTERS)


def _score_choices(
    title: str,
    questions: Sequence[Question],
    predictions: Sequence[int | None],
    rule: Rule = "official",  # noqa: ARG001
) -> ChoiceScore:
    """Tallies by table; every rule counts alike."""
    members: dict[str, list[tuple[Question, int | None]]] = {}
    pairs = list(zip(questions, predictions, strict=True))
    for question, prediction in pairs:
        members.setdefault(question.subset, []).append((question, prediction))
    parts = {part: Tally.of(member) for part, member in members.items()}
    return ChoiceScore(title=title, overall=Tally.of(pairs), parts=parts)


def _stratum(question: Question) -> Hashable:
    """Table and label: minibatches are balanced by both."""
    return question.subset, question.gold


def _table(question: Question) -> Hashable:
    """Table alone, where nearly every question has an answer of its own."""
    return question.subset


def _aliases(questions: Sequence[Question]) -> Mapping[str, Question]:
    """By the ids of the rows, which have no table before them."""
    return {question.id.removeprefix(f"{question.subset}/"): question for question in questions}
