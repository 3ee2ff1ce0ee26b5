"""Tasks of lmms-eval whose answers are closed → Questions.

``lmms-eval:TASK`` asks what lmms-eval (Zhang et al. 2024, github.com/EvolvingLMMs-Lab/lmms-eval) would: a task's
``doc_to_text`` is the prompt, ``doc_to_visual`` the pictures, ``doc_to_target`` the right answer. A target of yes or no
makes a question for Yes or No; the letter of one of the options that the prompt lists (``A. …``, a line each) makes one
for their letters. Free answers, videos and sound are refused. lmms-eval reads and downloads the task's data itself;
pictures are written into the cache, once each.

Every task counts alike: by the share of right answers, and for utility, or where the source says ``role=robustness`` as
a question of ``lmms-eval-robustness``. A benchmark with a module of its own has its official score there.
"""

import os
import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from hashlib import sha256
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any

from hipp_prune.errors import InputError, QuestionError
from hipp_prune.files.faults import shown
from hipp_prune.files.manifest import start_list
from hipp_prune.files.writing import atomic_path
from hipp_prune.questions.benchmark import Benchmark, Loading, Rule
from hipp_prune.questions.multiple_choice import ChoiceScore, Tally, plain_mean, restore_choice
from hipp_prune.questions.question import Question, group_of
from hipp_prune.questions.records import OR_SKIP, skip_or_raise
from hipp_prune.questions.yes_no import YES_NO, parse_yes_no

if TYPE_CHECKING:
    from PIL import Image

NAME, TITLE = "lmms-eval", "lmms-eval"

PICTURES = "pictures"
"""Folder below the cache; a picture is called after its content."""

_OPTION = re.compile(r"^\(?([A-Z])[.):]", flags=re.MULTILINE)


def open_task(name: str, include: str | None) -> Any:
    """lmms-eval's own object of a task, its data loaded.

    Args:
        name: a task's; groups and tags are refused.
        include: a folder with task files besides lmms-eval's; None for none.

    Raises:
        InputError: lmms-eval is not installed.
        QuestionError: there is no such task, or lmms-eval cannot load it.
    """
    if find_spec("lmms_eval") is None:
        raise InputError(
            f"questions {NAME}:{name} need lmms-eval, which is not installed; run `pip install lmms-eval`, or "
            "`pip install --no-deps lmms-eval` and what it asks for beside a CPU build of torch"
        )
    os.environ.setdefault("LOGURU_LEVEL", "ERROR")  # else it tells of every file of tasks that it passes over
    from lmms_eval.tasks import TaskManager

    manager = TaskManager(include_path=include)
    if name not in manager.all_subtasks:
        close = get_close_matches(name, manager.all_subtasks, n=3)
        hint = (
            f"did you mean {' or '.join(close)}?"
            if close
            else "`python -m lmms_eval --tasks list` lists them"
        )
        raise QuestionError(
            f"questions {NAME}:{name}: expected one task of lmms-eval, found none of that name; {hint}"
        )
    try:
        return manager.load_task_or_group(name)[name]
    except Exception as error:  # whatever data sets, the network and a task's own code raise
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise QuestionError(
            f"questions {NAME}:{name}: expected lmms-eval to load its data, found an error: {reason}; try "
            f"`python -m lmms_eval --tasks {name} --limit 1`"
        ) from error


def load(path: Path, how: Loading, *, benchmark: str = NAME) -> list[Question]:
    """Every question of a task, in its order.

    Args:
        path: the task's name.
        how: option ``include``, and the cache.
        benchmark: that the questions are of.

    Raises:
        InputError: lmms-eval is not installed.
        QuestionError: there is no such task, or a document has no closed answer, or shows no pictures (skippable).
    """
    if how.images is not None:
        raise QuestionError(
            f"{NAME}:{path}: expected no images=, because lmms-eval has the pictures; leave it out"
        )
    task = open_task(str(path), how.options.get("include"))
    questions = []
    for number, document in enumerate(task.eval_docs):
        where = f"{NAME}:{path}, document {number}"
        try:
            question = _question(task, document, f"{path}/{number}", where, how)
        except QuestionError as error:
            skip_or_raise(error, how.skip_bad)
            continue
        questions.append(replace(question, id=f"{benchmark}/{path}/{number}", benchmark=benchmark))
    return questions


def _question(task: Any, document: Any, identifier: str, where: str, how: Loading) -> Question:
    prompt, target = task.doc_to_text(document), task.doc_to_target(document)
    answers, gold = _closed(prompt, target, where)
    images = tuple(_kept(picture, how) for picture in _pictures(task.doc_to_visual(document), where))
    return Question(
        benchmark=NAME,
        id=f"{NAME}/{identifier}",
        prompt=prompt,
        images=images,
        answers=answers,
        gold=gold,
        subset=identifier.rpartition("/")[0],
        group=group_of(images, prompt),
    )


def _closed(prompt: object, target: object, where: str) -> tuple[tuple[str, ...], int]:
    """The allowed answers and the index of the right one.

    Raises:
        QuestionError: there is no prompt, or no closed set of answers.
    """
    if not isinstance(prompt, str) or not prompt.strip():
        raise QuestionError(
            f"{where}: expected a text to ask, found {shown(prompt)}; correct the task {OR_SKIP}"
        )
    if isinstance(target, list) and len(target) == 1:
        (target,) = target
    said = target.strip().rstrip(".").capitalize() if isinstance(target, str) else ""
    if said in YES_NO:
        return YES_NO, YES_NO.index(said)
    letters = _options(prompt)
    if said in letters:
        return letters, letters.index(said)
    raise QuestionError(
        f"{where}: expected a target of yes or no, or the letter of an option that the prompt lists, found "
        f"{shown(target)}; a free answer cannot be scored so: choose another task {OR_SKIP}"
    )


def _options(prompt: str) -> tuple[str, ...]:
    """A, B, C … as far as lines of the prompt begin with them, the last of each; empty below two."""
    found = set(_OPTION.findall(prompt))
    letters = tuple(takewhile(found.__contains__, ascii_uppercase))
    return letters if len(letters) > 1 else ()


def _pictures(visuals: Any, where: str) -> "list[Image.Image]":
    """The pictures of a document, in their order.

    Raises:
        QuestionError: what is shown is no picture.
    """
    from PIL import Image  # only where there are pictures: a query lists benchmarks without

    seen = list(visuals or ())
    if not all(isinstance(visual, Image.Image) for visual in seen):
        kinds = ", ".join(type(visual).__name__ for visual in seen)
        raise QuestionError(f"{where}: expected pictures, found {kinds}; choose another task")
    return [picture.convert("RGB") for picture in seen]


def _kept(picture: "Image.Image", how: Loading) -> Path:
    """The file of a picture in the cache, written if it is needed and not there."""
    content = sha256(f"{picture.size}".encode() + picture.tobytes()).hexdigest()
    path = how.cache / PICTURES / f"{content}.png"
    if how.need_images and not path.is_file():
        start_list(path.parent)  # of its own, so that they outlive what a run removes when it starts
        with atomic_path(path) as partial:
            picture.save(partial, format="PNG")
    return path


def parse(question: Question, text: str, rule: Rule = "official") -> int | None:
    """Index of the answer that a text *is*, whatever its case and a period behind; ``vlmevalkit`` reads sentences."""
    if rule == "vlmevalkit" and question.is_yes_no:
        said_yes = parse_yes_no(text, rule)
        return None if said_yes is None else question.answers.index("Yes" if said_yes else "No")
    said = text.strip().rstrip(".").capitalize()
    return question.answers.index(said) if said in question.answers else None


def score(
    questions: Sequence[Question],
    predictions: Sequence[int | None],
    rule: Rule = "official",  # noqa: ARG001
    *,
    title: str = TITLE,
) -> ChoiceScore:
    """Tallies by task; every rule counts alike.

    Args:
        questions: that were asked.
        predictions: index of each one's answer.
        rule: whatever.
        title: of the score.
    """
    pairs = list(zip(questions, predictions, strict=True))
    tasks = dict.fromkeys(question.subset for question in questions)
    parts = {task: Tally.of([pair for pair in pairs if pair[0].subset == task]) for task in tasks}
    return ChoiceScore(title=title, overall=Tally.of(pairs), parts=parts)


def stratum(question: Question) -> Hashable:
    """Task and right answer: minibatches are balanced by both."""
    return question.subset, question.answer


def aliases(questions: Sequence[Question]) -> Mapping[str, Question]:
    """By task and number, ``pope/7``; by number alone, lmms-eval's ``doc_id``, where one task was asked."""
    named = {question.id.partition("/")[2]: question for question in questions}
    one_task = len({question.subset for question in questions}) == 1
    return named | (
        {name.rpartition("/")[2]: question for name, question in named.items()} if one_task else {}
    )


BENCHMARK = Benchmark(
    name=NAME,
    title=TITLE,
    role="utility",
    explanation="scores the tasks that were named by the share of right answers; a closed answer has to be "
    "given as it is listed.",
    options=("include",),
    instruction="",
    load=load,
    parse=parse,
    score=score,
    restore=restore_choice,
    mean=plain_mean,
    stratum=stratum,
    aliases=aliases,
)
