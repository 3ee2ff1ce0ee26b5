from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

from hipp_prune.models import load_model
from hipp_prune.models.adapter import Adapter, Batch, ImageFeatures
from hipp_prune.questions.images import read_image
from hipp_prune.questions.question import Question, pictures_of
from tests.tiny import tiny_image, tiny_llava, tiny_qwen2_5_vl


@dataclass(frozen=True)
class Family:
    adapter: Adapter
    questions: tuple[Question, ...]
    """Seven: three about one image, two about another of another shape, two without."""

    def encode(self, questions: Sequence[Question]) -> tuple[Batch, list[ImageFeatures]]:
        paths = pictures_of(questions)
        with torch.no_grad():
            features = self.adapter.encode_images([read_image(path) for path in paths])
        return self.adapter.encode(questions, dict(zip(paths, features, strict=True)))


def _questions(folder: Path) -> tuple[Question, ...]:
    wide, tall = folder / "wide.png", folder / "tall.png"
    tiny_image(1, (112, 56)).save(wide)
    tiny_image(2, (56, 80)).save(tall)
    prompts = [
        (wide, "Is there a red cup in the image?"),
        (None, "Context: the green square is above the yellow circle. Is it so?"),
        (
            tall,
            "Is there a dog? Answer the question using a single word or phrase, after a look at the picture.",
        ),
        (wide, "A tree?"),
        (tall, "Is there a table in the picture?"),
        (None, "Yes or no?"),
        (wide, "Is there an orange bowl left of the blue chair in the picture? Answer the question."),
    ]
    return tuple(
        Question(
            benchmark="pope", id=f"random/{index}", prompt=prompt, images=(image,) if image else (), answers=("Yes",
            "No"),
            gold=index % 2, subset="random", group=str(image or index),
        )
        for index, (image, prompt) in enumerate(prompts)
    )  # fmt: skip


@pytest.fixture(scope="session", params=["llava", "qwen2.5-vl"])
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Family:
    folder = tmp_path_factory.mktemp("calibration")
    build: Callable[..., Path] = {"llava": tiny_llava, "qwen2.5-vl": tiny_qwen2_5_vl}[request.param]
    return Family(adapter=load_model(build(folder)), questions=_questions(folder))


@pytest.fixture(scope="session")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Family:
    folder = tmp_path_factory.mktemp("calibration-llava")
    return Family(adapter=load_model(tiny_llava(folder)), questions=_questions(folder))


@pytest.fixture(scope="session")
def eager_attentions() -> Callable[[Adapter, Batch, list[ImageFeatures]], list[Tensor]]:
    """The reference: every block's attention [B, H, T, T], materialised by the stock eager implementation."""

    def attentions(adapter: Adapter, batch: Batch, images: list[ImageFeatures]) -> list[Tensor]:
        seen: dict[str, Tensor] = {}
        handles = [
            block.attention.register_forward_hook(
                lambda _m, _a, out, name=block.name: seen.update({name: out[1]})
            )
            for block in adapter.blocks
        ]
        before = adapter.model.get_decoder().config._attn_implementation
        if before != "eager":
            adapter.model.set_attn_implementation("eager")
        try:
            with torch.no_grad():
                adapter.hidden_states(batch, images)
        finally:
            if before != "eager":
                adapter.model.set_attn_implementation(before)
            for handle in handles:
                handle.remove()
        return [seen[block.name] for block in adapter.blocks]

    return attentions
