"""README's own flow as it is printed, on the embedded model and small official files, in a fresh folder."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

import hipp_prune
from hipp_prune.cli import main
from tests.e2e.conftest import Benchmarks, Refused

ROOT = Path(__file__).parents[2]
MODEL = "llava-hf/llava-1.5-7b-hf"
TINY = {
    "calibrate": ["--count", "8"],
    "search": ["--evaluations", "24", "--minibatch", "12"],
    "evaluate": ["--limit", "24"],
    "recover": ["--steps", "2"],
}
"""What makes a stage quick."""


def blocks(heading: str, language: str = "") -> list[str]:
    """The blocks of a section that are written in a language; empty for commands."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2]
    found = re.findall(
        rf"^```{language}\n(.*?)^```$", section.partition("\n## ")[0], re.MULTILINE | re.DOTALL
    )
    assert found, f"{heading}: no block"
    return found


def stages(texts: list[str], benchmarks: Benchmarks) -> list[list[str]]:
    """The commands of blocks, but those of all stages at once, asking the embedded model what small files ask."""
    text = "".join(texts).replace("\\\n", " ").replace(MODEL, "toy-llava").replace("--split all", "")
    for name, source in zip(("pope", "scienceqa"), benchmarks.specs, strict=True):
        text = re.sub(rf" {name}:\S+", f" {source}", text)
    commands = [shlex.split(line.replace("--device cuda", ""), comments=True) for line in text.splitlines()]
    return [
        [*words, *TINY.get(words[0], [])]
        for _, *words in filter(None, commands)
        if words[0] not in ("auto", "compare")
    ]


def test_the_flow_ends_in_a_report_of_plan_and_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, benchmarks: Benchmarks, refused: Refused
) -> None:
    monkeypatch.chdir(tmp_path)
    done = []
    for words in stages(blocks("With your own model"), benchmarks):
        assert main(words) == 0, words
        done.append(words[0])
    assert done == ["calibrate", "search", "query", "prune", "evaluate", "evaluate", "report"]
    page = Path("run/report.html").read_text(encoding="utf-8")
    assert "0.5,<wbr>0.25,<wbr>0.25" in page
    assert ">dense<" in page
    assert "has not been evaluated" not in page
    assert "No plan has been asked for" not in page
    shutil.move("plan.json", "moved.json")
    assert main(["report", "run"]) == 0
    assert "plan.json is gone since" in Path("run/report.html").read_text(encoding="utf-8")
    others = stages(blocks("Recovery, and what others would have pruned"), benchmarks)
    others += stages(blocks("Other runtimes"), benchmarks)
    done = []
    for words in others:
        if words[0] == "push" or "gguf" in words:
            continue
        if "64" in words:
            assert "the 4 neurons" in refused(words)
            words[words.index("64")] = "8"
        assert main(words) == 0, words
        done.append(words[0])
    assert done == ["recover", "baseline", "export", "prune"]


def test_the_six_lines_of_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, benchmarks: Benchmarks
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _ = blocks("In Python", "python")
    assert len([line for line in code.splitlines() if line]) <= 7
    folder = Path(str(hipp_prune.__file__)).parent / "models" / "embedded" / "toy-llava"
    code = code.replace(MODEL, str(folder)).replace("pope:POPE/coco,images=val2014", benchmarks.specs[0])
    code = code.replace("sparsity=0.3", "sparsity=0.3, evaluations=24, count=8, compensation='none'")
    made: dict[str, object] = {}
    exec(code, made)
    assert (tmp_path / "smaller" / "model.safetensors").is_file()
    assert made["model"] is not made["smaller"]
