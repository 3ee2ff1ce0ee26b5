"""MME's questions → Questions, and their official score.

MME (Fu et al. 2023, github.com/BradyFU/Awesome-Multimodal-Large-Language-Models) asks two yes/no questions about each
picture, one of them yes, in fourteen subtasks. A subtask is a folder of pictures and of texts that are called like
them; a text has two lines, question and answer with a tab between. Five subtasks keep them apart, in ``images`` and
``questions_answers_YN``.

The score is that of ``calculation.py`` in ``tools/eval_tool.zip`` there: a subtask's is its accuracy plus the share of
pictures both of whose answers are right (acc+), in percent each; perception and cognition are the sums over their ten
and four subtasks.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hipp_prune.errors import ImageError, InputError, QuestionError
from hipp_prune.files.faults import shown
from hipp_prune.files.reading import read_text
from hipp_prune.questions.benchmark import RESTORE, Benchmark, Column, Loading, Rule
from hipp_prune.questions.intervals import percent
from hipp_prune.questions.question import Question
from hipp_prune.questions.records import CORRECT_OR_SKIP, SkipBad, on_one_line, skip_or_raise
from hipp_prune.questions.yes_no import YES_NO, class_balanced_mean, parse_yes_no
from hipp_prune.questions.yes_no_parts import (
    ALL,
    Fraction,
    YesNoParts,
    all_right,
    as_share,
    count_parts,
    is_of,
    restore_parts,
)

NAME, TITLE = "mme", "MME"

INSTRUCTION = "Please answer yes or no."
"""Every official question ends with it."""

PERCEPTION = (
    "existence", "count", "position", "color", "posters", "celebrity", "scene", "landmark", "artwork", "OCR",
)  # fmt: skip
COGNITION = ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning")
SUBTASKS = (*PERCEPTION, *COGNITION)
"""In the order of the official report."""
_KINDS = ("perception", "cognition")
_SUMS = {ALL: SUBTASKS, "perception": PERCEPTION, "cognition": COGNITION}
"""Which subtasks' scores a part sums."""

_ROOTS = (
    ".",
    "MME_Benchmark",
    "MME_Benchmark_release_version",
    "MME_Benchmark_release_version/MME_Benchmark",
)
"""Where the subtasks lie below what the archive was unpacked into."""
_PICTURES, _TEXTS = "images", "questions_answers_YN"
_SUFFIXES = (".jpg", ".png", ".jpeg")


def load(
    root: Path, images: Path | None = None, *, skip_bad: SkipBad | None = None, need_images: bool = True
) -> list[Question]:
    """Every question of the subtasks that are there, in the order of the official report and of file names.

    Args:
        root: the folder with the subtasks, or one into which the official archive was unpacked.
        images: the folder with the subtasks' pictures; by default the same.
        skip_bad: counts bad texts and leaves them out; None makes them errors.
        need_images: False where answers are scored and no picture is opened.

    Raises:
        QuestionError: there is no subtask; a text has not two lines, or one is no question, tab and Yes or No.
        ImageError: ``need_images`` and there is no picture of a text's name.
    """
    base = _base(root)
    questions: list[Question] = []
    for task in SUBTASKS:
        texts, pictures = base / task / _TEXTS, (images or base) / task
        for text in sorted((texts if texts.is_dir() else base / task).glob("*.txt")):
            try:
                questions += _questions(text, task, _picture(pictures, text.stem, need_images=need_images))
            except (QuestionError, ImageError) as error:
                skip_or_raise(error, skip_bad)
    if not questions:
        raise QuestionError(f"{base}: expected {TITLE} questions, found none; give the official files")
    return questions


def _base(root: Path) -> Path:
    """The folder with the subtasks."""
    for name in _ROOTS:
        if any((root / name / task).is_dir() for task in SUBTASKS):
            return root / name
    raise QuestionError(
        f"{root}: expected folders called {', '.join(SUBTASKS)}, found none; give the folder with {TITLE}'s subtasks"
    )


def _picture(folder: Path, stem: str, *, need_images: bool) -> Path:
    """The picture that is called like a text."""
    inner = folder / _PICTURES
    folder = inner if inner.is_dir() else folder
    candidates = [folder / f"{stem}{suffix}" for suffix in _SUFFIXES]
    found = next((candidate for candidate in candidates if candidate.is_file()), None)
    if found is None and need_images:
        raise ImageError(
            f"expected {TITLE}'s picture {stem} with {' or '.join(_SUFFIXES)} in {folder}, found none; unpack the "
            f"official archive there or give another folder with images=, as in {NAME}:PATH,images=DIR"
        )
    return found or candidates[0]


def _questions(text: Path, task: str, image: Path) -> list[Question]:
    """Both questions of a text."""
    content = read_text(text, remedy=CORRECT_OR_SKIP, error=QuestionError)
    lines = [line for line in content.splitlines() if line.strip()]
    if len(lines) != len(YES_NO):
        raise QuestionError(f"{text}: expected two questions, found {len(lines)}; {CORRECT_OR_SKIP}")
    questions = []
    for number, line in enumerate(lines):
        asked, _, answer = line.rpartition("\t")
        label = answer.strip().lower()
        if not asked.strip() or label not in ("yes", "no") or not on_one_line(asked):
            raise QuestionError(
                f"{text}: expected a question, a tab and Yes or No a line, found {shown(line)}; {CORRECT_OR_SKIP}"
            )
        questions.append(
            Question(
                benchmark=NAME,
                id=f"{NAME}/{task}/{text.stem}/{number}",
                prompt=_instructed(asked.strip()),
                images=(image,),
                answers=YES_NO,
                gold=("yes", "no").index(label),
                subset=task,
                group=str(image),
                tags=frozenset({_KINDS[task in COGNITION]}),
            )
        )
    return questions


def _instructed(asked: str) -> str:
    return asked if asked.endswith(INSTRUCTION) else f"{asked} {INSTRUCTION}"


def parse(question: Question, text: str, rule: Rule = "official") -> int | None:
    """Index of the answer that a text means.

    Officially its first four characters, in lower case, hold ``yes`` or else ``no``; ``lmms-eval`` strips it and its
    periods before, and takes ``y`` and ``n`` too.
    """
    if rule == "vlmevalkit":
        said_yes = parse_yes_no(text, rule)
        return None if said_yes is None else question.answers.index("Yes" if said_yes else "No")
    read = text.lower().strip().replace(".", "") if rule == "lmms-eval" else text.lower()
    short = {"y": "yes", "n": "no"}.get(read, read) if rule == "lmms-eval" else read
    said = next((answer for answer in YES_NO if answer.lower() in short[:4]), None)
    return None if said is None else question.answers.index(said)


@dataclass(frozen=True, kw_only=True)
class MmeScore(YesNoParts):
    """The score of MME; ``accuracy`` is balanced accuracy over all questions."""

    pictures: dict[str, Fraction]
    """By part, how many pictures have both answers right: acc+."""

    def official(self, tasks: Sequence[str] = SUBTASKS) -> float:
        """The sum of some subtasks' scores, at most 200 each."""
        return sum(
            100 * (self.parts[task].accuracy + as_share(self.pictures[task]))
            for task in tasks
            if task in self.parts
        )

    def rows(self) -> list[tuple[str, ...]]:
        """A row for all, one for each sum and one a subtask: the official score, then balanced accuracy."""
        return self.table(
            TITLE,
            ("acc.", "acc+", "score"),
            lambda part: (
                percent(self.parts[part].accuracy),
                percent(as_share(self.pictures[part])),
                f"{self.official(_SUMS.get(part, (part,))):.2f}",
            ),
        )

    def columns(self) -> list[Column]:
        """Balanced accuracy, chance, both sums, acc+, the number of questions."""
        return self.summary(
            *((part, "", f"{self.official(_SUMS[part]):.2f}") for part in _KINDS),
            ("acc+", "%", percent(as_share(self.pictures[ALL]))),
        )

    def to_json(self) -> dict[str, Any]:
        """Counts of each part, pictures right and asked about, the official scores, and the intervals."""
        written = self.document(TITLE, lambda part: {"official": self.official(_SUMS.get(part, (part,)))})
        return {**written, "pictures": self.pictures}


def score(
    questions: Sequence[Question], predictions: Sequence[int | None], rule: Rule = "official"
) -> MmeScore:
    """Counts of all, by kind and by subtask; every rule counts alike."""
    counted = count_parts(questions, predictions, rule, (*_KINDS, *SUBTASKS))
    right = [p == question.gold for question, p in zip(questions, predictions, strict=True)]
    pictures = {}
    for part in counted["parts"]:
        members = [row for row, question in enumerate(questions) if is_of(question, part)]
        pictures[part] = all_right(
            (_pair(questions[row]) for row in members), (right[row] for row in members)
        )
    return MmeScore(**counted, pictures=pictures)


def _pair(question: Question) -> str:
    """Names the two questions about a picture; one picture may be in several subtasks."""
    return question.id.rpartition("/")[0]


def restore(content: Mapping[str, Any], where: str) -> MmeScore:
    """The score that ``MmeScore.to_json`` described; metrics are computed again from the counts.

    Raises:
        InputError: it is something else; the sentence begins with ``where``.
    """
    score = restore_parts(content, MmeScore, where, (*_KINDS, *SUBTASKS))
    if score.pictures.keys() != score.parts.keys():
        raise InputError(f"{where}: expected counts of pictures of the same parts, found others; {RESTORE}")
    return score


def stratum(question: Question) -> Hashable:
    """Subtask and label: minibatches are balanced by both."""
    return question.subset, question.gold


def aliases(questions: Sequence[Question]) -> Mapping[str, Question]:
    """By subtask, picture and which of the two questions, ``OCR/0001/0``."""
    return {question.id.partition("/")[2]: question for question in questions}


def _load(path: Path, how: Loading) -> list[Question]:
    return load(path, how.images, skip_bad=how.skip_bad, need_images=how.need_images)


BENCHMARK = Benchmark(
    name=NAME,
    title=TITLE,
    role="utility",
    explanation="asks two yes/no questions about each picture, one of them with the answer Yes, in fourteen "
    "parts of perception and cognition.",
    instruction=INSTRUCTION,
    load=_load,
    parse=parse,
    score=score,
    restore=restore,
    mean=class_balanced_mean,
    stratum=stratum,
    aliases=aliases,
)
