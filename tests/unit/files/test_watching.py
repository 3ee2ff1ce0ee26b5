"""Event files: written where the package is, of the numbers that were told, and nothing before the first."""

import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path

import pytest

from hipp_prune.cli import main
from hipp_prune.errors import InputError
from hipp_prune.files import watching as module
from hipp_prune.files.run_directory import RunDirectory
from hipp_prune.files.watching import Log, watch, watching

INSTALLED = find_spec("tensorboard") is not None


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Every curve that TensorBoard reads from a folder."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder)).Reload()
    return {
        name: [(point.step, round(point.value, 6)) for point in read.Scalars(name)]
        for name in read.Tags()["scalars"]
    }


@pytest.mark.skipif(not INSTALLED, reason="needs the package tensorboard")
@pytest.mark.parametrize("log", ["auto", "tensorboard"])
def test_tensorboard_reads_what_was_told(tmp_path: Path, log: Log) -> None:
    for first in (1, 3):
        with watching(tmp_path / "events", log):
            for step in (first, first + 1):
                watch("recovery", step, {"loss": 1 / step, "rate": 0.5})
    assert curves(tmp_path / "events") == {
        "recovery/loss": [(1, 1.0), (2, 0.5), (3, 0.333333), (4, 0.25)],
        "recovery/rate": [(step, 0.5) for step in (1, 2, 3, 4)],
    }


@pytest.mark.skipif(not INSTALLED, reason="needs the package tensorboard")
def test_starting_over_removes_event_files_and_nothing_else(tmp_path: Path) -> None:
    with watching(tmp_path, "auto"):
        watch("search", 9, {"gate": 0.5})
    (tmp_path / "mine.txt").write_text("kept")
    with watching(tmp_path, "auto", anew=True):
        pass
    assert curves(tmp_path) == {"search/gate": [(9, 0.5)]}
    with watching(tmp_path, "auto", anew=True):
        watch("search", 1, {"gate": 1.0})
    assert curves(tmp_path) == {"search/gate": [(1, 1.0)]}
    assert (tmp_path / "mine.txt").read_text() == "kept"


@pytest.mark.parametrize("log", ["auto", "none"])
def test_nothing_is_written_where_it_is_not_wanted_or_cannot_be(
    tmp_path: Path, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    if log == "auto":
        monkeypatch.setattr(module, "find_spec", lambda _: None)
    with watching(tmp_path / "events", log):
        watch("search", 1, {"gate": 1.0})
    assert list(tmp_path.iterdir()) == []


def test_without_the_package_asking_for_it_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.setattr("hipp_prune.files.packages.find_spec", lambda _: None)
    with (
        pytest.raises(InputError, match="--log tensorboard needs tensorboard"),
        watching(tmp_path, "tensorboard"),
    ):
        pass


class FakeWandb:
    """What of the package wandb is used, and what it was told."""

    def __init__(self) -> None:
        self.__spec__ = ModuleSpec("wandb", None)
        self.told: list[object] = []

    def init(self, **named: str) -> "FakeWandb":
        self.told.append((named["project"], named["name"]))
        return self

    def log(self, numbers: dict[str, float], *, step: int) -> None:
        self.told.append((step, numbers))

    def finish(self) -> None:
        self.told.append("finished")


def test_wandb_is_told_where_it_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    folder = RunDirectory(tmp_path / "run").events / "search"
    with watching(folder, "wandb"):
        assert fake.told == []
        watch("search", 3, {"gate": 0.5})
    assert fake.told == [("hipp-prune", "run/search"), (3, {"search/gate": 0.5}), "finished"]
    assert list(folder.iterdir()) == []


def test_wandb_is_refused_in_one_sentence_where_it_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hipp_prune.files.packages.find_spec", lambda _: None)
    for verb in (
        ["quickstart", "--out"],
        ["auto", "toy-llava", "--questions", "toyworld", "--sparsity", "0.3", "--out"],
    ):
        assert main([*verb, str(tmp_path / "out"), "--log", "wandb"]) == 2
        assert "--log wandb needs wandb, which is not installed; run" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_outside_of_watching_numbers_go_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    watch("search", 1, {"gate": 1.0})
    assert list(tmp_path.iterdir()) == []
