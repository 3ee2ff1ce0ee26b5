"""Valid lists: of files, of outputs, of annotated pictures, of texts; and a recipe."""

from pathlib import Path

from hipp_prune.cli.entry import parse
from hipp_prune.files.manifest import FILE_LIST, read_list
from hipp_prune.files.outputs import Output, read_outputs
from hipp_prune.files.run_directory import RunDirectory
from hipp_prune.files.writing import write_json, write_text
from hipp_prune.questions import annotations
from hipp_prune.questions.annotations import read_annotations
from hipp_prune.questions.texts import TextRecord, read_general_text
from hipp_prune.questions.toyworld import files
from tests.contract.tiny_benchmarks import write_lines
from tests.fuzz.seed import Seed

_FILES = f"run/{FILE_LIST}"
_WORLD = f"world/{files._MARKER}"


def _write_lists(folder: Path) -> None:
    write_lines(
        folder / "outputs.jsonl", [{"kind": "plan", "path": "/a/plan.json"}, {"kind": "result", "path": "/b"}]
    )
    write_lines(
        folder / "objects.json", [{"image": "1.png", "objects": ["dog"]}, {"image": "2.png", "objects": []}]
    )
    write_json(
        folder / "instances.json",
        {
            "images": [{"id": 1, "file_name": "1.png"}],
            "annotations": [{"image_id": 1, "category_id": 3}],
            "categories": [{"id": 3, "name": "dog"}],
        },
    )
    write_lines(folder / "texts.jsonl", [{"text": "Once upon a time."}, {"text": "there was"}])
    write_text(
        folder / "recipe.toml",
        'model = "m"\nquestions = ["toyworld"]\nout = "o"\nsparsity = 0.3\nrecover = true\n',
    )
    (folder / "world").mkdir()
    write_json(folder / _WORLD, {"version": files.VERSION, "seed": 0})
    (folder / "run").mkdir()
    (folder / _FILES).touch()
    write_text(folder / "run" / "a.txt", "a")
    write_text(folder / "run" / "a.txt", "b")


def _read_one(folder: Path, name: str) -> object:
    match name:
        case "outputs.jsonl":
            return read_outputs(RunDirectory(folder))
        case "texts.jsonl":
            return read_general_text([folder / name])
        case "recipe.toml":
            return parse(["auto", "--recipe", str(folder / name)])
        case "world/world.json":
            files._check_marker(folder / "world", None)
            return None
        case "objects.json" | "instances.json":
            return read_annotations(folder / name)
    return read_list(folder / "run")


LISTS = Seed(
    name="lists",
    write=_write_lists,
    kinds={
        "outputs.jsonl": Output,
        "objects.json": annotations._Listed,
        "instances.json": annotations._Instances | list[annotations._Listed],
        "texts.jsonl": TextRecord,
        "recipe.toml": None,
        _WORLD: files._World,
        _FILES: None,
    },
    read=_read_one,
    foreign=("objects.json", "instances.json", "texts.jsonl", _FILES),
    lines={"outputs.jsonl": False, "objects.json": True, "texts.jsonl": True, _FILES: False},
)
