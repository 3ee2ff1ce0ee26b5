"""Pictures and nothing else: one prompt asks about every picture of a folder, and nobody has answered."""

import os
from collections.abc import Iterator
from pathlib import Path

from hipp_prune.errors import QuestionError
from hipp_prune.files.faults import shown
from hipp_prune.questions.benchmark import Loading
from hipp_prune.questions.own.columns import PICTURE_ENDINGS
from hipp_prune.questions.question import Question
from hipp_prune.questions.records import LONGEST_NAME, on_one_line, skip_or_raise
from hipp_prune.questions.unlabelled import unlabelled

PROMPT = "Describe the image in one sentence."
"""What is asked about a picture if the source says nothing else."""


def load_photos(folder: Path, how: Loading) -> list[Question]:
    """A question without an answer about every picture in a folder and below it, but in hidden folders.

    Raises:
        QuestionError: there is no such folder, no picture in it, or one whose name cannot be written down (skippable).
    """
    if not folder.is_dir():
        found = "a file" if folder.is_file() else "nothing"
        raise QuestionError(
            f"{folder}: expected a folder with pictures, found {found}; give that, as in photos:FOLDER"
        )
    questions = []
    for path in sorted(_pictures(folder)):
        id = f"photos/{path.relative_to(folder).as_posix()}"
        if len(id) > LONGEST_NAME or not on_one_line(id) or not _is_text(id):
            wrong = f"{folder}: expected names of at most {LONGEST_NAME} plain characters, found {shown(str(path))}"
            skip_or_raise(QuestionError(f"{wrong}; rename it or skip bad records"), how.skip_bad)
            continue
        questions.append(unlabelled(how.options.get("prompt", PROMPT), id=id, images=(path,)))
    if not questions:
        raise QuestionError(
            f"{folder}: expected pictures ({', '.join(sorted(PICTURE_ENDINGS))}), found none; give the folder with them"
        )
    return questions


def _pictures(folder: Path) -> Iterator[Path]:
    """What is called as pictures are; links to folders are not followed, since they may go round."""
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(place, name)
            if not name.startswith(".") and path.suffix.lower() in PICTURE_ENDINGS and path.is_file():
                yield path


def _is_text(name: str) -> bool:
    """Whether a name can be written into a file; one of bytes that are no UTF-8 cannot."""
    return name.isascii() or not any("\ud800" <= character <= "\udfff" for character in name)
