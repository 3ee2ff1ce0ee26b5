"""Tables and page of a comparison whose answers are known."""

import csv
import io

import numpy as np
import pytest

from hipp_prune.experiments.compare.cell_results import CellResult
from hipp_prune.experiments.compare.page import (
    comparison_facts,
    comparison_tables,
    lead_lines,
    leads,
    markdown,
    render_comparison,
    section_name,
    to_csv,
)
from hipp_prune.experiments.compare.settings import DEFAULT_SETTINGS
from tests.unit.experiments.compare.made import answers, cell_result
from tests.unit.report.test_page import Page

ASKED = 40


def cell(method: str, seed: int, right: int, preference: str | None = None) -> CellResult:
    """Of 40 multiple-choice questions so many are right after recovery and none before; POPE is all right."""
    before = answers([1.0] * 4, [1.0] * 4, [-1.0] * ASKED)
    after = answers([1.0] * 4, [1.0] * 4, [1.0] * right + [-1.0] * (ASKED - right))
    budget = None if method == "dense" else 0.225
    return cell_result(
        method, seed=seed, before=before, after=after, preference=preference, budget=budget, model="m/<vlm>"
    )


@pytest.fixture(scope="module")
def results() -> list[CellResult]:
    return [
        result
        for seed in (0, 1)
        for result in (
            cell("dense", seed, 40),
            cell("flap", seed, 10 + 4 * seed),
            cell("owl", seed, 8),
            cell("hybrid", seed, 30, "1,0,0"),
            cell("hybrid", seed, 34, "0,1,0"),
        )
    ]


def test_a_pair_of_tables_has_a_row_a_method_and_the_chance(results: list[CellResult]) -> None:
    ((section, tables),) = comparison_tables(results).items()
    assert section == ("<vlm>", 0.225)
    header, *rows = tables["after"]
    assert [row[0] for row in rows] == [
        "dense",
        "flap",
        "owl",
        "HiPP-Prune",
        "HiPP-Prune, ± over preferences",
        "chance",
    ]
    assert {len(row) for row in rows} == {len(header)}
    shown = {row[0]: dict(zip(header, row, strict=True)) for row in rows}
    assert shown["flap"]["utility"] == "30.0 ± 7.1"
    assert shown["HiPP-Prune"]["utility"] == "80.0 ± 0.0"
    assert shown["HiPP-Prune, ± over preferences"]["utility"] == "80.0 ± 7.1"
    assert shown["chance"]["utility"] == "25.0"
    assert shown["flap"]["MLP"] == "50.0"
    assert shown["HiPP-Prune"]["search s"] == "60"
    assert shown["owl"]["HiPP-Prune − it [95%]"].startswith("+32.5 [+")
    assert shown["dense"]["HiPP-Prune − it [95%]"].startswith("-7.5 ["), "what pruning costs"
    assert shown["HiPP-Prune"]["HiPP-Prune − it [95%]"] == ""


def test_the_lead_is_over_the_best_other_and_named(results: list[CellResult]) -> None:
    before, after = lead_lines(leads(results))
    assert before.startswith("<vlm>, 22.5% removed, before recovery: HiPP-Prune is tied with ")
    assert "HiPP-Prune is ahead of flap by accuracy asked for +27.5 [" in after
    assert after.endswith("(2 seeds)")
    assert leads(results, champion="nobody") == []


def test_the_csv_has_a_line_a_cell_and_stage(results: list[CellResult]) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(results))))
    assert len(rows) == 2 * len(results)
    flap = [row for row in rows if row["method"] == "flap" and row["stage"] == "after"]
    assert [float(row["utility"]) for row in flap] == pytest.approx([10 / 40, 14 / 40])
    assert np.mean([float(row["saved_block"]) for row in rows]) == pytest.approx(0.4)


def test_markdown_says_what_the_numbers_are_of(results: list[CellResult]) -> None:
    text = markdown(results, comparison_facts(results, DEFAULT_SETTINGS))
    assert (
        "balanced accuracy on 8 questions; utility: accuracy on 40; of split test (toyworld); chance 50.0% and 25.0%"
        in text
    )
    assert "recovery: 120 steps" in text
    assert text.count("| flap |") == 2
    assert "## &lt;vlm&gt;, 22.5% removed" in text
    assert "<vlm>" not in text
    assert section_name(("a", None)) == "a, budget left to the policy"


def test_the_page_holds_tables_and_charts_and_escapes_names(results: list[CellResult]) -> None:
    page = Page(render_comparison(results, ["<facts>"]))
    assert "<facts>" in page.text
    assert "<vlm>, 22.5% removed" in page.text
    assert page.charts == ["section-0"]
    for name in ("dense", "flap", "owl", "HiPP-Prune"):
        assert f"{name}: robustness " in page.text, "the chart says its numbers too"


def test_questions_of_one_role_alone_are_tabulated_though_not_drawn() -> None:
    pope, choice = answers([1.0] * 3, [-1.0], []), answers([], [], [1.0, -1.0])
    for asked in (pope, choice):
        found = [cell_result(method, before=asked, after=asked) for method in ("flap", "hybrid")]
        page = render_comparison(found, [])
        assert "Questions of one role were asked alone" in page
        assert "<svg" not in page
        assert to_csv(found)
        assert markdown(found, [])
        assert lead_lines(leads(found))
        assert all(each.word() == "tied with" and each.gain[-1] == 0 for each in leads(found))


def test_how_each_is_compensated_has_a_column_in_every_table() -> None:
    after = answers([1.0], [1.0], [1.0, -1.0])
    results = [
        cell_result("flap", after=after),
        cell_result("owl", after=after),
        cell_result("owl", after=after, compensation="ridge"),
    ]
    ((_, tables),) = comparison_tables(results).items()
    header, *rows = tables["before"]
    assert header[:2] == ("method", "compensation")
    assert [row[:2] for row in rows] == [("flap", "bias"), ("owl", "none"), ("owl", "ridge"), ("chance", "")]
    lines = csv.DictReader(io.StringIO(to_csv(results)))
    assert [row["compensation"] for row in lines] == ["bias", "bias", "none", "none", "ridge", "ridge"]
    facts = comparison_facts(results, DEFAULT_SETTINGS)
    assert "| owl | ridge |" in markdown(results, facts)
    page = Page(render_comparison(results, facts))
    for name in ("flap", "owl", "owl · ridge"):
        assert f"{name}: robustness " in page.text
