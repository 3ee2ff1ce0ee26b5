"""A model in memory, written as a checkpoint folder that opens like any other: weights, configuration, processor."""

from collections.abc import Mapping
from pathlib import Path

from transformers import PreTrainedModel

from hipp_prune.checkpoints.card import write_card
from hipp_prune.checkpoints.configs import read_config_file, with_old_rope, write_config_file
from hipp_prune.checkpoints.folders import whole_or_not_at_all
from hipp_prune.models.loading import quiet
from hipp_prune.models.processor import Processor

_TEMPLATE = "chat_template.jinja"


def save_model(
    model: PreTrainedModel, processor: Processor, out: Path, records: Mapping[str, str] | None = None
) -> None:
    """Writes a checkpoint, whole or not at all.

    Args:
        model: what is written, by ``save_pretrained``.
        processor: of the model; transformers' own is written where it came with the model.
        out: folder to make; the caller has made sure that it may be.
        records: further files by name: what was done.

    Raises:
        CheckpointError: if the disk is full.
    """
    with whole_or_not_at_all(out, needed=num_bytes(model)) as folder:
        with quiet():
            model.save_pretrained(folder)
        parts = (
            (processor.tokenizer, processor.image_processor)
            if processor.stock is None
            else (processor.stock,)
        )
        for part in parts:
            part.save_pretrained(folder)
        (folder / _TEMPLATE).write_text(processor.chat_template, encoding="utf-8")
        for name, text in (records or {}).items():
            (folder / name).write_text(text, encoding="utf-8")
        write_config_file(folder / "config.json", with_old_rope(read_config_file(folder / "config.json")))
        write_card(folder, out.name)


def num_bytes(model: PreTrainedModel) -> int:
    """Bytes of a model's parameters, shared ones once."""
    return sum(parameter.nbytes for parameter in model.parameters())
