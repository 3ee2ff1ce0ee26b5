"""What is printed of a plan: what was asked for beside what came of it."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress

from hipp_prune.experiments.search_bench.landscape import Landscape
from hipp_prune.plans.plan import Plan
from hipp_prune.plans.preference import Preference
from hipp_prune.report.terminal import _advance, _TimeLeft, next_steps, print_plan, print_table, say
from hipp_prune.search.query.uniform import best_uniform
from tests.unit.search.known_world import make_archive, make_planner

WORLD = Landscape()
ARCHIVE = make_archive(WORLD, 60, 12)
PLANNER = make_planner(WORLD, ARCHIVE)
EVEN = Preference.parse("1,1,1")


def printed(plan: Plan, capsys: pytest.CaptureFixture[str]) -> str:
    print_plan(plan, Path("plan.json"))
    return " ".join(capsys.readouterr().out.split())


def test_what_was_asked_and_what_was_got_are_both_printed(capsys: pytest.CaptureFixture[str]) -> None:
    plan = PLANNER.query(EVEN, sparsity=0.225, align=8)
    sentence = f"asked for 22.50% of MLP parameters, got {plan.ledger.mlp:.2%}, widths in multiples of 8"
    assert plan.asked_and_got == sentence
    assert sentence in printed(plan, capsys)
    assert Plan.from_json(plan.to_json()).asked_and_got == sentence


def test_a_plan_of_one_width_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    plan = best_uniform(PLANNER, ARCHIVE, EVEN, sparsity=0.225)
    expected = f"asked for 22.50% of MLP parameters, got {plan.ledger.mlp:.2%}, all blocks equally wide"
    assert expected in printed(plan, capsys)


def test_savings_in_another_measure_are_named_and_counted_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    plan = make_planner(WORLD, ARCHIVE, compression="flops", s_min=0.02, s_max=0.1).query(EVEN, sparsity=0.05)
    assert f"asked for 5.00% of FLOPs, got {plan.ledger.flops:.2%}" in printed(plan, capsys)


def test_nothing_is_said_of_a_sparsity_that_was_not_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert "asked for" not in printed(PLANNER.query(EVEN), capsys)


def test_required_savings_are_printed_beside_those_that_came_of_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    plan = PLANNER.plan(PLANNER.space.widths // 2, require={"sparsity": 0.3, "block": 0.2})
    text = printed(plan, capsys)
    assert "required sparsity: 30.00%, got 50.00%" in text
    assert f"required block: 20.00%, got {plan.ledger.block:.2%}" in text


@pytest.mark.parametrize(
    ("calls", "total", "pause", "left"),
    [([0], 10, 100.0, "-:--:--"), ([0, 1], 10, 100.0, "0:15:00"), ([70, 71, 72], 100, 10.0, "0:04:40")],
)
def test_the_time_left_is_known_from_the_second_call_on_however_far_apart(
    calls: list[int], total: int, pause: float, left: str
) -> None:
    now = 0.0
    bar = Progress(_TimeLeft(), console=Console(file=StringIO()), get_time=lambda: now, auto_refresh=False)
    task = bar.add_task("searching", total=None, visible=False)
    advance = _advance(bar, task)
    for done in calls:
        now += pause
        advance(done, total)
    bar.stop()
    assert str(_TimeLeft().render(bar.tasks[0])) == left


def test_nothing_in_a_line_is_taken_for_markup(capsys: pytest.CaptureFixture[str]) -> None:
    line = "hipp-prune ask '*[a]' '[bold]' :dog: [/]"
    say(line)
    next_steps(line)
    print_table("table", [("[b]", ":cat:"), ("[/]", "[red]x")])
    said = capsys.readouterr()
    assert f"{line}\n" in said.out
    assert f"  {line}\n" in said.err
    for word in ("[b]", ":cat:", "[red]x"):
        assert word in said.out
