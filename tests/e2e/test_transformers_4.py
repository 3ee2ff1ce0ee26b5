"""Checkpoints written here, beside transformers 5, in a process of transformers 4 without hipp-prune: the same logits.

``make test-transformers-4`` installs transformers 4 into an environment of its own and names its Python in
``TRANSFORMERS_4``; without that there is nothing to compare with.
"""

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file
from torch import Tensor

from hipp_prune import api
from hipp_prune.baselines.settings import BaselineSettings
from hipp_prune.checkpoints.folders import copy_companions
from hipp_prune.models import TOYS, load_model
from hipp_prune.plans.plan import keep_masks
from hipp_prune.recovery.settings import RecoverySettings
from tests.tolerance import assert_agree
from tests.unit.checkpoints import fresh_process
from tests.unit.checkpoints.tiny_plans import logits, make_plan, stock_inputs

PYTHON = os.environ.get("TRANSFORMERS_4")

pytestmark = pytest.mark.skipif(
    PYTHON is None, reason="transformers 4 is not installed; run `make test-transformers-4`"
)

Writer = Callable[[str, Path], object]
"""Writes a checkpoint of a model into a folder."""


def uneven(model: str, out: Path) -> None:
    adapter = load_model(model)
    widths = [neurons - block % 3 for block, neurons in enumerate(adapter.shape.neurons)]
    api.prune(model, make_plan(adapter, "coupled", widths), out)


def uniform(model: str, out: Path) -> None:
    adapter = load_model(model)
    api.prune(model, make_plan(adapter, "coupled", [12] * adapter.shape.num_blocks), out)


def padded(model: str, out: Path) -> None:
    uneven(model, out.with_name("before"))
    api.export(str(out.with_name("before")), "padded", out)


def recovered(model: str, out: Path) -> None:
    uneven(model, out.with_name("pruned"))
    api.recover(str(out.with_name("pruned")), ["toyworld"], out, RecoverySettings(steps=1))


def elastic(model: str, out: Path) -> None:
    plans = []
    adapter = load_model(model)
    ranked = [np.arange(neurons) for neurons in adapter.shape.neurons]
    for removed in (3, 6):
        kept = [neurons - removed - block % 3 for block, neurons in enumerate(adapter.shape.neurons)]
        plan = make_plan(adapter, "coupled", kept, keep_masks("coupled", ranked, kept))
        plans.append(out.with_name(f"{removed}.json"))
        plans[-1].write_text(replace(plan, notes={"sparsity": removed / 10}).to_json())
    api.prune_elastic(model, plans, out)


def baseline(method: str, model: str, out: Path) -> None:
    heads = method == "llm-pruner"
    config = BaselineSettings(attention=heads, match="block" if heads else "mlp")
    api.baseline(method, 0.2, out, model=model, questions=["toyworld"], count=16, settings=config)  # type: ignore[arg-type]


WRITERS: dict[str, Writer] = {
    "uneven": uneven,
    "uniform": uniform,
    "padded": padded,
    "recovered": recovered,
    "elastic": elastic,
    **{method: partial(baseline, method) for method in ("flap", "llm-pruner", "slicegpt")},
}


PLANS = {"elastic": "0.6"}
"""What is loaded of checkpoints that hold several plans."""


@dataclass(frozen=True)
class Job:
    """One checkpoint, and what it answers."""

    folder: Path
    """Of the files of the exchange, beside the checkpoint."""
    expected: Tensor
    """Logits, [1, T, V]."""
    plan: str | None = None

    @property
    def order(self) -> dict[str, str | None]:
        """What the other process is told; it saves the model again too, and loads that."""
        here = {name: str(self.folder / name) for name in ("checkpoint", "inputs", "result", "resave")}
        return {**here, "auto": "AutoModelForImageTextToText", "plan": self.plan}


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Job]:
    """(model, way of pruning) → what the other process has answered in the meantime."""
    tmp = tmp_path_factory.mktemp("both")
    jobs = {}
    for model in TOYS:
        for way, write in WRITERS.items():
            folder = tmp / f"{model}-{way}"
            folder.mkdir()
            write(model, folder / "checkpoint")
            adapter = load_model(folder / "checkpoint" / PLANS.get(way, ""))
            inputs = stock_inputs(adapter)
            save_file(inputs, folder / "inputs")
            expected = logits(adapter.model, inputs)
            jobs[model, way] = Job(folder=folder, expected=expected, plan=PLANS.get(way))
    (tmp / "jobs.json").write_text(json.dumps([job.order for job in jobs.values()]))
    environment = os.environ | {"HF_MODULES_CACHE": str(tmp / "modules"), "HF_HUB_OFFLINE": "1"}
    words = [str(PYTHON), fresh_process.__file__, str(tmp / "jobs.json")]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return jobs


def test_the_other_process_has_transformers_4() -> None:
    code = "import transformers; print(transformers.__version__)"
    found = subprocess.run([str(PYTHON), "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.startswith("4.57.")


@pytest.mark.parametrize("way", WRITERS)
@pytest.mark.parametrize("model", TOYS)
def test_transformers_4_computes_the_same_logits(
    jobs: dict[tuple[str, str], Job], model: str, way: str
) -> None:
    """What it saved in its turn still is the model for transformers 5."""
    job = jobs[model, way]
    found = load_file(job.folder / "result")["result"]
    assert_agree(found, job.expected)
    copy_companions(job.folder / "checkpoint", job.folder / "resave")
    saved = load_model(job.folder / "resave")
    assert_agree(logits(saved.model, stock_inputs(saved)), job.expected)
