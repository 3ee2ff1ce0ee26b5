"""What a convolutional tower says of every place of the pictures that are taught, kept in a file."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from hipp_prune.experiments.photo.tower import lite2_processor
from hipp_prune.files.progress import Progress
from hipp_prune.questions.images import read_image

_FILE = "maps.safetensors"
_AT_ONCE = 8
"""Pictures the tower sees at a time."""


def write_maps(
    folder: Path, tower: nn.Module, side: int, pictures: Sequence[Path], progress: Progress | None = None
) -> int:
    """Writes the maps of pictures into an empty folder, in float16 by the pictures' names; returns how many.

    Args:
        folder: for the file.
        tower: makes a map [channels, rows, columns] of each.
        side: pixels of the square that it sees.
        pictures: their files.
        progress: told (pictures seen, pictures in all).
    """
    maps: dict[str, Tensor] = {}
    for start in range(0, len(pictures), _AT_ONCE):
        some = pictures[start : start + _AT_ONCE]
        seen = places(tower, side, some)
        maps |= {path.name: each.half().contiguous() for path, each in zip(some, seen, strict=True)}
        if progress:
            progress(len(maps), len(pictures))
    save_file(maps, folder / _FILE)
    return len(maps)


def read_maps(folder: Path) -> Mapping[str, Tensor]:
    """The maps by the pictures' names, float32 [places, channels] each."""
    return {name: each.float() for name, each in load_file(folder / _FILE).items()}


@torch.no_grad()
def places(tower: nn.Module, side: int, pictures: Sequence[Path]) -> Tensor:
    """What the tower says of every place of some pictures, [pictures, places, channels]."""
    shown = lite2_processor(side)([read_image(path) for path in pictures], return_tensors="pt")
    seen: Tensor = tower(torch.as_tensor(shown["pixel_values"], dtype=torch.float32)).last_hidden_state
    return seen.flatten(2).transpose(1, 2)
