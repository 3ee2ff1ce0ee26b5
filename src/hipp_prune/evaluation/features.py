"""What the vision tower makes of every picture, computed once: no plan touches it.

Features stay in memory up to a limit; the rest lie in safetensors files, mapped into memory and read when they are
asked for. A file is named by what it depends on (weights, precision, picture processing, the picture's own bytes), so a
search that is started again finds it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from hipp_prune.errors import RunError
from hipp_prune.files.manifest import check_whole
from hipp_prune.files.progress import Progress
from hipp_prune.files.writing import atomic_path
from hipp_prune.models.adapter import Adapter, ImageFeatures
from hipp_prune.questions.images import read_image
from hipp_prune.questions.question import Question, pictures_of

_VERSION = 2
"""Of what is kept of a picture, which every file's name depends on; since 2 its features among other pictures, too."""
IMAGE_MEMORY = 2**30
"""Bytes of features that stay in memory where there is a folder for the rest: 227 pictures of LLaVA-1.5-7B."""


def encode_image_files(
    adapter: Adapter,
    questions: Sequence[Question],
    *,
    folder: Path | None = None,
    memory: int = IMAGE_MEMORY,
    batch_size: int = 32,
    progress: Progress | None = None,
) -> Mapping[Path, ImageFeatures]:
    """Runs every distinct picture of ``questions`` through the vision tower and the projector once.

    Args:
        adapter: the model.
        questions: whose pictures.
        folder: where features beyond ``memory`` are kept; without one all stay in memory.
        memory: bytes of features that stay in memory.
        batch_size: pictures read at a time.
        progress: told (pictures encoded, pictures in all).

    Raises:
        ImageError: if a picture is missing or cannot be decoded.
        RunError: if the disk is full.
    """
    paths = pictures_of(questions)
    features: dict[Path, ImageFeatures] = {}
    room = memory
    for start in range(0, len(paths), batch_size):
        chunk = paths[start : start + batch_size]
        files = {} if folder is None else {path: folder / _file_name(adapter, path) for path in chunk}
        found = {path: stored for path, file in files.items() if (stored := _read(file))}
        missing = [path for path in chunk if path not in found]
        with torch.inference_mode():
            encoded = adapter.encode_images([read_image(path) for path in missing])
        for path, image in zip(missing, encoded, strict=True):
            room -= image.nbytes
            found[path] = image if room >= 0 or folder is None else _write(image, files[path])
        features.update(found)
        if progress:
            progress(len(features), len(paths))
    return features


def _file_name(adapter: Adapter, path: Path) -> str:
    """Names the features of a picture by all they depend on."""
    settings = adapter.processor.image_processor.to_json_string()
    digest = hashlib.sha256(
        f"{_VERSION} {adapter.shape.fingerprint} {adapter.model.dtype} {settings}".encode()
    )
    digest.update(path.read_bytes() if path.is_file() else b"")
    return f"{digest.hexdigest()[:32]}.safetensors"


def _write(image: ImageFeatures, file: Path) -> ImageFeatures:
    tensors = {"tokens": image.tokens, **{f"extras.{key}": value for key, value in image.extras.items()}}
    with atomic_path(file) as temporary:
        save_file({key: value.contiguous() for key, value in tensors.items()}, temporary)
    stored = _read(file)
    assert stored is not None, f"{file} was written a moment ago"
    return stored


def _read(file: Path) -> ImageFeatures | None:
    """The features in a file, mapped rather than read; None where there is none or a damaged one."""
    try:
        check_whole(file)
        with safe_open(file, framework="pt") as stored:
            tensors = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118 it is no mapping
            extras = {key.removeprefix("extras."): value for key, value in tensors.items() if key != "tokens"}
            return ImageFeatures(tokens=tensors["tokens"], extras=extras)
    except (OSError, SafetensorError, KeyError, RunError):
        return None
