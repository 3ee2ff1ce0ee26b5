"""All stages on one run directory, with a bar for each and a table at the end."""

from dataclasses import replace

from hipp_prune import api
from hipp_prune.cli.extras import Quickstart
from hipp_prune.cli.output import console, model_options, next_steps, progress_bar, progress_bars
from hipp_prune.evaluation.scorecard import Scorecard
from hipp_prune.files.run_directory import RunDirectory
from hipp_prune.plans.preference import Preference
from hipp_prune.report.tables import print_summary
from hipp_prune.search.settings import SearchSettings

PREFERENCES = ("1,0,0", "0,1,0", "1,1,2")
"""Robustness alone, utility alone, and both against compression."""

_SPEED_QUESTIONS = 256


def quickstart(command: Quickstart) -> None:
    """Calibrate, search, query three preferences, prune, evaluate, measure, report."""
    options = model_options(command.load)
    with progress_bar("calibrate") as progress:
        run = api.calibrate(
            command.model,
            command.questions,
            command.out,
            seed=command.seed,
            options=options,
            force=command.force,
            progress=progress,
        )
    config = SearchSettings(evaluations=command.evaluations, seed=command.seed)
    with progress_bars("encode pictures", "search") as (encoding, progress):
        api.search(run.root, config, options=options, encoding=encoding, progress=progress)
    evaluations = [_evaluate(command, run, command.model, "dense", options)]
    for text in PREFERENCES:
        preference = Preference.parse(text)
        plan = api.query(run.root, preference)
        checkpoint = run.root / "checkpoints" / api.plan_name(preference)
        api.prune(command.model, plan, checkpoint, force=command.force)
        evaluations.append(_evaluate(command, run, str(checkpoint), str(preference), options))
    evaluations = _with_speedups(command, run, evaluations, options)
    page = api.report(run.root)
    print_summary(evaluations, console)
    console.print(f"report: {page.resolve().as_uri()}", highlight=False, soft_wrap=True)
    next_steps(
        "hipp-prune calibrate --model YOUR/MODEL --questions pope:DIR scienceqa:DIR --out run",
        "hipp-prune search run",
        "hipp-prune query run --preference 2,1,1 --sparsity 0.3 --out plan.json",
        "hipp-prune prune --model YOUR/MODEL --plan plan.json --out smaller",
        "hipp-prune evaluate --model smaller --questions pope:DIR scienceqa:DIR",
    )


def _evaluate(
    command: Quickstart, run: RunDirectory, model: str, label: str, options: api.LoadSettings
) -> Scorecard:
    with progress_bar(f"evaluate {label}") as progress:
        return api.evaluate(
            model,
            command.questions,
            limit=command.limit,
            label=label,
            seed=command.seed,
            options=options,
            cache=run.cache,
            progress=progress,
        )


def _with_speedups(
    command: Quickstart, run: RunDirectory, evaluations: list[Scorecard], options: api.LoadSettings
) -> list[Scorecard]:
    """Measures each checkpoint's speed against dense and saves every evaluation in the run."""
    dense, *pruned = evaluations
    with progress_bar("measure speed") as progress:
        speedups = api.speedups(
            command.model,
            [evaluation.model for evaluation in pruned],
            command.questions,
            limit=_SPEED_QUESTIONS,
            options=options,
            cache=run.cache,
            progress=progress,
        )
    measured = [dense, *(replace(e, speedup=ratio) for e, ratio in zip(pruned, speedups, strict=True))]
    for evaluation in measured:
        evaluation.save(run.results / f"{evaluation.label}.json")
        if evaluation is not measured[0]:
            api.update_card(evaluation)
    return measured
