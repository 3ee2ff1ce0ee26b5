"""PaliGemma: a picture, a prompt and a newline, all of which see each other both ways; the answer sees backwards."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from hipp_prune.models.batch import Batch, ImageFeatures
from hipp_prune.models.family import NO_SLICING, NO_UNEVEN_GRAPH, NO_VISION_GRAPH, ONE_PICTURE, Family
from hipp_prune.models.stock_layout import StockLayoutAdapter
from hipp_prune.questions.question import Question

_TYPES = "token_type_ids"


class PaliGemmaAdapter(StockLayoutAdapter):
    """Its token types are 0 in the prompt, whose tokens see all of it, and 1 in the answer."""

    def encode(
        self,
        questions: Sequence[Question],
        features: Mapping[Path, ImageFeatures],
        forced: Sequence[Sequence[int]] = (),
    ) -> tuple[Batch, list[ImageFeatures]]:
        """As any adapter does; the stock model wants to be told where prompts end."""
        batch, used = super().encode(questions, features, forced)
        places = torch.arange(batch.input_ids.shape[1], device=batch.last.device)
        prompts = batch.last - batch.last.new_tensor(batch.forced or 0)
        types = (places > prompts[:, None]).long()
        return replace(batch, extras={**batch.extras, _TYPES: types}), used

    def _batch_extras(self, image_mask: Tensor, images: Sequence[ImageFeatures]) -> dict[str, Tensor]:
        """A plain text is read as an answer is: backwards."""
        return {**super()._batch_extras(image_mask, images), _TYPES: torch.ones_like(image_mask).long()}


_TEMPLATE = (
    "{% for message in messages %}{% for content in message['content'] %}"
    "{{ '<image>' if content['type'] == 'image' else content['text'] }}{% endfor %}"
    "{% if message['role'] == 'user' and message['content'][0]['type'] != 'image' %}{{ '\n' }}{% endif %}{% endfor %}"
)
"""The picture, then the prompt, then a newline, which the stock processor writes where there is a picture."""

FAMILY = Family(
    name="PaliGemma",
    model_type="paligemma",
    adapter=PaliGemmaAdapter,
    tested="contract tests",
    chat_template=_TEMPLATE,
    cannot={
        "several pictures": ONE_PICTURE,
        "packing": "every token of a prompt sees all of it, so prompts share nothing",
        "slicegpt": NO_SLICING,
        "gguf": NO_UNEVEN_GRAPH,
        "onnx": NO_VISION_GRAPH,
    },
)
