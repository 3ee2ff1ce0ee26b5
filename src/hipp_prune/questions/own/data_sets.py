"""Tables of Hugging Face's ``datasets``: of the hub, saved to disk, or one parquet file."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hipp_prune.errors import QuestionError
from hipp_prune.files.faults import name
from hipp_prune.files.hub import hub_or_its_cache, silence_of_hub
from hipp_prune.files.packages import require_packages
from hipp_prune.questions.own.table import Cells, QuestionTable
from hipp_prune.questions.records import SkipBad

if TYPE_CHECKING:
    from datasets import Dataset

HUB = "hf:"
"""What a data set of the hub begins with."""

_STATE, _SPLITS = "state.json", "dataset_dict.json"
"""What tells a data set saved to disk, and one of several splits."""
_EXTRA = "datasets"
_MOST_SHOWN = 300

_CHECK_NAME = "check the name, and split= or config= where it has several"
_FETCH_AGAIN = "remove it from Hugging Face's cache, so that it is fetched again"
_SAVE_AGAIN = "copy it again, or save it again with its save_to_disk"
_WRITE_AGAIN = "copy it again, or write it again with pandas' to_parquet or datasets"


@dataclass(frozen=True)
class _Rows(Iterable[tuple[str, Cells]]):
    """Rows of a data set, read from its file one after the other."""

    place: str
    data: "Dataset"
    named: Mapping[str, Any]
    """Columns of numbers that stand for names (``datasets.ClassLabel``)."""
    remedy: str
    """What to do where a row cannot be read."""

    def __iter__(self) -> Iterator[tuple[str, Cells]]:
        rows = iter(self.data)
        for number in count(start=1):
            where = f"{self.place}, row {number}"
            with _telling(where, what="a row", remedy=self.remedy):
                row = next(rows, None)
            if row is None:
                return
            cells = dict(row)
            for column, label in self.named.items():
                if cells[column] is not None and cells[column] >= 0:
                    cells[column] = label.int2str(cells[column])
            yield where, cells


def read_hub(place: str, *, split: str | None, config: str | None) -> QuestionTable:
    """A split of a data set of the hub, downloaded into Hugging Face's own cache.

    Args:
        place: ``hf:owner/name``.
        split: which one; may be None where there is one only.
        config: which configuration, where there are several.

    Raises:
        InputError: ``datasets`` is not installed.
        QuestionError: there is no such data set, split or configuration, or it cannot be fetched.
    """
    require_packages(place, [_EXTRA], extra=_EXTRA)
    repository = place.removeprefix(HUB)
    with hub_or_its_cache(), _telling(place, remedy=_CHECK_NAME, of_hub=True):
        found = load_from_hub(repository, config, split)
    return _table(place, repository.rpartition("/")[2], _one_split(place, found, split))


def read_saved(folder: Path, *, split: str | None, config: str | None) -> QuestionTable:
    """A data set that ``datasets`` saved to disk.

    Args:
        folder: what ``save_to_disk`` wrote.
        split: which one; may be None where there is one only.
        config: None, since what is saved is of one configuration.

    Raises:
        InputError: ``datasets`` is not installed.
        QuestionError: it is damaged, there is no such split, or a configuration is named.
    """
    if config is not None:
        raise QuestionError(
            f"{folder}: expected no config=, since a saved data set is of one configuration, found {name(config)}; "
            "leave it out"
        )
    require_packages(f"a saved data set ({folder})", [_EXTRA], extra=_EXTRA)
    import datasets

    place = str(folder)
    with _telling(place, remedy=_SAVE_AGAIN):
        found = datasets.load_from_disk(place)
    if split is not None and isinstance(found, datasets.Dataset) and str(found.split) != split:
        raise QuestionError(
            f"{folder}: expected no split={split}, since one data set alone is saved here"
            f"{'' if found.split is None else f' (the split {found.split})'}; leave it out, or save all splits as "
            "a DatasetDict"
        )
    return _table(place, folder.name, _one_split(place, found, split), folder.absolute(), remedy=_SAVE_AGAIN)


def read_parquet(path: Path, skip_bad: SkipBad | None = None) -> QuestionTable:  # noqa: ARG001
    """A parquet file; what ``datasets`` or pandas write is read alike.

    Raises:
        InputError: ``datasets`` is not installed.
        QuestionError: it is damaged.
    """
    require_packages(str(path), [_EXTRA], extra=_EXTRA)
    import datasets
    import pyarrow.parquet

    with _telling(str(path), what="a parquet file", remedy=_WRITE_AGAIN):
        data = datasets.Dataset(datasets.table.InMemoryTable(pyarrow.parquet.read_table(path)))
    return _table(str(path), path.stem, data, path.absolute().parent, remedy=_WRITE_AGAIN)


def is_saved(folder: Path) -> bool:
    """Whether ``datasets`` saved a data set there."""
    return any((folder / name).is_file() for name in (_STATE, _SPLITS))


def load_from_hub(repository: str, config: str | None, split: str | None) -> Any:
    """What ``datasets.load_dataset`` gives: one split, or all by name."""
    import datasets

    return datasets.load_dataset(repository, config, split=split)


@contextmanager
def _telling(place: str, *, what: str = "a data set", remedy: str, of_hub: bool = False) -> Iterator[None]:
    """Says in a sentence of ours what ``datasets`` objects to.

    Args:
        place: what is read.
        what: it should be.
        remedy: what to do if it is not.
        of_hub: whether it comes from the hub, which may be out of reach.
    """
    from datasets.exceptions import DatasetsError
    from pyarrow import ArrowException

    try:
        yield
    except (DatasetsError, ArrowException, OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())[:_MOST_SHOWN]
        silence = silence_of_hub() if of_hub else None
        if silence is not None:
            raise QuestionError(
                f"{place}: the hub cannot be reached ({silence}), and nothing in its cache serves ({reason}); check "
                "the network, or give a folder that datasets saved"
            ) from error
        raise QuestionError(
            f"{place}: expected {what}, found none that can be read: {reason}; {remedy}"
        ) from error


def _one_split(place: str, found: Any, split: str | None) -> "Dataset":
    """The split that is asked for, of one or several.

    Raises:
        QuestionError: there are several and none is named, or it is another.
    """
    if not isinstance(found, Mapping):  # already one
        return found
    names = list(found)
    if split in found:
        return found[split]
    if split is None and len(names) == 1:
        return found[names[0]]
    said = "found several" if split is None else f"found no {name(split)}"
    raise QuestionError(
        f"{place}: expected one of the splits {', '.join(map(name, names))}, {said}; write "
        f"{place},split={name(names[0])}"
    )


def _table(
    place: str, title: str, data: "Dataset", home: Path | None = None, *, remedy: str = _FETCH_AGAIN
) -> QuestionTable:
    """Pictures stay the bytes that they are, and labels that have names become these."""
    import datasets

    named: dict[str, Any] = {}
    for column, feature in data.features.items():
        if isinstance(feature, datasets.Image):
            data = data.cast_column(column, datasets.Image(decode=False))
        elif isinstance(getattr(feature, "feature", None), datasets.Image):  # a list of them
            data = data.cast_column(column, replace(feature, feature=datasets.Image(decode=False)))
        elif isinstance(feature, datasets.ClassLabel):
            named[column] = feature
    return QuestionTable(
        place=place,
        name=title,
        columns=tuple(data.column_names),
        rows=_Rows(place, data, named, remedy),
        home=home,
    )
