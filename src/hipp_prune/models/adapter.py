"""What the method needs of a vision-language model, and nothing more.

Every stage reaches a model only through an ``Adapter``. It wraps a stock ``AutoModelForImageTextToText`` whose
language blocks have gate/up/down MLPs; a family overrides only what differs (see ``models/__init__``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from PIL import Image
from torch import Tensor
from transformers import PreTrainedModel

from hipp_prune.errors import ImageError, QuestionError, UnsupportedModelError
from hipp_prune.models import packing, structure
from hipp_prune.models.batch import Batch, ImageFeatures
from hipp_prune.models.fused import split_fused
from hipp_prune.models.head import logits_at
from hipp_prune.models.packing import PackedBatch
from hipp_prune.models.processor import Processor
from hipp_prune.models.spelling import Spelling
from hipp_prune.models.structure import Block
from hipp_prune.questions.question import Question

__all__ = ["Adapter", "Batch", "Block", "ImageFeatures", "PackedBatch"]

_IMAGE_OUTPUTS = {"last_hidden_state", "pooler_output", "hidden_states", "attentions"}
"""What a vision tower may return where the language model gets ``pooler_output`` alone."""
_TOKEN_TYPES = {"mm_token_type_ids", "token_type_ids"}
"""Forward arguments that are 1 at image tokens: their positions have axes (Qwen), or they see each other (Gemma 3)."""
DEEPER = "deepstack_features"
"""Features that are added behind the first blocks: what a tower calls them, and the extra they are kept as, [blocks,
image tokens, hidden]."""


class Adapter:
    """One vision-language model behind the few things the method needs.

    The generic class covers every stock model whose backbone has gate/up/down MLPs and whose forward takes encoded
    images (``mm_encoder_outputs``), where the placeholder in the prompt stands for one token per image feature.
    A family overrides the class attributes below, and ``_image_tokens`` where an image has inner structure.
    """

    _markers: ClassVar[tuple[str, ...]] = ()
    """The image's own start/end tokens."""
    _images_per_call: ClassVar[int] = 1
    """Images encoded together; more than one only where ``pooler_output`` has one entry an image."""
    _kept_outputs: ClassVar[frozenset[str]] = frozenset()
    """Outputs of the image processor that ``_image_tokens`` needs, beside those the forward takes."""
    _packs: ClassVar[bool] = False
    """Whether ``_positions`` are the stock model's own, so that questions can share a sequence (contract tests)."""
    _takes_several: ClassVar[bool] = True
    """Whether a question may have several images (contract tests)."""

    def __init__(self, model: PreTrainedModel, processor: Processor) -> None:
        """Wraps a loaded model.

        Args:
            model: stock model with its weights.
            processor: of the same checkpoint.

        Raises:
            UnsupportedModelError: naming what the model or its chat template lacks.
        """
        split_fused(model)
        self.model = model.eval()
        self.processor = processor
        self.blocks = structure.find_blocks(model)
        self._image_token = structure.image_token_id(model.config)
        self._forward_arguments = structure.forward_arguments(model)
        self._image_arguments = structure.image_arguments(model)
        self._padding = processor.padding(self._image_token)
        self.spelling = Spelling(processor, structure.end_tokens(model))
        self._prompts: dict[tuple[str, int], list[int]] = {}
        vocabulary = processor.tokenizer.get_vocab()
        markers = [vocabulary[token] for token in self._markers if token in vocabulary]
        self._marker_ids = torch.tensor(markers, dtype=torch.long)
        self._check_template()
        self.shape = structure.measure(model, self.blocks)

    @property
    def device(self) -> torch.device:
        """Where questions go in: the embedding's device, the first of those a model may be split over."""
        weight = self.model.get_input_embeddings().weight
        assert isinstance(weight, Tensor)
        return weight.device

    def encode_images(self, images: Sequence[Image.Image]) -> list[ImageFeatures]:
        """Runs the vision tower and projector, once per picture.

        Returns:
            Features in the order of ``images``; they do not depend on any plan, so callers cache them.

        Raises:
            ImageError: if a picture cannot be brought into the model's format.
            UnsupportedModelError: if the model's images carry more than features of tokens.
        """
        step = self._images_per_call
        chunks = [images[start : start + step] for start in range(0, len(images), step)]
        return [features for chunk in chunks for features in self._encode_chunk(chunk)]

    def encode(
        self,
        questions: Sequence[Question],
        features: Mapping[Path, ImageFeatures],
        forced: Sequence[Sequence[int]] = (),
    ) -> tuple[Batch, list[ImageFeatures]]:
        """Renders, tokenizes and right-pads questions; with and without image may be mixed.

        Args:
            questions: at least one.
            features: at least the questions' images.
            forced: what the model is made to have answered so far: tokens behind each prompt, or none at all.

        Returns:
            The batch and the features it uses (each once, alone or among others), which ``batch.images`` points into.

        Raises:
            QuestionError: if a prompt or an answer contains the model's image token itself.
        """
        assert questions, "a batch needs at least one question"
        shown = [(path, len(question.images) > 1) for question in questions for path in question.images]
        order = {each: index for index, each in enumerate(dict.fromkeys(shown))}
        used = [self._among(features[path]) if several else features[path] for path, several in order]
        rows = [self._token_ids(question, features) for question in questions]
        images = tuple(order[each] for each in shown)
        if any(forced):
            self._check_forced(questions, forced)
            rows = [row + list(answer) for row, answer in zip(rows, forced, strict=True)]
        batch = self._batch(rows, images, [used[index] for index in images])
        return (replace(batch, forced=tuple(map(len, forced))) if any(forced) else batch), used

    def encode_texts(self, texts: Sequence[str], *, most: int) -> Batch:
        """Right-pads plain texts (no prompt, no image), each cut to ``most`` tokens; see ``Processor.plain_ids``."""
        return self._batch([self.processor.plain_ids(text)[:most] for text in texts], (), [])

    def _batch(
        self, rows: Sequence[list[int]], images: tuple[int, ...], features: Sequence[ImageFeatures]
    ) -> Batch:
        """Right-padded rows of token ids, and the features of each of their images."""
        lengths = torch.tensor([len(row) for row in rows])
        input_ids = torch.full((len(rows), int(lengths.max())), self._padding)
        for index, row in enumerate(rows):
            input_ids[index, : len(row)] = torch.tensor(row)
        is_token = torch.arange(input_ids.shape[1]) < lengths[:, None]
        image_mask = (input_ids == self._image_token) & is_token
        marker_mask = torch.isin(input_ids, self._marker_ids) & is_token
        extras = self._batch_extras(image_mask, features)
        device = self.device
        return Batch(
            input_ids=input_ids.to(device),
            attention_mask=is_token.long().to(device),
            image_mask=image_mask.to(device),
            marker_mask=marker_mask.to(device),
            last=(lengths - 1).to(device),
            images=images,
            extras={key: value.to(device) for key, value in extras.items()},
        )

    def pack(
        self,
        questions: Sequence[Question],
        features: Mapping[Path, ImageFeatures],
        forced: Sequence[Sequence[int]] = (),
    ) -> tuple[Batch | PackedBatch, list[ImageFeatures]]:
        """As ``encode``, but questions about the same images stand behind them in one sequence, with the same answers.

        Where that would not be exact (an untested family, sliding windows, an attention function that takes no mask)
        the questions are encoded one a row.

        Args:
            questions: as for ``encode``, like all that follows.
            features: at least the questions' images.
            forced: tokens behind each prompt, or none at all.

        Raises:
            QuestionError: if a prompt or an answer contains the model's image token itself.
        """
        batch, used = self.encode(questions, features, forced)
        if not (self._packs and structure.takes_any_mask(self.model)):
            return batch, used
        shown = [question.images for question in questions]
        layout = packing.lay_out(batch.input_ids, batch.predicts, batch.image_mask, shown)
        order = iter(batch.images)
        own = [[next(order) for _ in paths] for paths in shown]
        images = [index for members in layout.members for index in own[members[0]]]
        extras = {
            **self._batch_extras(layout.take(batch.image_mask, 0), [used[index] for index in images]),
            "position_ids": layout.take(self._positions(batch), 0),
        }
        device = self.device
        packed = PackedBatch(
            input_ids=layout.take(batch.input_ids, self._padding).to(device),
            segments=layout.segments.to(device),
            predicts=layout.predicts.to(device),
            order=layout.order.to(device),
            images=tuple(images),
            extras={key: value.to(device) for key, value in extras.items()},
        )
        return packed, used

    def hidden_states(self, batch: Batch, images: Sequence[ImageFeatures]) -> Tensor:
        """The language backbone's output after the final norm, [B, T, H]; values at padding are meaningless."""
        outputs = self.model.base_model(**self._forward_inputs(batch, images))
        states: Tensor = outputs.last_hidden_state
        return states

    def answer_logits(self, batch: Batch | PackedBatch, images: Sequence[ImageFeatures]) -> Tensor:
        """Logits of answer tokens, float32 [P, V]: the head runs where ``batch.predicts`` says so and nowhere else.

        They are in the order of questions: one a question, or one more than there are tokens forced behind it.
        """
        logits = logits_at(self.model, batch.predicts, **self._forward_inputs(batch, images))
        return (logits[batch.order] if isinstance(batch, PackedBatch) else logits).float()

    @torch.no_grad()
    def generate(self, batch: Batch, images: Sequence[ImageFeatures], **options: Any) -> list[str]:
        """What the model says after each prompt, special tokens left out; see ``answer_logits`` for closed questions.

        Args:
            batch: as ``encode`` returned it; it is padded on the left here, so that answers follow their prompts.
            images: the features returned beside it.
            options: of the stock ``generate``, e.g. ``max_new_tokens`` and ``do_sample``.
        """
        tokens = self.generate_tokens(batch, images, **options)
        answers: list[str] = self.processor.tokenizer.batch_decode(tokens, skip_special_tokens=True)
        return answers

    @torch.no_grad()
    def generate_tokens(self, batch: Batch, images: Sequence[ImageFeatures], **options: Any) -> Tensor:
        """As ``generate``, but the tokens, int64 [B, new]; behind an end token they are meaningless."""
        length = batch.input_ids.shape[1]
        start = batch.last[:, None] + 1 - length
        order = (torch.arange(length, device=self.device) + start) % length
        inputs = {
            name: value.gather(1, order) if torch.is_tensor(value) and value.shape == order.shape else value
            for name, value in self._forward_inputs(batch, images).items()
            if value is not None
        }
        options = {**inputs, "use_cache": True, "pad_token_id": self._padding, **options}
        tokens: Any = self.model.generate(**options)
        made: Tensor = tokens[:, length:]
        return made

    def answer_tokens(self, answer: str) -> tuple[int, ...]:
        """Token ids that say ``answer`` as the first token after the prompt (T_x of Eq. 11); ``Spelling.first``."""
        return self.spelling.first(answer)

    def _check_forced(self, questions: Sequence[Question], forced: Sequence[Sequence[int]]) -> None:
        for question, answer in zip(questions, forced, strict=True):
            if self._image_token in answer:
                raise QuestionError(
                    f"question {question.id}: the answer contains the model's own image token; remove it"
                )

    def _image_tokens(self, features: ImageFeatures) -> list[int]:
        """Token ids that stand in for the placeholder: one image token per feature."""
        return [self._image_token] * len(features.tokens)

    def _positions(self, batch: Batch) -> Tensor:
        """The stock model's position of every token, int64 [B, T], or [axes, B, T] where positions have axes."""
        return torch.arange(batch.input_ids.shape[1]).expand(batch.input_ids.shape)

    @property
    def _image_options(self) -> dict[str, Any]:
        """What the stock processor asks of its image processor beyond the stored settings."""
        return {}

    def shown_pixels(self, images: Sequence[Image.Image]) -> dict[str, Tensor]:
        """What the stock forward takes of the pictures that one question shows; raises as ``Processor.pixels``."""
        return self.processor.pixels(images, **self._image_options)

    @cached_property
    def _features_form(self) -> tuple[Any, bool]:
        """How the stock forward makes image features itself: the class that holds them, and whether in one tensor."""
        with torch.no_grad():
            outputs = self._stock_features(self._pixels([Image.new("RGB", (64, 64))]))
        return type(outputs), torch.is_tensor(outputs.pooler_output)

    def _pixels(self, images: Sequence[Image.Image]) -> dict[str, Tensor]:
        """What the image processor makes of pictures, on the model's device, pixels in its precision."""
        pixels = self.processor.pixels(images, **self._image_options)
        inputs = {key: value.to(self.device) for key, value in pixels.items()}
        return {**inputs, "pixel_values": inputs["pixel_values"].to(self.model.dtype)}

    def _stock_features(self, inputs: Mapping[str, Tensor]) -> Any:
        """The vision tower's and the projector's outputs, as the stock forward would take them from pixels."""
        return self.model.base_model.get_image_features(
            **{key: value for key, value in inputs.items() if key in self._image_arguments}, return_dict=True
        )

    def _encode_chunk(self, images: Sequence[Image.Image]) -> list[ImageFeatures]:
        inputs = self._pixels(images)
        try:
            outputs = self._stock_features(inputs)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, ValueError, IndexError) as error:
            sizes = ", ".join(f"{image.width}×{image.height}" for image in images[:4])
            what = str(error).strip().split("\n", maxsplit=1)[0]
            raise ImageError(f"the vision tower cannot encode an image of size {sizes}: {what}") from error
        more = set(outputs) - _IMAGE_OUTPUTS - {DEEPER}
        if more or outputs.pooler_output is None:
            found = ", ".join(sorted(more)) or "features for later blocks"
            raise UnsupportedModelError(
                f"{type(self.model).__name__} is not supported: its images carry {found} beside, or in place of, one "
                f"feature a token"
            )
        pooled = list(outputs.pooler_output)
        if alone := len(images) == 1:
            pooled = [torch.cat([part.reshape(-1, part.shape[-1]) for part in pooled])]
        assert len(pooled) == len(images), "the vision tower did not return one entry an image"
        kept = (self._forward_arguments | self._kept_outputs) - {"pixel_values", "pixel_attention_mask"}
        own = {key: value for key, value in inputs.items() if key in kept}
        extras = [own] if alone else [{key: own[key][i : i + 1] for key in own} for i in range(len(images))]
        for extra, *levels in zip(extras, *(outputs.get(DEEPER) or ()), strict=True):
            if levels:
                extra[DEEPER] = torch.stack(levels)
        return [
            ImageFeatures(tokens=tokens, extras=extra) for tokens, extra in zip(pooled, extras, strict=True)
        ]

    def _token_ids(self, question: Question, features: Mapping[Path, ImageFeatures]) -> list[int]:
        prompt = question.prompt, len(question.images)
        if prompt not in self._prompts:
            self.check_number(question)
            ids = self.processor.token_ids(self.processor.render(question.prompt, images=prompt[1]))
            if ids.count(self._image_token) != prompt[1]:
                raise QuestionError(
                    f"question {question.id}: the prompt contains the model's own image token; remove it, the image "
                    f"is placed by the chat template"
                )
            self._prompts[prompt] = ids
        images = iter(self.seen(question, features))
        tokens: list[int] = []
        for token in self._prompts[prompt]:
            tokens += self._image_tokens(next(images)) if token == self._image_token else [token]
        return tokens

    def seen(self, question: Question, features: Mapping[Path, ImageFeatures]) -> list[ImageFeatures]:
        """What a question sees of each of its images, in their order."""
        shown = [features[path] for path in question.images]
        return shown if len(shown) < 2 else list(map(self._among, shown))

    def _among(self, features: ImageFeatures) -> ImageFeatures:
        """What is seen of an image that is one of several."""
        return features

    def check_number(self, question: Question) -> None:
        """Raises ``UnsupportedModelError`` where a question shows more pictures than model or template take."""
        number = len(question.images)
        if number > 1 and not self._takes_several:
            raise UnsupportedModelError(
                f"question {question.id}: expected one picture, the most this model takes here, found {number}"
            )
        if number > 1:
            self._check_template(number)

    def _batch_extras(self, image_mask: Tensor, images: Sequence[ImageFeatures]) -> dict[str, Tensor]:
        """Further forward arguments: token types where the model asks for them, and what images carry."""
        extras: dict[str, Tensor] = {}
        for key in _TOKEN_TYPES & self._forward_arguments:
            extras[key] = image_mask.long()
        for key in self._forward_arguments.intersection(images[0].extras if images else ()):
            extras[key] = torch.cat([image.extras[key] for image in images])
        return extras

    def _forward_inputs(self, batch: Batch | PackedBatch, images: Sequence[ImageFeatures]) -> dict[str, Any]:
        mask = batch.tree_mask(self.model.dtype) if isinstance(batch, PackedBatch) else batch.attention_mask
        seen = [images[index] for index in batch.images]
        return {
            "input_ids": batch.input_ids,
            "attention_mask": mask,
            "mm_encoder_outputs": {"image": self._encoder_outputs(seen)} if seen else None,
            "use_cache": False,
            **batch.extras,
        }

    def _encoder_outputs(self, images: Sequence[ImageFeatures]) -> Any:
        """What the stock forward would have got from its own tower and projector for these images in turn."""
        form, in_one = self._features_form
        tokens: Any = [image.tokens for image in images]
        held = {"pooler_output": torch.cat(tokens)[None] if in_one else tokens}
        if DEEPER in images[0].extras:
            held[DEEPER] = list(zip(*(image.extras[DEEPER] for image in images), strict=True))
        return form(**dict.fromkeys(each.name for each in fields(form) if each.default is MISSING) | held)

    def _check_template(self, images: int = 1) -> None:
        text = self.processor.render("Is it so?", images=images)
        count = self.processor.token_ids(text).count(self._image_token)
        if count != images:
            token = self.processor.tokenizer.convert_ids_to_tokens(self._image_token)
            raise UnsupportedModelError(
                f"the chat template places {count} image tokens ({token}) for {images} images, expected one each; the "
                f"checkpoint needs the chat template of its vision-language model, not a text-only one"
            )
