"""Where a benchmark's pictures lie."""

from collections.abc import Sequence
from pathlib import Path

from hipp_prune.errors import ImageError


def image_folder(
    given: Path | None, candidates: Sequence[Path], *, title: str, name: str, need_images: bool
) -> Path:
    """The folder with a benchmark's pictures: the one that is given, else the first candidate that exists.

    Args:
        given: what ``images=`` says; None for nothing.
        candidates: where the pictures lie by custom, at least one.
        title: the benchmark's, for an error.
        name: what its source begins with, for an error.
        need_images: False where no picture is opened, and any folder will do.

    Raises:
        ImageError: ``need_images`` and there is no folder.
    """
    if given is not None:
        if need_images and not given.is_dir():
            raise ImageError(f"{given}: expected a folder with {title}'s pictures, found none; check images=")
        return given
    found = next((candidate for candidate in candidates if candidate.is_dir()), None)
    if found is None and need_images:
        raise ImageError(
            f"expected {title}'s pictures in one of {', '.join(map(str, candidates))}, found none of these "
            f"folders; give theirs with images=, as in {name}:PATH,images=DIR"
        )
    return found or candidates[0]
