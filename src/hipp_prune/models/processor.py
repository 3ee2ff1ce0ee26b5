"""Tokenizer, image processor and chat template of a checkpoint, the same numbers on every machine.

transformers' own processors want torchvision (Qwen2.5-VL's does not even load without it), and PyPI's torchvision is a
CUDA build that breaks next to CPU torch. So there is one path: the stock tokenizer, the stock *PIL* image processor and
the checkpoint's own chat template. ``tests/contract`` proves that token ids and pixels equal the stock processor's.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jinja2 import TemplateError
from PIL import Image
from torch import Tensor
from transformers import AutoImageProcessor, AutoTokenizer, PreTrainedConfig, PreTrainedTokenizerBase
from transformers.processing_utils import ProcessorMixin

from hipp_prune.errors import CheckpointError, ImageError, UnsupportedModelError
from hipp_prune.files.system import cause
from hipp_prune.models.declared import PictureSettings, check_from_hub, check_pictures

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model", "tekken.json")
_PICTURE_FILES = ("preprocessor_config.json", "processor_config.json")
_TEMPLATE_FILES = ("chat_template.jinja", "chat_template.json", "tokenizer_config.json")
_FAILURES = (TemplateError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError)
"""What comes of a template, which is a program."""


@dataclass(frozen=True, kw_only=True)
class Processor:
    """Turns prompts into token ids and pictures into pixels exactly as the served model does."""

    tokenizer: PreTrainedTokenizerBase
    """The checkpoint's tokenizer."""
    image_processor: Any
    """transformers' image processor, PIL backend."""
    chat_template: str
    """Jinja template of a conversation."""
    stock: Any = None
    """transformers' own processor, where a loaded model came with it, or no adapter of ours lays out the family; see
    ``stock_layout``."""

    @classmethod
    def load(
        cls,
        source: Path | str,
        config: PreTrainedConfig,
        *,
        template: str | None = None,
        trust_remote_code: bool = False,
    ) -> "Processor":
        """Reads a checkpoint folder or a hub name.

        Args:
            source: checkpoint folder or hub name.
            config: its configuration, which says what kind of image processor it wants.
            template: the chat template of its family, for a checkpoint that has none.
            trust_remote_code: whether code from the checkpoint may run.

        Raises:
            CheckpointError: if the tokenizer, the image processor or a chat template is missing or unreadable.
        """
        options: dict[str, Any] = {
            "trust_remote_code": trust_remote_code,
            "local_files_only": isinstance(source, Path),
        }
        name = str(source)
        if isinstance(source, Path):
            check_pictures(source)
        with _loading(source, "tokenizer", _TOKENIZER_FILES):
            tokenizer = AutoTokenizer.from_pretrained(name, **options)
        with _loading(source, "image processor", _PICTURE_FILES):
            image_processor = AutoImageProcessor.from_pretrained(
                name, backend="pil", config=config, **options
            )
        with _loading(source, "chat template", _TEMPLATE_FILES):
            template = _stored_template(name, tokenizer) or template
        if not isinstance(source, Path):
            check_from_hub(
                image_processor.to_json_string(), PictureSettings, where=f"{source}, image processor"
            )
        if template is None:
            raise CheckpointError(
                f"{source}: found no chat template ({', '.join(_TEMPLATE_FILES)}), and answers to prompts in another "
                f"form than in training mean little; copy {_TEMPLATE_FILES[0]} from the checkpoint that this one was "
                f"made from"
            )
        return cls(tokenizer=tokenizer, image_processor=image_processor, chat_template=template)

    @classmethod
    def of(cls, stock: Any) -> "Processor":
        """The parts of a processor that transformers has loaded.

        Raises:
            UnsupportedModelError: naming the part that it lacks.
        """
        parts: dict[str, Any] = {
            name: getattr(stock, name, None) for name in ("tokenizer", "image_processor")
        }
        template = _plain_template(getattr(stock, "chat_template", None) or parts["tokenizer"])
        for name, part in {**parts, "chat template": template}.items():
            if part is None:
                raise UnsupportedModelError(
                    f"expected a processor with tokenizer, image processor and chat template, found "
                    f"{type(stock).__name__} without {name.replace('_', ' ')}; give the model's AutoProcessor"
                )
        return cls(**parts, chat_template=str(template), stock=stock)

    def render(self, prompt: str, *, images: int) -> str:
        """The conversation up to the point where the assistant answers, placeholders of its images before the text.

        Raises:
            CheckpointError: if the template is damaged, or refuses such a conversation.
        """
        content = [{"type": "image"}] * images
        conversation: list[Any] = [{"role": "user", "content": [*content, {"type": "text", "text": prompt}]}]
        try:
            text = self.tokenizer.apply_chat_template(
                conversation, chat_template=self.chat_template, add_generation_prompt=True, tokenize=False
            )
        except _FAILURES as error:
            raise CheckpointError(
                f"the chat template cannot write a question ({cause(error)}); take "
                "chat_template.jinja of the vision-language checkpoint that this one was made from"
            ) from error
        return str(text)

    def answer_lead(self) -> str:
        """What the template writes between the prompt and the assistant's answer: a space, or nothing.

        Nothing too where the template cannot write an answer behind a prompt.
        """
        marker = "marker"
        roles = [("user", "Is it so?"), ("assistant", marker)]
        conversation: list[Any] = [
            {"role": role, "content": [{"type": "text", "text": text}]} for role, text in roles
        ]
        try:
            written = str(
                self.tokenizer.apply_chat_template(
                    conversation, chat_template=self.chat_template, tokenize=False
                )
            )
        except _FAILURES:
            return ""
        prompt = self.render("Is it so?", images=0)
        lead, found, _ = written.removeprefix(prompt).partition(marker)
        return lead if found and written.startswith(prompt) and not lead.strip() else ""

    def token_ids(self, text: str) -> list[int]:
        """Ids of rendered text; a leading BOS is added unless the template wrote one, as stock processors do."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=not self.begins_with_bos(text))["input_ids"]
        return ids

    def plain_ids(self, text: str) -> list[int]:
        """Ids of text that is no prompt, a leading BOS as in ``token_ids``; what spells a control token is left out."""
        control = set(self.tokenizer.all_special_ids) - {self.tokenizer.unk_token_id}
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return self.token_ids("") + [token for token in ids if token not in control]

    def padding(self, image_token: int) -> int:
        """A token to fill rows with; never attended to, and never the image token."""
        padding = self.tokenizer.pad_token_id
        if padding is None or padding == image_token:
            padding = self.tokenizer.eos_token_id
        return 0 if padding is None else int(padding)

    def begins_with_bos(self, text: str) -> bool:
        """Whether the template wrote the BOS itself."""
        bos = self.tokenizer.bos_token
        return bos is not None and text.startswith(str(bos))

    def pixels(
        self, images: Sequence[Image.Image], *, together: bool = False, **options: Any
    ) -> dict[str, Tensor]:
        """What the image processor makes of pictures: ``pixel_values`` and whatever else the family uses.

        Args:
            images: at least one picture.
            together: whether it is told that one question shows them all.
            options: what the stock processor asks of its image processor beyond the stored settings.

        Raises:
            ImageError: if a picture cannot be brought into the model's format, e.g. 1 pixel high and 1000 wide.
        """
        shown = [image.convert("RGB") for image in images]
        try:
            outputs = self.image_processor([shown] if together else shown, return_tensors="pt", **options)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # the image processors of transformers raise whatever numpy and PIL do
            sizes = ", ".join(f"{image.width}×{image.height}" for image in images[:4])
            raise ImageError(f"an image of size {sizes} cannot be prepared: {_first_line(error)}") from error
        return {key: torch.as_tensor(value) for key, value in outputs.items()}


@contextmanager
def _loading(source: Path | str, what: str, files: Sequence[str]) -> Iterator[None]:
    """Says why a part of the processor cannot be had: its files, a package, or what transformers comes to over them.

    Args:
        source: checkpoint folder or hub name.
        what: the part.
        files: that it may be in.
    """
    try:
        yield
    except Exception as error:  # whatever transformers comes to over files that are not its own
        if "torchvision" in str(error).lower():
            why = (
                f"the {what} of this family exists for torchvision alone, which is not installed; install the "
                f"torchvision that belongs to your torch (without a GPU: both from "
                f"https://download.pytorch.org/whl/cpu)"
            )
        elif isinstance(source, Path) and not any((source / name).is_file() for name in files):
            why = (
                f"expected {what} files beside the weights, found none of {', '.join(files)}; copy them from "
                f"the checkpoint that this one was made from"
            )
        else:
            why = f"its {what} cannot be loaded: {_first_line(error)}"
        raise CheckpointError(f"{source}: {why}") from error


def _stored_template(name: str, tokenizer: PreTrainedTokenizerBase) -> str | None:
    """The template a stock processor would use: the processor's own before the tokenizer's."""
    stored, _ = ProcessorMixin.get_processor_dict(name)
    return _plain_template(stored.get("chat_template") or tokenizer)


def _plain_template(source: Any) -> str | None:
    """The template for conversations: itself, the default of several by name, or a tokenizer's."""
    template = source if isinstance(source, str | dict | None) else getattr(source, "chat_template", None)
    if isinstance(template, dict):
        template = template.get("default")
    return None if template is None else str(template)


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", maxsplit=1)[0]
