"""Preferences for what a run did not measure."""

from dataclasses import replace

import pytest

from hipp_prune.errors import PreferenceError
from hipp_prune.experiments.search_bench.landscape import Landscape
from hipp_prune.plans.preference import Preference
from hipp_prune.questions.benchmark import ROLES
from hipp_prune.search.archive import Evaluation
from hipp_prune.search.query.forecast import fit_forecast
from hipp_prune.search.query.requirements import Requirement, meet_requirements
from hipp_prune.search.query.roles import check_preference, measured_part, measured_roles
from tests.unit.search.known_world import make_archive, make_planner

WORLD = Landscape()
ARCHIVE = make_archive(WORLD, 60, 12)


def only(name: str) -> list[Evaluation]:
    return [replace(each, accuracies={name: each.accuracies[name]}) for each in ARCHIVE]


def test_roles_are_those_of_the_benchmarks_that_were_asked() -> None:
    assert measured_roles(ARCHIVE) == ROLES
    assert measured_roles(only("pope")) == ("robustness",)
    assert measured_roles(only("scienceqa")) == ("utility",)
    assert measured_roles([]) == ROLES


@pytest.mark.parametrize(
    ("name", "text", "instead"),
    [("pope", "1,1,2", "0.333,0,0.667"), ("scienceqa", "1,1,2", "0,0.333,0.667"), ("pope", "0,1,0", "0,0,1")],
)
def test_a_preference_for_what_was_not_measured_is_refused(name: str, text: str, instead: str) -> None:
    measured = measured_roles(only(name))
    (missing,) = set(ROLES) - set(measured)
    preference = Preference.parse(text)
    with pytest.raises(
        PreferenceError,
        match=rf"weighs {missing}, which this run did not measure: .* {measured[0]}; ask for {instead}, ",
    ):
        check_preference(preference, measured)
    check_preference(measured_part(preference, measured), measured)


def test_requirements_weigh_only_what_was_measured() -> None:
    archive = only("pope")
    planner = make_planner(WORLD, archive)
    requirements = [Requirement.parse("sparsity=0.3")]
    plan = meet_requirements(planner, fit_forecast(archive, planner.space), archive, requirements)
    assert plan.preference == Preference.parse("1,0,0")
