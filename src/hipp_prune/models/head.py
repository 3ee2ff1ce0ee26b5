"""The output head where answers are read, and nowhere else.

A vocabulary is large, and of a prompt's many positions one answers the question, or a few. Stock forwards can be told
so by ``logits_to_keep``, but some have no such argument and swallow it in ``**kwargs``, others scale or cap what the
head returns. So the forward is left as it is, and its head is given the wanted positions only.
"""

from torch import Tensor, nn
from transformers import PreTrainedModel

from hipp_prune.errors import UnsupportedModelError


def logits_at(model: PreTrainedModel, kept: Tensor, **inputs: object) -> Tensor:
    """Runs the stock forward with its head at some positions.

    Args:
        model: with a head over S sequences of T tokens.
        kept: bool [S, T].
        inputs: of the forward.

    Returns:
        Logits at the kept positions in reading order, [positions, vocabulary].

    Raises:
        UnsupportedModelError: if the forward computes logits without calling the head.
    """
    seen: list[Tensor] = []

    def keep(_: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        states, *others = arguments
        seen.append(states[kept.to(states.device)])
        return seen[-1], *others

    handle = model.get_output_embeddings().register_forward_pre_hook(keep)
    try:
        logits: Tensor = model(**inputs).logits
    finally:
        handle.remove()
    if len(seen) != 1 or logits.shape[:-1] != seen[0].shape[:-1]:
        raise UnsupportedModelError(
            f"{type(model).__name__} is not supported: its forward calls the output head {len(seen)} times and returns "
            f"logits of shape {list(logits.shape)}; expected one call, so that the head runs at the answers only"
        )
    return logits
