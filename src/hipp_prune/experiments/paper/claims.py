"""What the paper claims, and what came of it here: computed from finished cells, never typed."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from hipp_prune.experiments.compare.cell_results import CellResult
from hipp_prune.experiments.compare.cells import Cell, Contender
from hipp_prune.experiments.compare.standings import ASKED, MEASURES, Row, difference, make_rows
from hipp_prune.experiments.paper import switches, table3, table4, tables12
from hipp_prune.experiments.paper.contenders import (
    ABLATIONS,
    HYBRID,
    LITERAL,
    LITERAL_RIVALS,
    ROWS_RANDOM,
    SAMPLING,
    Switch,
    plain,
)
from hipp_prune.experiments.paper.part import Part, Section
from hipp_prune.experiments.paper.points import Point, is_inside, measure_points
from hipp_prune.experiments.paper.settings import PaperSettings, model_name
from hipp_prune.experiments.paper.tables import find_row, paragraphs
from hipp_prune.experiments.search_bench.fronts import paired_interval
from hipp_prune.files.markdown import markdown_table
from hipp_prune.report.grids import Rows

_WHAT = """After recovery, unless said otherwise. *Reproduced*: the 95% interval of the effect lies above zero;
*stronger*: above the paper's own effect too; *opposite*: below zero; otherwise *not* shown. Once with the paper's
choices throughout, once with our defaults; a dash: not run, or nothing to compare."""


@dataclass(frozen=True, kw_only=True)
class Effect:
    """How large something is, in points or as a correlation, and its 95% interval."""

    value: float
    low: float
    high: float

    def verdict(self, paper: float | None) -> str:
        """What becomes of a claim of a positive effect that was ``paper`` in the paper, if it says."""
        if paper is not None and self.low > max(paper, 0.0):
            return "stronger"
        if self.low > 0:
            return "reproduced"
        return "opposite" if self.high < 0 else "not"


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What the parts found after recovery; each part's rows are of its own cells, since parts ask other preferences."""

    settings: PaperSettings
    starts: Sequence[Row]
    """Rows of Tables 1 and 2, before recovery."""
    tables: Sequence[Row]
    """Rows of Tables 1 and 2, after recovery."""
    sampling: Sequence[Row]
    """Rows of Table 4, by how preferences are drawn."""
    ablations: Sequence[Row]
    points: Sequence[Point]
    """Every query of Table 3's policies."""

    @classmethod
    def of(cls, settings: PaperSettings, results: Sequence[CellResult]) -> "Evidence":
        """The results, by part."""
        by_path = {result.cell.path(Path()): result for result in results}

        def of_parts(parts: Sequence[Part]) -> list[CellResult]:
            paths = dict.fromkeys(cell.path(Path()) for part in parts for cell in part.cells(settings))
            return [by_path[path] for path in paths if path in by_path]

        both = of_parts(tables12.PARTS)
        return cls(
            settings=settings,
            starts=make_rows(both, "before"),
            tables=make_rows(both, "after"),
            sampling=make_rows(of_parts(table4.PARTS), "after"),
            ablations=make_rows(of_parts((switches.ABLATED,)), "after"),
            points=measure_points(of_parts(table3.PARTS)),
        )


def gain(
    rows: Sequence[Row], model: str, budget: float, ours: Contender, theirs: Contender, measure: str
) -> Effect | None:
    """One contender less another, in percentage points; None where one is missing.

    Args:
        rows: of all contenders.
        model: where both are compared.
        budget: share removed by both.
        ours: whose lead it is.
        theirs: whom it leads.
        measure: what is measured, a name in ``MEASURES``.
    """
    first, second = (find_row(rows, model_name(model), budget, each.label) for each in (ours, theirs))
    found = None if first is None or second is None else difference(first, second)
    if found is None:
        return None
    index = MEASURES.index(measure)
    low, high = found.intervals[index]
    return Effect(value=100 * found.gain[index], low=100 * low, high=100 * high)


def ahead(
    rows: Sequence[Row],
    model: str,
    budget: float,
    champion: Contender,
    rivals: Sequence[Contender],
    measure: str,
) -> Effect | None:
    """A champion less the best of its rivals by this measure, in percentage points.

    Args:
        rows: of all contenders.
        model: where they are compared.
        budget: share removed by all.
        champion: whose lead it is.
        rivals: of whom the best counts; those without a row are passed over.
        measure: what is measured, a name in ``MEASURES``.
    """
    found = [find_row(rows, model_name(model), budget, rival.label) for rival in rivals]
    best = max(
        (row for row in found if row is not None),
        key=lambda row: float(row.over_seeds(measure).mean()),
        default=None,
    )
    return None if best is None else gain(rows, model, budget, champion, best.contender, measure)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One sentence of the paper."""

    words: str
    paper: float | None
    """The size of the effect in the paper, if it says."""
    literal: Effect | None
    """Here, with the paper's choices throughout."""
    ours: Effect | None
    """Here, with our defaults."""


def section(settings: PaperSettings, results: Sequence[CellResult]) -> Section:
    """One row a claim."""
    evidence = Evidence.of(settings, results)
    table: Rows = [("the paper's claim", "its effect", "paper's choices", "", "our defaults", "")]
    for claim in all_claims(evidence):
        said = "–" if claim.paper is None else f"{claim.paper:+.1f}"
        table.append(
            (claim.words, said, *_cells(claim.literal, claim.paper), *_cells(claim.ours, claim.paper))
        )
    return Section(text=paragraphs(_WHAT, markdown_table(table)))


def _cells(effect: Effect | None, paper: float | None) -> tuple[str, str]:
    if effect is None:
        return "–", "–"
    numbers = f"{effect.value:+.2f} [{effect.low:+.2f}, {effect.high:+.2f}]"
    return numbers, f"**{effect.verdict(paper)}**"


def all_claims(evidence: Evidence) -> list[Claim]:
    """In the paper's order."""
    return [
        *_superiority(evidence),
        *_beyond(evidence),
        *_baselines(evidence),
        *_control(evidence),
        *_sampling(evidence),
        *_ingredients(evidence),
    ]


def _superiority(evidence: Evidence) -> list[Claim]:
    """Tables 1 and 2: ahead of every baseline, and a better starting point.

    The paper's effects, all after recovery, are by table and budget, in its order.
    """
    effects = {
        (0, 0): {"robustness": 72.89 - 55.38, "utility": 39.38 - 37.75},
        (1, 0): {"robustness": 61.65 - 57.17, "utility": 38.91 - 36.15},
        (1, 1): {"robustness": 53.14 - 51.17, "utility": 32.94 - 31.67},
    }
    settings = evidence.settings
    baselines = tuple(map(plain, settings.baselines))
    outcomes = [(measure, "", evidence.tables) for measure in ("robustness", "utility", ASKED)]
    outcomes.append((ASKED, _BEFORE, evidence.starts))
    places = [
        (table, number, model, budget)
        for table, (model, budgets) in enumerate(settings.budgets.items())
        for number, budget in enumerate(budgets)
    ]
    return [
        Claim(
            words=f"{model_name(model)}, {budget:.1%}{when}: HiPP-Prune has a higher {_NAMES[measure]} than every "
            "baseline",
            paper=effects.get((table, number), {}).get(measure),
            literal=ahead(rows, model, budget, LITERAL, LITERAL_RIVALS, measure),
            ours=ahead(rows, model, budget, HYBRID, baselines, measure),
        )
        for (table, number, model, budget), (measure, when, rows) in product(places, outcomes)
    ]


def _beyond(evidence: Evidence) -> list[Claim]:
    """What our defaults are worth: less the paper's method with the paper's choices throughout."""
    outcomes = (("", evidence.tables), (_BEFORE, evidence.starts))
    places = [(model, budget) for model, budgets in evidence.settings.budgets.items() for budget in budgets]
    return [
        Claim(
            words=f"{model_name(model)}, {budget:.1%}{when}: our defaults have a higher {_NAMES[ASKED]} than the "
            "paper's choices",
            paper=None,
            literal=None,
            ours=gain(rows, model, budget, HYBRID, LITERAL, ASKED),
        )
        for (model, budget), (when, rows) in product(places, outcomes)
    ]


_BEFORE = " before recovery"
_NAMES = {
    "robustness": "POPE accuracy",
    "utility": "multiple-choice accuracy",
    ASKED: "accuracy as its preferences weigh it",
    "sparsity": "sparsity",
}


def _baselines(evidence: Evidence) -> list[Claim]:
    """Section 3.2: what is said of the baselines, of LLaVA at the paper's budget."""
    model, budgets = next(iter(evidence.settings.budgets.items()))
    random, wanda = plain("random"), plain("wanda-coupled")
    rows, slicegpt = plain("wanda-rows"), plain("slicegpt")
    return [
        Claim(
            words="random allocations vary more than Wanda does: std of POPE over seeds",
            paper=1.99 - 0.20,
            literal=_spread(evidence.tables, model, budgets[0], ROWS_RANDOM, rows),
            ours=_spread(evidence.tables, model, budgets[0], random, wanda),
        ),
        Claim(
            words="Wanda does not improve POPE over Random: Random less Wanda",
            paper=55.38 - 51.14,
            literal=gain(evidence.tables, model, budgets[0], ROWS_RANDOM, rows, "robustness"),
            ours=gain(evidence.tables, model, budgets[0], random, wanda, "robustness"),
        ),
        Claim(
            words="SliceGPT has a stronger utility point than Wanda: multiple-choice accuracy",
            paper=37.75 - 35.75,
            literal=gain(evidence.tables, model, budgets[0], slicegpt, rows, "utility"),
            ours=gain(evidence.tables, model, budgets[0], slicegpt, wanda, "utility"),
        ),
    ]


def _spread(
    rows: Sequence[Row], model: str, budget: float, first: Contender, second: Contender
) -> Effect | None:
    """Std of POPE over seeds, one contender's less another's; the interval resamples seeds."""
    found = [find_row(rows, model_name(model), budget, each.label) for each in (first, second)]
    values = [100 * row.over_seeds("robustness") for row in found if row is not None]
    if len(values) < 2 or min(map(len, values)) < 3:
        return None
    rng = np.random.default_rng(0)
    drawn = [each[rng.integers(len(each), size=(2000, len(each)))].std(axis=1, ddof=1) for each in values]
    low, high = np.quantile(drawn[0] - drawn[1], [0.025, 0.975])
    return Effect(
        value=float(values[0].std(ddof=1) - values[1].std(ddof=1)), low=float(low), high=float(high)
    )


def _control(evidence: Evidence) -> list[Claim]:
    """Section 3.3.1: Table 3's correlations, and the budget kept."""
    claims = []
    for model in evidence.settings.budgets:
        hard = evidence.settings.hard(model)
        for weight, name, measure, budget in (
            ("λ_rob", "POPE after", "robustness", hard),
            ("λ_util", "choice after", "utility", hard),
            ("λ_comp", "sparsity", "sparsity", None),
        ):
            literal, ours = (
                _mean(table3.correlations(table3.queries_of(evidence.points, model, each, budget), name))
                for each in (LITERAL, HYBRID)
            )
            claims.append(
                Claim(
                    words=f"{model_name(model)}: a larger {weight} gives more {_NAMES[measure]} (ρ)",
                    paper=None,
                    literal=literal,
                    ours=ours,
                )
            )
        shares = [_inside(evidence, model, each) for each in (LITERAL, HYBRID)]
        words = f"{model_name(model)}: plans stay in the budget they were given (share of plans, less those outside)"
        claims.append(Claim(words=words, paper=None, literal=shares[0], ours=shares[1]))
    return claims


def _inside(evidence: Evidence, model: str, contender: Contender) -> Effect | None:
    """Share of plans in their budget less the share outside: 1 where all are."""
    found = [
        each
        for each in evidence.points
        if (each.cell.model, each.cell.contender.label) == (model, contender.label)
    ]
    return _mean([1.0 if is_inside(evidence.settings, each) else -1.0 for each in found])


def _sampling(evidence: Evidence) -> list[Claim]:
    """Section 3.3.3: Table 4."""
    claims = []
    full, dirichlet, anchors = SAMPLING
    for model, budgets in evidence.settings.budgets.items():
        rows = [
            find_row(evidence.sampling, model_name(model), budgets[0], each.label)
            for each in (full, dirichlet)
        ]
        spreads = [{} if row is None else table4.spread(row, "robustness") for row in rows]
        paired = [
            100 * (spreads[1][seed] - spreads[0][seed]) for seed in spreads[0].keys() & spreads[1].keys()
        ]
        claims += [
            Claim(
                words=f"{model_name(model)}: anchors and Dirichlet together vary less over preferences than Dirichlet "
                "alone (std of POPE)",
                paper=1.42 - 0.23,
                literal=_mean(paired),
                ours=None,
            ),
            Claim(
                words=f"{model_name(model)}: anchors alone give slightly higher multiple-choice accuracy",
                paper=36.6 - 36.5,
                literal=gain(evidence.sampling, model, budgets[0], anchors, full, "utility"),
                ours=None,
            ),
        ]
    return claims


def _ingredients(evidence: Evidence) -> list[Claim]:
    """The ingredients that the paper motivates and does not ablate: with less without, the mean of both accuracies."""
    words = {
        "visual off": "visual sensitivity in the state helps",
        "visual shuffled": "and it is what it says that helps (own less shuffled)",
        "flat": "a hierarchical policy is better than a flat one",
        "gate off": "the stability gate helps",
    }
    named: dict[str, Switch] = {switch.name: switch for switch in ABLATIONS}
    return [
        Claim(
            words=f"{model_name(model)}: {sentence}",
            paper=None,
            literal=None,
            ours=gain(
                evidence.ablations,
                model,
                evidence.settings.hard(model),
                named[name].base,
                named[name].contender,
                "mean",
            ),
        )
        for model in evidence.settings.budgets
        for name, sentence in words.items()
    ]


def _mean(values: Sequence[float]) -> Effect | None:
    """A mean over seeds with its bootstrap interval; none for fewer than two."""
    interval = paired_interval(values)
    if interval is None:
        return None
    return Effect(value=float(np.mean(values)), low=interval[0], high=interval[1])


def cells(settings: PaperSettings) -> list[Cell]:
    """Those of the parts it judges; none of its own."""
    parts = (*tables12.PARTS, *table3.PARTS, *table4.PARTS, *switches.PARTS)
    return list(dict.fromkeys(cell for part in parts for cell in part.cells(settings)))


PARTS: Sequence[Part] = (
    Part(name="claims", title="The paper's claims", cells=cells, section=section, only_reads=True),
)
