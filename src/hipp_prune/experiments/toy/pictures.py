"""The embedded models' picture processing, and teaching a vision tower to name what each patch shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from hipp_prune.experiments.toy.families import LLAVA, ToyFamily
from hipp_prune.questions.toyworld.drawing import CELL, SIDE, draw
from hipp_prune.questions.toyworld.scenes import GRID, Scene


def image_processor(family: ToyFamily) -> Any:
    """The stock PIL image processor that leaves a picture of ``SIDE`` pixels its size."""
    square = {"height": SIDE, "width": SIDE}
    if family is LLAVA:
        return CLIPImageProcessorPil(size=square, crop_size=square, do_center_crop=False)
    area = SIDE**2
    return Qwen2VLImageProcessorPil(
        size={"shortest_edge": area, "longest_edge": area},
        patch_size=CELL // 2,
        merge_size=2,
        temporal_patch_size=2,
    )


@dataclass(frozen=True)
class Pictures:
    """Processed pictures of some scenes, and the word each patch should say."""

    pixels: Tensor  # [pictures ...]
    words: Tensor  # [pictures patches]
    """Token of the thing, or of the place, that each patch shows."""
    grids: Tensor | None  # [pictures 3]
    """Qwen's grid of unmerged patches (time, rows, columns) of each picture."""

    def part(self, index: Tensor) -> "Pictures":
        """The pictures at ``index``."""
        return Pictures(
            self.pixels[index], self.words[index], None if self.grids is None else self.grids[index]
        )


def prepare(family: ToyFamily, scenes: Sequence[Scene], ids: dict[str, int]) -> Pictures:
    """Draws and processes ``scenes``; ``ids`` is the vocabulary."""
    inputs = image_processor(family)([draw(scene) for scene in scenes], return_tensors="pt")
    words = torch.tensor([[ids[word] for word in scene.words] for scene in scenes])
    pixels = torch.as_tensor(inputs["pixel_values"], dtype=torch.float32)
    if "image_grid_thw" not in inputs:
        return Pictures(pixels, words, None)
    return Pictures(
        pixels.view(len(scenes), -1, pixels.shape[-1]), words, torch.as_tensor(inputs["image_grid_thw"])
    )


def features(model: Any, pictures: Pictures) -> Tensor:
    """What the vision tower and projector put in the place of each patch's token: [pictures, patches, hidden]."""
    if pictures.grids is None:
        outputs = model.get_image_features(pixel_values=pictures.pixels)
    else:
        outputs = model.get_image_features(pictures.pixels.flatten(0, 1), pictures.grids)
    return torch.cat(list(outputs.pooler_output)).view(len(pictures.words), GRID**2, -1)


def vision_parameters(model: nn.Module) -> list[nn.Parameter]:
    """Weights of the vision tower and the projector, whatever the family calls them."""
    return [weight for name, weight in model.named_parameters() if not is_language(name)]


def is_language(name: str) -> bool:
    """Whether a parameter of this name belongs to the language model or its head."""
    return name.startswith(("model.language_model.", "lm_head."))


def distance(shown: Tensor, wanted: Tensor) -> Tensor:
    """Squared error relative to the spread of ``wanted``: 0 is perfect, 1 is as bad as the mean.

    Both are [pictures, patches, hidden].
    """
    spread = (wanted - wanted.mean((0, 1))).square().mean()
    return (shown - wanted).square().mean() / spread


def named_right(
    shown: Tensor,
    words: Tensor,
    embeddings: Tensor,
) -> float:
    """Share of patches whose nearest word, among those of ``words``, is the right one.

    Args:
        shown: features, [pictures, patches, hidden].
        words: the right token of each patch, [pictures, patches].
        embeddings: of every token, [tokens, hidden].
    """
    candidates = words.unique()
    nearest = torch.cdist(shown.flatten(0, 1), embeddings[candidates]).argmin(-1)
    return float((candidates[nearest] == words.flatten()).float().mean())
