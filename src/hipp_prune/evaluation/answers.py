"""Stored answers of any model: read from a file, and each paired with its question.

Answers and questions are paired by id, never by order: LLaVA's 2,910 random POPE answers scored by
order against the 3,000-question file of the same name silently give an accuracy of .5017.

Answers to a benchmark also score its corrected edition. It holds fewer questions, so answers to others are ignored; a
question is told by its subset, its picture and its text, where ids may have changed.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from hipp_prune.errors import QuestionError
from hipp_prune.evaluation.answer_files import StoredAnswer, read_stored
from hipp_prune.questions.benchmark import Benchmark
from hipp_prune.questions.benchmarks import BENCHMARKS, asked
from hipp_prune.questions.question import Question

_EXAMPLES = 3


_Find = Callable[[StoredAnswer], Question | None]
_Key = tuple[str, str, str]


def read_answers(
    answers: Path, questions: Sequence[Question], editions: Mapping[str, Sequence[Question]] = {}
) -> dict[str, str]:
    """The text for each ``Question.id``: every question has one, unless an edition shows that it was never asked.

    ``answer_files`` says which files are read. An id may be ``Question.id`` or one of ``Benchmark.aliases``. A prompt,
    where given, must contain the question's text (its last line, the instruction, may differ): ids alone do not tell
    two editions of a benchmark apart. Answers without ids are paired in order, and then every one must have a prompt;
    where there are as many as questions with a picture (lmms-eval's ``scienceqa_img``), they are to these.

    Args:
        answers: the file.
        questions: that are scored.
        editions: what was asked in place of a corrected edition, by the name of that (``load_asked``).

    Raises:
        QuestionError: a record that cannot be read, an answer to no question or to one already
            answered, a question without answer, or a prompt that asks something else.
    """
    stored = read_stored(answers)
    questions = _shown(stored, questions)
    stored = _with_ids(stored, questions, answers)
    finders = _finders(questions, editions, by_picture=any(answer.image is not None for answer in stored))
    texts: dict[str, str] = {}
    unknown, repeated, misasked = list[str](), list[str](), list[str]()
    for answer in stored:
        assert answer.id is not None, "they have ids by now"
        found = [question for find in finders if (question := find(answer)) is not None]
        if not found:
            unknown.append(answer.id)
        for question in found:
            if question.id in texts:
                repeated.append(answer.id)
            if answer.prompt is not None and _body(question) not in answer.prompt:
                misasked.append(answer.id)
            texts[question.id] = answer.text
    corrected = [benchmark for benchmark in asked(questions) if benchmark.corrects]
    due = _due(questions, editions)
    complaints = {
        "answers to no such question": [] if corrected else unknown,
        "repeated answers": repeated,
        "answers to a differently worded prompt": misasked,
        "questions without an answer": [question.id for question in due if question.id not in texts],
    }
    if any(complaints.values()):
        raise QuestionError(
            f"{answers}: expected one answer to each of the {len(due)} questions, found {_listed(complaints)}; "
            f"{_remedy(corrected)}"
        )
    return texts


def unasked(questions: Sequence[Question], texts: Mapping[str, str]) -> dict[str, int]:
    """How many questions of each benchmark have no answer; benchmarks with all answered are absent."""
    return dict(Counter(question.benchmark for question in questions if question.id not in texts))


def _shown(stored: Sequence[StoredAnswer], questions: Sequence[Question]) -> Sequence[Question]:
    """The questions that answers are to: those with a picture, where answers without ids are as many as these."""
    pictured = [question for question in questions if question.images]
    named = any(answer.id is not None or answer.number is not None for answer in stored)
    return pictured if not named and len(stored) == len(pictured) else questions


def _with_ids(
    stored: Sequence[StoredAnswer], questions: Sequence[Question], answers: Path
) -> list[StoredAnswer]:
    """Answers that have no id get that of the question in their place, if the texts agree all the way.

    Raises:
        QuestionError: if there are not as many answers as questions, or a text is not its question's.
    """
    if all(answer.id is not None for answer in stored):
        return list(stored)
    if all(answer.number is not None for answer in stored):
        return _by_number(stored, questions)
    named = []
    if len(stored) != len(questions):
        raise QuestionError(
            f"{answers}: its answers have no ids, so only their order says what they answer: expected "
            f"{len(questions)}, one a question, found {len(stored)}; give the very questions that were asked"
        )
    for answer, question in zip(stored, questions, strict=True):
        if answer.prompt is None or not _same_text(answer.prompt, question):
            raise QuestionError(
                f"{answer.where}: its answers have no ids, so only their order says what they answer: expected the "
                f"question {_body(question)!r}, found {answer.prompt!r}; give the very questions that were asked"
            )
        named.append(replace(answer, id=question.id, prompt=None))
    return named


def _by_number(stored: Sequence[StoredAnswer], questions: Sequence[Question]) -> list[StoredAnswer]:
    """Answers that tell a question's number and text but not its subset get the ids of questions that fit.

    Subsets share questions, of one number, picture and text: each is given one of the answers to it, in the subsets'
    alphabetical order, which is that of lmms-eval's data.

    Raises:
        QuestionError: if an answer is left over.
    """
    waiting: dict[tuple[str, str], list[Question]] = {}
    for question in sorted(questions, key=lambda each: each.subset, reverse=True):
        number = question.id.rpartition("/")[2]
        waiting.setdefault((number, _plain(_body(question))), []).append(question)
    named = []
    for answer in stored:
        body = (answer.prompt or "").rpartition("\n")[0]
        fitting = waiting.get((answer.number or "", _plain(body)))
        if not fitting:
            raise QuestionError(
                f"{answer.where}: expected an answer to a question that was given, found one to number "
                f"{answer.number}, {body!r}; give the very questions that were asked"
            )
        named.append(replace(answer, id=fitting.pop().id, prompt=None))
    return named


def _same_text(prompt: str, question: Question) -> bool:
    """Whether a prompt asks a question, whatever the capitals and spaces."""
    return _plain(_body(question)) in _plain(prompt)


def _plain(text: str) -> str:
    """A text without capitals, its words one space apart."""
    return " ".join(text.lower().split())


def _finders(
    questions: Sequence[Question], editions: Mapping[str, Sequence[Question]], *, by_picture: bool
) -> list[_Find]:
    """Ways from an answer to questions: one for the benchmarks as they are, and one a corrected edition."""
    finders = [_by_id([question for question in questions if not BENCHMARKS[question.benchmark].corrects])]
    for benchmark, own in _corrected(questions):
        if benchmark.name in editions:
            finders.append(_through(editions[benchmark.name], own))
        else:
            finders.append(_by_picture(own) if by_picture else _by_id(own))
    return finders


def _by_id(questions: Sequence[Question]) -> _Find:
    named = _named(questions)
    return lambda answer: named.get(answer.id or "")


def _through(edition: Sequence[Question], corrected: Sequence[Question]) -> _Find:
    """By what the edition asks under that id."""
    named, wanted = _named(edition), {_key(question): question for question in corrected}

    def find(answer: StoredAnswer) -> Question | None:
        question = named.get(answer.id or "")
        return None if question is None else wanted.get(_key(question))

    return find


def _by_picture(questions: Sequence[Question]) -> _Find:
    """By the subset that our ids end with (before the number), the picture and the text."""
    wanted = {_key(question): question for question in questions}

    def find(answer: StoredAnswer) -> Question | None:
        text = (answer.prompt or "").rpartition("\n")[0]
        return wanted.get((PurePosixPath(answer.id or "").parent.name, answer.image or "", text))

    return find


def _named(questions: Sequence[Question]) -> dict[str, Question]:
    """By every id they may go by; a question's own comes first."""
    named = {question.id: question for question in questions}
    for benchmark in asked(questions):
        own = [question for question in questions if question.benchmark == benchmark.name]
        for alias, question in benchmark.aliases(own).items():
            named.setdefault(alias, question)
    return named


def _corrected(questions: Sequence[Question]) -> Iterator[tuple[Benchmark, list[Question]]]:
    for benchmark in asked(questions):
        if benchmark.corrects:
            yield benchmark, [question for question in questions if question.benchmark == benchmark.name]


def _due(questions: Sequence[Question], editions: Mapping[str, Sequence[Question]]) -> list[Question]:
    """The questions that must have an answer: all but those which the edition that was asked does not hold."""
    absent: set[str] = set()
    for benchmark, own in _corrected(questions):
        if benchmark.name in editions:
            held = {_key(question) for question in editions[benchmark.name]}
            lacking = [question.id for question in own if _key(question) not in held]
            if len(lacking) == len(own):
                raise QuestionError(
                    f"{benchmark.name}: expected asked= to hold some of its {len(own)} questions, found none; "
                    f"give {_edition_of(benchmark)} that was asked"
                )
            absent.update(lacking)
    return [question for question in questions if question.id not in absent]


def _key(question: Question) -> _Key:
    """What a question asks, in every edition: subset, name of the first picture, text."""
    return question.subset, question.images[0].name if question.images else "", _body(question)


def _body(question: Question) -> str:
    return question.prompt.rpartition("\n")[0]


def _listed(complaints: Mapping[str, Sequence[str]]) -> str:
    return ", ".join(
        f"{what}: {len(ids)} ({', '.join(ids[:_EXAMPLES])}{', …' if len(ids) > _EXAMPLES else ''})"
        for what, ids in complaints.items()
        if ids
    )


def _remedy(corrected: Sequence[Benchmark]) -> str:
    if not corrected:
        return "give the very questions that were asked"
    editions = " or ".join(
        f"{_edition_of(each)} that was asked, as in {each.name}:PATH,asked=PATH" for each in corrected
    )
    return f"give {editions}"


def _edition_of(corrected: Benchmark) -> str:
    assert corrected.corrects is not None, "corrected editions only"
    return f"the edition of {BENCHMARKS[corrected.corrects].title}"
