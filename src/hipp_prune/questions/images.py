"""Pictures of the questions: read one, or check all of them before a long run starts."""

import struct
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from hipp_prune.errors import ImageError
from hipp_prune.questions.question import Question
from hipp_prune.questions.records import SkipBad, skip_or_raise

# What Pillow's decoders raise on damaged files, depending on format and on where the damage is.
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


_WHITE = 65535
"""The largest grey value of 16 bits."""


def read_image(path: Path) -> Image.Image:
    """The picture in RGB, fully decoded, the file closed again.

    An EXIF rotation is not applied, as in the official evaluations; transparency is dropped. Grey values of 16 bits
    and floats in [0, 1] are scaled to 8 bits, where Pillow alone would cut them off to white or black.

    Raises:
        ImageError: the file is missing, is no picture, ends before the picture does, or has grey values on no known
            scale.
    """
    try:
        found = "a file" if path.is_file() else "a folder" if path.is_dir() else "nothing"
    except OSError as error:  # a name that no file can have
        found = error.strerror or str(error)
    if found != "a file":
        raise ImageError(f"{path}: expected an image, found {found}; check the image folder")
    try:
        with Image.open(path) as image:
            image.load()
            if image.mode == "P" and "transparency" in image.info:
                return image.convert("RGBA").convert("RGB")
            return _eight_bits(image, path).convert("RGB")
    except _DECODING_ERRORS as error:
        raise ImageError(
            f"{path}: expected a complete image, found one that cannot be decoded ({error}); "
            "copy it again or skip bad records"
        ) from error


def _eight_bits(image: Image.Image, path: Path) -> Image.Image:
    """A grey picture of more than 8 bits in 8; any other as it is."""
    if not image.mode.startswith(("I", "F")):
        return image
    values = np.asarray(image, dtype=np.float64)
    least, most = float(values.min()), float(values.max())
    white = 1.0 if image.mode == "F" else _WHITE
    if not 0 <= least <= most <= white:  # false for NaN too
        raise ImageError(
            f"{path}: expected grey values in [0, {white:g}], found {least:g} to {most:g}, whose scale nothing tells; "
            "save the picture with 8 bits a channel"
        )
    return Image.fromarray(np.rint(values * (255 / white)).astype(np.uint8))


def check_images(questions: Iterable[Question], skip_bad: SkipBad | None = None) -> list[Question]:
    """The questions whose picture exists and decodes; those without a picture pass.

    Each file is decoded once, however many questions ask about it. Left-out *questions* are counted.

    Raises:
        ImageError: a picture is missing or damaged and ``skip_bad`` is None.
    """
    verdicts: dict[Path, ImageError | None] = {}
    kept = []
    for question in questions:
        if question.image is None:
            kept.append(question)
            continue
        if question.image not in verdicts:
            verdicts[question.image] = _image_error(question.image)
        error = verdicts[question.image]
        if error is None:
            kept.append(question)
        else:
            skip_or_raise(ImageError(f"question {question.id}: {error}"), skip_bad)
    return kept


def _image_error(path: Path) -> ImageError | None:
    try:
        read_image(path)
    except ImageError as error:
        return error
    return None
