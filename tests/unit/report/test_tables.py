"""The numbers of the table, on the page and on the terminal."""

from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from hipp_prune.evaluation.results import score
from hipp_prune.questions.question import Question
from hipp_prune.report.tables import missing_numbers, print_summary, summary_html, summary_rows
from tests.unit.report.synthetic import make_evaluation, make_plan, make_pruned

RUN = Path("my runs")


def by_name(header, row) -> dict[str, str]:
    return dict(zip(header, row, strict=True))


def test_dense_and_pruned_numbers(questions: list[Question]) -> None:
    plan = make_plan((1.0, 0.0, 0.0), 0.3)
    pruned = make_pruned(questions, "robust", plan, errors=[0, 15])
    header, rows = summary_rows([make_evaluation(questions, "dense", errors=[]), pruned])
    dense, ours = by_name(header, rows[0]), by_name(header, rows[1])
    assert dense["sparsity: MLP (%)"] == "0"
    assert dense["cost: speed"] == "reference"
    assert dense["POPE: balanced accuracy (%)"] == "100.0 (43.9–100.0)"
    assert ours["model"] == "1,0,0"
    names = {"MLP": "mlp", "blocks": "block", "language model": "language", "whole model": "model"}
    for name, denominator in names.items():
        assert ours[f"sparsity: {name} (%)"] == f"{100 * getattr(plan.ledger, denominator):.1f}"
    assert "sparsity: FLOPs (%)" not in ours
    assert ours["POPE: balanced accuracy (%)"].startswith("91.7 (")
    assert ours["POPE: Yes-rate (%)"] == "41.7"
    assert [ours[f"POPE: {subset} (%)"] for subset in ("random", "popular", "adversarial")] == [
        "75.0",
        "100.0",
        "100.0",
    ]
    assert (ours["POPE: chance (%)"], ours["POPE: n"]) == ("50.0", "12")
    assert ours["ScienceQA: accuracy (%)"] == "87.5 (52.9–97.8)"
    assert (ours["ScienceQA: chance (%)"], ours["ScienceQA: n"]) == ("33.3", "8")
    assert (ours["cost: on disk"], ours["cost: speed"]) == ("9.1 MB", "1.23×")


def test_savings_in_flops_are_shown_where_they_are_known(questions: list[Question]) -> None:
    pruned = make_pruned(questions, "robust", make_plan((1.0, 0.0, 0.0), 0.3), errors=[])
    counted = replace(pruned, ledger=replace(pruned.ledger, flops=0.123))
    header, rows = summary_rows([make_evaluation(questions, "dense", errors=[]), pruned, counted])
    assert [by_name(header, row)["sparsity: FLOPs (%)"] for row in rows] == ["0", "–", "12.3"]
    assert "sparsity: latency (%)" not in header


def test_a_missing_number_is_a_dash_and_says_where_it_would_come_from(questions: list[Question]) -> None:
    only_pope = [question for question in questions if question.benchmark == "pope"]
    partial = replace(make_evaluation(only_pope, "1,0,0", errors=[]), bytes=None)
    both = [partial, make_evaluation(questions, "dense", errors=[])]
    header, rows = summary_rows(both)
    row = by_name(header, rows[0])
    missing = dict(missing_numbers(both, RUN))
    assert [name for name, cell in row.items() if cell == "–"] == list(missing)
    assert set(missing) >= {"ScienceQA: accuracy (%)", "cost: on disk", "cost: speed", "sparsity: MLP (%)"}
    assert (
        "hipp-prune evaluate --model models/some-vlm --questions toyworld --run 'my runs' "
        "--out 'my runs/results/1,0,0.json'" in missing["ScienceQA: accuracy (%)"]
    )
    assert "quickstart" in missing["cost: speed"]
    assert "is not measured yet" in summary_html([partial], RUN)


def test_without_any_question_nothing_is_invented(questions: list[Question]) -> None:
    nothing = replace(make_evaluation(questions, "dense", errors=[]), results=score([], {}))
    header, rows = summary_rows([nothing])
    row = by_name(header, rows[0])
    assert not any(name.startswith(("POPE", "ScienceQA")) for name in row)


@pytest.mark.parametrize("width", [80, 120, 200])
def test_printed_table_fits_the_terminal_and_holds_every_number(
    questions: list[Question], width: int
) -> None:
    plan = make_plan((1.0, 0.0, 0.0), 0.3)
    labels = ["1,0,0", "0,1,0", "0.333,0.333,0.333", "[bold]x"]
    pruned = [replace(make_pruned(questions, "robust", plan, errors=[1]), label=label) for label in labels]
    evaluations = [make_evaluation(questions, "dense", errors=[]), *pruned]
    out = StringIO()
    print_summary(evaluations, RUN, Console(file=out, width=width))
    text = out.getvalue()
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    brief = "their 95% intervals" in text
    assert brief == (width < 200)
    _, rows = summary_rows(evaluations)
    for cell in {cell for row in rows for cell in row}:
        assert (cell.partition(" (")[0] if brief else cell) in text


def test_four_models_stand_side_by_side_in_eighty_columns(questions: list[Question]) -> None:
    pruned = [
        replace(make_pruned(questions, "robust", make_plan((1.0, 0.0, 0.0), ratio), errors=[1]), label=label)
        for label, ratio in (("50% pruned", 0.5), ("70% pruned", 0.7), ("uniform 70%", 0.7))
    ]
    out = StringIO()
    evaluations = [make_evaluation(questions, "dense", errors=[]), *pruned]
    print_summary(evaluations, RUN, Console(file=out, width=80))
    assert len([line for line in out.getvalue().splitlines() if "whole model" in line]) == 1


def test_html_escapes_what_files_say(questions: list[Question]) -> None:
    hostile = replace(
        make_evaluation(questions, "<script>alert(1)</script>", errors=[]),
        model='"><img src=x>',
        questions=("pope:<b>",),
    )
    html = summary_html([hostile], RUN)
    assert "<script>" not in html
    assert "<img" not in html
    assert "<b>" not in html


def test_unknown_subsets_get_a_column(questions: list[Question]) -> None:
    renamed = [replace(question, subset=question.subset.replace("popular", "mine")) for question in questions]
    header, _ = summary_rows([make_evaluation(renamed, "dense", errors=[])])
    assert "POPE: mine (%)" in header
    assert "POPE: popular (%)" not in header


def test_how_models_are_compensated_is_shown_where_one_is(questions: list[Question]) -> None:
    pruned = make_pruned(questions, "robust", make_plan((1.0, 0.0, 0.0), 0.3), errors=[])
    dense = make_evaluation(questions, "dense", errors=[])
    assert not any("compensation" in name for name in summary_rows([dense, pruned])[0])
    header, rows = summary_rows([dense, pruned, replace(pruned, compensation="ridge")])
    assert [by_name(header, row)["sparsity: compensation"] for row in rows] == ["none", "none", "ridge"]
    assert "ridge" in summary_html([dense, replace(pruned, compensation="ridge")], RUN)
