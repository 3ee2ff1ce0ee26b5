"""What is known to be in each picture: our ``objects.json``, POPE's segmentation file, or official COCO instances."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from annotated_types import Len

from hipp_prune.errors import QuestionError
from hipp_prune.files.reading import read_document, read_text
from hipp_prune.questions.records import Name, read_records

_REMEDY = "give {image, objects} records, or COCO's instances_*.json"

Object = Annotated[Name, Len(1)]
"""What people call it, e.g. ``dog`` or ``potted plant``."""


@dataclass(frozen=True, kw_only=True)
class AnnotatedPicture:
    """What somebody says is in a picture, by hand or by a detector."""

    image: Name
    """The name of its file."""
    objects: tuple[Object, ...]
    """Each once, in the order of the annotations."""


@dataclass(frozen=True, kw_only=True)
class _Listed:
    image: Name
    objects: list[Object]


@dataclass(frozen=True, kw_only=True)
class _Image:
    id: int
    file_name: Name


@dataclass(frozen=True, kw_only=True)
class _Category:
    id: int
    name: Object


@dataclass(frozen=True, kw_only=True)
class _Annotation:
    image_id: int
    category_id: int


@dataclass(frozen=True, kw_only=True)
class _Instances:
    """What is needed of COCO's file."""

    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]


def read_annotations(path: Path) -> list[AnnotatedPicture]:
    """Every picture of an annotation file, in its order; those without an object too.

    A file of ``{image, objects}`` records may be JSON lines (POPE's) or an array; any other object must be COCO's
    ``instances_*.json``, of which images, annotations and categories are read.

    Raises:
        QuestionError: the file is missing or neither; a picture stands in it twice; an annotation names a picture or
            a category that is not there.
    """
    text = read_text(path, remedy=_REMEDY, error=QuestionError).lstrip()
    first_key = text[:200].lstrip("{ \t\r\n")
    is_instances = text.startswith("{") and not first_key.startswith(('"image"', '"objects"', '"image_id"'))
    found = list(_instances(path) if is_instances else _listed(path))
    _refuse_twice(path, found)
    return found


def _listed(path: Path) -> Iterator[AnnotatedPicture]:
    for _, record in read_records(path, _Listed, remedy="correct it"):
        yield AnnotatedPicture(image=record.image, objects=_once(record.objects))


def _instances(path: Path) -> Iterator[AnnotatedPicture]:
    read = read_document(path, _Instances, remedy=_REMEDY, error=QuestionError, foreign=True)
    names = {category.id: category.name for category in read.categories}
    objects: dict[int, list[str]] = {image.id: [] for image in read.images}
    for annotation in read.annotations:
        if annotation.image_id not in objects or annotation.category_id not in names:
            raise QuestionError(
                f"{path}: expected every annotation's image and category in the file, found image "
                f"{annotation.image_id}, category {annotation.category_id}; give the official file"
            )
        objects[annotation.image_id].append(names[annotation.category_id])
    for image in read.images:
        yield AnnotatedPicture(image=image.file_name, objects=_once(objects[image.id]))


def _once(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _refuse_twice(path: Path, pictures: Sequence[AnnotatedPicture]) -> None:
    seen: set[str] = set()
    for picture in pictures:
        if picture.image in seen:
            raise QuestionError(
                f"{path}: expected every picture once, found {picture.image} again; merge its objects"
            )
        seen.add(picture.image)
