"""A short run of the fuzzer, always the same; ``make fuzz`` is the long one."""

import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from hipp_prune.errors import HippPruneError
from tests.fuzz.readers import fuzz
from tests.fuzz.seed import WITHOUT_VALUES, Seed
from tests.fuzz.seeds import SEEDS

_INPUTS = 30
"""Damaged files of each reader."""


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: seed.name)
def test_damaged_files_are_read_as_declared_or_refused_in_our_words(seed: Seed, tmp_path: Path) -> None:
    tally = fuzz(seed, tmp_path, random.Random(seed.name), lambda inputs: inputs < _INPUTS)
    assert tally.inputs == _INPUTS
    assert not tally.foreign
    assert not tally.wrong


FILES = [(seed, name) for seed in SEEDS for name in seed.kinds if not name.endswith(WITHOUT_VALUES)]


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Seed], Path]:
    """Every reader's valid files, written once."""
    written: dict[str, Path] = {}

    def folder(seed: Seed) -> Path:
        if seed.name not in written:
            written[seed.name] = tmp_path_factory.mktemp(seed.name)
            seed.write(written[seed.name])
        return written[seed.name]

    return folder


@pytest.mark.parametrize("damage", ["deep list", "deep object", "key twice", "NaN", "Infinity"])
@pytest.mark.parametrize(("seed", "name"), FILES, ids=lambda each: str(getattr(each, "name", each)))
def test_json_that_no_two_readers_need_agree_on_is_refused_in_one_sentence(
    seed: Seed, name: str, damage: str, valid: Callable[[Seed], Path]
) -> None:
    if name in seed.foreign and damage in ("NaN", "Infinity"):
        return  # others define the format; what we read of it is declared, and finite
    path = valid(seed) / name
    sound = path.read_text()
    if damage in ("NaN", "Infinity") and not re.search(r": -?[\d.]+", sound):
        return  # it holds no number
    damaged = {
        "deep list": "[" * 100_000 + "\n",
        "deep object": '{"a":' * 100_000 + "\n",
        "key twice": re.sub(r'("\w[^"\n]*"): ', r"\1: null, \1: ", sound, count=1),
        "NaN": re.sub(r": -?[\d.]+", ": NaN", sound, count=1),
        "Infinity": re.sub(r": -?[\d.]+", ": Infinity", sound, count=1),
    }[damage]
    assert damaged != sound
    path.write_text(damaged)
    try:
        with pytest.raises(HippPruneError) as refused:
            seed.read(valid(seed), name)
    finally:
        path.write_text(sound)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 500
