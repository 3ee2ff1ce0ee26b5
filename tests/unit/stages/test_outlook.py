"""An outlook without weights, on a model that is too large, of questions that are not there, and as JSON."""

import json
from fnmatch import fnmatch
from pathlib import Path

import pytest

from benchmarks.public import llava_7b, qwen_7b
from hipp_prune.checkpoints.footprint import weight_bytes
from hipp_prune.models import loading as models
from hipp_prune.recovery.settings import RecoverySettings
from hipp_prune.search.settings import SearchSettings
from hipp_prune.stages import outlook as module
from hipp_prune.stages.ahead import look_ahead
from hipp_prune.stages.doctor import doctor
from hipp_prune.stages.outlook import duration, outlook
from hipp_prune.stages.rates import Machine
from hipp_prune.stages.settings import QuerySettings
from hipp_prune.stages.wish import Wish
from hipp_prune.stages.work import Work
from tests.tiny import tiny_llava

SEQUENTIAL = Work(whole=True, compensation="sequential", recover=RecoverySettings())


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probes that take no time."""
    machine = Machine(speed=1e12, full_speed=1e11, thin_speed=1e11, byte=1e-9, read=1e-9, weighed=1e-9)
    monkeypatch.setattr(module, "machine_speeds", lambda *_: machine)


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


@pytest.mark.parametrize(("share", "said"), [(0.3, True), (0.95, False)])
def test_a_busy_machine_is_called_busy(
    share: float, said: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(
        speed=1e12, full_speed=1e11, thin_speed=1e11, byte=1e-9, read=1e-9, weighed=1e-9, share=share
    )
    monkeypatch.setattr(module, "machine_speeds", lambda *_: machine)
    found = outlook(str(llava_7b(tmp_path)))
    assert any(f"got {share:.0%} of the processor time" in remark for remark in found.remarks) is said
    assert ("this machine is busy" in found.summary) is said


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


def test_numbers_of_questions_that_cannot_be_read_are_called_typical(tmp_path: Path) -> None:
    found = outlook(str(llava_7b(tmp_path)), [str(tmp_path / "nothing.csv")])
    assert "not all questions can be read, so numbers of questions are typical ones" in found.remarks
    assert any("nothing.csv" in sentence for sentence in found.refused)


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


def write_prompts(path: Path, *, answered: bool) -> Path:
    """A table of sixty questions without a picture, with or without their answers."""
    rows = [(f"Is {number} even?", "no" if number % 2 else "yes") for number in range(60)]
    lines = [",".join(row) if answered else row[0] for row in [("question", "answer"), *rows]]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_the_dense_models_own_answers_are_counted(tmp_path: Path) -> None:
    folder = str(qwen_7b(tmp_path))
    with_answers, without = (
        outlook(folder, [str(write_prompts(tmp_path / f"{answered}.csv", answered=answered))])
        for answered in (True, False)
    )
    assert without.prices[0].seconds > 2 * with_answers.prices[0].seconds
    assert [remark for remark in without.remarks if "answers 60 questions without an answer itself" in remark]
    assert not any("without an answer" in remark for remark in with_answers.remarks)


def test_bad_rows_are_refused_once_or_left_out(tmp_path: Path) -> None:
    folder, asked = str(qwen_7b(tmp_path)), write_prompts(tmp_path / "asked.csv", answered=True)
    asked.write_text(asked.read_text() + "Is 60 even?,\n")
    kept, left_out = (outlook(folder, [str(asked)], Work(skip_bad=skip_bad)) for skip_bad in (False, True))
    assert sum("asked.csv:62: expected an answer" in sentence for sentence in kept.refused) == 1
    assert not any("asked.csv" in sentence for sentence in left_out.refused)
    assert {price.questions for price in left_out.prices if price.questions} <= set(range(1, 61))


class Hub:
    """A hub with one model, whose weights nobody may ask for."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.asked = folder, list[list[str]]()

    def send(self, name: str, *, allow_patterns: list[str] | None = None) -> str:
        assert name == "owner/model"
        assert allow_patterns is not None, "the whole model was asked for"
        self.asked.append(list(allow_patterns))
        return str(self.folder)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    (tmp_path / "snapshot").mkdir()
    found = Hub(qwen_7b(tmp_path / "snapshot"))
    monkeypatch.setattr(models, "snapshot_download", found.send)
    monkeypatch.setattr(models, "refuse_early", lambda *_, **__: None)
    return found


def test_a_dry_run_of_a_hub_name_asks_for_no_weights(hub: Hub, tmp_path: Path) -> None:
    asked = write_prompts(tmp_path / "asked.csv", answered=True)
    wish = Wish(
        model="owner/model", questions=(str(asked),), out=tmp_path / "smaller", run=tmp_path / "run",
        target=QuerySettings(sparsity=0.3),
    )  # fmt: skip
    found = look_ahead(wish)
    assert found.how == "computed from the configuration"
    assert hub.asked
    assert not any(fnmatch("model.safetensors", pattern) for patterns in hub.asked for pattern in patterns)
    assert any(fnmatch("preprocessor_config.json", pattern) for pattern in hub.asked[0])
    assert any("16.6 GB, are not here yet" in remark for remark in found.remarks)
    assert not any("weights" in sentence for sentence in found.refused)


def test_a_size_out_of_reach_is_refused_once_and_the_rest_is_still_priced(tmp_path: Path) -> None:
    asked = write_prompts(tmp_path / "asked.csv", answered=True)
    model = tiny_llava(tmp_path)
    for size in ("1kB", "1TB"):
        wish = Wish(
            model=str(model), questions=(str(asked),), out=tmp_path / "smaller", run=tmp_path / "run",
            target=QuerySettings(fit=size),
        )  # fmt: skip
        found = look_ahead(wish)
        assert len(found.refused) == 1
        assert f"--fit {size}" in found.refused[0]
        assert max(price.disk_bytes for price in found.prices) <= weight_bytes(model)
        assert any("are known to ±" in warning for warning in found.warnings)


def test_weights_that_the_hub_has_still_to_send_need_room(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "free_disk", lambda _: 10**9)
    assert any("HF_HOME" in sentence for sentence in outlook("owner/model").refused)


def test_the_doctor_asks_the_hub_for_no_weights(hub: Hub) -> None:
    found = {finding.name: finding for finding in doctor("owner/model").findings}
    assert hub.asked
    assert found["weights"].found.startswith("not downloaded yet")
    assert not found["weights"].missing
