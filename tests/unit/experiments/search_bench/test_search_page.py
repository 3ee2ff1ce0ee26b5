"""Standings and verdicts worked out by hand, and the tables and the page that show them."""

import csv
import io

import numpy as np
import pytest

from hipp_prune.experiments.search_bench.arenas import ArenaSpec, JudgedPlan, Reference
from hipp_prune.experiments.search_bench.page import (
    markdown,
    render_searches,
    results_tables,
    search_facts,
    to_csv,
    verdict_lines,
)
from hipp_prune.experiments.search_bench.trials import SearchTrial, TrialResult
from hipp_prune.experiments.search_bench.verdicts import (
    MEASURES,
    TrialScore,
    duels,
    entries,
    judge,
    score_trials,
    verdicts,
)
from hipp_prune.report.charts import WIDTHS
from tests.unit.report.test_page import Page

FACTS = ["1 of 1 seeds are <complete>"]


def plan(robustness: float, utility: float, sparsity: float, accuracy: float = 0.75) -> JudgedPlan:
    return JudgedPlan(
        kept=(1,),
        sparsity=sparsity,
        robustness=robustness,
        utility=utility,
        accuracies=(accuracy, accuracy),
    )


REFERENCE = Reference(
    fingerprint="0",
    dense=plan(0.0, 0.0, 0.0, accuracy=1.0),
    chance=0.5,
    s_min=0.0,
    s_max=1.0,
    random=(plan(-1.0, -1.0, 0.0), plan(-1.0, -1.0, 1.0)),
)
"""Random plans do not differ in robustness and utility, so those keep their unit; σ of compression is √½."""


def result(method: str, seed: int, *plans: JudgedPlan, budget: int = 100) -> TrialResult:
    """A search that answers every preference with the last plan."""
    return TrialResult(
        cell=SearchTrial(problem="vlm", method=method, budget=budget, seed=seed),
        arena="vlm",
        settings={},
        evaluations=budget,
        seconds=1.0,
        judging=1.0,
        plans=plans,
        answers=(len(plans) - 1,) * 66,
    )


def score(method: str, seed: int, regret: float, *, problem: str = "vlm", budget: int = 100) -> TrialScore:
    return TrialScore(
        cell=SearchTrial(problem=problem, method=method, budget=budget, seed=seed),
        regret=regret,
        hypervolume=1 - regret,
        return_hypervolume=1 - regret,
        igd_plus=regret,
        seconds=2.0,
        evaluations=budget,
    )


def standings(**regrets: list[float]) -> list[TrialScore]:
    return [
        score(method, seed, regret) for method, each in regrets.items() for seed, regret in enumerate(each)
    ]


def test_regret_is_measured_against_the_best_plan_of_all_searches() -> None:
    good, bad = plan(-0.2, -0.2, 0.0), plan(-0.5, -0.5, 0.0)
    scores = score_trials([result("hybrid", 0, good), result("random", 0, bad)], {"vlm": REFERENCE})
    other = score_trials([result("random", 0, bad)], {"vlm": REFERENCE})[0]
    assert scores[1].regret - scores[0].regret == pytest.approx(0.3 * 2 / 3)
    assert other.regret < scores[1].regret


def test_hypervolumes_count_from_guessing_and_from_poor_random_plans() -> None:
    found = score_trials([result("hybrid", 0, plan(-0.5, -0.25, 0.5, accuracy=0.75))], {"vlm": REFERENCE})[0]
    assert found.hypervolume == pytest.approx(0.5 * 0.5 * 0.5)
    assert found.return_hypervolume == pytest.approx(0.5 * 0.75 * 0.5)


def test_igd_plus_is_what_is_lacking_of_the_front_of_all_plans() -> None:
    found = score_trials([result("hybrid", 0, plan(-0.5, -0.25, 0.5))], {"vlm": REFERENCE})[0]
    own, random_but_sparser = 0.0, 1.0 - 0.5
    assert found.igd_plus == pytest.approx((own + random_but_sparser) / 2)


def test_entries_are_in_the_order_of_problems_budgets_and_methods() -> None:
    scores = [
        score("random", 0, 0.1, problem="b"),
        score("random", 1, 0.1, problem="a", budget=250),
        score("random", 0, 0.1, problem="a", budget=250),
        score("hybrid", 0, 0.1, problem="b"),
    ]
    table = entries(scores)
    assert [(each.problem, each.budget, each.method) for each in table] == [
        ("a", 250, "random"),
        ("b", 100, "hybrid"),
        ("b", 100, "random"),
    ]
    assert [each.cell.seed for each in table[0].scores] == [0, 1]


@pytest.mark.parametrize(
    ("ours", "theirs", "word"),
    [
        ([0.1, 0.2, 0.3], [0.2, 0.3, 0.4], "ahead"),
        ([0.2, 0.3, 0.4], [0.1, 0.2, 0.3], "behind"),
        ([0.1, 0.4, 0.2], [0.2, 0.3, 0.2], "tied"),
        ([0.1], [0.2], "ahead"),
    ],
)
def test_a_verdict_is_paired_by_seed(ours: list[float], theirs: list[float], word: str) -> None:
    hybrid, rival = entries(standings(hybrid=ours, random=theirs))
    for measure in ("regret", "hypervolume", "igd_plus"):
        verdict = judge(hybrid, rival, measure)
        assert verdict.word == word
        assert verdict.gain == pytest.approx(np.mean(theirs) - np.mean(ours))
    assert verdict.pairs == len(ours)


def test_only_seeds_of_both_are_compared() -> None:
    hybrid, rival = entries(standings(hybrid=[0.1, 0.2], random=[0.3, 0.3, 9.0]))
    assert judge(hybrid, rival, "regret").gain == pytest.approx(0.15)


def test_the_rival_is_the_one_with_the_best_median() -> None:
    table = entries(standings(hybrid=[0.2], random=[0.3], grpo=[0.1]))
    (regret,) = verdicts(table, "regret")
    assert (regret.rival.method, regret.word, regret.has_better_median) == ("grpo", "behind", False)


def test_a_duel_is_fought_across_budgets_and_only_where_both_are_there() -> None:
    scores = [score("hybrid", 0, 0.1, budget=500), score("grpo-paper", 0, 0.3, budget=2000)]
    scores += [score("hybrid", 0, 0.1, problem="other", budget=500)]
    (duel,) = duels(entries(scores), "regret", ("hybrid", 500), ("grpo-paper", 2000))
    assert (duel.problem, duel.word) == ("vlm", "ahead")
    assert any(
        "hybrid@500 (0.100) is ahead of grpo-paper@2,000 (0.300)" in line
        for line in verdict_lines(entries(scores))
    )


def test_a_cell_of_a_table_is_median_mean_and_sample_std() -> None:
    scores = standings(hybrid=[0.1, 0.2, 0.6])
    header, row = results_tables(scores)["vlm"]
    assert row[header.index("query regret")] == "0.200 (0.300 ± 0.265)"
    header, row = results_tables(scores, brief=True)["vlm"]
    assert row[header.index("regret")] == "0.200±0.265"
    assert row[header.index("n")] == "3"


def test_the_facts_say_how_many_seeds_are_complete() -> None:
    scores = standings(hybrid=[0.1, 0.2], random=[0.3])
    cells = [
        SearchTrial(problem="vlm", method=method, budget=100, seed=seed)
        for seed in (0, 1)
        for method in ("hybrid", "random")
    ]
    facts = search_facts(scores, cells, [ArenaSpec(name="landscape", run=None)])
    assert facts[0] == "1 of 2 seeds are complete, 1 of 4 searches are missing"
    assert facts[1] == "plans judged by: landscape: exactly"


def test_markdown_and_csv_hold_every_search() -> None:
    scores = standings(hybrid=[0.1, 0.2], random=[0.3, 0.4])
    text = markdown(scores, FACTS)
    assert "- 1 of 1 seeds are &lt;complete&gt;" in text
    assert "| 100 | hybrid | 2 | 0.150 (0.150 ± 0.071) |" in text
    rows = list(csv.DictReader(io.StringIO(to_csv(scores))))
    assert [(row["method"], row["seed"], float(row["regret"])) for row in rows] == [
        ("hybrid", "0", 0.1),
        ("hybrid", "1", 0.2),
        ("random", "0", 0.3),
        ("random", "1", 0.4),
    ]


def test_the_page_draws_a_line_with_a_band_for_every_method_and_measure() -> None:
    scores = standings(random=[0.3, 0.4], hybrid=[0.1, 0.2])
    page = Page(render_searches(scores, FACTS))
    assert "1 of 1 seeds are <complete>" in page.text
    assert page.charts == ["problem-0"]
    drawn = render_searches(scores, FACTS)
    for method in ("hybrid", "random"):
        assert page.text.count(f", {method}: ") >= len(MEASURES), "the chart says where each line ends"
    assert drawn.count(' band"') == len(WIDTHS) * 2 * len(MEASURES), "a band for every line, wide and narrow"
    assert not [value for _, name, value in page.attributes if name in ("src", "href")]
