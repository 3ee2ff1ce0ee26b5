"""Official POPE files → Questions.

POPE (Li et al. 2023, github.com/AoiDragon/POPE) asks whether an object is in a picture. A file holds
one subset: ``{family}_pope_[seem_]{random,popular,adversarial}.json``, as JSON lines or a JSON array,
with ``question_id`` (unique within the file only), ``image``, ``text`` and ``label``.
"""

import re
from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from pathlib import Path

from hipp_prune.errors import ImageError, QuestionError
from hipp_prune.questions.benchmark import Benchmark, Loading
from hipp_prune.questions.question import Question
from hipp_prune.questions.records import Record, SkipBad, read_records, skip_or_raise
from hipp_prune.questions.yes_no import (
    YES_NO,
    class_balanced_mean,
    predict_yes_no,
    restore_yes_no,
    score_yes_no,
)

SUBSETS = ("random", "popular", "adversarial")
"""How the absent objects were drawn: at random, from the frequent ones, from the co-occurring ones."""

INSTRUCTION = "\nAnswer the question using a single word or phrase."
"""What LLaVA-1.5 appends to every question."""

LLAVA_OFFSETS = {"adversarial": 0, "random": 10_000_000, "popular": 20_000_000}
"""LLaVA numbers all POPE questions in one file: question_id plus its subset's offset."""

_FILE_NAME = re.compile(r"_pope_.*?(random|popular|adversarial)\.json$")
_PATTERN = "*_pope_*{random,popular,adversarial}.json"
_IMAGE_FOLDERS = ("images", "val2014")


def load(
    path: Path,
    images: Path | None = None,
    *,
    skip_bad: SkipBad | None = None,
    need_images: bool = True,
) -> list[Question]:
    """Every question of one official file, or of all official files in a folder.

    ``images`` is the folder with the pictures. Without it the first that exists is taken of
    ``images`` and ``val2014`` inside the questions' folder, then of both beside that folder.
    Whether each picture is there and decodes is for :func:`~hipp_prune.questions.images.check_images`.

    Args:
        path: an official file, or a folder that holds some (each subset once).
        images: the folder with the pictures.
        skip_bad: counts bad records and leaves them out; None makes them errors.
        need_images: False where answers are scored and no picture is opened.

    Raises:
        QuestionError: no official file at ``path``; a record that is not JSON, lacks a field, has a
            label other than yes or no, or an id that came before. Each names file and line.
        ImageError: ``need_images`` and there is no folder with pictures.
    """
    files = _official_files(path)
    folder = _image_folder(files[0].parent, images, need_images=need_images)
    questions: list[Question] = []
    first_seen: dict[str, str] = {}
    for file in files:
        for record in read_records(file, skip_bad):
            try:
                question = _question(record, _subset(file), folder)
                if question.id in first_seen:
                    raise QuestionError(
                        f"{record.where}: expected every question_id of a subset once, found {question.id} "
                        f"again (first at {first_seen[question.id]}); give one family of files at a time"
                    )
            except QuestionError as error:
                skip_or_raise(error, skip_bad)
                continue
            first_seen[question.id] = record.where
            questions.append(question)
    if not questions:
        raise QuestionError(f"{path}: expected POPE questions, found none; give the official files")
    return questions


def _question(record: Record, subset: str, images: Path) -> Question:
    label = record.text("label").strip().lower()
    if label not in {"yes", "no"}:
        raise QuestionError(
            f"{record.where}: expected field 'label' to be yes or no, found {record.text('label')!r}; "
            "correct it or skip bad records"
        )
    image = images / record.text("image")
    return Question(
        benchmark="pope",
        id=f"{subset}/{record.identifier('question_id')}",
        prompt=record.text("text") + INSTRUCTION,
        image=image,
        answers=YES_NO,
        gold=("yes", "no").index(label),
        subset=subset,
        group=str(image),
    )


def _subset(file: Path) -> str:
    match = _FILE_NAME.search(file.name)
    if match is None:
        raise QuestionError(f"{file}: expected a file called {_PATTERN}, which tells the subset; name it so")
    return match[1]


def _official_files(path: Path) -> list[Path]:
    if path.is_file():
        _subset(path)
        return [path]
    if not path.is_dir():
        raise QuestionError(
            f"{path}: expected a POPE file or a folder of them, found nothing; check the path"
        )
    files = [file for file in path.iterdir() if file.is_file() and _FILE_NAME.search(file.name)]
    if not files:
        inside = ", ".join(sorted(entry.name for entry in path.iterdir())[:8]) or "nothing"
        raise QuestionError(
            f"{path}: expected files called {_PATTERN}, found {inside}; give the folder with them"
        )
    return sorted(files, key=lambda file: (SUBSETS.index(_subset(file)), file.name))


def _image_folder(folder: Path, images: Path | None, *, need_images: bool) -> Path:
    if images is not None:
        if need_images and not images.is_dir():
            raise ImageError(f"{images}: expected a folder with POPE's pictures, found none; check images=")
        return images
    candidates = [parent / name for parent in (folder, folder.parent) for name in _IMAGE_FOLDERS]
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    if need_images:
        searched = ", ".join(map(str, candidates))
        raise ImageError(
            f"{folder}: expected POPE's pictures in one of {searched}, found none of these folders; "
            "give theirs with images=, as in pope:PATH,images=DIR"
        )
    return candidates[0]


def _load(path: Path, how: Loading) -> list[Question]:
    return load(path, how.images, skip_bad=how.skip_bad, need_images=how.need_images)


def stratum(question: Question) -> Hashable:
    """Subset and label: minibatches are balanced by both."""
    return question.subset, question.gold


def aliases(questions: Sequence[Question]) -> Mapping[str, Question]:
    """LLaVA's numbering over all subsets; the file's own number where one subset alone was asked."""
    one_subset = len({question.subset for question in questions}) == 1
    found: dict[str, Question] = {}
    for question in questions:
        number = question.id.rpartition("/")[2]
        if number.isdecimal() and question.subset in LLAVA_OFFSETS:
            found.setdefault(str(int(number) + LLAVA_OFFSETS[question.subset]), question)
        if one_subset:
            found.setdefault(number, question)
    return found


BENCHMARK = Benchmark(
    name="pope",
    title="POPE",
    role="robustness",
    instruction=INSTRUCTION,
    load=_load,
    parse=predict_yes_no,
    score=partial(score_yes_no, "POPE"),
    restore=restore_yes_no,
    mean=class_balanced_mean,
    stratum=stratum,
    aliases=aliases,
)
