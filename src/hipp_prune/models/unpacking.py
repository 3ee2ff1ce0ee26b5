"""Quantised checkpoints that are unpacked in memory as they are first asked (compressed-tensors, on CPUs)."""

from importlib import import_module
from typing import Any

from transformers import PreTrainedModel


def stay_in_place(model: PreTrainedModel) -> None:
    """Undoes what compressed-tensors adds when it unpacks a model: hooks that move weights and inputs between devices.

    Nothing is moved where all lies on one device, but every module with a tensor of its own would be given dictionaries
    in place of the classes that its forward expects (LLaVA-NeXT's ``image_newline``).
    """
    if getattr(model, "ct_decompress_hook", None) is None:
        return
    offload: Any = import_module("compressed_tensors.offload")

    def undo(unpacked: Any, _: Any) -> None:
        offload.remove_dispatch(unpacked)
        handle.remove()

    handle = model.register_forward_pre_hook(undo)  # behind the one that unpacks
