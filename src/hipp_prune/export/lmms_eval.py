"""lmms-eval's model ``hipp_prune``: any checkpoint that we load, pruned ones included and without remote code.

``pip install . lmms-eval`` in a clone is all it takes: lmms-eval finds ``MANIFEST`` by the entry point
``lmms_eval.models``. Then::

    python -m lmms_eval --model hipp_prune --model_args pretrained=CKPT --tasks pope,scienceqa_img --batch_size 8

Prompts are ``evaluate``'s: the checkpoint's own chat template, the pictures before the text, several where
the family takes several. Answers are generated, as lmms-eval wants them, where ``evaluate`` picks the most probable of
the allowed ones.
"""

import json
import os
from collections import defaultdict
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from lmms_eval.api.model import lmms
from lmms_eval.models.registry_v2 import ModelManifest
from PIL import Image

from hipp_prune.errors import InputError, QuestionError
from hipp_prune.models import load_model
from hipp_prune.questions.question import Question

MANIFEST = ModelManifest(model_id="hipp_prune", simple_class_path="hipp_prune.export.lmms_eval.HippPrune")
"""How lmms-eval's registry finds the class."""

_GENERATION = ("max_new_tokens", "do_sample", "temperature", "top_p", "num_beams")
"""Settings of a task that the stock ``generate`` takes."""


class HippPrune(lmms):  # type: ignore[misc]
    """A vision-language model behind our adapter, which lmms-eval asks for texts."""

    is_simple = True

    def __init__(
        self,
        pretrained: str,
        device: str | None = None,
        dtype: str = "auto",
        batch_size: int | str = 1,
        max_batch_size: int | None = None,
    ) -> None:
        """Loads the model strictly.

        Args:
            pretrained: a checkpoint folder, a hub name, ``toy-llava`` or ``toy-qwen2.5-vl``.
            device: torch device; this process's GPU where there is one, by default.
            dtype: ``auto`` (the checkpoint's own), ``float32``, ``bfloat16`` or ``float16``.
            batch_size: questions a forward pass.
            max_batch_size: lmms-eval passes it to every model; batches have one size here.

        Raises:
            InputError: if the batch size is no number, or there is no such checkpoint, device or dtype.
        """
        super().__init__()
        if not str(batch_size).isdigit() or int(batch_size) < 1:
            raise InputError(
                f"--batch_size must be a number from 1 for model hipp_prune, found {batch_size!r}"
            )
        own = f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu"
        self.adapter = load_model(pretrained, device=device or own, dtype=dtype)
        self.batch_size = int(batch_size)
        self.max_batch_size = max_batch_size

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.adapter.device

    def generate_until(self, requests: Sequence[Any]) -> list[str]:
        """What the model says to each request, in their order; requests of one task share their settings."""
        groups: dict[str, list[int]] = defaultdict(list)
        for index, request in enumerate(requests):
            groups[json.dumps(request.args[1], sort_keys=True)].append(index)
        answers = [""] * len(requests)
        for settings, members in groups.items():
            for start in range(0, len(members), self.batch_size):
                batch = members[start : start + self.batch_size]
                texts = self._answer([requests[index] for index in batch], json.loads(settings))
                for index, text in zip(batch, texts, strict=True):
                    answers[index] = text
                    self.cache_hook.add_partial("generate_until", requests[index].args[:2], text)
        return answers

    def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
        """Not offered: lmms-eval's POPE, ScienceQA and most other tasks generate."""
        raise NotImplementedError("model hipp_prune generates; choose a task with output_type generate_until")

    def generate_until_multi_round(self, requests: Sequence[Any]) -> list[str]:
        """Not offered: a prompt is one question."""
        raise NotImplementedError(
            "model hipp_prune answers single questions, not conversations of several rounds"
        )

    def _answer(self, requests: Sequence[Any], settings: dict[str, Any]) -> list[str]:
        """One batch: pictures are encoded once each, however many questions are about them."""
        pictures: dict[Path, Image.Image] = {}
        questions = []
        for request in requests:
            text, _, doc_to_visual, doc_id, task, split = request.args
            visuals = doc_to_visual(self.task_dict[task][split][doc_id])
            name = f"{task}/{split}/{doc_id}"
            shown = [(_name_of(picture), picture) for picture in _pictures(visuals, name)]
            pictures |= dict(shown)
            questions.append(_question(name, text, tuple(path for path, _ in shown)))
        features = dict(zip(pictures, self.adapter.encode_images(list(pictures.values())), strict=True))
        stops = settings.get("until", ())
        texts = self.adapter.generate(*self.adapter.encode(questions, features), **_options(settings))
        return [_cut(text, [stops] if isinstance(stops, str) else stops) for text in texts]


def _options(settings: dict[str, Any]) -> dict[str, Any]:
    """A task's settings for the stock ``generate``; nothing is sampled at temperature 0."""
    options = {name: settings[name] for name in _GENERATION if settings.get(name) is not None}
    options["do_sample"] = bool(options.get("do_sample", True)) and options.get("temperature", 0) > 0
    if not options["do_sample"]:
        options |= {"temperature": None, "top_p": None}
    return {"max_new_tokens": 1024, **options}


def _cut(text: str, stops: Sequence[str]) -> str:
    """The text before the first of the stops."""
    for stop in stops:
        text = text.split(stop)[0] if stop else text
    return text.strip()


def _pictures(visuals: Any, where: str) -> list[Image.Image]:
    """The pictures of a request, in their order.

    Raises:
        QuestionError: if what is shown is no picture.
    """
    shown = list(visuals or ())
    if not all(isinstance(visual, Image.Image) for visual in shown):
        kinds = ", ".join(type(visual).__name__ for visual in shown)
        raise QuestionError(f"{where}: expected pictures, found {kinds}; leave that task out")
    return [picture.convert("RGB") for picture in shown]


def _name_of(picture: Image.Image) -> Path:
    """The same for equal pictures, which are encoded once."""
    return Path(sha256(f"{picture.size}".encode() + picture.tobytes()).hexdigest())


def _question(name: str, text: str, images: tuple[Path, ...]) -> Question:
    """An open question; the adapter reads its text and pictures alone."""
    return Question(
        benchmark="",
        id=name,
        prompt=text,
        images=images,
        answers=("Yes", "No"),
        gold=0,
        subset="",
        group="",
    )
