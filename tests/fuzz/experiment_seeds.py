"""Valid files of comparisons and of the search benchmark."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from hipp_prune.errors import IncompleteRunError
from hipp_prune.experiments.compare import cell_results, worker
from hipp_prune.experiments.compare import run as compare_run
from hipp_prune.experiments.compare.cell_results import CellResult
from hipp_prune.experiments.compare.run import _flat, read_settings
from hipp_prune.experiments.compare.settings import CompareSettings
from hipp_prune.experiments.paper.run import _times
from hipp_prune.experiments.photo.settings import PhotoSettings
from hipp_prune.experiments.search_bench import run as bench_run
from hipp_prune.experiments.search_bench.arenas import JudgedPlan, Reference
from hipp_prune.experiments.search_bench.trials import SearchTrial, TrialResult
from hipp_prune.files.ranges import NotNegative
from hipp_prune.files.reading import read_document, read_text
from hipp_prune.files.writing import write_json, write_text
from tests.fuzz.seed import Seed
from tests.unit.experiments.compare.made import answers, cell_result

_KEY = cell_results._METADATA
_TRIAL = "cells/landscape/random-8-0.json"


def _write_experiments(folder: Path) -> None:
    write_json(folder / "questions.json", {"number": 3, "digest": "0123456789abcdef"})
    write_json(folder / "twin.json", {"cell": "cells/toy-llava/hybrid.parquet"})
    write_json(folder / "model.json", {"model": "toy-llava", "fingerprint": "abc"})
    write_json(folder / "times.json", {"table1": 3.5, "table2": 0})
    write_json(folder / "settings.json", asdict(PhotoSettings()))
    write_json(folder / "bench.json", {"landscape": {"s_min": 0.1, "s_max": 0.5, "run": None}})
    write_json(folder / "compare.json", _flat(CompareSettings(questions=("pope:x",))))
    result = cell_result("hybrid", preference="1,1,0", after=answers(yes=[1.5], no=[0.5], choice=[-1.0]))
    result.save(folder)
    table = pq.read_table(result.cell.path(folder))
    pq.write_table(table, folder / "cell.parquet")
    write_text(folder / "cell.json", table.schema.metadata[_KEY].decode())
    plan = JudgedPlan(kept=(3, 4), sparsity=0.2, robustness=-0.1, utility=-0.2, accuracies=(0.9, 0.8))
    other = replace(plan, kept=(4, 3), robustness=-0.3, sparsity=0.3)
    Reference(
        fingerprint="abc", dense=plan, chance=0.25, s_min=0.1, s_max=0.5, random=(plan, other), optima=(plan,)
    ).save(folder / "reference.json")
    TrialResult(
        cell=SearchTrial(problem="landscape", method="random", budget=8, seed=0),
        arena="landscape-0",
        settings={"kappa": 1.0},
        evaluations=8.0,
        seconds=1.0,
        judging=0.5,
        plans=(plan, other),
        answers=(0, 1, 1),
    ).save(folder)


def _read_experiment(folder: Path, name: str) -> object:
    match name:
        case "compare.json":
            return read_settings(folder)
        case "cell.json":
            return _read_cell(folder, folder / name)
        case "twin.json" | "model.json" | "questions.json" | "bench.json" | "settings.json":
            return read_document(folder / name, _KINDS[name], remedy="begin again", error=IncompleteRunError)
        case "times.json":
            return _times(folder)
        case "reference.json":
            reference = Reference.load(folder / name)
            return reference.objectives(reference.random)
    return TrialResult.load(folder / name).judged


def _read_cell(folder: Path, metadata: Path) -> CellResult:
    text = read_text(metadata, remedy="compare again", error=IncompleteRunError)
    table = pq.read_table(folder / "cell.parquet").replace_schema_metadata({_KEY: text.encode()})
    path = folder / "damaged.parquet"
    pq.write_table(table, path)
    found = CellResult.load(path)
    assert json.dumps(found.settings)
    return found


_KINDS: dict[str, Any] = {
    "compare.json": dict[str, Any],
    "questions.json": compare_run._Judging,
    "twin.json": worker._Twin,
    "model.json": worker._Model,
    "times.json": dict[str, NotNegative],
    "settings.json": PhotoSettings,
    "bench.json": dict[str, bench_run._JudgedBy],
    "cell.json": cell_results._Said,
    "reference.json": Reference,
    _TRIAL: TrialResult,
}

EXPERIMENTS = Seed(name="experiments", write=_write_experiments, kinds=_KINDS, read=_read_experiment)
