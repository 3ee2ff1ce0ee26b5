"""Calibrated three-block random models of both families."""

from dataclasses import replace
from pathlib import Path

import pytest

from hipp_prune.baselines.setting import Setting
from hipp_prune.calibration.measurement import calibrate
from hipp_prune.models import load_model
from hipp_prune.questions.question import Question
from tests.tiny import tiny_image, tiny_llava, tiny_qwen2_5_vl


def ask(folder: Path) -> list[Question]:
    """Two questions about a picture, which is made, and two without."""
    tiny_image(1).save(folder / "picture.png")
    prompts = (
        "Is there a red cup in the image?",
        "Is there a dog?",
        "A tree?",
        "Is there a table in the picture?",
    )
    return [
        Question(
            benchmark="pope", id=f"random/{index}", prompt=prompt, images=((folder / "picture.png",), ())[index % 2],
            answers=("Yes", "No"), gold=index % 2, subset="random", group=str(index),
        )
        for index, prompt in enumerate(prompts)
    ]  # fmt: skip


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Setting]:
    folder = tmp_path_factory.mktemp("baselines")
    models = {
        "llava": tiny_llava(folder, blocks=3, mlp_bias=True),
        "qwen2_5_vl": tiny_qwen2_5_vl(folder, blocks=3),
    }
    questions = ask(folder)
    return {
        family: Setting(
            adapter=(adapter := load_model(path)),
            calibration=calibrate(adapter, questions),
            questions=questions,
            sparsity=0.25,
        )
        for family, path in models.items()
    }


@pytest.fixture(params=["llava", "qwen2_5_vl"])
def setting(request: pytest.FixtureRequest, settings: dict[str, Setting]) -> Setting:
    return settings[request.param]


@pytest.fixture
def llava(settings: dict[str, Setting]) -> Setting:
    return replace(settings["llava"])
