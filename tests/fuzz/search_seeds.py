"""Valid files of a search: its record, its archive, and what it has learnt."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from hipp_prune.errors import IncompleteRunError
from hipp_prune.files.reading import read_document, read_text
from hipp_prune.files.writing import write_json, write_text
from hipp_prune.plans.costs import CostTable
from hipp_prune.plans.plan import Plan
from hipp_prune.plans.preference import Preference
from hipp_prune.search.archive import Archive, Evaluation
from hipp_prune.search.model_space import parse_latency
from hipp_prune.search.query import forecast as forecasts
from hipp_prune.search.query import planner as planners
from hipp_prune.search.query.forecast import Forecast, fit_forecast
from hipp_prune.search.query.planner import Planner
from hipp_prune.search.record import SearchRecord, read_record
from hipp_prune.search.session import Step
from hipp_prune.search.settings import SearchSettings
from tests.fuzz.seed import Seed
from tests.unit.search.known_world import FLOPS, Landscape, make_archive, make_planner

_EVALUATIONS = 30


def _write_searches(folder: Path) -> None:
    landscape = Landscape()
    archive = make_archive(landscape, _EVALUATIONS, 5)
    planner = make_planner(landscape, archive)
    record = SearchRecord(
        settings=SearchSettings(seed=3, probe=None), complete=True, shape=planner.space.shape, features=("depth",),
        scale=(0.1, 0.2, 0.3),
    )  # fmt: skip
    write_json(folder / "search.json", asdict(record))
    step = Step(
        phase="policy",
        evaluations=3,
        mean_return=0.1,
        objectives=(0.1, -0.2, 0.3),
        gate=1.0,
        clipped=0.0,
        kl=0.01,
    )
    write_json(folder / "curve.json", [asdict(step)] * 2)
    write_text(
        folder / "archive.jsonl", "".join(json.dumps(asdict(evaluation)) + "\n" for evaluation in archive)
    )
    fit_forecast(archive, planner.space).save(folder / "forecast.json")
    write_json(folder / "latency.json", asdict(FLOPS))
    planner.save(folder / "planner.safetensors")
    with safe_open(folder / "planner.safetensors", framework="pt") as file:
        write_text(folder / "planner.json", file.metadata()["planner"])


def _read_search(folder: Path, name: str) -> object:
    path = folder / name
    match name:
        case "search.json":
            return read_record(path)
        case "curve.json":
            return read_document(path, list[Step], remedy="search again", error=IncompleteRunError)
        case "archive.jsonl":
            return list(Archive(path))
        case "forecast.json":
            return _read_forecast(path)
        case "latency.json":
            return parse_latency(read_text(path, remedy="delete it", error=IncompleteRunError), path)
    return _read_planner(path)


def _read_forecast(path: Path) -> Forecast:
    space = Landscape().space
    found = Forecast.load(path, evaluations=_EVALUATIONS, units=space.num_units)
    if found is None:
        raise IncompleteRunError("no forecast of this archive")
    means, margins = found.accuracies(space.widths[None], space)
    assert np.isfinite(means).all()
    assert np.isfinite(margins).all()
    return found


def _read_planner(metadata: Path) -> Plan:
    path = metadata.with_suffix(".safetensors")
    text = read_text(metadata, remedy="search again", error=IncompleteRunError)
    save_file(load_file(path), path, metadata={"planner": text})
    return Planner.load(path).query(Preference.parse("1,1,1"))


SEARCHES = Seed(
    name="searches",
    write=_write_searches,
    kinds={
        "search.json": SearchRecord,
        "curve.json": list[Step],
        "archive.jsonl": Evaluation,
        "forecast.json": forecasts._ForecastFile,
        "latency.json": CostTable,
        "planner.json": planners._Learnt,
    },
    read=_read_search,
    lines={"archive.jsonl": False},
)
