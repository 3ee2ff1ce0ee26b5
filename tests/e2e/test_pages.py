"""What README and docs tell people to type runs as it is printed, on embedded models, in folders laid out as they say.

``make test`` runs the quick half, ``make test-docs`` (``DOCS=1``) all. Names of models, files and flags are the pages'
own: a folder of the printed name holds an embedded model, and only numbers that cost hours are made smaller.
"""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.metadata import metadata
from pathlib import Path
from random import Random

import pytest

import hipp_prune
import hipp_prune.api
from hipp_prune.cli import main
from hipp_prune.export import hub
from hipp_prune.questions.toyworld.drawing import draw
from hipp_prune.questions.toyworld.scenes import scenes
from hipp_prune.recovery.settings import RecoverySettings
from tests.e2e.conftest import SUBSETS, write_pope, write_scienceqa
from tests.pages import LANGUAGES, PAGES, ROOT, Block, blocks, commands, stories
from tests.unit.export.test_hub import Hub

EMBEDDED = Path(str(hipp_prune.__file__)).parent / "models" / "embedded"
MODELS = ("MODEL", "llava-hf/llava-1.5-7b-hf")
"""What pages call a model of the reader's; here folders with an embedded one."""
SMALLER: dict[str, dict[str, str]] = {
    "auto": {"--evaluations": "16", "--limit": "24"},
    "bench-search": {"--budgets": "16", "--seeds": "1", "--limit": "24", "--workers": "1"},
    "calibrate": {"--count": "8"},
    "compare": {
        "--budgets": "0.3",
        "--calibration": "8",
        "--evaluations": "24",
        "--limit": "24",
        "--seeds": "1",
        "--steps": "2",
    },
    "evaluate": {"--limit": "24"},
    "paper": {},
    "quickstart": {"--evaluations": "24", "--limit": "24"},
    "recover": {"--steps": "2"},
    "search": {"--evaluations": "24", "--minibatch": "12"},
}
"""What each verb is told beside what is printed."""
INSTEAD = {
    "--align-for": "tp2",
    "--context": "4",
    "--fit": "1830000",
    "--nproc-per-node": "2",
    "--require": "pope=0.1",
    "--device": "cpu",
    "--reconstruct": "0.02",
    "--workers": "1",
}
"""What takes the place of a printed value: blocks of 16 neurons, and minutes."""
FEWER = {
    "processor, questions=": "processor, evaluations=24, count=8, compensation='none', questions=",
    'auto("toy-llava", ': 'auto("toy-llava", settings=hipp_prune.api.AutoSettings(evaluations=16, limit=24), ',
    'Path("run"))': 'Path("run"), settings=api.CalibrateSettings(count=8))',
    '"pope=0.85"': '"pope=0.1"',
    "api.search(run.root)": "api.search(run.root, settings=api.SearchSettings(evaluations=24, minibatch=12))",
}
"""The same in Python."""
PROGRAMS = ("hipp-prune", "make", "pip", "torchrun", "python")
COMMAND = re.compile(r"^(?:\$ )?(?:hipp-prune|make|pip|python3?|torchrun|git|docker|vllm) \S", re.MULTILINE)
FENCED = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
SLOW = os.environ.get("DOCS") != "1"


def label(story: list[Block]) -> str:
    return story[0].name


STORIES = [story for page in PAGES for story in stories(page)]
EVERYTHING = [block for page in PAGES for block in blocks(page)]


@pytest.fixture(scope="session")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as pages suppose it: models, official files and pictures by their printed names."""
    root = tmp_path_factory.mktemp("layout")
    for name in MODELS:
        shutil.copytree(EMBEDDED / "toy-llava", root / name)
    write_pope(root / "POPE" / "coco")
    shutil.move(root / "POPE" / "coco" / "images", root / "val2014")
    write_scienceqa(root / "ScienceQA")
    pids = json.loads((root / "ScienceQA" / "pid_splits.json").read_text())["test"]
    images = root / "ScienceQA" / "images"
    shutil.copytree(images / "test", images / "train")
    (root / "ScienceQA" / "pid_splits.json").write_text(json.dumps({"train": pids[:30], "test": pids[30:]}))
    write_photos(root)
    write_instances(root)
    draw(next(iter(scenes(18, "test")))).save(root / "picture.png")
    write_answers(root)
    return root


def write_instances(root: Path) -> None:
    """COCO's annotations of pictures with four objects each."""
    (root / "val2017").mkdir()
    names = ["person", "cup", "chair", "dog", "cat", "car", "bus", "book", "clock", "bird", "bottle", "bench"]
    categories = [{"id": number, "name": name} for number, name in enumerate(names)]
    images = [{"id": number, "file_name": f"{number}.jpg"} for number in range(20)]
    annotations = [
        {"id": 6 * image + part, "image_id": image, "category_id": (image + part) % 12}
        for image in range(20)
        for part in range(4)
    ]
    for number in range(20):
        shutil.copy(root / "holiday" / f"{number}.jpg", root / "val2017")
    text = json.dumps({"images": images, "annotations": annotations, "categories": categories})
    (root / "instances_val2017.json").write_text(text)


def write_answers(root: Path) -> None:
    """Yes to every question of POPE."""
    lines = [
        json.dumps(
            {"question_id": f"{subset}/{asked['question_id']}", "prompt": asked["text"], "text": "Yes"}
        )
        for subset in SUBSETS
        for asked in map(
            json.loads, (root / "POPE" / "coco" / f"coco_pope_{subset}.json").read_text().splitlines()
        )
    ]
    (root / "answers.jsonl").write_text("".join(line + "\n" for line in lines))


def write_photos(root: Path) -> None:
    """``photos.csv`` and ``photos/0.jpg`` on, drawn, and the same pictures without a table in ``holiday``."""
    rows = [("image", "question", "answer", "choices")]
    rng = Random(0)
    for folder in ("photos", "holiday"):
        (root / folder).mkdir()
    for number, scene in zip(range(20), scenes(18, "test"), strict=False):
        photo = f"photos/{number}.jpg"
        draw(scene).save(root / photo)
        shutil.copy(root / photo, root / "holiday")
        rows.append((photo, "Is there a dog in the image?", rng.choice(["yes", "no"]), ""))
        rows.append((photo, "Which of these is in the picture?", "a ball", "a ball | a tree"))
    for name, header in (("photos.csv", rows[0]), ("album.csv", ("photo", "q", "label", "choices"))):
        with (root / name).open("w", newline="") as file:
            csv.writer(file).writerows([header, *rows[1:]])


@contextmanager
def chdir(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


class Made:
    """What pages suppose that the reader has made before, each made once, in a folder of its own."""

    def __init__(self, layout: Path, root: Path) -> None:
        self.layout = layout
        self.root = root

    def put(self, name: str, folder: Path) -> None:
        """Puts something into a folder under the name that pages give it."""
        source = self.root / name
        if not source.exists():
            shutil.copytree(self.layout, source)
            with chdir(source):
                for needed in NEEDS.get(name, ()):
                    self.put(needed, source)
                for line in LINES[name]:
                    assert main(quick(line.split())) == 0, line
        for made in (source / part for part in (CALLED.get(name, name),)):
            (shutil.copytree if made.is_dir() else shutil.copy)(made, folder / made.name)


LINES = {
    "calibrated": ["calibrate --model toy-llava --questions toyworld --out run"],
    "run": ["search run", "query run --preference 1,1,1 --sparsity 0.3"],
    "plan.json": ["query run --preference 1,1,1 --sparsity 0.5 --out plan.json"],
    "smaller": ["prune --model toy-llava --plan plan.json --out smaller"],
    "elastic": ["query run --preference 1,1,1 --sparsity 0.5", "prune --run run --elastic --out elastic"],
    "smaller-run": ["auto toy-llava --questions toyworld --sparsity 0.3 --out smaller"],
}
NEEDS = {"run": ("calibrated",), "plan.json": ("run",), "smaller": ("plan.json",), "elastic": ("run",)}
CALLED = {"calibrated": "run"}
"""Where the folder's name is not its own: a run before its search."""


@pytest.fixture(scope="session")
def made(layout: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(layout, tmp_path_factory.mktemp("made"))


@pytest.fixture
def folder(tmp_path: Path, layout: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a story is told: the layout again, a hub that only remembers, and few steps where no flag says how many."""
    shutil.copytree(layout, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hipp_prune.stages.wish.RecoverySettings", partial(RecoverySettings, steps=2))
    monkeypatch.setattr(hub, "HfApi", Hub)
    monkeypatch.setattr(hub, "get_token", lambda: "token")
    Hub.told, Hub.error = [], None
    return tmp_path


def quick(words: list[str]) -> list[str]:
    """A verb and its flags, with numbers that make it quick."""
    words = list(words)
    for flag, value in {**INSTEAD, **SMALLER.get(words[0], {})}.items():
        if flag in words:
            at = words.index(flag) + 1
            end = next((place for place in range(at, len(words)) if words[place].startswith("-")), len(words))
            words[at:end] = [value]
        elif flag in SMALLER.get(words[0], {}):
            words += [flag, value]
    return [*words, "--token-ids"] if "gguf" in words else words


def run(words: list[str]) -> None:
    """Runs a command; ``make`` says what it would do, and ``pip install '.[EXTRA]'`` names extras that there are."""
    program, *rest = words
    if program == "hipp-prune":
        assert main(quick(rest)) == 0, words
        return
    if program == "pip":
        named = {extra for word in rest for extra in re.findall(r"\.\[(.*)\]$", word)}
        assert rest[0] == "install", words
        assert named, f"{words}: say why this is not run"
        assert named <= set(metadata("hipp-prune").get_all("Provides-Extra", [])), words
        return
    if program == "make":
        command = ["make", "--dry-run", "--directory", str(ROOT), *rest]
    elif program == "torchrun":
        at = rest.index("hipp_prune") + 1
        command = [sys.executable, "-m", "torch.distributed.run", *quick(rest[:at]), *quick(rest[at:])]
    else:
        command = [sys.executable, *rest]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{words}\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("story", STORIES, ids=label)
def test_what_a_page_says_can_be_done(story: list[Block], folder: Path, made: Made) -> None:
    names: dict[str, object] = {"hipp_prune": hipp_prune}
    for name in story[0].notes.get("given", "nothing").split():
        if name != "nothing":
            made.put(name, folder)
    for number, block in enumerate(story):
        if SLOW and "slow" in block.notes:
            if number == 0:
                pytest.skip(f"make test-docs runs it: {block.notes['slow']}")
            return
        if block.language == "bash":
            for words in commands(block.text):
                assert words[0] in PROGRAMS, f"{block.name}: say why {words[0]} is not run"
                run(words)
        else:
            text = block.text
            for printed, here in FEWER.items():
                text = text.replace(printed, here)
            exec(compile(text, block.name, "exec"), names)

    if story[0].page == "README.md" and "hipp-prune report" in story[0].text:
        check_report(folder / "run" / "report.html")


def check_report(path: Path) -> None:
    """README's flow ends in a report of plan and results, which says so when the plan is gone."""
    page = path.read_text(encoding="utf-8")
    assert "0.5,<wbr>0.25,<wbr>0.25" in page
    assert ">dense<" in page
    assert "has not been evaluated" not in page
    assert "No plan has been asked for" not in page
    shutil.move("plan.json", "moved.json")
    assert main(["report", "run"]) == 0
    assert "plan.json is gone since" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_command_is_a_block_by_its_indent_alone(page: Path) -> None:
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    assert [
        line for line in text.splitlines() if line.startswith("    ") and COMMAND.match(line.strip())
    ] == []


@pytest.mark.parametrize("block", EVERYTHING, ids=lambda block: block.name)
def test_no_command_hides_in_a_block_that_nobody_runs(block: Block) -> None:
    assert block.language, f"{block.name}: a block says its language, text for what is no command"
    if block.language not in LANGUAGES:
        assert not COMMAND.search(block.text), f"{block.name}: a block of commands is bash"
    if (reason := block.notes.get("not run")) is not None:
        assert reason.startswith(("needs ", "takes ", "makes ")), f"{block.name}: {reason}"
    if (elsewhere := block.notes.get("run by")) is not None:
        assert (ROOT / elsewhere).is_file(), f"{block.name}: {elsewhere}"
        assert block.page in (ROOT / elsewhere).read_text(encoding="utf-8"), (
            f"{elsewhere} does not read {block.page}"
        )
