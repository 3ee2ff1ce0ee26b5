"""What the charts say, draw and list; how they look is for eyes."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from hipp_prune.report import cloud_chart, comparisons, figures
from hipp_prune.report.charts import WIDTHS, Chart, chart_html


def drawn(chart: Chart, width: int = WIDTHS["wide"]) -> ElementTree.Element:
    return ElementTree.fromstring(f"<svg>{chart.draw(width).elements}</svg>")


def hints(chart: Chart) -> list[str]:
    return [each.text or "" for each in drawn(chart).iter("title")]


def inside(chart: Chart, width: int) -> bool:
    """Whether every mark's and text's anchor lies within the drawing."""
    height = chart.draw(width).height
    for each in drawn(chart, width).iter():
        for name, limit in (("x", width), ("cx", width), ("y", height), ("cy", height)):
            if not -1 <= float(each.get(name, 0)) <= limit + 1:
                return False
    return True


def curve() -> Chart:
    return figures.learning_curve(
        [10, 20, 30, 40], ["warm-up", "surrogate", "surrogate", "policy"], np.arange(4.0), np.ones((4, 3))
    )


def test_learning_curve_tells_phases_ends_and_every_step() -> None:
    assert figures.phase_stretches([10, 20, 30, 40], ["warm-up", "surrogate", "surrogate", "policy"]) == [
        (0, 10, "warm-up"),
        (10, 30, "surrogate"),
        (30, 40, "policy"),
    ]
    assert "mean return from 0.00 to 3.00" in curve().text
    assert "warm-up up to 10, surrogate up to 30" in curve().text
    assert curve().table[2] == ("20", "surrogate", "1.00", "1.000", "1.000", "100.0%")
    assert "robustness 1.000, 40 evaluations, policy" in hints(curve())


def rows(count: int, blocks: int) -> figures.PlanRows:
    widths = np.full((count, blocks), 40)
    kept = widths - np.arange(count * blocks).reshape(count, blocks) % 30
    names = ["a", "<b>", "c"][:count]
    return figures.PlanRows(names=names, ratios=1 - kept / widths, kept=kept, widths=widths, unit="rows")


def sensitivity(blocks: int) -> dict[str, np.ndarray]:
    return {tokens: np.linspace(0.1, 0.4, blocks) for tokens in ("max", "mean", "last")}


def test_blocks_are_told_drawn_and_listed() -> None:
    chart = figures.blocks_chart(sensitivity(5), rows(2, 5))
    assert "picture most: 5 (most attentive token)" in chart.text
    assert "a removes most of block 5 (10%) and least of block 1 (0%)" in chart.text
    assert chart.table[0][-1] == "<b>: rows removed"
    assert chart.table[5] == ("5", "40.0%", "40.0%", "40.0%", "4 of 40", "9 of 40")
    assert "a, block 5: 10.0% removed, 4 of 40 rows" in hints(chart)
    assert "<b>:" not in chart_html("blocks", chart)


@pytest.mark.parametrize(("blocks", "numbers"), [(12, True), (60, False)])
def test_bars_stand_above_their_blocks_and_numbers_are_written_where_there_is_room(
    blocks: int, numbers: bool
) -> None:
    chart = figures.blocks_chart(sensitivity(blocks), rows(1, blocks))
    classes = [each.get("class", "") for each in drawn(chart).iter("rect")]
    assert sum("bar" in each for each in classes) == 3 * blocks
    middles = {
        kind: [
            float(each.get("x", 0)) + float(each.get("width", 0)) / 2
            for each in drawn(chart).iter("rect")
            if found(each.get("class", ""))
        ]
        for kind, found in (
            ("mean", lambda name: name == "c2 bar"),
            ("cell", lambda name: re.match(r"q\d", name)),
        )
    }
    assert middles["mean"] == pytest.approx(middles["cell"], abs=0.6)
    assert any("cell" in each.get("class", "") for each in drawn(chart).iter("text")) is numbers


def test_a_plan_that_removes_nothing_can_be_drawn() -> None:
    widths = np.full((1, 3), 8)
    plans = figures.PlanRows(names=["a"], ratios=np.zeros((1, 3)), kept=widths, widths=widths, unit="neurons")
    assert "a, block 3: 0.0% removed, 0 of 8 neurons" in hints(figures.blocks_chart(None, plans))


def cloud() -> Chart:
    rng = np.random.default_rng(0)
    points = np.vstack([rng.normal(size=(100, 3)), [[-500.0, -400.0, 0.1], [-30.0, 9.0, 0.9]]])
    front = np.zeros(102, dtype=bool)
    front[-1] = True
    low, high = cloud_chart.cloud_view(points, front)[0]
    assert -500 < low < -30
    assert high > points[:, 0].max()
    return cloud_chart.plan_cloud(points, ["warm-up"] * 101 + ["policy"], front)


def test_cloud_shows_the_front_and_all_but_the_worst() -> None:
    chart = cloud()
    outlined = [each for each in drawn(chart).iter() if re.match(r"q\d front", each.get("class", ""))]
    assert [each.find("title").text for each in outlined] == [
        "policy: robustness −30.000, utility 9.000, sparsity 90.0%"
    ]
    assert len(hints(chart)) < 102
    assert "warm-up: robustness −500.000" not in " ".join(hints(chart))
    assert chart.table == [("robustness R", "utility R", "sparsity"), ("−30.000", "9.000", "90.0%")]
    assert "102 plans, 1 on the Pareto front" in chart.text


def test_what_no_question_measured_is_no_axis_and_no_line() -> None:
    """One role against sparsity, and a curve without the zeros of the other."""
    rng = np.random.default_rng(0)
    points = np.stack([np.zeros(9), rng.normal(size=9), np.linspace(0.5, 0.7, 9)], axis=1)
    axes = cloud_chart.cloud_axes(["utility"])
    assert (axes, cloud_chart.cloud_axes(["robustness", "utility"])) == ((1, 2), (0, 1))
    chart = cloud_chart.plan_cloud(points, ["policy"] * 9, np.arange(9) == 8, axes)
    assert chart.table[0] == ("utility R", "sparsity")
    assert "robustness" not in chart.text + " ".join(hints(chart))
    assert {each.text for each in drawn(chart).iter("text")} >= {"utility R", "sparsity", "60%"}
    assert len({each.get("cx") for each in drawn(chart).iter("circle") if "q" in each.get("class", "")}) == 9
    assert inside(chart, WIDTHS["narrow"])
    told = figures.learning_curve([10, 20], ["policy"] * 2, np.arange(2.0), np.ones((2, 3)), ["utility"])
    assert told.table[0] == ("evaluations", "phase", "mean return", "utility", "sparsity")


def searches() -> Chart:
    line = np.array([0.5, 0.25])
    made = [
        comparisons.SearchCurve(
            name=name,
            panel=panel,
            evaluations=[100, 1000],
            middle=line,
            low=line - 0.1,
            high=line + 0.1,
            seeds=[3, 2],
        )
        for panel in (0, 1)
        for name in ("hybrid", "random")
    ]
    return comparisons.search_curves("toy", ["regret", "hypervolume"], made)


def test_search_curves_list_every_point() -> None:
    assert len(searches().table) == 1 + 8
    assert searches().table[1] == ("regret", "hybrid", "100", "0.500", "0.400", "0.600", "3")
    assert "hypervolume, random: 0.250 at 1,000" in searches().text


def arrows() -> Chart:
    pairs = [
        comparisons.Arrow(name=f"way {i}", before=(0.4, 0.5), after=(0.4 + i / 50, 0.8), emphasis=i == 0)
        for i in range(12)
    ]
    return comparisons.recovery_arrows("toy, 30% removed", pairs, (1 / 3, 0.5))


def test_arrows_are_hollow_before_and_no_two_contenders_look_alike() -> None:
    hollow = [each for each in drawn(arrows()).iter() if "hollow" in each.get("class", "")]
    assert len(hollow) == 12
    lines = [(each.get("class"), each.get("stroke-dasharray")) for each in drawn(arrows()).iter("polyline")]
    assert len(set(lines)) == 12
    assert arrows().table[2] == ("way 1", "50.0%", "80.0%", "40.0%", "42.0%")


@pytest.mark.parametrize("width", list(WIDTHS.values()))
@pytest.mark.parametrize(
    "make", [curve, cloud, searches, arrows, lambda: figures.blocks_chart(sensitivity(32), rows(3, 32))]
)
def test_everything_lies_within_the_drawing_at_every_width(make, width) -> None:
    assert inside(make(), width)


def test_a_chart_says_what_it_shows_to_those_who_do_not_see_it() -> None:
    html = chart_html("curve", curve())
    assert html.count('role="img"') == 2
    for kind in WIDTHS:
        assert f'aria-labelledby="curve-{kind}-title curve-{kind}-text"' in html
        assert f'<desc id="curve-{kind}-text">Over 40 evaluations' in html
    assert "<summary>How the search went: the numbers</summary>" in html
