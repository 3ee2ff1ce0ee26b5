"""Official ScienceQA files → Questions.

ScienceQA (Lu et al. 2022, github.com/lupantech/ScienceQA) is a folder with ``problems.json``,
``pid_splits.json`` and ``images/{split}/{pid}/image.png``. LLaVA's flattened form is one file of JSON
lines with ``pid``, ``prompt`` (context, question and options), ``choices``, ``answer`` and ``image``; it
tells neither subject nor grade, so its questions are counted under their context only.
"""

import re
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from hipp_prune.errors import ImageError, QuestionError
from hipp_prune.questions.benchmark import Benchmark, Loading, Rule
from hipp_prune.questions.multiple_choice import (
    LETTERS,
    ChoiceScore,
    Tally,
    plain_mean,
    predict_letter,
    restore_choice,
)
from hipp_prune.questions.question import Question
from hipp_prune.questions.records import Record, SkipBad, read_object, read_records, skip_or_raise

INSTRUCTION = "\nAnswer with the option's letter from the given choices directly."
"""What LLaVA-1.5 appends to every question."""

UNKNOWN_SUBJECT = "unknown subject"
"""Subset of a flattened question, whose file does not tell."""

PARTS = ("NAT", "SOC", "LAN", "TXT", "IMG", "NO", "G1-6", "G7-12")
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
            if not isinstance(problem, dict):
                found = "none" if pid not in problems else type(problem).__name__
                raise QuestionError(
                    f"{where}: expected a problem, because split {split} of pid_splits.json lists it, "
                    f"found {found}; get the full problems.json or skip bad records"
                )
            questions.append(_official_question(pid, Record(problem, where), images))
        except QuestionError as error:
            skip_or_raise(error, skip_bad)
    return questions


def _split_pids(file: Path, split: str) -> list[str]:
    splits = Record(read_object(file), str(file))
    if split not in splits.fields:
        known = ", ".join(splits.fields)
        raise QuestionError(f"{file}: expected a split called {split}, found {known}; choose one of these")
    pids = splits.texts(split)
    if len(set(pids)) != len(pids):
        repeated = next(pid for index, pid in enumerate(pids) if pid in pids[:index])
        raise QuestionError(f"{file}: expected every pid once, found {repeated} again in {split}; correct it")
    return pids


def _official_question(pid: str, problem: Record, images: Path) -> Question:
    text, hint = problem.text("question"), problem.text("hint").strip()
    choices, gold = _choices(problem)
    image_name = problem.optional_text("image")
    # Not the requested split: those called minival or trainval keep their pictures under val and train.
    image = None if image_name is None else images / problem.text("split") / pid / image_name
    context = f"Context: {hint}\n" if hint else ""
    return Question(
        benchmark="scienceqa",
        id=pid,
        prompt=_llava_spacing(context + text + _option_lines(choices)) + INSTRUCTION,
        image=image,
        answers=tuple(LETTERS[: len(choices)]),
        gold=gold,
        subset=problem.text("subject"),
        group=str(image) if image is not None else f"{text}\n{hint}",
        tags=_context_tags(has_image=image is not None, has_hint=bool(hint)) | {_grade_tag(problem)},
    )


def _load_flattened(file: Path, images: Path, skip_bad: SkipBad | None) -> list[Question]:
    questions: list[Question] = []
    seen: set[str] = set()
    for record in read_records(file, skip_bad):
        try:
            question = _flattened_question(record, images)
            if question.id in seen:
                raise QuestionError(
                    f"{record.where}: expected every pid once, found {question.id} again; "
                    "remove it or skip bad records"
                )
        except QuestionError as error:
            skip_or_raise(error, skip_bad)
            continue
        seen.add(question.id)
        questions.append(question)
    return questions


def _flattened_question(record: Record, images: Path) -> Question:
    prompt = _llava_spacing(record.text("prompt").removesuffix(INSTRUCTION))
    choices, gold = _choices(record)
    options = _option_lines(choices).replace("  ", " ")
    if not prompt.endswith(options):
        raise QuestionError(
            f"{record.where}: expected field 'prompt' to end with its {len(choices)} lettered choices, "
            f"found {prompt[-40:]!r}; correct it or skip bad records"
        )
    image_name = record.optional_text("image")
    image = None if image_name is None else images / _below_images(image_name)
    return Question(
        benchmark="scienceqa",
        id=record.identifier("pid"),
        prompt=prompt + INSTRUCTION,
        image=image,
        answers=tuple(LETTERS[: len(choices)]),
        gold=gold,
        subset=UNKNOWN_SUBJECT,
        group=str(image) if image is not None else prompt.removesuffix(options),
        tags=_context_tags(has_image=image is not None, has_hint=prompt.startswith("Context: ")),
    )


def _below_images(name: str) -> PurePosixPath:
    """The path below the image folder: flattened files write ``images/test/11/image.png``."""
    path = PurePosixPath(name)
    return path.relative_to("images") if path.is_relative_to("images") else path


def _choices(record: Record) -> tuple[list[str], int]:
    choices, gold = record.texts("choices"), record.integer("answer")
    if not 2 <= len(choices) <= len(LETTERS):
        raise QuestionError(
            f"{record.where}: expected field 'choices' to hold 2 to {len(LETTERS)} choices, "
            f"found {len(choices)}; correct it or skip bad records"
        )
    if not 0 <= gold < len(choices):
        raise QuestionError(
            f"{record.where}: expected field 'answer' to be one of the choices 0 to {len(choices) - 1}, "
            f"found {gold}; correct it or skip bad records"
        )
    return choices, gold


def _option_lines(choices: list[str]) -> str:
    return "".join(f"\n{letter}. {choice}" for letter, choice in zip(LETTERS, choices, strict=False))


def _llava_spacing(body: str) -> str:
    """Two spaces become one, once over, as in the script that wrote LLaVA's prompts."""
    return body.replace("  ", " ").strip()


def _context_tags(*, has_image: bool, has_hint: bool) -> frozenset[str]:
    tags = {tag for tag, present in (("IMG", has_image), ("TXT", has_hint)) if present}
    return frozenset(tags or {"NO"})


def _grade_tag(problem: Record) -> str:
    match = _GRADE.fullmatch(problem.text("grade"))
    if match is None:
        raise QuestionError(
            f"{problem.where}: expected field 'grade' to be grade1 to grade12, "
            f"found {problem.text('grade')!r}; correct it or skip bad records"
        )
    return "G1-6" if int(match[1]) <= _LAST_LOWER_GRADE else "G7-12"


def _load(path: Path, how: Loading) -> list[Question]:
    return load(path, how.options.get("split", "test"), images=how.images, skip_bad=how.skip_bad)


def score(
    questions: Sequence[Question],
    predictions: Sequence[int | None],
    rule: Rule = "official",  # noqa: ARG001
) -> ChoiceScore:
    """Tallies by subject, context and grade, the official columns first; every rule counts alike."""
    members: dict[str, list[tuple[Question, int | None]]] = {part: [] for part in PARTS}
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
