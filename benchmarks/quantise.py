"""Both embedded models searched, pruned and quantised: bytes, POPE and ScienceQA before and after; Markdown.

Run: python benchmarks/quantise.py    (ten minutes; needs `pip install '.[quantize]'`)

A search of each model answers for a share of MLP parameters in multiples of 8 neurons: groups of 8 columns then fit.
Questions are those of the embedded world: its calibration split fits compensation, gptq and awq, its test split is
asked. A format that the blocks are too narrow for has its refusal below the table.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import tyro

from hipp_prune import api
from hipp_prune.errors import CheckpointError
from hipp_prune.evaluation.scorecard import Scorecard
from hipp_prune.export.formats import ExportFormat
from hipp_prune.files.markdown import markdown_table
from hipp_prune.models import TOYS
from hipp_prune.models.loading import local_folder
from hipp_prune.plans.plan import Plan
from hipp_prune.plans.preference import Preference

FORMATS: tuple[ExportFormat, ...] = ("gptq", "awq", "fp8", "bnb4")
GROUP = 8
"""Columns that share a scale, and the multiple of neurons that blocks keep."""
SETTINGS = api.ExportSettings(questions=("toyworld",), group_size=GROUP, count=64, limit=1)
UNGROUPED = api.ExportSettings()
COLUMNS = ("model", "weights", "bytes", "of dense", "POPE", "ScienceQA")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the script may be told."""

    evaluations: int = 400
    """Plans a search evaluates."""
    sparsity: float = 0.3
    """Share of the MLP parameters that leaves."""
    limit: int = 300
    """Test questions a benchmark."""


def searched(model: str, settings: Settings, run: Path) -> Plan:
    """The answer of a search to equal weights at that sparsity, in multiples of 8."""
    api.calibrate(model, ["toyworld"], run, api.CalibrateSettings(compensation="ridge"))
    api.search(run, api.SearchSettings(evaluations=settings.evaluations))
    wanted = api.QuerySettings(sparsity=settings.sparsity, align=GROUP)
    return api.query(run, Preference.parse("1,1,1"), wanted)


def asked(model: str, cache: Path, limit: int) -> Scorecard:
    """What a checkpoint scores."""
    return api.evaluate(model, ["toyworld"], api.EvaluateSettings(limit=limit), cache=cache)


def rows(model: str, settings: Settings, folder: Path) -> Iterator[tuple[str, ...]]:
    """The dense model, the pruned one, and what each format makes of that."""
    run, pruned = folder / f"{model}-run", folder / f"{model}-pruned"
    plan = searched(model, settings, run)
    api.prune(model, plan, pruned, run=run)
    log(f"{model} keeps {' '.join(map(str, plan.kept))}: {plan.ledger.mlp:.1%} of MLP parameters left")
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
        card = asked(checkpoint, folder / "questions", settings.limit)
        assert card.bytes is not None
        dense = dense or card.bytes
        accuracies = (f"{card.results.scores[each].accuracy:.1%}" for each in ("pope", "scienceqa"))
        yield (model, name, f"{card.bytes:,}", f"{card.bytes / dense:.2f}", *accuracies)
    for model_name, name, refusal in refusals:
        yield (model_name, name, f"refused: {refusal}", "", "", "")


def log(line: str) -> None:
    """Says what is being done, beside the table."""
    sys.stderr.write(f"{line}\n")


def main(settings: Settings) -> None:
    """Prints the table, and below it what was refused."""
    torch.set_num_threads(1)
    with TemporaryDirectory() as temporary:
        found = [row for model in TOYS for row in rows(model, settings, Path(temporary))]
    made = [row for row in found if row[-1]]
    sys.stdout.write(markdown_table([COLUMNS, *made]) + "\n")
    for model, name, refusal, *_ in (row for row in found if not row[-1]):
        sys.stdout.write(f"\n{model}, {name}: {refusal}\n")


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
