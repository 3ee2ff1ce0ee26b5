"""What models say about a picture, in their own words."""

from collections.abc import Sequence
from pathlib import Path

import torch

from hipp_prune.checkpoints.ledger import read_savings
from hipp_prune.errors import InputError
from hipp_prune.models.loading import local_folder
from hipp_prune.questions.images import read_image
from hipp_prune.questions.question import probe
from hipp_prune.stages.loading import Model, load, refuse_several
from hipp_prune.stages.settings import LoadSettings


@torch.no_grad()
def ask(
    model: Model,
    prompts: Sequence[str],
    images: Sequence[Path],
    *,
    together: bool = False,
    max_tokens: int = 64,
    loading: LoadSettings = LoadSettings(),
) -> list[str]:
    """Generates an answer to every prompt about every picture, or about all at once, greedily; picture after picture.

    Args:
        model: a name, a checkpoint folder, or a model in memory.
        prompts: what is asked, without the family's template.
        images: pictures.
        together: whether a prompt is about all of them, in their order, as a question about several pictures is.
        max_tokens: of each answer, at most.
        loading: how the model is loaded.

    Raises:
        InputError: if nothing is asked, or about nothing.
        ImageError: if a picture is missing or cannot be decoded.
        UnsupportedModelError: if the family takes one picture a question and all are shown at once; see also ``load``.
        CheckpointError: see ``load``.
    """
    if not prompts or not images or not all(prompts):
        raise InputError('expected a question and a picture, found none; write --image P "What do you see?"')
    pictures = {path: read_image(path) for path in images}
    asked = [probe(prompt, *shown) for shown in ([images] if together else zip(images)) for prompt in prompts]
    refuse_several(model, asked, loading)
    adapter = load(model, loading, quantised=True)
    features = {path: adapter.encode_images([picture])[0] for path, picture in pictures.items()}
    return [
        adapter.generate(*adapter.encode([one], features), max_new_tokens=max_tokens, do_sample=False)[
            0
        ].strip()
        for one in asked
    ]


def pruned_from(checkpoint: str) -> str | None:
    """The model that a checkpoint was pruned from, as far as it says; None for a dense one.

    Raises:
        CheckpointError, PlanError: see ``read_savings``.
    """
    savings = read_savings(local_folder(checkpoint))
    return None if savings is None else savings.notes.get("model")
