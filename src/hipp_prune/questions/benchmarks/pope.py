"""Official POPE files → Questions.

POPE (Li et al. 2023, github.com/AoiDragon/POPE) asks whether an object is in a picture. A file holds
one subset: ``{family}_pope_[seem_]{random,popular,adversarial}.json``, as JSON lines or a JSON array,
with ``question_id`` (unique within the file only), ``image``, ``text`` and ``label``. Editions of it come in
files of the same format, and are read here too.
"""

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hipp_prune.errors import QuestionError
from hipp_prune.files.faults import shown
from hipp_prune.questions.benchmark import Benchmark, Loading
from hipp_prune.questions.image_folders import image_folder
from hipp_prune.questions.question import Question
from hipp_prune.questions.records import (
    CORRECT_OR_SKIP,
    Identifier,
    Name,
    SkipBad,
    read_records,
    skip_or_raise,
)
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

_IMAGE_FOLDERS = ("images", "val2014")


@dataclass(frozen=True, kw_only=True)
class Edition:
    """What tells one edition of POPE from another in files of one format."""

    name: str
    """``Benchmark.name``, and what the names of its files hold between underscores."""
    title: str
    prefix: str = ""
    """What its ids begin with, so that two editions can be asked at once."""

    @property
    def pattern(self) -> str:
        """What its files are called, to read."""
        return f"*_{self.name}_*{{{','.join(SUBSETS)}}}.json"

    def subset(self, file: Path) -> str | None:
        """What subset a file holds, by its name; None for a file of another kind."""
        match = re.search(rf"_{self.name}_.*?({'|'.join(SUBSETS)})\.json$", file.name)
        return None if match is None else match[1]


POPE = Edition(name="pope", title="POPE")
"""The edition of the POPE paper."""


def load(
    path: Path,
    images: Path | None = None,
    *,
    edition: Edition = POPE,
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
        edition: whose files are read.
        skip_bad: counts bad records and leaves them out; None makes them errors.
        need_images: False where answers are scored and no picture is opened.

    Raises:
        QuestionError: no official file at ``path``; a record that is not JSON, lacks a field, has a
            label other than yes or no, or an id that came before. Each names file and line.
        ImageError: ``need_images`` and there is no folder with pictures.
    """
    files = _official_files(path, edition)
    folder = _image_folder(next(iter(files)).parent, images, edition, need_images=need_images)
    questions: list[Question] = []
    first_seen: dict[str, str] = {}
    for file, subset in files.items():
        for where, record in read_records(file, _Record, skip_bad):
            try:
                question = _question(record, where, edition, subset, folder)
                if question.id in first_seen:
                    raise QuestionError(
                        f"{where}: expected every question_id of a subset once, found {question.id} "
                        f"again (first at {first_seen[question.id]}); give one family of files at a time"
                    )
            except QuestionError as error:
                skip_or_raise(error, skip_bad)
                continue
            first_seen[question.id] = where
            questions.append(question)
    if not questions:
        raise QuestionError(
            f"{path}: expected {edition.title} questions, found none; give the official files"
        )
    return questions


@dataclass(frozen=True, kw_only=True)
class _Record:
    """What a file says of a question."""

    question_id: Identifier
    image: Name
    text: str
    label: str


def _question(record: _Record, where: str, edition: Edition, subset: str, images: Path) -> Question:
    label = record.label.strip().lower()
    if label not in {"yes", "no"}:
        raise QuestionError(
            f"{where}: expected field 'label' to be yes or no, found {shown(record.label)}; {CORRECT_OR_SKIP}"
        )
    image = images / record.image
    return Question(
        benchmark=edition.name,
        id=f"{edition.prefix}{subset}/{record.question_id}",
        prompt=record.text + INSTRUCTION,
        images=(image,),
        answers=YES_NO,
        gold=("yes", "no").index(label),
        subset=subset,
        group=str(image),
    )


def _official_files(path: Path, edition: Edition) -> dict[Path, str]:
    """The files and the subset of each, in the order of subsets."""
    if path.is_file():
        subset = edition.subset(path)
        if subset is None:
            raise QuestionError(
                f"{path}: expected a file called {edition.pattern}, which tells the subset; name it so"
            )
        return {path: subset}
    if not path.is_dir():
        raise QuestionError(
            f"{path}: expected a {edition.title} file or a folder of them, found nothing; check the path"
        )
    found = {file: subset for file in path.iterdir() if file.is_file() and (subset := edition.subset(file))}
    if not found:
        inside = ", ".join(sorted(entry.name for entry in path.iterdir())[:8]) or "nothing"
        raise QuestionError(
            f"{path}: expected files called {edition.pattern}, found {inside}; give the folder with them"
        )
    return dict(sorted(found.items(), key=lambda item: (SUBSETS.index(item[1]), item[0].name)))


def _image_folder(folder: Path, images: Path | None, edition: Edition, *, need_images: bool) -> Path:
    return image_folder(
        images,
        [parent / name for parent in (folder, folder.parent) for name in _IMAGE_FOLDERS],
        title=edition.title,
        name=edition.name,
        need_images=need_images,
    )


def load_edition(edition: Edition, path: Path, how: Loading) -> list[Question]:
    """Reads the files of an edition, in the form that ``Benchmark.load`` has."""
    return load(path, how.images, edition=edition, skip_bad=how.skip_bad, need_images=how.need_images)


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
    name=POPE.name,
    title=POPE.title,
    role="robustness",
    explanation="asks “Is there a … in the image?” for things that are there and, as often, for things that "
    "are not; who answers “Yes” to the latter hallucinates. The absent things are drawn at random"
    " (random), among the most common (popular), or among those that often go with what is in the"
    " picture (adversarial, the hardest).",
    instruction=INSTRUCTION,
    load=partial(load_edition, POPE),
    parse=predict_yes_no,
    score=partial(score_yes_no, POPE.title),
    restore=restore_yes_no,
    mean=class_balanced_mean,
    stratum=stratum,
    aliases=aliases,
)
