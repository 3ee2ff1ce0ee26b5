from dataclasses import fields

import pytest

from hipp_prune.errors import InputError
from hipp_prune.search.methods import METHODS
from hipp_prune.search.searchers import load_method
from hipp_prune.search.settings import SearchSettings


def _flag(name: str) -> str:
    return name.replace("_", "-")


@pytest.mark.parametrize(
    "change",
    [
        {"s_min": -0.1},
        {"s_min": 0.6},
        {"s_max": 0.9},
        {"s_max": 0.05},
        {"r_max": 0.4},
        {"r_max": 1.0},
        {"s_min": float("nan")},
    ],
)
def test_budget(change):
    with pytest.raises(
        InputError, match=r"0 ≤ s_min ≤ s_max ≤ r_max < 1|--s-min to be (at least 0|a finite number)"
    ):
        SearchSettings(**change)


def test_a_budget_of_one_point():
    assert SearchSettings(s_min=0.2, s_max=0.2).s_min == 0.2


@pytest.mark.parametrize(
    "name",
    ["evaluations", "minibatch", "rounds", "groups", "inner_epochs", "kappa", "learning_rate", "tau", "gamma", "clip",
     "clip_returns"],
)  # fmt: skip
@pytest.mark.parametrize("value", [0, -1])
def test_positive_settings(name, value):
    with pytest.raises(InputError, match=f"--{_flag(name)} to be (above 0|at least 1), found {value}"):
        SearchSettings(**{name: value})


@pytest.mark.parametrize(
    "name",
    ["warm_up", "proposals", "robust_share", "image_weight", "anchor_fraction", "annealing", "gate_floor"],
)
@pytest.mark.parametrize("value", [-0.01, 1.01, float("nan")])
def test_shares(name, value):
    with pytest.raises(
        InputError, match=rf"--{_flag(name)} to be (at least 0|at most 1|a finite number), found"
    ):
        SearchSettings(**{name: value})


@pytest.mark.parametrize("name", ["budget_entropy", "allocation_entropy", "kl_weight"])
def test_weights_are_not_negative(name):
    assert getattr(SearchSettings(**{name: 0.0}), name) == 0
    with pytest.raises(InputError, match=f"--{_flag(name)} to be at least 0, found -0.1"):
        SearchSettings(**{name: -0.1})


@pytest.mark.parametrize("group", [0, 2, 3, 7, -4])
def test_group(group):
    with pytest.raises(InputError, match=r"even number of at least 4 plans|--group to be at least 1, found"):
        SearchSettings(group=group)


def test_shares_of_the_evaluations():
    SearchSettings(warm_up=0.4, proposals=0.6)
    with pytest.raises(InputError, match=r"warm_up \+ proposals"):
        SearchSettings(warm_up=0.6, proposals=0.5)


def test_a_surrogate_needs_something_to_be_fitted_to():
    with pytest.raises(InputError, match="proposals need a warm_up"):
        SearchSettings(warm_up=0.0, proposals=0.5)


@pytest.mark.parametrize("method", METHODS)
def test_methods_are_sets_of_fields(method):
    names = {field.name for field in fields(SearchSettings)}
    own = load_method(method).settings
    assert set(own) <= names
    settings = SearchSettings(evaluations=77, seed=5).for_method(method)
    assert settings.method == method
    assert (settings.evaluations, settings.seed) == (77, 5)
    assert all(getattr(settings, name) == value for name, value in own.items())


def test_the_paper_method_is_the_paper_throughout():
    settings = SearchSettings().for_method("grpo-paper")
    for name in ("allocation", "importance", "advantage", "band"):
        assert getattr(settings, name) == "paper", name
    assert settings.clip is None
    assert not settings.relabel
    assert settings.gate == "all"
    assert settings.unit == "rows"
    assert settings.warm_up == settings.proposals == 0
