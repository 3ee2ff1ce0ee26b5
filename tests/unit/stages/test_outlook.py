"""An outlook without weights, on a model that is too large, of questions that are not there, and as JSON."""

import json
from pathlib import Path

import pytest

from benchmarks.public import llava_7b, qwen_7b
from hipp_prune.recovery.settings import RecoverySettings
from hipp_prune.search.settings import SearchSettings
from hipp_prune.stages import outlook as module
from hipp_prune.stages.outlook import duration, outlook
from hipp_prune.stages.rates import Machine
from hipp_prune.stages.work import Work

SEQUENTIAL = Work(whole=True, compensation="sequential", recover=RecoverySettings())


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probes that take no time."""
    monkeypatch.setattr(module, "machine_speeds", lambda *_: Machine(speed=1e12, full_speed=1e11, byte=1e-9))


def test_a_configuration_is_enough(tmp_path: Path) -> None:
    found = outlook(str(llava_7b(tmp_path)), work=Work(recover=RecoverySettings()))
    assert found.how == "computed from the configuration"
    assert any("float16 is slow" in remark for remark in found.remarks)
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
    assert read["how"] == "computed from the configuration"
    assert read["prices"][0]["stage"] == "calibrate"
    assert set(read["prices"][0]) >= {
        "seconds",
        "cpu_bytes",
        "gpu_bytes",
        "disk_bytes",
        "questions",
        "pictures",
    }


def test_the_whole_work_is_more(tmp_path: Path) -> None:
    folder = str(qwen_7b(tmp_path))
    stages, whole, plain = (outlook(folder, work=work) for work in (Work(), SEQUENTIAL, Work(whole=True)))
    assert [price.stage for price in whole.prices] == [
        "check", "calibrate", "search", "prune", "recover", "evaluate dense", "evaluate pruned", "speed", "report"
    ]  # fmt: skip
    seconds = {price.stage: price.seconds for price in whole.prices}
    assert seconds["evaluate pruned"] < 0.8 * seconds["evaluate dense"]
    memory = {price.stage: price.cpu_bytes for price in whole.prices}
    assert memory["recover"] > 8 * 8.29e9
    assert memory["evaluate dense"] < memory["speed"] < 2 * memory["evaluate dense"]
    assert stages.seconds < plain.seconds < whole.seconds
    assert "ahead: about" in whole.summary
    assert "calibrate 128" in whole.summary


def test_what_is_done_costs_nothing(tmp_path: Path) -> None:
    work = Work(whole=True, done=frozenset({"calibrate", "search"}))
    found = outlook(str(llava_7b(tmp_path)), work=work)
    assert found.prices[1].stage == "prune"


def test_a_table_of_latencies_is_measured_where_seconds_are_to_be_saved(tmp_path: Path) -> None:
    work = Work(whole=True, search=SearchSettings(compression="latency"))
    assert "latency" in [price.stage for price in outlook(str(llava_7b(tmp_path)), work=work).prices]


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.84, "0.8 s"), (45.2, "45 s"), (720, "12 min"), (12600, "3.5 h")]
)
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said
