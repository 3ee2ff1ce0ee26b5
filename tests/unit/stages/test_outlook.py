"""An outlook without weights, on a model that is too large, of questions that are not there, and as JSON."""

import json
from pathlib import Path

import pytest

from hipp_prune.recovery.settings import RecoverySettings
from hipp_prune.stages import outlook as module
from hipp_prune.stages.outlook import duration, outlook
from tests.unit.models.test_described import llava_7b


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probes that take no time."""
    monkeypatch.setattr(module, "product_speed", lambda *_: 1e12)
    monkeypatch.setattr(module, "byte_seconds", lambda: 1e-9)


def test_a_configuration_is_enough(tmp_path: Path) -> None:
    found = outlook(str(llava_7b(tmp_path)), recover=RecoverySettings())
    assert found.how == "computed"
    assert [price.stage for price in found.prices] == ["calibrate", "search", "prune", "recover", "evaluate"]
    assert all(price.cpu_bytes > 5e8 for price in found.prices)
    assert found.prices[2].disk_bytes < 14.2e9
    assert found.seconds > 3600
    assert len(found.table()) == 7
    assert any("typical" in remark for remark in found.remarks)


def test_too_little_memory_and_disk_are_refusals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "free_memory", lambda: 10**9)
    monkeypatch.setattr(module, "free_disk", lambda _: 10**9)
    found = outlook(str(llava_7b(tmp_path)))
    assert len(found.refused) == 2
    assert "GB of memory, 1 GB are free" in found.refused[0]
    assert "will be written" in found.refused[1]


def test_what_would_be_refused_is_said_and_not_raised(tmp_path: Path) -> None:
    found = outlook(str(tmp_path), [f"pope:{tmp_path}"])
    assert found.prices == ()
    assert any("config.json" in sentence for sentence in found.refused)
    assert any("POPE" in sentence or "pope" in sentence for sentence in found.refused)


def test_json_says_everything(tmp_path: Path) -> None:
    found = outlook(str(llava_7b(tmp_path)))
    read = json.loads(json.dumps(found.to_json()))
    assert read["how"] == "computed"
    assert read["prices"][0]["stage"] == "calibrate"
    assert set(read["prices"][0]) >= {
        "seconds",
        "cpu_bytes",
        "gpu_bytes",
        "disk_bytes",
        "questions",
        "pictures",
    }


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.84, "0.8 s"), (45.2, "45 s"), (720, "12 min"), (12600, "3.5 h")]
)
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said
