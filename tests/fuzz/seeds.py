"""Valid files for every reader, what they are declared to hold, and how they are read."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from hipp_prune.checkpoints import ledger
from hipp_prune.checkpoints.configs import nested_config
from hipp_prune.checkpoints.folders import open_shards
from hipp_prune.errors import IncompleteRunError
from hipp_prune.files.reading import read_document, read_text
from hipp_prune.files.run_directory import Provenance, RunDirectory
from hipp_prune.files.writing import write_json, write_text
from hipp_prune.models import load_model
from hipp_prune.models.declared import INDEX, ModelSettings, PictureSettings, ProcessorSettings, ShardIndex
from hipp_prune.plans import plan as plans
from hipp_prune.plans.costs import Costs, CostTable
from hipp_prune.plans.plan import Plan
from hipp_prune.plans.preference import Preference
from hipp_prune.plans.space import PlanSpace
from hipp_prune.search.query import planner as planners
from hipp_prune.search.query.planner import Planner
from hipp_prune.search.record import SearchRecord, read_record
from hipp_prune.search.session import Step
from hipp_prune.search.settings import SearchSettings
from tests.tiny import tiny_image, tiny_llava
from tests.unit.plans.shapes import make_plan, make_shape
from tests.unit.search.known_world import Landscape, make_archive, make_planner


@dataclass(frozen=True, kw_only=True)
class Seed:
    """One reader's valid files."""

    name: str
    write: Callable[[Path], None]
    """Writes them into an empty folder."""
    kinds: Mapping[str, Any]
    """The files that are damaged, by name, and the type that each declares; None where it has none of its own."""
    read: Callable[[Path, str], object]
    """Reads the damaged file, given the folder and its name."""
    result: Any = None
    """The declared type of what ``read`` returns; None where the files' say enough."""
    foreign: bool = False
    """Whether the files may hold keys that nobody declares."""


def _write_plans(folder: Path) -> None:
    costs = Costs(
        flops=CostTable(constant=4.0, units=((0.0, 1.0), (0.0, 1.5), (0.0, 2.0)), conditions="by hand")
    )
    shape = make_shape((9, 12, 20), hidden=6)
    kept = (4, 12, 7)
    ledger = PlanSpace(shape=shape, tables=costs).ledger(np.array(kept))
    coupled = make_plan(
        shape, "coupled", kept, preference=Preference.parse("2,1,1"),
        notes={"align": 2, "require": {"sparsity": 0.2}, "predicted": {"pope": {"mean": 0.8, "margin": 0.1}}},
    )  # fmt: skip
    write_text(folder / "coupled.json", replace(coupled, tables=costs, ledger=ledger).to_json())
    write_text(folder / "rows.json", make_plan(make_shape((10, 9), hidden=6), "rows", (7, 4, 9, 2)).to_json())


def _read_plan(folder: Path, name: str) -> Plan:
    plan = Plan.load(folder / name)
    assert plan.ratios.shape == (plan.space.num_units,)
    assert len(plan.keep_masks()) == len(plan.mask_widths)
    return plan


def _write_manifests(folder: Path) -> None:
    landscape = Landscape()
    write_json(
        folder / "run.json", asdict(Provenance.now(model="toy-llava", questions=("toyworld",), seed=3))
    )
    planner = make_planner(landscape, make_archive(landscape, 30, 3))
    record = SearchRecord(
        config=SearchSettings(seed=3, probe=None), complete=True, shape=planner.space.shape, features=("depth",),
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
    planner.save(folder / "planner.safetensors")
    with safe_open(folder / "planner.safetensors", framework="pt") as file:
        write_text(folder / "planner.json", file.metadata()["planner"])
    savings = ledger.Savings(ledger=make_plan(make_shape(), "coupled", (5, 5, 5)).ledger, shape=make_shape())
    write_text(folder / ledger.LEDGER_FILE, savings.to_json())
    write_json(
        folder / ledger.RECOVERY_FILE, {"untied_parameters": 12, "settings": {"projector": True, "steps": 3}}
    )


def _read_manifest(folder: Path, name: str) -> object:
    match name:
        case "run.json":
            return RunDirectory(folder).provenance()
        case "search.json":
            return read_record(folder / name)
        case "curve.json":
            return read_document(folder / name, list[Step], remedy="search again", error=IncompleteRunError)
        case "planner.json":
            return _read_planner(folder / name)
    return ledger.checkpoint_ledger(folder)


def _read_planner(metadata: Path) -> Plan:
    path = metadata.with_suffix(".safetensors")
    text = read_text(metadata, remedy="search again", error=IncompleteRunError)
    save_file(load_file(path), path, metadata={"planner": text})
    return Planner.load(path).query(Preference.parse("1,1,1"))


def _write_checkpoint(folder: Path) -> None:
    tiny_llava(folder, name=".", max_shard_size="60KB")


def _read_checkpoint(folder: Path, _: str) -> object:
    adapter = load_model(folder)
    (features,) = adapter.encode_images([tiny_image()])
    return open_shards(folder), nested_config(folder), features.tokens


SEEDS = (
    Seed(
        name="plans",
        write=_write_plans,
        kinds={"coupled.json": plans._PlanFile, "rows.json": plans._PlanFile},
        read=_read_plan,
        result=Plan,
    ),
    Seed(
        name="manifests",
        write=_write_manifests,
        kinds={
            "run.json": Provenance,
            "search.json": SearchRecord,
            "curve.json": list[Step],
            "planner.json": planners._Learnt,
            ledger.LEDGER_FILE: ledger._LedgerFile,
            ledger.RECOVERY_FILE: Any,
        },
        read=_read_manifest,
    ),
    Seed(
        name="checkpoint",
        write=_write_checkpoint,
        kinds={
            "config.json": ModelSettings,
            INDEX: ShardIndex,
            "preprocessor_config.json": PictureSettings,
            "processor_config.json": ProcessorSettings,
        },
        read=_read_checkpoint,
        foreign=True,
    ),
)
"""One a reader."""
