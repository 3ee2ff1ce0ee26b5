"""`auto --dry-run`: a row for every stage, all that would be refused, nothing written; and the two lines of `auto`."""

from pathlib import Path

import pytest

from benchmarks.public import llava_7b
from hipp_prune.cli import main
from hipp_prune.files.run_directory import RunDirectory
from hipp_prune.stages import outlook as probed
from hipp_prune.stages.ahead import expect, look_ahead
from hipp_prune.stages.calibrate import calibrate
from hipp_prune.stages.rates import Machine
from hipp_prune.stages.settings import AutoSettings, CalibrateSettings, QuerySettings
from hipp_prune.stages.wish import Wish
from tests.e2e.conftest import Benchmarks, Refused
from tests.tiny import tiny_llava

STAGES = ("check", "calibrate", "search", "prune", "evaluate dense", "evaluate pruned", "speed", "report")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose speed is known."""
    machine = Machine(speed=1e12, full_speed=1e11, thin_speed=1e11, byte=1e-9, read=1e-9, weighed=1e-9)
    monkeypatch.setattr(probed, "machine_speeds", lambda *_: machine)


def looked(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Status and output of a dry run."""
    capsys.readouterr()
    status = main([*words, "--dry-run"])
    return status, capsys.readouterr().out


def test_a_dry_run_measures_every_stage_and_leaves_nothing(
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    benchmarks: Benchmarks,
    quick: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, model = tmp_path / "smaller", tiny_llava(tmp_path_factory.mktemp("four"), blocks=4)
    words = ["auto", str(model), "--questions", *benchmarks.specs, "--sparsity", "0.3", "--out", str(out)]
    status, said = looked([*words, "--recover", "--limit", "10"], capsys)
    assert status == 0
    assert list(tmp_path.iterdir()) == []
    assert "measured on a few questions" in said
    rows = said.splitlines()
    for stage in (*STAGES, "recover", "together"):
        assert any(row.strip().startswith(stage) for row in rows), stage
    table, _, rest = said.partition(" together ")
    assert max(map(len, table.splitlines())) <= 80
    assert "are known to ±" in rest, "what so few questions cannot tell"


def test_a_configuration_is_enough(
    tmp_path: Path, benchmarks: Benchmarks, quick: None, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    llava_7b(folder)
    words = ["auto", str(folder), "--questions", *benchmarks.specs, "--sparsity", "0.3"]
    status, said = looked([*words, "--out", str(tmp_path / "smaller")], capsys)
    assert "computed from the configuration" in said
    assert status == 2
    assert "refused: " in said
    assert "safetensors" in said, "the weights are not there"
    table, _, rest = said.partition(" together ")
    assert max(map(len, table.splitlines())) <= 80
    assert "float16 is slow" in rest
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_all_refusals_are_said_at_once(
    tmp_path: Path, llava: Path, benchmarks: Benchmarks, quick: None, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "smaller"
    out.mkdir()
    words = ["auto", str(llava), "--questions", *benchmarks.specs, "--fit", "1kB", "--preference", "1,1,1"]
    status, said = looked([*words, "--out", str(out), "--require", "amber=0.8"], capsys)
    assert status == 2
    for told in (f"{out} already exists", "attains --fit", "the questions are of pope, scienceqa alone"):
        assert said.count(told) == 1, said


@pytest.fixture(scope="module")
def run(llava: Path, benchmarks: Benchmarks, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has been calibrated."""
    root = tmp_path_factory.mktemp("calibrated")
    return calibrate(str(llava), benchmarks.specs, root / "run", CalibrateSettings(count=2)).root


def wish(model: Path, benchmarks: Benchmarks, run: Path, **settings: int) -> Wish:
    return Wish(
        model=str(model),
        questions=benchmarks.specs,
        out=run.parent / "smaller",
        run=run,
        target=QuerySettings(sparsity=0.3),
        settings=AutoSettings(evaluations=40, **settings),
    )


def test_stages_that_are_done_have_no_row(
    llava: Path, benchmarks: Benchmarks, run: Path, quick: None
) -> None:
    found = look_ahead(wish(llava, benchmarks, run))
    assert [price.stage for price in found.prices][:3] == ["check", "search", "prune"]
    assert not found.refused


def test_a_run_of_other_settings_is_a_refusal_unless_forced(
    llava: Path, benchmarks: Benchmarks, run: Path, quick: None
) -> None:
    asked = wish(llava, benchmarks, run, seed=1)
    refused: list[str] = []
    found = expect(asked, None, refused, force=False, cache=RunDirectory(run).cache, measure=False)
    assert [price.stage for price in found.prices][1] == "calibrate"
    assert "seed 0 → 1" in refused[0]
    again: list[str] = []
    expect(asked, None, again, force=True, cache=RunDirectory(run).cache, measure=False)
    assert again == []


def test_a_recipe_cannot_ask_for_a_dry_run(tmp_path: Path, refused: Refused) -> None:
    recipe = tmp_path / "run.toml"
    recipe.write_text('model = "toy-llava"\ndry-run = true\n')
    assert "'dry-run'" in refused(["auto", "--recipe", recipe, "--out", tmp_path / "smaller"])
