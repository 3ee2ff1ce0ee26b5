"""The report: one HTML file that needs no network, made of whatever the run directory holds."""

from collections.abc import Callable
from dataclasses import replace
from html import escape
from pathlib import Path
from string import Template

import numpy as np

from hipp_prune.files.run_directory import RunDirectory
from hipp_prune.files.writing import check_own, write_text
from hipp_prune.plans.arrays import Ints
from hipp_prune.plans.plan import Plan
from hipp_prune.report import cloud_chart, commands, figures, prose
from hipp_prune.report.assets import asset
from hipp_prune.report.charts import chart_html
from hipp_prune.report.cloud import build_cloud, pareto_front
from hipp_prune.report.contents import DENSE, Contents, read_contents
from hipp_prune.report.examples import choose_examples, count_changes, example_html
from hipp_prune.report.explorer import explorer_html
from hipp_prune.report.headline import headline
from hipp_prune.report.tables import label_html, summary_html
from hipp_prune.search.query.roles import measured_roles


def write_report(run: RunDirectory, *, force: bool = False) -> Path:
    """Writes ``RUN/report.html``, atomically, and returns its path.

    What the run does not hold yet is named in its place, with the command that makes it; nothing else in the
    directory changes.

    Raises:
        IncompleteRunError: if ``run`` is no run directory.
        OutputExistsError: if there is a page that is not as we wrote it, and ``force`` is false.
        RunError: if the page cannot be written.
    """
    contents = read_contents(run)
    check_own(run.report, force=force)
    write_text(run.report, render_report(contents))
    return run.report


def render_report(contents: Contents) -> str:
    """The page's HTML."""
    sections: dict[str, Callable[[Contents], str]] = {
        "headline": _headline,
        "preference": prose.preference_html,
        "example": prose.one_role_html,
        "explained": lambda known: prose.explained_html(list(known.evaluations.values())),
        "changes": prose.changes_html,
        "margin": prose.margin_html,
        "returned": prose.return_html,
        "damaged": _damaged,
        "summary": _summary,
        "examples": _examples,
        "explorer": _explorer,
        "blocks": _blocks,
        "curve": _curve,
        "directions": prose.directions_html,
        "cloud": _cloud,
        "facts": _facts,
        "commands": _commands,
    }
    return Template(asset("page.html")).substitute(
        {name: section(contents) for name, section in sections.items()},
        title=escape(f"Pruning {contents.model_name}"),
        style=asset("page.css") + asset("explorer.css"),
        printing=asset("printing.js"),
    )


def _headline(contents: Contents) -> str:
    """What each pruned model saved and lost, a line each; of what it scores where the dense model is not evaluated."""
    found = [(each.label, headline(contents.dense, each)) for each in contents.pruned]
    lines = [f"<li><b>{label_html(label)}:</b> {escape(line)}</li>" for label, line in found if line]
    return f'<ul class="headline">{"".join(lines)}</ul>' if lines else ""


def _facts(contents: Contents) -> str:
    provenance = contents.provenance
    facts = {
        "model": provenance.model,
        "questions": ", ".join(provenance.questions),
        "made": provenance.created.replace("T", " ").replace("+00:00", " UTC"),
        "seed": str(provenance.seed),
        "versions": ", ".join(f"{name} {version}" for name, version in provenance.versions.items()),
    }
    return "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())


def _commands(contents: Contents) -> str:
    run, provenance = contents.run, contents.provenance
    lines = [
        commands.calibrate_command(run, provenance, contents.num_questions),
        commands.search_command(run, contents.settings),
        *(commands.query_command(run, name, plan) for name, plan in contents.plans.items()),
    ]
    for name, plan in contents.plans.items():
        evaluation, mode = contents.evaluation_of(plan), None
        out = str(commands.pruned_folder(run, name)) if evaluation is None else evaluation.model
        if evaluation is not None and evaluation.compensation != plan.compensation:
            mode = evaluation.compensation
        lines.append(commands.prune_command(run, name, out, compensation=mode))
    lines += [
        commands.evaluate_command(run, provenance, name, each.model, each)
        for name, each in contents.evaluations.items()
    ]
    return "\n".join(escape(line) for line in lines)


def _damaged(contents: Contents) -> str:
    if not contents.damaged:
        return ""
    items = "".join(
        f"<li><code>{escape(path)}</code>: {escape(reason)}</li>" for path, reason in contents.damaged.items()
    )
    return f'<aside class="missing"><p>Left out, because it could not be read:</p><ul>{items}</ul></aside>'


def _summary(contents: Contents) -> str:
    run, provenance = contents.run, contents.provenance
    table = summary_html(list(contents.evaluations.values()), run.root) if contents.evaluations else ""
    notes = ""
    if contents.dense is None:
        command = commands.evaluate_command(run, provenance, DENSE, provenance.model)
        notes += _missing("The dense model has not been evaluated", command)
    for name, plan in contents.plans.items():
        if contents.evaluation_of(plan) is None:
            out = str(commands.pruned_folder(run, name))
            prune = commands.prune_command(run, name, out)
            like = contents.dense and replace(contents.dense, label=str(plan.preference or name))
            evaluate = commands.evaluate_command(run, provenance, name, out, like)
            notes += _missing(f"The plan {name} has not been evaluated", f"{prune} && {evaluate}")
    return table + notes


def _explorer(contents: Contents) -> str:
    """What ``hipp-prune explore`` shows, of a run whose search is complete."""
    if contents.planner is None:
        command = commands.search_command(contents.run, contents.settings)
        return _missing("There is no policy to ask yet", command)
    return explorer_html(contents, contents.planner)


def _blocks(contents: Contents) -> str:
    plans = _comparable(contents)
    notes = ""
    if not plans:
        notes += _missing("No plan has been asked for", commands.query_command(contents.run, "NAME", None))
    if len(plans) < len(contents.plans):
        left_out = ", ".join(name for name in contents.plans if name not in plans)
        notes += f'<p class="note">Not drawn, because made for another model or unit: {escape(left_out)}.</p>'
    sensitivity = contents.sensitivity
    if sensitivity is None:
        command = commands.calibrate_command(contents.run, contents.provenance)
        notes += _missing("The model has not been calibrated", command)
    rows = _plan_rows(plans) if plans else None
    if rows and sensitivity and len(next(iter(sensitivity.values()))) != rows.ratios.shape[1]:
        sensitivity = None
    chart = (
        chart_html("blocks", figures.blocks_chart(sensitivity, rows))
        if sensitivity or rows is not None
        else ""
    )
    return chart + notes + _asked(plans)


def _asked(plans: dict[str, Plan]) -> str:
    """What was asked of each plan that was told a sparsity, and what came of it."""
    said = {name: plan.asked_and_got for name, plan in plans.items()}
    return "".join(
        f'<p class="note">{escape(f"{name}: {sentence}.")}</p>' for name, sentence in said.items() if sentence
    )


def _comparable(contents: Contents) -> dict[str, Plan]:
    """The plans that have the units of the first."""
    plans = contents.plans
    first = next(iter(plans.values()), None)
    return {
        name: plan
        for name, plan in plans.items()
        if first is not None and (plan.unit, plan.shape.neurons) == (first.unit, first.shape.neurons)
    }


def _plan_rows(plans: dict[str, Plan]) -> figures.PlanRows:
    """The rows of the map of plans; two a plan where gate/up and down differ."""
    unit = next(iter(plans.values())).unit
    parts = [""] if unit == "coupled" else [", gate/up", ", down"]
    split = len(parts)

    def rows(values: list[Ints]) -> Ints:
        return np.concatenate([each.reshape(-1, split).T for each in values])

    kept = rows([np.array(plan.kept, dtype=np.int64) for plan in plans.values()])
    widths = rows([plan.space.widths for plan in plans.values()])
    return figures.PlanRows(
        names=[f"{_plan_name(name, plan)}{part}" for name, plan in plans.items() for part in parts],
        ratios=1.0 - kept / widths,
        kept=kept,
        widths=widths,
        unit="neurons" if unit == "coupled" else "rows",
    )


def _plan_name(name: str, plan: Plan) -> str:
    """A plan's preference (its file's name, if it has none) and the share of neurons it removes."""
    weights = [] if plan.preference is None else [f"{weight:.2g}" for weight in plan.preference.vector]
    return f"{','.join(weights) or name} · {plan.ledger.mlp:.0%}"


def _curve(contents: Contents) -> str:
    steps = contents.curve
    if not steps:
        command = commands.search_command(contents.run, contents.settings)
        return _missing("There is no finished search", command)
    return chart_html(
        "curve",
        figures.learning_curve(
            [step.evaluations for step in steps],
            [step.phase for step in steps],
            np.array([step.mean_return for step in steps]),
            np.array([step.objectives for step in steps]),
            measured_roles(contents.archive),
        ),
    )


def _cloud(contents: Contents) -> str:
    cloud = build_cloud(contents.archive, contents.space)
    if not len(cloud.points):
        command = commands.search_command(contents.run, contents.settings)
        return _missing("No plan has been tried", command)
    front = pareto_front(cloud.points)
    axes = cloud_chart.cloud_axes(measured_roles(contents.archive))
    chart = cloud_chart.plan_cloud(cloud.points, cloud.sources, front, axes)
    lows = [low for low, _ in cloud_chart.cloud_view(cloud.points, front, axes)]
    hidden = int((cloud.points[:, axes] < lows).any(axis=1).sum())
    level = ""
    if cloud.levelled:
        level = (
            f" The plans were asked {cloud.minibatches} different sets of questions, some harder than others; the "
            "difficulty of each set, as the search’s surrogate estimates it, has been taken out."
        )
    elif cloud.minibatches > 1:
        level = (
            f" The plans were asked {cloud.minibatches} different sets of questions, some harder than others, and "
            "there is too little to take that out: compare them with care."
        )
    size = f"{contents.settings.minibatch} questions" if contents.settings else "a few questions"
    return (
        f'{chart_html("cloud", chart)}<p class="note">{len(cloud.points)} plans, {int(front.sum())} of them on the '
        f"front{f', {hidden} too bad to be in view' if hidden else ''}.{level} "
        f"Each plan answered only {size} a time, so a place on the front is partly luck; rely on the "
        "table of results instead.</p>"
    )


def _examples(contents: Contents) -> str:
    run, provenance = contents.run, contents.provenance
    if contents.dense is None or not contents.pruned:
        name = DENSE if contents.dense is None else "NAME"
        model = provenance.model if contents.dense is None else "PRUNED"
        command = commands.evaluate_command(run, provenance, name, model)
        return _missing("Answers before and after pruning are needed", command)
    examples = choose_examples(contents.dense, contents.pruned)
    if not examples:
        return '<p class="note">The dense and the pruned models were asked different questions.</p>'
    counts = "".join(
        f"<li>{prose.count_html(contents, each.label, count_changes(contents.dense, each))}</li>"
        for each in contents.pruned
    )
    return f'<ul class="note">{counts}</ul><div class="cards">{"".join(map(example_html, examples))}</div>'


def _missing(what: str, command: str) -> str:
    return f'<p class="missing">{escape(what)}. Run <code>{escape(command)}</code></p>'
