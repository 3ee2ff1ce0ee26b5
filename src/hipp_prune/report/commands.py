"""The command line that makes each part of a run: for reproducing it, and for saying what is missing."""

import shlex
from dataclasses import fields
from pathlib import Path

from hipp_prune.benchmark.evaluate import Evaluation
from hipp_prune.plan import Plan
from hipp_prune.preference import Preference
from hipp_prune.run import Provenance, RunDirectory
from hipp_prune.search.config import SearchConfig

_NOTED = ("sparsity", "align")
"""Settings of a query that a plan's notes carry under the name of their flag."""


def calibrate_command(run: RunDirectory, provenance: Provenance) -> str:
    """Makes the run directory and ``calibration.safetensors``."""
    return _join(
        "calibrate",
        "--model",
        provenance.model,
        "--questions",
        *provenance.questions,
        "--seed",
        str(provenance.seed),
        "--out",
        str(run.root),
    )


def search_command(run: RunDirectory, config: SearchConfig | None) -> str:
    """Makes ``search/``; names every setting that differs from the method's defaults."""
    if config is None:
        return _join("search", str(run.root))
    usual = SearchConfig().for_method(config.method)
    words = ["search", str(run.root), "--method", config.method]
    for name in ("seed", "evaluations", *(field.name for field in fields(SearchConfig))):
        value = getattr(config, name)
        flag = f"--{name.replace('_', '-')}"
        if name == "method" or flag in words or (value == getattr(usual, name) and name != "seed"):
            continue
        words += _flag(flag, value)
    return _join(*words)


def query_command(run: RunDirectory, name: str, plan: Plan | None) -> str:
    """Makes ``plans/NAME.json``."""
    preference = "R,U,C" if plan is None or plan.preference is None else _exact(plan.preference)
    words = ["query", str(run.root), "--preference", preference]
    for noted in _NOTED:
        if plan is not None and noted in plan.notes:
            words += [f"--{noted}", str(plan.notes[noted])]
    return _join(*words, "--out", str(run.plans / f"{name}.json"))


def prune_command(run: RunDirectory, provenance: Provenance, name: str, out: str) -> str:
    """Makes the checkpoint that ``plans/NAME.json`` describes."""
    return _join("prune", provenance.model, "--plan", str(run.plans / f"{name}.json"), "--out", out)


def evaluate_command(
    run: RunDirectory, provenance: Provenance, name: str, model: str, evaluation: Evaluation | None = None
) -> str:
    """Makes ``results/NAME.json`` of the model at ``model``."""
    questions = provenance.questions if evaluation is None else evaluation.questions
    split = "test" if evaluation is None else evaluation.split
    out = str(run.results / f"{name}.json")
    return _join("evaluate", model, "--questions", *questions, "--split", split, "--out", out)


def pruned_folder(run: RunDirectory, name: str) -> Path:
    """Where the commands above put a pruned checkpoint that no evaluation has named yet."""
    return run.root / "models" / name


def _flag(flag: str, value: object) -> list[str]:
    if isinstance(value, bool):
        return [flag if value else f"--no-{flag.removeprefix('--')}"]
    return [flag, str(value)]


def _exact(preference: Preference) -> str:
    return ",".join(f"{weight:.6g}" for weight in preference.vector)


def _join(*words: str) -> str:
    return shlex.join(["hipp-prune", *words])
