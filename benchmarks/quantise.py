"""Both embedded models pruned, then quantised: bytes, POPE and ScienceQA before and after; Markdown on standard output.

Run: python benchmarks/quantise.py    (ten minutes; needs `pip install '.[quantize]'`)

Blocks keep 16 or 8 of their 16 neurons in turn, so that groups of 8 columns fit. Questions are those of the embedded
world: its calibration split fits gptq and awq, its test split is asked. A format that the blocks are too narrow for has
its refusal below the table.
"""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from hipp_prune import api
from hipp_prune.errors import CheckpointError
from hipp_prune.evaluation.scorecard import Scorecard
from hipp_prune.export.formats import ExportFormat
from hipp_prune.models import TOYS, load_model
from hipp_prune.models.loading import local_folder
from hipp_prune.plans.plan import Plan, pack_masks
from hipp_prune.plans.space import PlanSpace
from hipp_prune.report.grids import markdown_table

FORMATS: tuple[ExportFormat, ...] = ("gptq", "awq", "fp8", "bnb4")
SETTINGS = api.ExportSettings(questions=("toyworld",), group_size=8, count=64, limit=1)
UNGROUPED = api.ExportSettings()
COLUMNS = ("model", "weights", "bytes", "of dense", "POPE", "ScienceQA")
LIMIT = 300
"""Test questions a benchmark."""


def smallest(model: str) -> Plan:
    """A plan that halves every other block, keeping the neurons with the longest columns of down."""
    adapter = load_model(model)
    kept = [width // (2 - block % 2) for block, width in enumerate(adapter.shape.neurons)]
    masks = []
    for block, count in zip(adapter.blocks, kept, strict=True):
        lengths = block.down.weight.detach().norm(dim=0).numpy()
        masks.append(np.argsort(np.argsort(-lengths)) < count)
    space = PlanSpace(shape=adapter.shape, r_max=0.9)
    return Plan(
        shape=adapter.shape, unit="coupled", kept=tuple(kept), masks=pack_masks(masks),
        ledger=space.ledger(np.array(kept)), importance="none",
    )  # fmt: skip


def asked(model: str, cache: Path) -> Scorecard:
    """What a checkpoint scores."""
    return api.evaluate(model, ["toyworld"], api.EvaluateSettings(limit=LIMIT), cache=cache)


def rows(model: str, folder: Path) -> Iterator[tuple[str, ...]]:
    """The dense model, the pruned one, and what each format makes of that."""
    pruned = folder / f"{model}-pruned"
    api.prune(model, smallest(model), pruned)
    weights = {"dense": str(local_folder(model)), "pruned": str(pruned)}
    refusals = []
    for format in FORMATS:
        grouped = format in ("gptq", "awq")
        try:
            api.export(str(pruned), format, folder / f"{model}-{format}", SETTINGS if grouped else UNGROUPED)
        except CheckpointError as error:
            refusals.append((model, f"pruned, {format}", str(error)))
            continue
        weights[f"pruned, {format}"] = str(folder / f"{model}-{format}")
    dense = 0
    for name, checkpoint in weights.items():
        card = asked(checkpoint, folder / "questions")
        assert card.bytes is not None
        dense = dense or card.bytes
        accuracies = (f"{card.results.scores[each].accuracy:.1%}" for each in ("pope", "scienceqa"))
        yield (model, name, f"{card.bytes:,}", f"{card.bytes / dense:.2f}", *accuracies)
    for model_name, name, refusal in refusals:
        yield (model_name, name, f"refused: {refusal}", "", "", "")


def main() -> None:
    """Prints the table, and below it what was refused."""
    torch.set_num_threads(1)
    with TemporaryDirectory() as temporary:
        found = [row for model in TOYS for row in rows(model, Path(temporary))]
    made = [row for row in found if row[-1]]
    print(markdown_table([COLUMNS, *made]))  # noqa: T201
    for model, name, refusal, *_ in (row for row in found if not row[-1]):
        print(f"\n{model}, {name}: {refusal}")  # noqa: T201


if __name__ == "__main__":
    main()
