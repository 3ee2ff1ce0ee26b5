"""Pictures and nothing else: one prompt asks about every picture of a folder, and nobody has answered."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from hipp_prune.errors import QuestionError
from hipp_prune.files.faults import shown
from hipp_prune.questions.benchmark import Loading
from hipp_prune.questions.copies import warn_of_copies
from hipp_prune.questions.images import UNREAD_ENDINGS
from hipp_prune.questions.own.columns import PICTURE_ENDINGS
from hipp_prune.questions.question import Question, pictures_of
from hipp_prune.questions.records import LONGEST_NAME, OR_SKIP, on_one_line, skip_or_raise, warn
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
    unread = sorted(_files(folder, UNREAD_ENDINGS))
    for path in sorted(_files(folder, PICTURE_ENDINGS)):
        id = f"photos/{path.relative_to(folder).as_posix()}"
        if len(id) > LONGEST_NAME or not on_one_line(id) or not _is_text(id):
            wrong = f"{folder}: expected names of at most {LONGEST_NAME} plain characters, found {shown(str(path))}"
            skip_or_raise(QuestionError(f"{wrong}; rename it {OR_SKIP}"), how.skip_bad)
            continue
        questions.append(unlabelled(how.options.get("prompt", PROMPT), id=id, images=(path,)))
    if not questions:
        found, remedy = _found(unread) if unread else ("none", "give the folder with them")
        raise QuestionError(
            f"{folder}: expected pictures ({', '.join(sorted(PICTURE_ENDINGS))}), found {found}; {remedy}"
        )
    if unread:
        found, remedy = _found(unread)
        warn(f"{folder}: leaves out {found}; {remedy}")
    warn_of_copies(pictures_of(questions), str(folder))
    return questions


def _found(unread: Sequence[Path]) -> tuple[str, str]:
    """What pictures of a kind that nothing reads are called in a sentence, and what to do."""
    number = "a picture" if len(unread) == 1 else f"{len(unread)} pictures"
    kinds = ", ".join(sorted({path.suffix.upper().removeprefix(".") for path in unread}))
    which = "it" if len(unread) == 1 else "them"
    return f"{number} in {kinds}, such as {shown(unread[0].name)}", f"convert {which} to JPEG"


def _files(folder: Path, endings: tuple[str, ...]) -> Iterator[Path]:
    """What is called so; links to folders are not followed, since they may go round."""
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(place, name)
            if not name.startswith(".") and path.suffix.lower() in endings and path.is_file():
                yield path


def _is_text(name: str) -> bool:
    """Whether a name can be written into a file; one of bytes that are no UTF-8 cannot."""
    return name.isascii() or not any("\ud800" <= character <= "\udfff" for character in name)
