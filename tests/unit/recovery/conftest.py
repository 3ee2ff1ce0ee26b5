"""Tiny random models, some of them pruned, and questions about random pictures."""

from pathlib import Path

import pytest

from hipp_prune.checkpoints.pruned import prune_checkpoint
from hipp_prune.models import load_model
from hipp_prune.questions.question import Question
from hipp_prune.recovery.settings import RecoverySettings
from tests.tiny import tiny_image, tiny_llava, tiny_qwen2_5_vl
from tests.unit.checkpoints.tiny_plans import make_plan
from tests.unit.questions.made import pope, scienceqa

SHORT = RecoverySettings(
    steps=6, batch_size=6, per_image=2, lora_blocks=1, lora_rank=2, rate=1e-3, lora_rate=1e-2, save_every=2
)
"""Six steps of everything there is to train, at rates that a bfloat16 weight notices."""


@pytest.fixture(scope="session")
def questions(tmp_path_factory: pytest.TempPathFactory) -> list[Question]:
    folder = tmp_path_factory.mktemp("pictures")
    pictures = [folder / f"{index}.png" for index in range(3)]
    for index, picture in enumerate(pictures):
        tiny_image(index).save(picture)
    things = ("dog", "cat", "car", "tree") * 2
    asked = [
        pope(index, index % 2, image=pictures[index % 3], prompt=f"Is there a {thing} in the image?")
        for index, thing in enumerate(things)
    ]
    return asked + [
        scienceqa(index, index % 3, image=pictures[0] if index % 2 else None) for index in range(4)
    ]


@pytest.fixture(scope="session")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One checkpoint a family, pruned to blocks of 30 and 21 neurons; Qwen's head is tied."""
    tmp = tmp_path_factory.mktemp("pruned")
    folders = {}
    for family, dense in {"llava": tiny_llava(tmp), "qwen2_5_vl": tiny_qwen2_5_vl(tmp)}.items():
        folders[family] = tmp / f"{family}-pruned"
        prune_checkpoint(dense, make_plan(load_model(dense), "coupled", (30, 21)), folders[family])
    return folders


@pytest.fixture(params=["llava", "qwen2_5_vl"])
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(family: str, uneven: dict[str, Path]) -> Path:
    return uneven[family]
