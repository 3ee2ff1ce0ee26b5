"""Is the search's reward a valid proxy? Kendall's τ between it and the accuracy after recovery, plan by plan."""

from collections.abc import Callable, Sequence
from dataclasses import fields
from itertools import product

import numpy as np
from numpy.typing import NDArray

from hipp_prune.experiments.compare.cell_results import AnswerColumns, CellResult
from hipp_prune.experiments.compare.cells import Cell, schedule
from hipp_prune.experiments.compare.scores import score_columns
from hipp_prune.experiments.paper.contenders import DENSE_MODEL
from hipp_prune.experiments.paper.part import Part, Section
from hipp_prune.experiments.paper.settings import PaperSettings, model_name
from hipp_prune.experiments.paper.statistics import kendall, mean_and_interval
from hipp_prune.experiments.paper.tables import paragraphs
from hipp_prune.experiments.paper.tables12 import contenders
from hipp_prune.files.markdown import markdown_table
from hipp_prune.questions.yes_no import class_balanced_mean
from hipp_prune.report.grids import Rows

_MINIBATCH = 32
"""Questions a benchmark that a search asks a plan."""

_WHAT = """Kendall's τ over the plans of one seed at the hardest budget (mean over seeds, bootstrap 95% interval). The
reward is computed before recovery on one half of the pictures, the accuracy after recovery on the other, so that no
question makes them agree. A minibatch is what a search sees of a plan: {minibatch} questions a benchmark."""

AnswerMeasure = Callable[[AnswerColumns], float]


def cells(settings: PaperSettings) -> list[Cell]:
    """All contenders of Tables 1 and 2 at the hardest budget."""
    rivals = tuple(contender for contender in contenders(settings) if contender != DENSE_MODEL)
    return [
        cell
        for seed, model in product(settings.seed_range(settings.seeds), settings.budgets)
        for cell in schedule([model], rivals, [settings.hard(model)], [seed])
    ]


def section(settings: PaperSettings, results: Sequence[CellResult]) -> Section:
    """One row for each model, kind of plans, and pair of proxy and outcome."""
    table: Rows = [("model", "plans", "a seed", *(f"τ({proxy})" for proxy, _, _ in _PAIRS))]
    kinds: dict[str, Callable[[CellResult], bool]] = {
        "all methods": lambda result: True,  # noqa: ARG005
        "searches": lambda result: result.cell.contender.searches,
    }
    for model, (kind, chosen) in product(settings.budgets, kinds.items()):
        own = [result for result in results if result.cell.model == model and chosen(result)]
        if own:
            taus = [_taus(settings, own, proxy, outcome) for _, proxy, outcome in _PAIRS]
            count = len(own) / len({result.cell.seed for result in own})
            table.append((model_name(model), kind, f"{count:.0f}", *map(mean_and_interval, taus)))
    return Section(text=paragraphs(_WHAT.format(minibatch=_MINIBATCH), markdown_table(table)))


def reward(answers: AnswerColumns) -> float:
    """(R_rob + R_util) / 2 of Eq. 11 with log σ(m)."""
    return (robustness(answers) + utility(answers)) / 2


def robustness(answers: AnswerColumns) -> float:
    """R_rob: the class-balanced mean of log σ(m) over POPE questions."""
    pope = answers.robust
    return class_balanced_mean(_log_sigmoid(answers)[pope], (answers.gold == "Yes")[pope].astype(np.int64))


def utility(answers: AnswerColumns) -> float:
    """R_util: the mean of log σ(m) over multiple-choice questions."""
    return float(_log_sigmoid(answers)[~answers.robust].mean())


def minibatch_reward(answers: AnswerColumns) -> float:
    """The reward on few questions, the same for every plan."""
    few = [
        np.flatnonzero(kind & label)[:count]
        for kind, label, count in (
            (answers.robust, answers.gold == "Yes", _MINIBATCH // 2),
            (answers.robust, answers.gold == "No", _MINIBATCH // 2),
            (~answers.robust, np.ones(len(answers.gold), dtype=bool), _MINIBATCH),
        )
    ]
    return reward(take(answers, np.concatenate(few)))


_PAIRS: tuple[tuple[str, AnswerMeasure, AnswerMeasure], ...] = (
    ("reward, mean accuracy", reward, lambda answers: score_columns(answers).mean),
    ("minibatch's reward, mean accuracy", minibatch_reward, lambda answers: score_columns(answers).mean),
    ("accuracy, mean accuracy", lambda a: score_columns(a).mean, lambda a: score_columns(a).mean),
    ("R_rob, POPE", robustness, lambda answers: score_columns(answers).robustness),
    ("R_util, choice", utility, lambda answers: score_columns(answers).utility),
)
"""What predicts before recovery, what it is to predict after it."""


def take(answers: AnswerColumns, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> AnswerColumns:
    """Some of the answers."""
    return AnswerColumns(
        **{field.name: getattr(answers, field.name)[chosen] for field in fields(AnswerColumns)}
    )


def halves(answers: AnswerColumns) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which answers belong to each half of the pictures; the same for all who were asked the same."""
    groups = np.unique(answers.group)
    first = np.random.default_rng(0).permutation(groups)[: len(groups) // 2]
    inside = np.isin(answers.group, first)
    return inside, ~inside


def _taus(
    settings: PaperSettings, results: Sequence[CellResult], proxy: AnswerMeasure, outcome: AnswerMeasure
) -> list[float]:
    found = []
    for seed in settings.seed_range(settings.seeds):
        own = [result for result in results if result.cell.seed == seed]
        pairs = [
            (proxy(take(result.before, first)), outcome(take(result.after, second)))
            for result in own
            for first, second in [halves(result.before)]
        ]
        tau = kendall(*zip(*pairs, strict=True)) if len(pairs) > 1 else None
        found += [] if tau is None else [tau]
    return found


def _log_sigmoid(answers: AnswerColumns) -> NDArray[np.float64]:
    result: NDArray[np.float64] = -np.logaddexp(0.0, -answers.margin)
    return result


PARTS = (Part(name="proxy", title="Is the search's reward valid?", cells=cells, section=section),)
