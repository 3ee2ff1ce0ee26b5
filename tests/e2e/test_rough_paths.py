"""Every verb, every path it takes, and whatever may lie there instead: one sentence, and nothing is touched."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hipp_prune.cli import main
from tests.e2e.conftest import Finished

PLACES: dict[str, Callable[[Path], object]] = {
    "nothing": lambda path: None,  # noqa: ARG005
    "text": lambda path: path.write_text("once upon a time\n"),
    "empty file": lambda path: path.touch(),
    "binary": lambda path: path.write_bytes(bytes(range(256)) * 9),
    "nested JSON": lambda path: path.write_text("[" * 100_000),
    "empty folder": lambda path: path.mkdir(),
    "foreign folder": lambda path: (path.mkdir(), (path / "thesis.tex").write_text("mine")),
    "folder of folders": lambda path: [(path / name).mkdir(parents=True) for name in ("run.json", "config.json")],
    "dangling link": lambda path: path.symlink_to(path.with_name("nowhere")),
}  # fmt: skip

READERS = {
    "search": "search PATH",
    "query": "query PATH --preference 1,1,1",
    "report": "report PATH",
    "check": "check PATH",
    "export": "export PATH --format padded --out OUT",
    "push": "push PATH me/smaller",
    "prune, model": "prune --model PATH --plan PLAN --out OUT",
    "prune, plan": "prune --model MODEL --plan PATH --out OUT",
    "prune, run": "prune --run PATH --preference 1,1,1 --out OUT",
    "baseline, run": "baseline --method uniform --sparsity 0.3 --run PATH --out OUT",
    "baseline, model": "baseline --method uniform --sparsity 0.3 --model PATH --questions pope:POPE --out OUT",
    "recover": "recover PATH --questions pope:POPE --out OUT",
    "evaluate, model": "evaluate --model PATH --questions pope:POPE",
    "evaluate, answers": "evaluate --answers PATH --questions pope:POPE",
    "evaluate, pope": "evaluate --model MODEL --questions pope:PATH",
    "evaluate, scienceqa": "evaluate --model MODEL --questions scienceqa:PATH",
    "evaluate, amber": "evaluate --model MODEL --questions amber:PATH",
    "evaluate, repope": "evaluate --model MODEL --questions repope:PATH",
    "evaluate, toyworld": "evaluate --model MODEL --questions toyworld:PATH",
    "calibrate, model": "calibrate --model PATH --questions pope:POPE --out OUT",
    "models": "models --check PATH",
    "compare": "compare --tables --out PATH",
    "damage": "damage --model MODEL --questions pope:POPE --tables --out PATH",
}

WRITERS = {
    "calibrate": "calibrate --model MODEL --questions pope:POPE --count 4 --out PATH",
    "query": "query RUN --preference 1,1,1 --out PATH",
    "prune": "prune --model MODEL --plan PLAN --out PATH",
    "prune, run": "prune --run RUN --preference 3,1,1 --out PATH",
    "baseline": "baseline --method uniform --sparsity 0.3 --run RUN --out PATH",
    "recover": "recover CKPT --questions pope:POPE --steps 1 --out PATH",
    "evaluate": "evaluate --model MODEL --questions pope:POPE --limit 2 --out PATH",
    "export": "export CKPT --format padded --out PATH",
    "compare": "compare --questions pope:POPE --models MODEL --seeds 1 --out PATH",
    "bench-search": "bench-search --problems landscape --seeds 1 --out PATH",
    "damage": "damage --model MODEL --questions pope:POPE --budgets 0.3 --compensation none --out PATH",
}
TAKEN = ("text", "foreign folder", "dangling link")
BEFORE_ANYTHING = {
    "compare": "compare --questions pope:NOWHERE --models MODEL --seeds 1 --out OUT",
    "compare, preference": "compare --questions pope:POPE --models MODEL --methods hybrid --preferences 0,1,1 --seeds 1"
    " --out OUT",
    "bench-search": "bench-search --problems NOWHERE --seeds 1 --out OUT",
    "calibrate": "calibrate --model MODEL --questions pope:NOWHERE --out OUT",
    "auto": "auto MODEL --questions pope:NOWHERE --sparsity 0.3 --out OUT",
    "baseline": "baseline --method uniform --sparsity 2 --run RUN --out OUT",
    "prune": "prune --model MODEL --plan NOWHERE --out OUT",
    "recover": "recover CKPT --questions pope:NOWHERE --out OUT",
    "evaluate": "evaluate --model CKPT --questions pope:NOWHERE --out OUT",
    "questions": "questions pope --annotations NOWHERE --images POPE --out OUT",
    "quickstart": "quickstart --questions pope:NOWHERE --out OUT",
    "paper": "paper --models MODEL MODEL --questions pope:NOWHERE --out OUT --results OUT",
}
"""Commands that are refused for what they are to read."""
FORCES = {"calibrate", "query", "prune", "prune, run", "baseline", "recover", "evaluate", "export"}


class Sweep:
    """Runs command lines whose words stand for what earlier stages left."""

    def __init__(self, finished: Finished, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys
        self._words = {
            "RUN": finished.run, "PLAN": finished.plan, "MODEL": finished.model, "CKPT": finished.checkpoint,
            "POPE": finished.benchmarks.pope, "OUT": folder / "out", "NOWHERE": folder / "nowhere",
        }  # fmt: skip
        self.run = finished.run

    def refusal(self, line: str, path: Path) -> str:
        """The one sentence that a command refuses with."""
        self._capsys.readouterr()
        words = []
        for word in line.split():
            kind, _, name = word.rpartition(":")
            place = path if name == "PATH" else self._words.get(name)
            words.append(word if place is None else f"{kind}:{place}" if kind else str(place))
        code = main(words)
        said = self._capsys.readouterr().err.strip().splitlines()
        assert code == 2, (line, code, said)
        assert said[-1].startswith("hipp-prune: "), (line, said)
        assert not any(each.startswith("Traceback") for each in said)
        return said[-1]


@pytest.fixture
def sweep(finished: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Sweep:
    return Sweep(finished, tmp_path, capsys)


def _tree(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


@pytest.mark.parametrize("line", READERS.values(), ids=READERS)
def test_whatever_lies_there_is_refused_in_one_sentence(sweep: Sweep, line: str) -> None:
    for name, make in PLACES.items():
        if "toyworld" in line and name in ("nothing", "empty folder"):
            continue  # a world is drawn there
        path = sweep.folder / name.replace(" ", "-")
        make(path)
        before = _tree(sweep.folder)
        assert str(path) in sweep.refusal(line, path) or name == "nested JSON", name
        assert _tree(sweep.folder) == before, f"{name} was touched"
    if "toyworld" not in line:
        sweep.refusal(line, Path("x" * 260))


@pytest.mark.parametrize("verb", WRITERS)
def test_what_is_not_ours_is_never_replaced(sweep: Sweep, verb: str) -> None:
    for name in TAKEN:
        path = sweep.folder / name.replace(" ", "-")
        PLACES[name](path)
        before = _tree(sweep.folder), _tree(sweep.run)
        assert str(path) in sweep.refusal(WRITERS[verb], path)
        if verb in FORCES and name != "text":
            sweep.refusal(f"{WRITERS[verb]} --force", path)
        assert (_tree(sweep.folder), _tree(sweep.run)) == before, f"{name}, or the run, was touched"
    below, nameless = sweep.folder / "text" / "below", (Path("/"), Path())
    for path in (below, Path("/dev/null"), Path("x" * 260), Path("/proc/out"), *nameless):
        sweep.refusal(WRITERS[verb], path)
    assert os.path.exists("/dev/null")  # noqa: PTH110


@pytest.mark.parametrize("line", BEFORE_ANYTHING.values(), ids=BEFORE_ANYTHING)
def test_what_is_refused_at_once_leaves_nothing_behind(sweep: Sweep, line: str) -> None:
    sweep.refusal(line, Path())
    assert list(sweep.folder.iterdir()) == []


def test_who_cannot_skip_bad_records_is_not_told_to(sweep: Sweep) -> None:
    bad = sweep.folder / "bad.json"
    bad.write_text('{"image": "1.png", "objects": 3, "question_id": 1}\n')
    for line in ("questions pope --annotations PATH --images POPE --out OUT", READERS["evaluate, answers"]):
        assert "--skip-bad" not in sweep.refusal(line, bad)


def test_a_folder_is_no_file_of_answers(sweep: Sweep) -> None:
    for folder in (sweep.run, sweep.folder):
        said = sweep.refusal(READERS["evaluate, answers"], folder)
        assert f"expected a file of answers, but {folder} is" in said
