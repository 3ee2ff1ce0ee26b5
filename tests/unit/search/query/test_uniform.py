"""Plans of one width, on a landscape whose truth is known."""

import numpy as np
import pytest

from hipp_prune.errors import BudgetError, InputError
from hipp_prune.experiments.search_bench.landscape import Landscape
from hipp_prune.plans.preference import Preference
from hipp_prune.search.query.uniform import best_uniform, one_width_counts
from tests.unit.search.known_world import make_archive, make_planner

WORLD = Landscape()
ARCHIVE = make_archive(WORLD, 200, 24)
PLANNER = make_planner(WORLD, ARCHIVE)


def ask(text: str, **options):
    return best_uniform(PLANNER, ARCHIVE, Preference.parse(text), **options)


def test_all_blocks_are_equally_wide_and_within_the_budget():
    for text in ("1,0,0", "0,1,0", "0,0,1", "1,1,1"):
        plan = ask(text)
        assert len(set(plan.kept)) == 1
        assert PLANNER.settings.s_min <= plan.ledger.mlp <= PLANNER.settings.s_max
        assert plan.notes["uniform"] is True
        assert str(plan.preference) == str(Preference.parse(text))


def test_who_wants_quality_alone_keeps_most_and_who_wants_compression_alone_keeps_least():
    robust, small = ask("1,0,0"), ask("0,0,1")
    one = 1 / WORLD.space.widths[0]
    assert robust.ledger.mlp == pytest.approx(PLANNER.settings.s_min, abs=one)
    assert small.ledger.mlp == pytest.approx(PLANNER.settings.s_max, abs=one)
    assert robust.kept[0] > ask("1,1,2").kept[0] > ask("1,1,3").kept[0] > small.kept[0]


def test_a_sparsity_is_met_to_half_a_neuron_a_block():
    plan = ask("1,1,1", sparsity=0.25)
    assert abs(plan.ledger.mlp - 0.25) <= 0.5 / WORLD.space.widths[0]
    assert plan.notes["sparsity"] == 0.25


def test_the_width_is_a_multiple_of_the_alignment():
    assert ask("1,1,1", align=32).kept[0] % 32 == 0


def test_widths_stay_in_the_box_of_every_block():
    space = WORLD.space
    counts = one_width_counts(space, 1)
    assert counts.max() == space.widths.min()
    assert ((1 - counts / space.widths) <= space.r_max + 1e-9).all()
    assert (np.diff(counts[:, 0]) == 1).all()


def test_what_no_width_can_do_is_refused():
    with pytest.raises(BudgetError, match=r"no multiple of --align 1000"):
        ask("1,1,1", align=1000)
    with pytest.raises(BudgetError, match="sparsity"):
        ask("1,1,1", sparsity=0.99)


def test_rows_have_no_width():
    planner = make_planner(WORLD, ARCHIVE)
    object.__setattr__(planner, "space", type(WORLD.space)(shape=WORLD.space.shape, unit="rows"))
    with pytest.raises(InputError, match="search with --unit coupled"):
        best_uniform(planner, ARCHIVE, Preference.parse("1,1,1"))
