"""What contenders are told: the same but for what distinguishes them."""

from dataclasses import replace
from pathlib import Path

import pytest

from hipp_prune.errors import InputError
from hipp_prune.experiments.compare.cells import Contender
from hipp_prune.experiments.compare.settings import DEFAULT_SETTINGS, CompareSettings
from hipp_prune.experiments.compare.verb import Compare
from hipp_prune.plans.modes import Compensation, CompensationChoice
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
    plain = DEFAULT_SETTINGS.search_settings(Contender(method="hybrid"), 4)
    gate = DEFAULT_SETTINGS.search_settings(
        Contender(method="hybrid", variant="x", overrides={"gate": "off"}), 4
    )
    assert (plain.seed, plain.evaluations) == (4, DEFAULT_SETTINGS.evaluations)
    assert gate == replace(plain, gate="off")
    assert DEFAULT_SETTINGS.search_settings(Contender(method="random-search"), 0).method == "random"


def test_a_setting_that_a_method_does_not_have_is_refused() -> None:
    with pytest.raises(InputError, match="flap · x: flap has no settings gate"):
        DEFAULT_SETTINGS.baseline_settings(
            Contender(method="flap", variant="x", overrides={"gate": "off"}), 0
        )


def test_slicegpt_is_given_the_share_of_the_blocks_that_the_others_remove() -> None:
    settings = DEFAULT_SETTINGS.baseline_settings(Contender(method="slicegpt"), 0)
    assert (settings.match, settings.round_to) == ("block", 1)
    assert DEFAULT_SETTINGS.share(0.3, settings.match, SHAPE) == pytest.approx(0.15)
    assert DEFAULT_SETTINGS.share(0.3, "mlp", SHAPE) == 0.3


def test_matched_on_blocks_a_search_removes_more_neurons_and_baselines_know_what_is_meant() -> None:
    settings = CompareSettings(match="block")
    assert settings.share(0.3, "mlp", SHAPE) == pytest.approx(0.6)
    assert settings.baseline_settings(Contender(method="flap"), 0).match == "block"
    assert settings.share(0.3, "block", SHAPE) == 0.3


def test_a_recovery_has_the_seed_of_its_cell() -> None:
    assert DEFAULT_SETTINGS.recovery_settings(3) == replace(DEFAULT_SETTINGS.recovery, seed=3)


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


@pytest.mark.parametrize(
    ("method", "choices", "modes"),
    [
        ("wanda-coupled", ("auto",), ["none"]),
        ("wanda-coupled", ("ridge",), ["ridge"]),
        ("wanda-coupled", ("none", "auto", "ridge"), ["none", "ridge"]),
        ("flap", ("auto",), ["bias"]),
        ("flap", ("none", "auto", "ridge"), ["none", "bias", "ridge"]),
        ("hybrid", ("auto", "ridge"), ["ridge"]),
        ("hybrid", ("none", "bias"), ["none", "bias"]),
        ("dense", ("ridge",), ["none"]),
        ("slicegpt", ("none", "ridge"), ["none"]),
        ("wanda-rows", ("ridge",), ["none"]),
        ("grpo-paper", ("none", "ridge"), ["none"]),
        ("llm-pruner", ("none", "ridge"), ["none", "ridge"]),
    ],
)
def test_a_method_takes_part_once_for_each_way_to_compensate(
    method: str, choices: tuple[CompensationChoice, ...], modes: list[Compensation]
) -> None:
    contender = Contender(method=method)
    found = DEFAULT_SETTINGS.in_modes(contender, choices)
    assert [each.mode for each in found] == modes
    assert len(set(found)) == len(found)
    if modes == [contender.mode]:
        assert found == [contender], "what is as usual has no other name"


def test_rows_take_part_once_whatever_is_asked() -> None:
    for contender in (
        Contender(method="random", overrides={"unit": "rows"}),
        Contender(method="hybrid", overrides={"unit": "rows"}),
    ):
        assert DEFAULT_SETTINGS.in_modes(contender, ("none", "ridge")) == [contender]


def test_a_contender_is_told_its_own_way_to_compensate() -> None:
    for compensation, told in ((None, "auto"), ("none", "none"), ("ridge", "ridge")):
        flap = Contender(method="flap", compensation=compensation)
        hybrid = Contender(method="hybrid", compensation=compensation)
        assert DEFAULT_SETTINGS.told(flap, 0)["compensation"] == told
        assert DEFAULT_SETTINGS.told(hybrid, 0)["compensation"] == told


def test_only_what_is_fitted_in_sequence_is_reconstructed(tmp_path: Path) -> None:
    settings = CompareSettings(reconstruct=2.0)
    for compensation, minutes in (("sequential", 2.0), ("ridge", 0.0)):
        owl = Contender(method="owl", compensation=compensation)
        assert settings.told(owl, 0)["reconstruct"] == minutes
    with pytest.raises(InputError, match="--reconstruct goes on from sequential compensation, found ridge"):
        Compare(out=tmp_path, compensation=("ridge",), settings=settings)


def test_the_verb_compares_in_every_way_that_is_asked_for(tmp_path: Path) -> None:
    verb = Compare(
        out=tmp_path, models=("m",), methods=("dense", "flap", "owl"), budgets=(0.3,), seeds=1,
        compensation=("none", "auto", "ridge"),
    )  # fmt: skip
    assert [cell.contender.label for cell in verb.cells] == [
        "dense", "flap · none", "flap", "flap · ridge", "owl", "owl · ridge"
    ]  # fmt: skip
