"""Where a table is: a file, a folder that holds one, or a data set; and what to write instead of what is none."""

import shlex
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from hipp_prune.errors import QuestionError
from hipp_prune.files.faults import name
from hipp_prune.files.places import described, found_instead
from hipp_prune.questions.own.columns import PICTURE_ENDINGS
from hipp_prune.questions.own.data_sets import HUB, is_saved, read_hub, read_parquet, read_saved
from hipp_prune.questions.own.table import QuestionTable, read_csv, read_json
from hipp_prune.questions.records import SkipBad

Reader = Callable[[Path, SkipBad | None], QuestionTable]

READERS: Mapping[str, Reader] = {
    ".csv": read_csv,
    ".tsv": read_csv,
    ".json": read_json,
    ".jsonl": read_json,
    ".parquet": read_parquet,
}
"""By what the name of a file ends with."""

ENDINGS = "/".join(READERS)
"""As sentences and the list of forms name them."""

_METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
"""What Hugging Face's image folders are described by."""
_SHOWN = 4


def find_table(place: str, options: Mapping[str, str], skip_bad: SkipBad | None = None) -> QuestionTable:
    """The table at a place.

    Args:
        place: a file, a folder, or ``hf:owner/name``.
        options: ``split`` and ``config`` of a data set.
        skip_bad: counts bad rows and leaves them out; None makes them errors.

    Raises:
        QuestionError: there is none, or several, saying what to write.
        InputError: a package that reads it is not installed.
    """
    if place.startswith(HUB):
        return read_hub(place, split=options.get("split"), config=options.get("config"))
    path = Path(place)
    if is_saved(path):
        return read_saved(path, split=options.get("split"), config=options.get("config"))
    file = path if path.is_file() else _inside(path)
    if given := next((option for option in ("split", "config") if option in options), None):
        raise QuestionError(f"{place}: expected no {given}=, which is of data sets, found it; leave it out")
    return _reader(file)(file, skip_bad)


def _reader(file: Path) -> Reader:
    """What reads a file of that name."""
    ending = file.suffix.lower()
    if ending in READERS:
        return READERS[ending]
    if ending in PICTURE_ENDINGS:
        raise QuestionError(
            f"{file}: expected a table of questions, found a picture; write a table {_example(file.parent)}, and give "
            f"that alone, or photos:{file.parent} where nobody has answers"
        )
    remedy = (
        f"save it as {file.with_suffix('.csv').name}"
        if ending in (".xlsx", ".xls", ".ods")
        else "save it as one"
    )
    raise QuestionError(f"{file}: expected a file that ends in {ENDINGS}, found {name(file.name)}; {remedy}")


def _inside(folder: Path) -> Path:
    """The one file of questions in a folder.

    Raises:
        QuestionError: there is no such folder, or none or several such files in it.
    """
    if not folder.is_dir():
        raise QuestionError(_missing(folder))
    if described(folder) is not None:
        raise QuestionError(f"expected questions, but {found_instead(folder, 'give a table')}")
    entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    named = [entry for entry in entries if entry.name in _METADATA]
    tables = named or [entry for entry in entries if entry.is_file() and entry.suffix.lower() in READERS]
    if len(tables) == 1:
        return tables[0]
    if tables:
        raise QuestionError(
            f"{folder}: expected one file of questions, found {_listed(tables)}; name one: {tables[0]}"
        )
    below = sorted(entry for entry in folder.glob("*/*") if entry.suffix.lower() in READERS)
    if below:
        raise QuestionError(
            f"{folder}: expected a file of questions, found {below[0]} below; write {below[0]}"
        )
    pictures = [entry for entry in entries if entry.suffix.lower() in PICTURE_ENDINGS]
    found = f"{len(pictures)} pictures, such as {pictures[0].name}," if pictures else _listed(entries)
    raise QuestionError(
        f"{folder}: expected a table of questions, found {found} and none; write one {_example(folder)}, give yours as "
        f"TABLE,images={shlex.quote(str(folder))}, or photos:{folder} for pictures without labels"
    )


def _example(folder: Path) -> str:
    """The table that pictures in a folder want."""
    return f"{folder / 'questions.csv'} with columns image,question,answer"


def _missing(path: Path) -> str:
    """What to write instead of a path at which there is nothing."""
    if "*" in path.name:
        return (
            f"{path}: expected one table of questions, found a pattern; write a table {_example(path.parent)}"
        )
    remedy = f"check the path; tables end in {ENDINGS}"
    if not path.suffix and len(path.parts) == 2 and not path.parent.exists():
        remedy = f"for a data set of the hub, write {HUB}{path}"
    return f"expected questions, but {found_instead(path, remedy)}"


def _listed(entries: Iterable[Path]) -> str:
    names = [entry.name for entry in entries]
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "") if names else "an empty folder"


def instead(text: str) -> str | None:
    """What somebody may have meant who put a word before a place of their own; None where nothing is known.

    Args:
        text: what ``--questions`` was given, without options: ``csv:photos.csv`` or an address of the hub.
    """
    for address in ("https://huggingface.co/datasets/", "hf://datasets/", "huggingface.co/datasets/"):
        if text.startswith(address):
            return HUB + "/".join(text.removeprefix(address).split("/")[:2])
    _, colon, rest = text.partition(":")
    return rest if colon and Path(rest).exists() and "\0" not in rest else None
