"""Pushing a checkpoint, to a hub that only remembers what it was told."""

from pathlib import Path
from typing import Any

import pytest

from hipp_prune import api
from hipp_prune.checkpoints.pruned import prune_checkpoint
from hipp_prune.errors import InputError, RunError
from hipp_prune.export import hub
from hipp_prune.models import load_model
from tests.tiny import tiny_llava
from tests.unit.checkpoints.tiny_plans import make_plan


class Hub:
    """``HfApi`` as far as we use it."""

    told: list[tuple[str, dict[str, Any]]]
    error: Exception | None

    def create_repo(self, name: str, **options: Any) -> str:
        if self.error is not None:
            raise self.error
        self.told.append((name, options))
        return f"https://hub/{name}"

    def upload_folder(self, **options: Any) -> None:
        self.told.append((options.pop("repo_id"), options))


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> type[Hub]:
    Hub.told, Hub.error = [], None
    monkeypatch.setattr(hub, "HfApi", Hub)
    monkeypatch.setattr(hub, "get_token", lambda: "token")
    return Hub


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tmp = tmp_path_factory.mktemp("pushed")
    source = tiny_llava(tmp)
    prune_checkpoint(source, make_plan(load_model(source), "coupled", (30, 21)), tmp / "smaller")
    return tmp / "smaller"


def test_the_whole_folder_goes_in_one_commit(checkpoint: Path, pretend: type[Hub]) -> None:
    assert api.push(str(checkpoint), "me/smaller", private=True) == "https://hub/me/smaller"
    made, (name, uploaded) = pretend.told
    assert made == ("me/smaller", {"private": True, "exist_ok": True})
    assert (name, uploaded["folder_path"]) == ("me/smaller", checkpoint)
    assert uploaded["ignore_patterns"] == ["files.jsonl"]
    assert "allow_patterns" not in uploaded
    assert "modeling_hipp_prune.py" in uploaded["delete_patterns"]


def test_what_is_no_checkpoint_of_ours_is_refused(
    checkpoint: Path, pretend: type[Hub], tmp_path: Path
) -> None:
    for folder, name, said in (
        (checkpoint, "smaller", "expected OWNER/NAME"),
        (tiny_llava(tmp_path), "me/dense", "no model card"),
        ("owner/model", "me/copy", "no such folder here"),
    ):
        with pytest.raises(InputError, match=said):
            api.push(str(folder), name)
    assert not pretend.told


def test_an_incomplete_checkpoint_is_refused(pretend: type[Hub], tmp_path: Path) -> None:
    source = tiny_llava(tmp_path)
    prune_checkpoint(source, make_plan(load_model(source), "coupled", (30, 21)), tmp_path / "smaller")
    (tmp_path / "smaller" / "model.safetensors").unlink()
    with pytest.raises(RunError, match=r"model\.safetensors is not what we wrote .*found no file"):
        api.push(str(tmp_path / "smaller"), "me/smaller")
    assert not pretend.told


def test_without_a_token_or_a_network_it_says_so(
    checkpoint: Path, pretend: type[Hub], monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend.error = hub.HfHubHTTPError.__bases__[0]("Name or service not known")
    with pytest.raises(InputError, match=r"was not pushed to me/smaller.*\(Name or service not known\)"):
        api.push(str(checkpoint), "me/smaller")
    monkeypatch.setattr(hub, "get_token", lambda: None)
    with pytest.raises(InputError, match="needs a token"):
        api.push(str(checkpoint), "me/smaller")
