"""The stages that write something, small: what each begins with, its command, and what it leaves."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.conftest import IMAGES, SUBSETS, THINGS, write_pope, write_scienceqa
from tests.tiny_language import tiny_language
from tests.torture.children import Ending, run

MINE = "a thesis, nobody's but mine\n"
"""In every folder that is replaced."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A command, and where it stands in the order of commands."""

    name: str
    after: str | None
    """The stage whose result it begins with."""
    command: tuple[str, ...]
    """QUESTIONS stands for a folder of two small benchmarks, and of what is in the pictures of one."""
    leaves: tuple[str, ...]
    """Files and folders that are compared with those of a run that nobody interrupted."""
    given: Mapping[str, str] = field(default_factory=dict)
    """Files and folders of ``QUESTIONS`` that it begins with, by the place where they are put."""
    mine: tuple[str, ...] = ()
    """Files of the user's that must outlive it."""
    repeats: bool = False
    """Whether the same command may be given again once it has succeeded."""
    slow: bool = False
    """Whether it is only killed at random, and seldom."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_ASKED = "--questions pope:QUESTIONS/pope scienceqa:QUESTIONS/scienceqa"
_COMPARE = (
    f"compare {_ASKED} --models toy-llava --methods uniform hybrid --budgets 0.4 --preferences 1,1,1 --seeds 1 "
    "--evaluations 16 --calibration 8 --limit 8 --steps 2 --workers 1 --out compared"
)

STAGES = (
    Stage(
        name="toy make", after=None, leaves=("world",), repeats=True, slow=True,
        command=_words("toy make --out world"),
    ),
    Stage(
        name="calibrate", after=None, leaves=("run",),
        command=_words(f"calibrate --model toy-llava {_ASKED} --out run --count 8"),
    ),
    Stage(
        name="search", after="calibrate", leaves=("run",), repeats=True,
        command=_words("search run --evaluations 32 --minibatch 8"),
    ),
    Stage(
        name="query", after="search", leaves=("plan.json", "run"), repeats=True,
        command=_words("query run --preference 1,1,1 --sparsity 0.3 --out plan.json"),
    ),
    Stage(
        name="prune", after="query", leaves=("smaller",),
        command=_words("prune --model toy-llava --plan plan.json --out smaller"),
    ),
    Stage(
        name="baseline", after="search", leaves=("even",),
        command=_words("baseline --method uniform --sparsity 0.3 --run run --out even"),
    ),
    Stage(
        name="evaluate", after="prune", leaves=("run/results/smaller.json",),
        command=_words(f"evaluate --model smaller {_ASKED} --limit 8 --out run/results/smaller.json"),
    ),
    Stage(
        name="evaluate --card", after="prune", leaves=("smaller",), repeats=True,
        command=_words(f"evaluate --model smaller {_ASKED} --limit 8 --card"),
    ),
    Stage(
        name="evaluate --answers", after=None, leaves=("scores.json",),
        command=_words("evaluate --answers QUESTIONS/answers.jsonl --questions pope:QUESTIONS/pope --out scores.json"),
    ),
    Stage(name="report", after="evaluate", leaves=("run",), repeats=True, command=_words("report run")),
    Stage(
        name="recover", after="prune", leaves=("recovered", "recovered.recovery.safetensors"),
        command=_words(f"recover smaller --out recovered {_ASKED} --steps 6 --save-every 2"),
    ),
    Stage(
        name="export padded", after="prune", leaves=("stock",),
        command=_words("export smaller --format padded --out stock"),
    ),
    Stage(
        name="export gguf", after="prune", leaves=("smaller.gguf",),
        command=_words("export smaller --format gguf --token-ids --out smaller.gguf"),
    ),
    Stage(
        name="export onnx", after="prune", leaves=("graphs",), slow=True,
        command=_words("export smaller --format onnx --out graphs"),
    ),
    Stage(
        name="calibrate --force", after="evaluate", leaves=("run",), mine=("run/thesis.tex",), repeats=True,
        command=_words(f"calibrate --model toy-llava {_ASKED} --out run --count 6 --force"),
    ),
    Stage(
        name="search --force", after="evaluate", leaves=("run/search",), mine=("run/thesis.tex",), repeats=True,
        command=_words("search run --evaluations 16 --minibatch 4 --force"),
    ),
    Stage(
        name="prune --force", after="recover", leaves=("smaller",), mine=("smaller/thesis.tex",), repeats=True,
        command=_words("prune --run run --preference 1,0,0 --sparsity 0.5 --out smaller --force"),
    ),
    Stage(
        name="recover --force", after="recover", leaves=("recovered", "recovered.recovery.safetensors"),
        mine=("recovered/thesis.tex",), repeats=True,
        command=_words(f"recover smaller --out recovered {_ASKED} --steps 4 --save-every 2 --force"),
    ),
    Stage(
        name="bench-search", after=None, leaves=("bench",), repeats=True, slow=True,
        command=_words(
            "bench-search --problems landscape --methods random surrogate --budgets 32 --seeds 1 --workers 1 "
            "--out bench"
        ),
    ),
    Stage(name="compare", after=None, leaves=("compared",), repeats=True, slow=True, command=_words(_COMPARE)),
    Stage(
        name="auto", after=None, leaves=("small", "small-run"), slow=True,
        command=_words(f"auto toy-llava {_ASKED} --sparsity 0.3 --evaluations 16 --limit 8 --out small"),
    ),
    Stage(
        name="prune --elastic", after="query", leaves=("elastic",),
        command=_words("prune --run run --plan plan.json --elastic --out elastic"),
    ),
    Stage(
        name="export checkpoint", after="prune --elastic", leaves=("alone",),
        command=_words("export elastic/0.3 --format checkpoint --out alone"),
    ),
    Stage(name="explore", after="search", leaves=("run",), repeats=True, command=_words("explore run")),
    Stage(
        name="questions pope", after=None, leaves=("polls",), repeats=True,
        command=_words(
            "questions pope --annotations QUESTIONS/objects.json --images QUESTIONS/pope/images --out polls"
        ),
    ),
    Stage(
        name="check --accept", after="prune", leaves=("smaller",), repeats=True,
        given={"smaller/README.md": "edited.md"},
        command=_words("check smaller --accept"),
    ),
    Stage(
        name="quickstart", after=None, leaves=("demo",), repeats=True, slow=True,
        command=_words("quickstart --out demo --evaluations 16 --limit 8"),
    ),
    Stage(
        name="damage", after=None, leaves=("damaged",), repeats=True,
        command=_words(
            f"damage --model toy-llava {_ASKED} --budgets 0.4 --compensation none --limit 8 --calibration 8 "
            "--out damaged"
        ),
    ),
    Stage(
        name="photo build", after=None, leaves=("rung",), repeats=True,
        given={"rung/smollm2": "language"},
        command=_words("photo build --out rung --tasks presence facts --scenes 6 --steps 2 --batch-size 4"),
    ),
    Stage(
        name="ask", after="prune", leaves=("smaller",), repeats=True,
        command=_words("ask smaller What? --dense toy-llava --image QUESTIONS/pope/images/0.png"),
    ),
)  # fmt: skip

"""Every command that writes, but for ``WITHOUT``."""

WITHOUT: Mapping[str, str] = {
    "doctor": "writes nothing",
    "show": "writes nothing",
    "models": "writes nothing that stays",
    "push": "writes to the hub alone, which is not there",
    "paper": "does and keeps its cells as compare does, and takes minutes",
    "export gptq": "needs llm-compressor, and writes its folder as padded does",
    "export awq": "needs llm-compressor, and writes its folder as padded does",
    "export fp8": "needs llm-compressor, and writes its folder as padded does",
    "export bnb4": "needs bitsandbytes, and writes its folder as padded does",
}
"""Verbs and formats that are no stage, and why."""


class Workshop:
    """Folders to run stages in, begun with what the stages before them left.

    Args:
        root: an empty folder; finished stages and the questions are kept there.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._by_name = {stage.name: stage for stage in STAGES}
        self._endings: dict[str, Ending] = {}
        self._number = 0
        write_pope(root / "QUESTIONS" / "pope")
        write_scienceqa(root / "QUESTIONS" / "scienceqa")
        _write_objects(root / "QUESTIONS" / "objects.json")
        _write_answers(root / "QUESTIONS" / "answers.jsonl")
        (root / "QUESTIONS" / "edited.md").write_text(MINE)
        language, tokenizer = tiny_language()
        for part in (language, tokenizer):
            part.save_pretrained(root / "QUESTIONS" / "language")

    def command(self, stage: Stage) -> tuple[str, ...]:
        """The words of a stage's command line."""
        return tuple(word.replace("QUESTIONS", str(self.root / "QUESTIONS")) for word in stage.command)

    def finished(self, stage: Stage) -> Path:
        """A folder in which the stage has been run without interruption."""
        folder = self.root / "finished" / stage.name
        if not folder.exists():
            begun = self.begin(stage)
            ending = self._endings[stage.name] = run(self.command(stage), begun)
            assert ending.code == 0, f"{stage.name}: {ending.said}"
            folder.parent.mkdir(exist_ok=True)
            begun.rename(folder)
        return folder

    def ending(self, stage: Stage) -> Ending:
        """How the stage ended that nobody interrupted."""
        self.finished(stage)
        return self._endings[stage.name]

    def begin(self, stage: Stage) -> Path:
        """A fresh folder with all that the stage begins with, and the user's own files."""
        self._number += 1
        folder = self.root / "begun" / str(self._number)
        if stage.after is None:
            folder.mkdir(parents=True)
        else:
            shutil.copytree(self.finished(self._by_name[stage.after]), folder)
        for name in stage.mine:
            (folder / name).write_text(MINE)
        for name, source in stage.given.items():
            _put(self.root / "QUESTIONS" / source, folder / name)
        return folder


def _write_objects(path: Path) -> None:
    """What is in each picture of the small POPE."""
    pictures = [
        {"image": f"{index}.png", "objects": [THINGS[(index + step) % len(THINGS)] for step in (0, 2, 3)]}
        for index in range(IMAGES)
    ]
    path.write_text(json.dumps(pictures))


def _write_answers(path: Path) -> None:
    """Yes to every question of the small POPE."""
    ids = [f"{subset}/{number + 1}" for subset in SUBSETS for number in range(6 * IMAGES)]
    path.write_text("".join(json.dumps({"id": id, "response": "Yes"}) + "\n" for id in ids))


def _put(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy(source, target)
