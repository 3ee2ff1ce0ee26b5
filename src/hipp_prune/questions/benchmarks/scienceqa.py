"""Official ScienceQA files → Questions.

ScienceQA (Lu et al. 2022, github.com/lupantech/ScienceQA) is a folder with ``problems.json``,
``pid_splits.json`` and ``images/{split}/{pid}/image.png``. LLaVA's flattened form is one file of JSON
lines with ``pid``, ``prompt`` (context, question and options), ``choices``, ``answer`` and ``image``; it
tells neither subject nor grade, so its questions are counted under their context only.
"""

import re
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated

from annotated_types import Len

from hipp_prune.errors import ImageError, QuestionError
from hipp_prune.files.faults import name, shown
from hipp_prune.files.ranges import Natural
from hipp_prune.files.reading import read_document
from hipp_prune.files.strict import check_value
from hipp_prune.questions.benchmark import Benchmark, Loading, Rule
from hipp_prune.questions.multiple_choice import (
    LETTERS,
    ChoiceScore,
    Tally,
    option_lines,
    plain_mean,
    predict_letter,
    restore_choice,
)
from hipp_prune.questions.question import Question
from hipp_prune.questions.records import (
    CORRECT_OR_SKIP,
    OR_SKIP,
    Identifier,
    Name,
    SkipBad,
    read_object,
    read_records,
    skip_or_raise,
)

INSTRUCTION = "\nAnswer with the option's letter from the given choices directly."
"""What LLaVA-1.5 appends to every question."""

UNKNOWN_SUBJECT = "unknown subject"
"""Subset of a flattened question, whose file does not tell."""

_PARTS = ("NAT", "SOC", "LAN", "TXT", "IMG", "NO", "G1-6", "G7-12")
"""The official columns: subject, context modality, grade."""

_SUBJECTS = {"natural science": "NAT", "social science": "SOC", "language science": "LAN"}
_GRADE = re.compile(r"grade([1-9]|1[0-2])")
_LAST_LOWER_GRADE = 6


def load(
    root: Path,
    split: str = "test",
    *,
    images: Path | None = None,
    skip_bad: SkipBad | None = None,
) -> list[Question]:
    """Every question of an official split, in the split's order; or every one of a flattened file.

    Prompts are LLaVA-1.5's to the letter: ``Context: {hint}`` only where there is a hint, the question,
    one lettered line a choice, the instruction. A question is tagged as the official score counts it:
    ``IMG`` with a picture, ``TXT`` with a hint, ``NO`` with neither, ``G1-6`` or ``G7-12`` by grade.

    Args:
        root: the official folder, or a flattened ``.jsonl`` file.
        split: a key of ``pid_splits.json`` (train, val, test, …); a flattened file is one split already.
        images: the folder that stands for ``images``, by default the one beside the files.
        skip_bad: counts bad records and leaves them out; None makes them errors.

    Raises:
        QuestionError: nothing official at ``root``, no such split, a pid without a problem, or a
            problem that lacks a field or has a wrong one; names file and pid or line.
        ImageError: ``images`` is given and no folder.
    """
    if images is not None and not images.is_dir():
        raise ImageError(f"{images}: expected a folder with ScienceQA's pictures, found none; check images=")
    if root.is_file():
        questions = _load_flattened(root, images or root.parent / "images", skip_bad)
    elif root.is_dir():
        questions = _load_official(root, split, images or root / "images", skip_bad)
    else:
        raise QuestionError(f"{root}: expected a ScienceQA folder or file, found nothing; check the path")
    if not questions:
        raise QuestionError(f"{root}: expected ScienceQA questions, found none; give the official files")
    return questions


def _load_official(root: Path, split: str, images: Path, skip_bad: SkipBad | None) -> list[Question]:
    problems_file = root / "problems.json"
    problems = read_object(problems_file)
    questions = []
    for pid in _split_pids(root / "pid_splits.json", split):
        where = f"{problems_file}, pid {pid}"
        problem = problems.get(pid)
        try:
            if problem is None:
                raise QuestionError(
                    f"{where}: expected a problem, because split {split} of pid_splits.json lists it, "
                    f"found none; get the full problems.json {OR_SKIP}"
                )
            questions.append(_official_question(pid, _problem(problem, where), images))
        except QuestionError as error:
            skip_or_raise(error, skip_bad)
    return questions


def _split_pids(file: Path, split: str) -> list[str]:
    splits = read_document(
        file, dict[str, list[Name]], remedy="give the official file", error=QuestionError, foreign=True
    )
    if split not in splits:
        known = ", ".join(map(name, splits))
        raise QuestionError(f"{file}: expected a split called {split}, found {known}; choose one of these")
    pids = splits[split]
    if len(set(pids)) != len(pids):
        [(repeated, _)] = Counter(pids).most_common(1)
        raise QuestionError(f"{file}: expected every pid once, found {repeated} again in {split}; correct it")
    return pids


@dataclass(frozen=True, kw_only=True)
class _Choices:
    """What both forms say of a question's answers."""

    choices: Annotated[list[str], Len(2, len(LETTERS))]
    answer: Natural
    """Which of them is right."""
    image: Name | None
    """File name of the picture; null or empty where there is none."""

    def __post_init__(self) -> None:
        if self.answer >= len(self.choices):
            raise ValueError(
                f"expected field 'answer' to be one of the choices 0 to {len(self.choices) - 1}, found {self.answer}"
            )


@dataclass(frozen=True, kw_only=True)
class _Problem(_Choices):
    """A record of ``problems.json``."""

    question: str
    hint: str
    grade: str
    subject: Name
    split: Name

    def __post_init__(self) -> None:
        super().__post_init__()
        if not _GRADE.fullmatch(self.grade):
            raise ValueError(f"expected field 'grade' to be grade1 to grade12, found {shown(self.grade)}")

    @property
    def grades(self) -> str:
        """The official column of its grade."""
        return "G1-6" if int(self.grade.removeprefix("grade")) <= _LAST_LOWER_GRADE else "G7-12"


@dataclass(frozen=True, kw_only=True)
class _Flattened(_Choices):
    """A line of LLaVA's form."""

    pid: Identifier
    prompt: str


def _problem(content: object, where: str) -> _Problem:
    return check_value(
        content, _Problem, where=where, remedy=CORRECT_OR_SKIP, error=QuestionError, foreign=True
    )


def _official_question(pid: str, problem: _Problem, images: Path) -> Question:
    text, hint, choices = problem.question, problem.hint.strip(), problem.choices
    # Not the requested split: those called minival or trainval keep their pictures under val and train.
    image = images / problem.split / pid / problem.image if problem.image else None
    context = f"Context: {hint}\n" if hint else ""
    return Question(
        benchmark="scienceqa",
        id=pid,
        prompt=_llava_spacing(context + text + option_lines(choices)) + INSTRUCTION,
        images=() if image is None else (image,),
        answers=tuple(LETTERS[: len(choices)]),
        gold=problem.answer,
        subset=problem.subject,
        group=str(image) if image is not None else f"{text}\n{hint}",
        tags=_context_tags(has_image=image is not None, has_hint=bool(hint)) | {problem.grades},
    )


def _load_flattened(file: Path, images: Path, skip_bad: SkipBad | None) -> list[Question]:
    questions: list[Question] = []
    seen: set[str] = set()
    for where, record in read_records(file, _Flattened, skip_bad):
        try:
            question = _flattened_question(record, where, images)
            if question.id in seen:
                raise QuestionError(
                    f"{where}: expected every pid once, found {question.id} again; remove it {OR_SKIP}"
                )
        except QuestionError as error:
            skip_or_raise(error, skip_bad)
            continue
        seen.add(question.id)
        questions.append(question)
    return questions


def _flattened_question(record: _Flattened, where: str, images: Path) -> Question:
    prompt = _llava_spacing(record.prompt.removesuffix(INSTRUCTION))
    choices = record.choices
    options = option_lines(choices).replace("  ", " ")
    if not prompt.endswith(options):
        raise QuestionError(
            f"{where}: expected field 'prompt' to end with its {len(choices)} lettered choices, "
            f"found {prompt[-40:]!r}; {CORRECT_OR_SKIP}"
        )
    image = images / _below_images(record.image) if record.image else None
    return Question(
        benchmark="scienceqa",
        id=str(record.pid),
        prompt=prompt + INSTRUCTION,
        images=() if image is None else (image,),
        answers=tuple(LETTERS[: len(choices)]),
        gold=record.answer,
        subset=UNKNOWN_SUBJECT,
        group=str(image) if image is not None else prompt.removesuffix(options),
        tags=_context_tags(has_image=image is not None, has_hint=prompt.startswith("Context: ")),
    )


def _below_images(name: str) -> PurePosixPath:
    """The path below the image folder: flattened files write ``images/test/11/image.png``."""
    path = PurePosixPath(name)
    return path.relative_to("images") if path.is_relative_to("images") else path


def _llava_spacing(body: str) -> str:
    """Two spaces become one, once over, as in the script that wrote LLaVA's prompts."""
    return body.replace("  ", " ").strip()


def _context_tags(*, has_image: bool, has_hint: bool) -> frozenset[str]:
    tags = {tag for tag, present in (("IMG", has_image), ("TXT", has_hint)) if present}
    return frozenset(tags or {"NO"})


def _load(path: Path, how: Loading) -> list[Question]:
    return load(path, how.options.get("split", "test"), images=how.images, skip_bad=how.skip_bad)


def score(
    questions: Sequence[Question],
    predictions: Sequence[int | None],
    rule: Rule = "official",  # noqa: ARG001
) -> ChoiceScore:
    """Tallies by subject, context and grade, the official columns first; every rule counts alike."""
    members: dict[str, list[tuple[Question, int | None]]] = {part: [] for part in _PARTS}
    pairs = list(zip(questions, predictions, strict=True))
    for question, prediction in pairs:
        for part in (_SUBJECTS.get(question.subset, question.subset), *sorted(question.tags)):
            members.setdefault(part, []).append((question, prediction))
    parts = {part: Tally.of(member) for part, member in members.items() if member}
    return ChoiceScore(title="ScienceQA", overall=Tally.of(pairs), parts=parts)


def stratum(question: Question) -> Hashable:  # noqa: ARG001
    """One: minibatches draw from all questions alike."""
    return ()


def aliases(questions: Sequence[Question]) -> Mapping[str, Question]:  # noqa: ARG001
    """None: answers name the pid."""
    return {}


BENCHMARK = Benchmark(
    name="scienceqa",
    title="ScienceQA",
    role="utility",
    explanation="is a multiple-choice school exam, some of it with pictures.",
    options=("split",),
    instruction=INSTRUCTION,
    load=_load,
    parse=predict_letter,
    score=score,
    restore=restore_choice,
    mean=plain_mean,
    stratum=stratum,
    aliases=aliases,
)
