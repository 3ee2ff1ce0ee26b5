"""Constraint queries on a landscape whose truth is known."""

import re
import time
from dataclasses import replace

import numpy as np
import pytest

from hipp_prune.errors import BudgetError, InputError, RequirementError
from hipp_prune.experiments.search_bench.landscape import Landscape
from hipp_prune.plans.plan import Plan
from hipp_prune.plans.preference import Preference
from hipp_prune.questions.benchmarks import BENCHMARKS
from hipp_prune.search.query.forecast import fit_forecast
from hipp_prune.search.query.requirements import Requirement, meet_requirements
from tests.unit.search.known_world import make_archive, make_planner

WORLD = Landscape()
ARCHIVE = make_archive(WORLD, 400, 24)
FORECAST = fit_forecast(ARCHIVE, WORLD.space)
PLANNER = make_planner(WORLD, ARCHIVE)
ONE_NEURON = 1 / (12 * 352)


def ask(*texts: str, **options) -> Plan:
    requirements = [Requirement.parse(text) for text in texts]
    return meet_requirements(PLANNER, FORECAST, ARCHIVE, requirements, **options)


def truth(plan: Plan) -> np.ndarray:
    return np.exp(WORLD.objectives(np.array(plan.kept)))


def test_an_answer_meets_its_requirements_in_truth():
    plan = ask("pope=0.75", "sparsity=0.3")
    assert plan.ledger.mlp >= 0.3
    assert truth(plan)[0] >= 0.75
    predicted = plan.notes["predicted"]["pope"]
    assert predicted["mean"] - predicted["margin"] >= 0.75
    assert plan.notes["require"] == {"pope": 0.75, "sparsity": 0.3}


def test_the_free_objective_is_what_is_left_to_maximise():
    """With both accuracies required, only compression is free; a harder requirement costs some of it."""
    easy, hard = ask("pope=0.6", "scienceqa=0.6"), ask("pope=0.8", "scienceqa=0.8")
    assert easy.preference == Preference.parse("0,0,1")
    assert easy.ledger.mlp > hard.ledger.mlp + 0.05


def test_a_preference_chooses_among_the_plans_that_meet():
    robust, useful = (ask("sparsity=0.4", preference=Preference.parse(text)) for text in ("1,0,0", "0,1,0"))
    assert truth(robust)[0] > truth(useful)[0]
    assert truth(robust)[1] < truth(useful)[1]


@pytest.mark.parametrize("sparsity", [0.0, 0.123, 0.3, 0.65])
def test_a_saving_is_met_to_one_neuron(sparsity):
    plan = ask(f"sparsity={sparsity}", preference=Preference.parse("1,1,0"))
    assert sparsity <= plan.ledger.mlp <= sparsity + 1.01 * ONE_NEURON


@pytest.mark.parametrize(
    ("name", "value"), [("flops", 0.06), ("model", 0.15), ("block", 0.15), ("mlp", 0.31)]
)
def test_a_saving_on_another_denominator_is_met_too(name, value):
    plan = ask(f"{name}={value}", preference=Preference.parse("1,1,0"))
    assert value <= getattr(plan.ledger, name) <= value + 1e-3


def test_alignment_holds():
    plan = ask("sparsity=0.3", "pope=0.7", align=32)
    assert {count % 32 for count in plan.kept} == {0}
    assert 0.3 <= plan.ledger.mlp <= 0.3 + 33 * ONE_NEURON


@pytest.mark.parametrize(
    "texts", [("pope=0.9", "sparsity=0.5"), ("pope=0.8", "scienceqa=0.8", "sparsity=0.5")]
)
def test_what_is_out_of_reach_says_what_is_attainable_and_that_is_true(texts):
    with pytest.raises(
        RequirementError, match=r"is out of reach: .*predicted at most pope 0\.\d+ ± 0\.\d+"
    ) as caught:
        ask(*texts)
    message = str(caught.value)
    offers = re.findall(r"(pope|scienceqa|sparsity) ≤ ([\d.]+)", message)
    assert offers
    for name, value in offers:
        asked = [f"{name}={value}" if text.startswith(name) else text for text in texts]
        assert ask(*asked).notes["require"][name] == float(value)


def test_a_single_requirement_out_of_reach():
    with pytest.raises(RequirementError, match=r"^sparsity=0\.9 is out of reach; ask for sparsity ≤ 0\.798$"):
        ask("sparsity=0.9")
    with pytest.raises(
        RequirementError, match=r"^pope=1 is out of reach: predicted at most pope .*; ask for pope ≤ 0\.9"
    ):
        ask("pope=1")


def test_requirements_that_fail_in_pairs_say_what_each_allows_alone():
    with pytest.raises(
        RequirementError, match=r"each alone could be pope ≤ .*, scienceqa ≤ .*, sparsity ≤ 0\.798, so"
    ):
        ask("pope=1", "scienceqa=1", "sparsity=0.9")


@pytest.mark.parametrize(
    "text",
    [
        "pope",
        "pope=",
        "pope=high",
        "pope=850",
        "pope=-0.1",
        "pope=-1%",
        "pope=nan%",
        "accuracy=0.5",
        "=0.5",
        "pope=nan",
    ],
)
def test_what_is_no_requirement(text):
    with pytest.raises(
        InputError,
        match=rf"a requirement is NAME=FRACTION with a name of {', '.join(BENCHMARKS)}, sparsity",
    ):
        Requirement.parse(text)


@pytest.mark.parametrize("text", ["pope=85", "pope=85%", "pope=85.0"])
def test_a_percentage_is_told_as_a_fraction(text):
    with pytest.raises(InputError, match=r"did you mean pope=0\.85\?"):
        Requirement.parse(text)


def test_a_requirement_that_this_run_cannot_judge():
    with pytest.raises(InputError, match=r"latency cannot be required.*search with --compression latency"):
        ask("latency=0.1")
    only_choices = [
        replace(row, accuracies={"scienceqa": row.accuracies["scienceqa"]}, robustness=0.0) for row in ARCHIVE
    ]
    forecast = fit_forecast(only_choices, WORLD.space)
    with pytest.raises(InputError, match=r"pope cannot be required.*search with questions that measure pope"):
        meet_requirements(PLANNER, forecast, only_choices, [Requirement.parse("pope=0.5")])
    plan = meet_requirements(PLANNER, forecast, only_choices, [Requirement.parse("sparsity=0.3")])
    assert list(plan.notes["predicted"]) == ["scienceqa"]


def test_a_requirement_given_twice():
    with pytest.raises(InputError, match="pope is required twice"):
        ask("pope=0.5", "pope=0.6")


def test_an_impossible_alignment_is_refused():
    with pytest.raises(BudgetError, match="no multiple of --align 1000"):
        ask("sparsity=0.3", align=1000)


def test_requirements_in_flops_where_the_search_saves_flops():
    planner = make_planner(WORLD, ARCHIVE, compression="flops", s_min=0.0, s_max=0.12)
    plan = meet_requirements(planner, FORECAST, ARCHIVE, [Requirement.parse("sparsity=0.08")])
    assert plan.ledger.flops >= 0.08
    assert plan.notes["compression"] == "flops"


def test_an_answer_takes_less_than_a_second():
    start = time.process_time()  # another program's work does not count
    ask("pope=0.7", "sparsity=0.3")
    assert time.process_time() - start < 1.0
