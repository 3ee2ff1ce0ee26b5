"""Pictures of the questions: read one, or check all of them before a long run starts."""

import struct
import zlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from hipp_prune.errors import ImageError
from hipp_prune.files.faults import shown_place
from hipp_prune.files.manifest import check_whole
from hipp_prune.files.system import cause
from hipp_prune.questions.question import Question
from hipp_prune.questions.records import OR_SKIP, SkipBad, skip_or_raise, warn

# What Pillow's decoders raise on damaged files, depending on format and on where the damage is.
_PHOTO_AND_MORE = "MPO"
"""How Pillow calls a camera's JPEG behind which others of the same scene lie, as depth."""
_DECODING_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


UNREAD_ENDINGS = (".heic", ".heif")
"""Of pictures that phones take and nothing here reads."""
_EIGHT, _SIXTEEN = 2**8 - 1, 2**16 - 1
"""The largest grey values of so many bits."""
_STILL = (b"heic", b"heix", b"mif1", b"avif")
"""Kinds of files in boxes, as MP4's, that hold a picture."""
_MOVING = ("GIF", "WEBP", "PNG")
"""Formats whose frames follow each other in time."""
_BITS_PER_SAMPLE = 258
"""A TIFF's tag."""


def read_image(path: Path) -> Image.Image:
    """The picture in RGB, fully decoded, the file closed again.

    An EXIF rotation is not applied, as in the official evaluations; transparency is dropped. Grey values of 16 bits
    and floats in [0, 1] are scaled to 8 bits, where Pillow alone would cut them off to white or black. Integers of 32
    bits are on the scale of 8 bits if all of them fit in there, else on that of 16.

    Raises:
        ImageError: the file is missing, is no picture or a moving one, ends before the picture does, or has grey values
            on no known scale.
        RunError: we drew it, and it is no longer what we drew.
    """
    place = shown_place(path)
    try:
        found = "a file" if path.is_file() else "a folder" if path.is_dir() else "nothing"
    except OSError as error:  # a name that no file can have
        found = cause(error)
    if found != "a file":
        raise ImageError(f"{place}: expected an image, found {found}; check the image folder")
    check_whole(path)
    if path.suffix.lower() in UNREAD_ENDINGS:
        raise ImageError(
            f"{place}: expected a picture that can be read, found one in {path.suffix[1:].upper()}; convert it to JPEG"
        )
    try:
        with Image.open(path) as image:
            image.load()
            _check_frames(image, place)
            return in_rgb(image, place)
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        if _is_video(path):
            raise ImageError(
                f"{place}: expected an image, found a video; videos are not taken, give some of its frames as pictures"
            ) from error
        found = "a file of a kind that Pillow does not read" if path.stat().st_size else "an empty file"
        raise ImageError(
            f"{place}: expected an image, found {found}; copy it again, save it as PNG or JPEG, {OR_SKIP}"
        ) from error
    except _DECODING_ERRORS as error:
        remedy = "make it smaller" if isinstance(error, Image.DecompressionBombError) else "copy it again"
        raise ImageError(
            f"{place}: expected a complete image, found one that cannot be decoded ({cause(error)}); {remedy} {OR_SKIP}"
        ) from error


def _is_video(path: Path) -> bool:
    """Whether a file that holds no picture begins as those of MP4 and QuickTime, WebM and Matroska, or AVI do."""
    with path.open("rb") as file:
        start = file.read(12)
    boxed = start[4:8] in (b"ftyp", b"moov") and start[8:] not in _STILL
    return boxed or start[:4] == b"\x1a\x45\xdf\xa3" or start[8:] == b"AVI "


def _check_frames(image: Image.Image, place: str) -> None:
    """Refuses a moving picture, and says once that of several pages the first is taken.

    A phone's JPEG holds a preview or a map of depths behind the photo, which is no page.
    """
    if not getattr(image, "is_animated", False):
        return
    if image.format in _MOVING:
        raise ImageError(
            f"{place}: expected one picture, found a moving one of {getattr(image, 'n_frames', 2)} frames; videos are "
            "not taken, give some of its frames as pictures"
        )
    if image.format != _PHOTO_AND_MORE:
        warn("some pictures have several pages, of which the first one is asked about")


def in_rgb(image: Image.Image, where: object) -> Image.Image:
    """A decoded picture in RGB; see ``read_image``.

    Args:
        image: in any mode.
        where: it is from, for a sentence.

    Raises:
        ImageError: it has grey values on no known scale.
    """
    if image.mode == "P" and "transparency" in image.info:
        return image.convert("RGBA").convert("RGB")
    return _eight_bits(image, where).convert("RGB")


def _eight_bits(image: Image.Image, where: object) -> Image.Image:
    """A grey picture of more than 8 bits in 8; any other as it is."""
    if not image.mode.startswith(("I", "F")):
        return image
    values = np.asarray(image, dtype=np.float64)
    least, most = float(values.min()), float(values.max())
    white = _white(image, most)
    if not 0 <= least <= most <= white:  # false for NaN too
        raise ImageError(
            f"{where}: expected grey values in [0, {white:g}], found {least:g} to {most:g}, whose scale nothing tells; "
            "save the picture with 8 bits a channel"
        )
    return Image.fromarray(np.rint(values * (255 / white)).astype(np.uint8))


def _white(image: Image.Image, most: float) -> float:
    """The grey value that is white in a picture whose largest one is ``most``.

    No picture uses 32 bits for 2³² greys, so there the values decide; where a file says 16 bits, it is believed, be the
    picture ever so dark.
    """
    if image.mode == "F":
        return 1.0
    tags = getattr(image, "tag_v2", {})
    wide = image.mode == "I" and image.format not in ("PNG", "PPM") and tags.get(_BITS_PER_SAMPLE) != (16,)
    return _EIGHT if wide and most <= _EIGHT else _SIXTEEN


def check_images(questions: Iterable[Question], skip_bad: SkipBad | None = None) -> list[Question]:
    """The questions whose pictures exist and decode; those without a picture pass.

    Each file is decoded once, however many questions ask about it. Left-out *questions* are counted.

    Raises:
        ImageError: a picture is missing or damaged and ``skip_bad`` is None.
    """
    verdicts: dict[Path, ImageError | None] = {}
    kept = []
    for question in questions:
        for path in question.images:
            if path not in verdicts:
                verdicts[path] = _image_error(path)
        error = next((wrong for path in question.images if (wrong := verdicts[path])), None)
        if error is None:
            kept.append(question)
        else:
            skip_or_raise(ImageError(f"question {question.id}: {error}"), skip_bad)
    return kept


def turned(paths: Iterable[Path]) -> list[Path]:
    """The pictures, each once, that EXIF wants to be shown turned or mirrored, which nothing here does."""
    return [path for path in dict.fromkeys(paths) if _orientation(path) in range(2, 9)]


@cache
def _orientation(path: Path) -> object:
    """What EXIF says, 1 for upright; None where it says nothing, or the file is no picture."""
    try:
        if not path.is_file():  # a pipe without an end
            return None
        with Image.open(path) as image:
            if image.format == "PNG" and "exif" not in image.info:  # Pillow would decode all of it to be sure
                return None
            return image.getexif().get(ExifTags.Base.Orientation)
    except _DECODING_ERRORS:
        return None


def _image_error(path: Path) -> ImageError | None:
    try:
        read_image(path)
    except ImageError as error:
        return error
    return None
