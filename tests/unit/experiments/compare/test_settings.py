"""What contenders are told: the same but for what distinguishes them."""

from dataclasses import replace
from pathlib import Path

import pytest

from hipp_prune.errors import InputError
from hipp_prune.experiments.compare.cells import Contender
from hipp_prune.experiments.compare.settings import DEFAULT_SETTINGS, CompareSettings
from hipp_prune.experiments.compare.verb import Compare
from hipp_prune.plans.space import ModelShape

SHAPE = ModelShape(
    family="llava",
    fingerprint="0",
    hidden_size=4,
    neurons=(10, 10),
    neuron_parameters=12,
    block_parameters=480,
    language_parameters=600,
    total_parameters=700,
)
"""Half of the block parameters are the MLPs'."""


def test_a_variant_changes_what_it_says_and_nothing_else() -> None:
    plain = DEFAULT_SETTINGS.search_config(Contender(method="hybrid"), 4)
    gate = DEFAULT_SETTINGS.search_config(
        Contender(method="hybrid", variant="x", overrides={"gate": "off"}), 4
    )
    assert (plain.seed, plain.evaluations) == (4, DEFAULT_SETTINGS.evaluations)
    assert gate == replace(plain, gate="off")
    assert DEFAULT_SETTINGS.search_config(Contender(method="random-search"), 0).method == "random"


def test_a_setting_that_a_method_does_not_have_is_refused() -> None:
    with pytest.raises(InputError, match="flap · x: flap has no settings gate"):
        DEFAULT_SETTINGS.baseline_config(Contender(method="flap", variant="x", overrides={"gate": "off"}), 0)


def test_slicegpt_is_given_the_share_of_the_blocks_that_the_others_remove() -> None:
    config = DEFAULT_SETTINGS.baseline_config(Contender(method="slicegpt"), 0)
    assert (config.match, config.round_to) == ("block", 1)
    assert DEFAULT_SETTINGS.share(0.3, config.match, SHAPE) == pytest.approx(0.15)
    assert DEFAULT_SETTINGS.share(0.3, "mlp", SHAPE) == 0.3


def test_matched_on_blocks_a_search_removes_more_neurons_and_baselines_know_what_is_meant() -> None:
    settings = CompareSettings(match="block")
    assert settings.share(0.3, "mlp", SHAPE) == pytest.approx(0.6)
    assert settings.baseline_config(Contender(method="flap"), 0).match == "block"
    assert settings.share(0.3, "block", SHAPE) == 0.3


def test_a_recovery_has_the_seed_of_its_cell() -> None:
    assert DEFAULT_SETTINGS.recovery_config(3) == replace(DEFAULT_SETTINGS.recovery, seed=3)


def test_counts_must_be_positive() -> None:
    with pytest.raises(InputError, match="--limit to be at least 1, found 0"):
        CompareSettings(limit=0)


def test_a_model_given_twice_or_two_of_one_name_are_refused(tmp_path: Path) -> None:
    for models in (("toy-llava", "toy-llava"), (str(tmp_path / "a" / "m"), str(tmp_path / "b" / "m"))):
        with pytest.raises(
            InputError, match=r"--models: .* is given twice, and models are told apart by that name"
        ):
            Compare(out=tmp_path, models=models)
    with pytest.raises(InputError, match="expected --seeds to be at least 1, found 0"):
        Compare(out=tmp_path, seeds=0)
