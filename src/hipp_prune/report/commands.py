"""The command line that makes each part of a run: for reproducing it, and for saying what is missing."""

import shlex
from dataclasses import fields
from pathlib import Path

from hipp_prune.evaluation.scorecard import Scorecard
from hipp_prune.files.run_directory import Provenance, RunDirectory
from hipp_prune.plans.modes import Compensation
from hipp_prune.plans.plan import Plan
from hipp_prune.plans.preference import Preference
from hipp_prune.search.settings import SearchSettings


def calibrate_command(run: RunDirectory, provenance: Provenance, num_questions: int | None = None) -> str:
    """Makes the run directory and ``calibration.safetensors``, of so many questions."""
    words = [*provenance.words]
    if num_questions is not None:
        words += ["--count", str(num_questions)]
    if run.grams.exists():
        words += ["--compensation", "ridge"]
    if (mixed := provenance.general_text) is not None:
        words += ["--general-text", *mixed.files, "--general-share", str(mixed.share)]
    return _join(*words, "--out", str(run.root))


def search_command(run: RunDirectory, settings: SearchSettings | None) -> str:
    """Makes ``search/``; names every setting that differs from the method's defaults."""
    if settings is None:
        return _join("search", str(run.root))
    usual = SearchSettings().for_method(settings.method)
    words = ["search", str(run.root), "--method", settings.method]
    for name in ("seed", "evaluations", *(field.name for field in fields(SearchSettings))):
        value = getattr(settings, name)
        flag = f"--{name.replace('_', '-')}"
        if name == "method" or flag in words or (value == getattr(usual, name) and name != "seed"):
            continue
        words += _flag(flag, value)
    return _join(*words)


def query_command(run: RunDirectory, name: str, plan: Plan | None) -> str:
    """Makes ``plans/NAME.json``."""
    preference = "R,U,C" if plan is None or plan.preference is None else _exact(plan.preference)
    words = ["query", str(run.root), "--preference", preference]
    for setting, usual in (
        ("sparsity", None), ("fit", None), ("context", 0), ("batch", 1), ("speed", None), ("align", 1)
    ):  # fmt: skip
        value = usual if plan is None else plan.notes.get(setting, usual)
        if value != usual:
            words += [f"--{setting}", str(value)]
    words += ["--uniform"] if plan is not None and plan.notes.get("uniform") else []
    for requirement, least in ({} if plan is None else plan.notes.get("require", {})).items():
        words += ["--require", f"{requirement}={least!r}"]
    return _join(*words, "--out", str(named_file(run.plans, name)))


def prune_command(run: RunDirectory, name: str, out: str, *, compensation: Compensation | None = None) -> str:
    """Makes the checkpoint that ``plans/NAME.json`` describes, of the run's model; what compensates lies in the run.

    Args:
        run: where the plan lies.
        name: the plan's, without folder or ending.
        out: the checkpoint folder.
        compensation: other than the plan's.
    """
    plan = str(named_file(run.plans, name))
    mode = [] if compensation is None else ["--compensation", compensation]
    return _join("prune", "--run", str(run.root), "--plan", plan, *mode, "--out", out)


def evaluate_command(
    run: RunDirectory, provenance: Provenance, name: str, model: str, evaluation: Scorecard | None = None
) -> str:
    """Makes ``results/NAME.json`` of a model.

    Args:
        run: where the result lies.
        provenance: the run's; names the questions if no evaluation does.
        name: the result's, without folder or ending.
        model: checkpoint folder or name.
        evaluation: whose questions, split and rule to repeat.
    """
    words = ["evaluate", "--model", model]
    if evaluation is None:
        words += ["--questions", *provenance.questions, "--split", "test"]
    else:
        words += ["--questions", *evaluation.questions, "--split", evaluation.split]
        words += ["--label", evaluation.label, *_limit(evaluation)]
        words += ["--rule", evaluation.results.rule]
    words += ["--seed", str(provenance.seed), *_skipping(provenance)]
    return _join(*words, "--out", str(named_file(run.results, name)))


def into_report(run: Path | None) -> list[str]:
    """What ``evaluate`` has to be told besides, for the questions of a run and for its report; nothing without one."""
    if run is None:
        return []
    provenance = RunDirectory(run).provenance()
    return ["--seed", str(provenance.seed), *_skipping(provenance), "--run", str(run)]


def pruned_folder(run: RunDirectory, name: str) -> Path:
    """Where the commands above put a pruned checkpoint that no evaluation has named yet."""
    return run.root / "checkpoints" / Path(name).name.removesuffix(".json")


def named_file(folder: Path, name: str) -> Path:
    """The file behind a plan's or a result's name in ``Contents``."""
    return Path(name) if Path(name).is_absolute() else folder / f"{name}.json"


def _limit(evaluation: Scorecard) -> list[str]:
    """The questions of the larger benchmark: this limit draws the same questions again, whatever the limit was."""
    counts = [score.n for score in evaluation.results.scores.values()]
    return ["--limit", str(max(counts))] if counts else []


def _skipping(provenance: Provenance) -> list[str]:
    return ["--skip-bad"] if provenance.skip_bad else []


def _flag(flag: str, value: object) -> list[str]:
    if isinstance(value, bool):
        return [flag if value else f"--no-{flag.removeprefix('--')}"]
    return [flag, str(value)]


def _exact(preference: Preference) -> str:
    return ",".join(f"{weight:.6g}" for weight in preference.vector)


def _join(*words: str) -> str:
    return shlex.join(["hipp-prune", *words])
