"""Valid plans, and valid records of runs and checkpoints."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from hipp_prune.checkpoints import ledger
from hipp_prune.files.run_directory import Provenance, RunDirectory
from hipp_prune.files.writing import write_json, write_text
from hipp_prune.plans import plan as plans
from hipp_prune.plans.costs import Costs, CostTable
from hipp_prune.plans.footprint import Footprint
from hipp_prune.plans.plan import Plan
from hipp_prune.plans.preference import Preference
from hipp_prune.plans.space import PlanSpace
from hipp_prune.report import contents
from tests.fuzz.seed import Seed
from tests.unit.plans.shapes import make_plan, make_shape


def _write_plans(folder: Path) -> None:
    costs = Costs(
        flops=CostTable(constant=4.0, units=((0.0, 1.0), (0.0, 1.5), (0.0, 2.0)), conditions="by hand")
    )
    shape = make_shape((9, 12, 20), hidden=6)
    kept = (4, 12, 7)
    saved = PlanSpace(shape=shape, tables=costs).ledger(np.array(kept))
    coupled = make_plan(
        shape, "coupled", kept, preference=Preference.parse("2,1,1"),
        notes={"align": 2, "require": {"sparsity": 0.2}, "predicted": {"pope": {"mean": 0.8, "margin": 0.1}}},
    )  # fmt: skip
    write_text(folder / "coupled.json", replace(coupled, tables=costs, ledger=saved).to_json())
    write_text(folder / "rows.json", make_plan(make_shape((10, 9), hidden=6), "rows", (7, 4, 9, 2)).to_json())


def _read_plan(folder: Path, name: str) -> Plan:
    plan = Plan.load(folder / name)
    assert plan.ratios.shape == (plan.space.num_units,)
    assert len(plan.keep_masks()) == len(plan.mask_widths)
    return plan


PLANS = Seed(
    name="plans",
    weight=2.0,
    write=_write_plans,
    kinds={"coupled.json": plans._PlanFile, "rows.json": plans._PlanFile},
    read=_read_plan,
    result=Plan,
)


def _write_runs(folder: Path) -> None:
    write_json(
        folder / "run.json", asdict(Provenance.now(model="toy-llava", questions=("toyworld",), seed=3))
    )
    savings = ledger.Savings(ledger=make_plan(make_shape(), "coupled", (5, 5, 5)).ledger, shape=make_shape())
    write_text(folder / ledger.LEDGER_FILE, savings.to_json())
    write_json(
        folder / ledger.RECOVERY_FILE, {"untied_parameters": 12, "settings": {"projector": True, "steps": 3}}
    )
    footprint = Footprint(weights=10_000, neurons=(5, 6, 7), neuron_bytes=(10, 20, 30), biases=12, token=None)
    write_json(folder / "footprint.json", asdict(footprint))


def _read_run(folder: Path, name: str) -> object:
    if name == "footprint.json":
        found = contents._read_footprint(folder / name)
        assert 0 <= found.pruned(np.array(found.neurons)) <= found.weights
        return found
    return RunDirectory(folder).provenance() if name == "run.json" else ledger.checkpoint_ledger(folder)


RUNS = Seed(
    name="runs",
    weight=2.0,
    write=_write_runs,
    kinds={
        "run.json": Provenance,
        "footprint.json": Footprint,
        ledger.LEDGER_FILE: ledger._LedgerFile,
        ledger.RECOVERY_FILE: ledger._RecoveryFile,
    },
    read=_read_run,
    foreign=(ledger.RECOVERY_FILE,),
)
