"""Two-block random models of both families, loaded through the package's own loader."""

from pathlib import Path

import pytest

from hipp_prune.models import load_model
from hipp_prune.models.adapter import Adapter
from tests.tiny import tiny_llava, tiny_qwen2_5_vl


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One checkpoint folder a family; LLaVA's MLPs have biases, Qwen's head is tied."""
    tmp = tmp_path_factory.mktemp("models")
    return {"llava": tiny_llava(tmp, mlp_bias=True), "qwen2_5_vl": tiny_qwen2_5_vl(tmp)}


@pytest.fixture(params=["llava", "qwen2_5_vl"])
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(family: str, folders: dict[str, Path]) -> Path:
    return folders[family]


@pytest.fixture
def adapter(folder: Path) -> Adapter:
    return load_model(folder)
