"""What each part needs, and what its page says of planted results."""

import inspect
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from hipp_prune.errors import InputError
from hipp_prune.experiments.compare.cell_results import CellResult
from hipp_prune.experiments.compare.cells import Cell
from hipp_prune.experiments.paper import (
    claims,
    figure2,
    hallucination,
    proxy,
    switches,
    table3,
    table4,
    tables12,
)
from hipp_prune.experiments.paper.claims import Effect
from hipp_prune.experiments.paper.contenders import ABLATIONS, CENTRE, DECISIONS, HYBRID, LITERAL
from hipp_prune.experiments.paper.part import Part
from hipp_prune.experiments.paper.points import budget_interval, is_inside, measure_points
from hipp_prune.experiments.paper.run import PARTS, choose_parts, write_part
from hipp_prune.experiments.paper.settings import FULL, QUICK, PaperSettings
from hipp_prune.experiments.paper.verb import Paper
from hipp_prune.search.searchers import load_method
from tests.unit.experiments.paper.synthetic import jitter, result

SMALL = replace(
    QUICK,
    budgets={"toy-llava": (0.5,), "toy-qwen2.5-vl": (0.5,)},
    seeds=3,
    ablation_seeds=3,
    compare=replace(QUICK.compare, s_min=0.1, s_max=0.5),
)
LLAVA = "toy-llava"


def _lines(text: str, start: str) -> list[list[str]]:
    """Cells of the table rows that begin so."""
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith(f"| {start} |")
    ]


@pytest.mark.parametrize("settings", [FULL, QUICK], ids=["full", "quick"])
@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_a_part_has_each_cell_once_and_every_search_has_settings(part: Part, settings: PaperSettings):
    cells = part.cells(settings)
    assert cells
    assert len({cell.path(Path()) for cell in cells}) == len(cells)
    for contender in {cell.contender for cell in cells if cell.contender.searches}:
        settings.compare.search_settings(contender, seed=0)


def test_parts_that_recover_alike_share_their_cells():
    tables = {cell.path(Path()) for part in tables12.PARTS for cell in part.cells(FULL)}
    assert {cell.path(Path()) for cell in proxy.cells(FULL)} <= tables
    free = [cell for cell in table3.cells(FULL) if cell.budget is None]
    assert len({cell.path(Path()) for cell in table3.cells(FULL)} - tables) > len(free)  # three more queries
    folders = {part.folder(Path()) for part in PARTS}
    assert len(folders) == 2  # recovered on everything, and on one POPE split


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_a_page_without_results_says_that_it_is_unfinished(part: Part, tmp_path: Path):
    done, total = write_part(tmp_path / "out", tmp_path / "pages", SMALL, part)
    page = (tmp_path / "pages" / f"{part.name}.md").read_text()
    assert done == 0
    assert page.startswith(f"# {part.title}\n\n**Unfinished: 0 of {total} cells.**")


def test_pages_are_written_from_the_cells_on_disk(tmp_path: Path):
    (part,) = table4.PARTS
    cells = part.cells(SMALL)
    for cell in cells[:-1]:
        result(cell, (0.9, 0.5)).save(part.folder(tmp_path))
    assert write_part(tmp_path, tmp_path / "pages", SMALL, part) == (len(cells) - 1, len(cells))


def test_unknown_parts_are_refused_by_name():
    assert [part.name for part in choose_parts(["claims", "table1"])] == ["table1", "claims"]
    assert len(choose_parts([])) == len(PARTS)
    with pytest.raises(InputError, match="no part table9"):
        choose_parts(["table9"])


def test_the_literal_paper_is_what_grpo_paper_says_with_all_tokens_alike():
    literal = SMALL.compare.search_settings(LITERAL, seed=1)
    assert literal.image_weight is None
    paper = load_method("grpo-paper").settings
    assert {name: getattr(literal, name) for name in paper} == paper


@pytest.mark.parametrize(
    "switch", [*DECISIONS, *ABLATIONS], ids=lambda switch: f"{switch.method}-{switch.name}"
)
def test_a_switch_changes_what_it_says_and_nothing_else(switch):
    base, changed = (
        SMALL.compare.search_settings(contender, seed=0) for contender in (switch.base, switch.contender)
    )
    assert changed == replace(base, **switch.change)
    assert changed != base


def _planted(cells: list[Cell], score) -> list[CellResult]:
    return [result(cell, score(cell)) for cell in cells]


def test_a_harmful_switch_is_seen_and_a_harmless_one_is_tied():
    harmful = DECISIONS[0].contender

    def score(cell: Cell) -> tuple[float, float]:
        return (0.6 if cell.contender == harmful else 0.8) + jitter(cell), 0.5

    cells = switches.cells(SMALL, switches=DECISIONS[:2])
    text = switches.section(SMALL, _planted(cells, score), switches=DECISIONS[:2]).text
    (bad, *_), (same, *_) = (_lines(text, switch.contender.label) for switch in DECISIONS[:2])
    low, high = (float(number.strip("+")) for number in bad[7].split("[")[1].strip("]").split(","))
    assert low < -10
    assert high < 0
    assert same[7:] == ["+0.0 [+0.0, +0.0]"] * 3


def test_a_controllable_policy_has_rank_correlation_one():
    def score(cell: Cell) -> tuple[float, float]:
        robustness, utility, _ = cell.preference.vector if cell.preference else (0, 0, 0)
        return 0.5 + 0.4 * robustness, 0.3 + 0.4 * utility

    cells = table3.cells(SMALL)
    results = [
        result(cell, score(cell), sparsity=cell.budget or 0.1 + 0.4 * float(cell.preference.vector[2]))
        for cell in cells
    ]
    found = table3.queries_of(measure_points(results), LLAVA, HYBRID, None)
    for name in ("POPE after", "choice after", "sparsity"):
        assert table3.correlations(found, name) == pytest.approx([1.0] * 3)
    section = table3.section(SMALL, results)
    assert "| 21 of 21 |" in section.text
    assert _lines(section.text, "1,0,0")[0][2] == "90.0 ± 0.0"


def test_a_budget_is_held_to_one_neuron():
    cells = table3.cells(SMALL)
    fixed = next(cell for cell in cells if cell.budget == 0.5)
    free = next(cell for cell in cells if cell.budget is None)
    assert budget_interval(SMALL, free.budget) == (0.1, 0.5)
    for cell, sparsity, held in (
        (fixed, 0.4995, True), (fixed, 0.495, False), (free, 0.3, True), (free, 0.502, False)
    ):  # fmt: skip
        (point,) = measure_points([result(cell, (0.5, 0.5), sparsity=sparsity)])  # of a thousand neurons
        assert is_inside(SMALL, point) == held


def test_the_figure_shows_every_plan_and_its_front():
    cells = figure2.cells(SMALL)
    results = [
        result(cell, (0.9, 0.6) if cell.preference is None else (0.6, 0.4), sparsity=cell.budget or 0.3)
        for cell in cells
    ]
    section = figure2.section(SMALL, results)
    drawing = ElementTree.fromstring(section.files["figure2.svg"])
    plans = drawing.findall(".//{*}circle[{*}title]")  # those of the key have no title
    assert len(plans) == sum(cell.preference is not None for cell in cells)
    assert _lines(section.text, LLAVA)[0][2:4] == ["10", "1"]  # ten queries, one plan


def test_spread_over_preferences_and_over_seeds_are_told_apart():
    def score(cell: Cell) -> tuple[float, float]:
        return 0.5 + 0.25 * float(cell.preference.vector[0]) + jitter(cell), 0.5

    cells = [cell for cell in table4.cells(SMALL) if cell.contender == LITERAL]
    text = table4.section(SMALL, _planted(cells, score)).text
    row = _lines(text, "anchors + Dirichlet")[0]
    over_seeds, over_preferences = (float(row[index].split("±")[1]) for index in (2, 4))
    assert over_preferences > 8  # of weights 1, 0, 0.5 and 0.333
    assert over_seeds < 3


def test_a_proxy_that_orders_plans_right_has_tau_one():
    order = {contender.label: rank for rank, contender in enumerate(tables12.contenders(SMALL))}
    count = len(order)

    def score(cell: Cell) -> tuple[float, float]:
        share = 0.4 + 0.5 * order[cell.contender.label] / count
        return share, share

    cells = [cell for cell in proxy.cells(SMALL) if cell.model == LLAVA and not cell.contender.searches]
    text = proxy.section(SMALL, _planted(cells, score)).text
    taus = [float(cell.split("[")[0]) for cell in _lines(text, LLAVA)[0][3:]]
    assert min(taus) > 0.75  # ties of few questions apart


def test_halves_share_no_picture():
    cell = proxy.cells(SMALL)[0]
    asked = result(cell, (0.7, 0.5)).before
    first, second = proxy.halves(asked)
    assert not set(asked.group[first]) & set(asked.group[second])
    assert (first ^ second).all()


def test_reward_is_the_return_of_equation_11():
    asked = result(proxy.cells(SMALL)[0], (0.7, 0.5)).before
    values = np.log(1 / (1 + np.exp(-asked.margin)))
    pope, yes = asked.robust, asked.gold == "Yes"
    robustness = (values[pope & yes].mean() + values[pope & ~yes].mean()) / 2
    assert proxy.reward(asked) == pytest.approx((robustness + values[~pope].mean()) / 2)


def test_the_split_that_was_taught_does_not_count():
    cells = hallucination.cells(SMALL)
    learnt = {"random": 1.0, "popular": 0.5, "adversarial": 0.5}
    results = [result(cell, (0.5, 0.5), by_split=learnt) for cell in cells]
    assert set(hallucination.kept_out(results[0]).after.subset) == {"popular", "adversarial", "natural"}
    text = hallucination.section(SMALL, results).text
    assert _lines(text, "HiPP-Prune")[0][5] == "50.0 ± 0.0"


@pytest.mark.parametrize(
    ("interval", "paper", "verdict"),
    [
        ((1.0, 2.0), None, "reproduced"),
        ((1.0, 2.0), 5.0, "reproduced"),
        ((6.0, 9.0), 5.0, "stronger"),
        ((-1.0, 9.0), 5.0, "not"),
        ((-2.0, -1.0), 5.0, "opposite"),
    ],
)
def test_verdicts_follow_the_interval(interval, paper, verdict):
    effect = Effect(value=sum(interval) / 2, low=interval[0], high=interval[1])
    assert effect.verdict(paper) == verdict


def test_claims_are_computed_from_the_cells():
    def score(cell: Cell) -> tuple[float, float]:
        return (0.9 if cell.contender == HYBRID else 0.5) + jitter(cell), 0.5

    cells = [cell for part in tables12.PARTS for cell in part.cells(SMALL)]
    text = claims.section(SMALL, _planted(cells, score)).text
    pope, choice, asked = (
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("| toy-llava, 50.0%: HiPP-Prune")
    )
    assert pope[5] == "**stronger**"  # than the 17.5 points of the paper
    assert pope[3] == choice[5] == "**not**"
    assert asked[5] == "**reproduced**"


def test_a_starting_point_is_judged_before_recovery():
    def score(cell: Cell) -> tuple[float, float]:
        return (0.9 if cell.contender == HYBRID else 0.5) + jitter(cell), 0.5

    cells = [cell for part in tables12.PARTS for cell in part.cells(SMALL)]
    results = [result(cell, (0.5, 0.5), before=score(cell)) for cell in cells]
    verdicts = {
        claim.words.partition(":")[0]: claim.ours.verdict(claim.paper)
        for claim in claims.all_claims(claims.Evidence.of(SMALL, results))
        if "as its preferences weigh it than every baseline" in claim.words and claim.ours
    }
    assert verdicts["toy-llava, 50.0% before recovery"] == "reproduced"
    assert verdicts["toy-llava, 50.0%"] == "not"


def test_our_defaults_are_compared_with_the_papers_choices():
    def score(cell: Cell) -> tuple[float, float]:
        return (0.9 if cell.contender == LITERAL else 0.5) + jitter(cell), 0.5

    cells = [cell for part in tables12.PARTS for cell in part.cells(SMALL)]
    rows = claims.all_claims(claims.Evidence.of(SMALL, _planted(cells, score)))
    found = [row for row in rows if "than the paper's choices" in row.words and row.ours]
    assert {row.ours.verdict(None) for row in found} == {"opposite"}


def test_a_claim_is_judged_by_the_cells_of_its_own_part():
    """Table 1 asks four preferences, an ablation only the centre: they must not be averaged together."""

    def score(cell: Cell) -> tuple[float, float]:
        centre = cell.preference is None or cell.preference == CENTRE
        return 0.9 if centre else 0.5, 0.5

    settings = replace(SMALL, budgets={LLAVA: (0.5,)})
    cells = {cell: None for part in PARTS[:-2] for cell in part.cells(settings)}
    text = claims.section(settings, _planted(list(cells), score)).text
    assert (
        "| toy-llava: visual sensitivity in the state helps | – | – | – | +0.00 [+0.00, +0.00] | **not** |"
        in text
    )


def test_the_command_line_lists_the_parts():
    help_text = inspect.getsource(Paper)
    assert f"Of {' '.join(part.name for part in PARTS)};" in help_text


def test_each_table_has_its_model_and_a_third_has_none():
    own = replace(SMALL, budgets={"a": (0.2,), "b": (0.3, 0.4)})
    first, second = ({(cell.model, cell.budget) for cell in part.cells(own)} for part in tables12.PARTS)
    assert first == {("a", None), ("a", 0.2)}
    assert second == {("b", None), ("b", 0.3), ("b", 0.4)}
    with pytest.raises(InputError, match="two tables of one model each, got 3 models: a, b, c"):
        replace(SMALL, budgets=dict.fromkeys("abc", (0.2,)))


def test_what_the_paper_found_stands_beside_the_same_place_here():
    own = replace(SMALL, budgets={"mine": (0.2,), "other": (0.3,)})
    rows = claims.all_claims(claims.Evidence.of(own, []))
    effects = {
        row.words.partition(":")[0]: row.paper for row in rows if "higher POPE accuracy than" in row.words
    }
    assert effects == {"mine, 20.0%": pytest.approx(17.51), "other, 30.0%": pytest.approx(4.48)}


def test_a_quick_run_neither_reads_the_test_split_nor_the_seeds_of_the_tables():
    assert (FULL.compare.split, QUICK.compare.split) == ("test", "validation")
    assert not set(FULL.seed_range(FULL.seeds)) & set(QUICK.seed_range(QUICK.seeds))
